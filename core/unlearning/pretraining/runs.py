"""What is kept of a training run: its newest checkpoint, and a loss for each step.

    checkpoint.safetensors   weights, moments, and in its header the step and the settings
    metrics.jsonl            {"step": ..., "loss": ..., "rate": ...}
    loss.svg                 the same as a picture

Each file takes its name once it is whole and on disk, so that a run that is stopped anywhere, or
meets a full disk, still has the checkpoint before.
"""

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import takewhile
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn
from torch.optim import Optimizer

from unlearning.errors import CoreError
from unlearning.pretraining.curve import drawn

CHECKPOINT, METRICS, CURVE = "checkpoint.safetensors", "metrics.jsonl", "loss.svg"

_STEP = "step"


class Run:
    """A run in a folder, which is made when there is something to keep."""

    def __init__(self, name: str, folder: Path, settings: Mapping[str, str]) -> None:
        """Takes what the run is called, and all that it depends on, by name.

        Raises:
            CoreError: if the folder has a run of other settings.
        """
        self.name = name
        self._folder, self._settings = folder, settings
        self._metrics: list[dict[str, float]] = []
        self._check_same()

    def restore(self, learner: nn.Module, optimizer: Optimizer) -> int:
        """Brings both to the last checkpoint, and returns its step, 0 if there is none.

        Raises:
            CoreError: if it cannot be read.
        """
        if not (self._folder / CHECKPOINT).exists():
            return 0
        with self._checkpoint() as opened:
            step = int(self._header(opened)[_STEP])
            tensors = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118 # it is no mapping
        learner.load_state_dict(_part(tensors, "learner"))
        moments: dict[int, dict[str, Tensor]] = {}
        for name, tensor in _part(tensors, "optimizer").items():
            weight, _, moment = name.partition(".")
            moments.setdefault(int(weight), {})[moment] = tensor
        groups = optimizer.state_dict()["param_groups"]
        optimizer.load_state_dict({"state": moments, "param_groups": groups})
        self._metrics = self._written(step)
        return step

    def _written(self, step: int) -> list[dict[str, float]]:
        file = self._folder / METRICS
        try:
            lines = map(json.loads, file.read_text().splitlines())
            return list(takewhile(lambda line: line["step"] < step, lines))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise self._damaged(file) from error

    def record(self, step: int, loss: float, rate: float) -> None:
        """Notes how a step went; it is written with the next checkpoint."""
        self._metrics.append({"step": step, "loss": loss, "rate": rate})

    def save(self, step: int, learner: nn.Module, optimizer: Optimizer) -> None:
        """Keeps what there is after so many steps.

        Raises:
            CoreError: if it cannot be written; then the last checkpoint is as it was.
        """
        tensors = {f"learner.{name}": tensor for name, tensor in learner.state_dict().items()}
        for weight, moments in optimizer.state_dict()["state"].items():
            tensors |= {f"optimizer.{weight}.{name}": moment for name, moment in moments.items()}
        rows = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
        header = {**self._settings, _STEP: str(step)}
        lines = "".join(json.dumps(line) + "\n" for line in self._metrics)
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            # The metrics first: those of a later step are left out when the run goes on.
            _replace(self._folder / METRICS, lines.encode())
            _replace(self._folder / CHECKPOINT, save(rows, header))
            losses = [line["loss"] for line in self._metrics]
            _replace(self._folder / CURVE, drawn(losses).encode())
        except OSError as error:
            problem = f"its checkpoint of step {step} cannot be written: {error.strerror}"
            fix = "make room and run the same again: it goes on from the checkpoint before"
            raise CoreError(self.name, problem, fix) from error

    def _check_same(self) -> None:
        if not (self._folder / CHECKPOINT).exists():
            return
        with self._checkpoint() as opened:
            header = self._header(opened)
        for setting, value in self._settings.items():
            if header.get(setting) != value:
                problem = f"{self._folder} has a run whose {setting} was another"
                fix = f"set it back to go on, or remove {self._folder} to start anew"
                raise CoreError(self.name, problem, fix)

    @contextmanager
    def _checkpoint(self) -> Iterator[Any]:
        file = self._folder / CHECKPOINT
        try:
            with safe_open(file, "pt") as opened:
                yield opened
        except (OSError, SafetensorError) as error:
            raise self._damaged(file) from error

    def _header(self, opened: Any) -> Mapping[str, str]:
        header = opened.metadata() or {}
        if not str(header.get(_STEP, "")).isdecimal():
            raise self._damaged(self._folder / CHECKPOINT)
        return header

    def _damaged(self, file: Path) -> CoreError:
        fix = f"remove {self._folder}, and start anew"
        return CoreError(self.name, f"{file} is not what a run has written", fix)


def _part(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Any]:
    return {
        name.removeprefix(f"{prefix}."): tensor
        for name, tensor in tensors.items()
        if name.startswith(f"{prefix}.")
    }


def _replace(file: Path, content: bytes) -> None:
    """Writes a file anew, whole or not at all."""
    making = file.with_name(f".{file.name}")
    try:
        with making.open("wb") as opened:
            opened.write(content)
            opened.flush()
            os.fsync(opened.fileno())
        making.replace(file)
    except BaseException:
        making.unlink(missing_ok=True)
        raise
