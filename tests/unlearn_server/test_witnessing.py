"""The server and its witnesses: what it asks, what it believes of answers, and what it keeps."""

import base64
import hashlib
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import pytest
from click.testing import CliRunner
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from structlog.testing import capture_logs

from unlearn_server.certifying import Certifier
from unlearn_server.cli import main
from unlearn_server.errors import StartupError
from unlearn_server.ledger import log
from unlearn_server.ledger.database import Database
from unlearn_server.ledger.log import Head
from unlearn_server.metrics import LedgerSnapshot, Metrics
from unlearn_server.witnessing import Witness, Witnessing, witnesses_of

Answer = tuple[int, str]


class ScriptedWitness:
    """A witness over HTTP that answers what it is told to, and keeps what it was asked."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.key = Ed25519PrivateKey.generate()
        self.asked: list[str] = []
        self.answers: list[Callable[[str], Answer]] = []
        scripted = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                assert self.path == "/prefix/add-checkpoint"
                body = self.rfile.read(int(self.headers["Content-Length"])).decode()
                scripted.asked.append(body)
                answer = scripted.answers.pop(0) if scripted.answers else scripted.sign
                status, text = answer(body)
                self.send_response(status)
                self.end_headers()
                self.wfile.write(text.encode())

            def log_message(self, *_: object) -> None:
                pass

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.thread = Thread(target=self.server.serve_forever, args=(0.02,))
        self.thread.start()

    @property
    def vkey(self) -> str:
        material = base64.b64encode(b"\x04" + self.key.public_key().public_bytes_raw()).decode()
        return f"{self.name}+{self.id.hex()}+{material}"

    @property
    def id(self) -> bytes:
        public = self.key.public_key().public_bytes_raw()
        return hashlib.sha256(self.name.encode() + b"\n\x04" + public).digest()[:4]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}/prefix/"

    def sign(self, body: str, time: int = 1_700_000_000) -> Answer:
        text = body.split("\n\n")[1] + "\n"
        signed = self.key.sign(f"cosignature/v1\ntime {time}\n{text}".encode())
        sealed = base64.b64encode(self.id + time.to_bytes(8) + signed).decode()
        return 200, f"— {self.name} {sealed}\n"

    def old_sizes(self) -> list[int]:
        return [int(body.split("\n")[0].removeprefix("old ")) for body in self.asked]

    def stop(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


@pytest.fixture
def pair() -> Iterator[list[ScriptedWitness]]:
    pair = [ScriptedWitness(f"w.example/{i}") for i in (1, 2)]
    yield pair
    for each in pair:
        each.stop()


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    database = Database.open(f"sqlite:///{tmp_path}/ledger.sqlite")
    yield database
    database.close()


class Log:
    """A log that grows by changing its key: every leaf is a rotation."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._key = Ed25519PrivateKey.generate()
        with database.write() as conn:
            Certifier(self._key).open(conn, "unlearn.example/log")

    def grow(self) -> Head:
        following = Ed25519PrivateKey.generate()
        with self._database.write() as conn:
            Certifier(self._key).hand_over(conn, following)
        self._key = following
        return self.head()

    def head(self) -> Head:
        with self._database.read() as conn:
            return log.head(conn)


@pytest.fixture
def grown(database: Database) -> Log:
    return Log(database)


def metrics() -> Metrics:
    return Metrics(lambda: LedgerSnapshot({}, None, {}, {}))


def value(metrics: Metrics, name: str) -> float | None:
    return metrics.registry.get_sample_value(name)


def asking(
    database: Database, pair: list[ScriptedWitness], wanted: int | None = None
) -> tuple[Witnessing, list[Witness], Metrics]:
    witnesses, counted = witnesses_of((each.vkey, each.url) for each in pair), metrics()
    return Witnessing(database, witnesses, wanted, counted), witnesses, counted


def test_all_are_asked_once_for_each_head_and_their_lines_are_kept(database, grown, pair) -> None:
    witnessing, _, counted = asking(database, pair)
    assert witnessing.cosigned(grown.head()) == grown.head().checkpoint
    for size in (1, 2, 3):
        head = grown.grow()
        note = witnessing.cosigned(head)
        lines = [each.sign(each.asked[-1])[1] for each in pair]
        assert note == head.checkpoint + "".join(lines)
        assert grown.head().checkpoint == grown.head().witnessed == note
        assert witnessing.cosigned(grown.head()) == note
        assert [each.old_sizes() for each in pair] == [[*range(size)]] * 2
        assert value(counted, "unlearn_log_cosignatures") == 2
        assert value(counted, "unlearn_log_unwitnessed_seconds") == 0


def test_what_is_wanted_decides_what_certificates_are_shown_under(database, grown, pair) -> None:
    for wanted in (1, 2):
        witnessing, witnesses, counted = asking(database, pair, wanted)
        head = grown.grow()
        pair[1].answers = [lambda _: (500, "no\n")]
        note = witnessing.cosigned(head)
        assert note == head.checkpoint + pair[0].sign(pair[0].asked[-1])[1]
        assert (grown.head().witnessed == note) == (wanted == 1)
        assert (value(counted, "unlearn_log_unwitnessed_seconds") > 0) == (wanted == 2)
        witnesses[1].not_before = 0
        both = witnessing.cosigned(grown.head())
        assert grown.head().checkpoint == both == note + pair[1].sign(pair[1].asked[-1])[1]
        assert grown.head().witnessed == both


def test_a_witness_that_knows_another_size_is_asked_from_there(database, grown, pair) -> None:
    witnessing, _, _ = asking(database, pair)
    for _ in range(3):
        grown.grow()
    pair[0].answers = [lambda _: (409, "2\n")]
    note = witnessing.cosigned(grown.head())
    assert pair[0].old_sizes() == [0, 2]
    assert pair[1].old_sizes() == [0]
    assert note.count("—") == 3


def test_a_witness_that_was_rolled_back_is_told_of(database, grown, pair) -> None:
    witnessing, _, _ = asking(database, pair)
    for _ in range(2):
        witnessing.cosigned(grown.grow())
    pair[0].answers = [lambda _: (409, "1\n")]
    with capture_logs() as told:
        witnessing.cosigned(grown.grow())
    [event] = told
    assert "rolled back" in event["event"]
    assert (event["witness"], event["signed"], event["knows"]) == ("w.example/1", 2, 1)


def test_a_witness_that_knows_more_than_the_log_is_told_of(database, grown, pair) -> None:
    witnessing, _, _ = asking(database, pair)
    pair[0].answers = [lambda _: (409, "9\n")]
    with capture_logs() as told:
        witnessing.cosigned(grown.grow())
    assert "older copy of the database" in told[0]["problem"]
    assert pair[0].old_sizes() == [0]


@pytest.mark.parametrize(
    "answer",
    [
        lambda _: (422, "two histories\n"),
        lambda _: (403, ""),
        lambda _: (409, "many\n"),
        lambda _: (200, ""),
        lambda _: (200, "nonsense\n"),
        lambda _: (200, "— w.example/1 AAAA\n"),
        lambda _: (200, "a b c\n" * 100_000),
    ],
)
def test_answers_that_are_no_signature(database, grown, pair, answer) -> None:
    witnessing, witnesses, counted = asking(database, pair)
    pair[0].answers = [answer]
    with capture_logs() as told:
        note = witnessing.cosigned(grown.grow())
    assert [each["witness"] for each in told] == ["w.example/1"]
    assert note.count("—") == 2
    assert grown.head().witnessed is None
    assert value(counted, "unlearn_log_cosignatures") == 1
    assert witnesses[0].not_before > 0
    assert witnesses[1].not_before == 0


def test_signatures_of_another_text_or_without_a_time(database, grown, pair) -> None:
    witnessing, witnesses, _ = asking(database, pair)
    head = grown.grow()
    for answer in (
        lambda body: pair[0].sign(body.replace("\n1\n", "\n2\n")),
        lambda body: pair[0].sign(body, time=0),
        lambda body: pair[1].sign(body),
    ):
        pair[0].answers = [answer]
        with capture_logs():
            assert witnessing.cosigned(grown.head()).count("w.example/1") == 0
        witnesses[0].not_before = 0
    assert witnessing.cosigned(grown.head()).count("w.example/1") == 1
    assert head.frontier.size == 1


def test_who_does_not_answer_is_left_alone_for_longer_each_time(database, grown, pair) -> None:
    witnessing, witnesses, _ = asking(database, pair)
    pair[0].answers = [lambda _: (500, "")] * 9
    pauses = []
    for _ in range(9):
        with capture_logs():
            witnessing.cosigned(grown.grow())
            asked = len(pair[0].asked)
            witnessing.cosigned(grown.head())
        assert len(pair[0].asked) == asked
        pauses.append(witnesses[0].pause)
        witnesses[0].not_before = 0
    assert pauses == [2, 4, 8, 16, 32, 60, 60, 60, 60]
    witnessing.cosigned(grown.head())
    assert witnesses[0].pause == 1


def test_a_log_that_grew_meanwhile_keeps_what_was_signed(database, grown, pair) -> None:
    witnessing, _, _ = asking(database, pair)
    asked_about = grown.grow()
    newer = grown.grow()
    note = witnessing.cosigned(asked_about)
    assert grown.head().checkpoint == newer.checkpoint
    assert grown.head().witnessed == note
    assert set(grown.head().cosigned_sizes.values()) == {1}


def test_options_that_cannot_be(database, pair) -> None:
    log_key = pair[0].vkey.replace("+", " ", 1)
    for told in (
        [("nonsense", pair[0].url)],
        [(log_key, pair[0].url)],
        [(pair[0].vkey, "ftp://w")],
    ):
        with pytest.raises(StartupError, match=r"^--witness: "):
            witnesses_of(told)
    with pytest.raises(StartupError, match="named twice"):
        witnesses_of([(pair[0].vkey, pair[0].url)] * 2)
    with pytest.raises(StartupError, match="more than the 2 named"):
        asking(database, pair, 3)


def test_witnesses_on_the_command_line_and_in_the_environment(tmp_path: Path, pair) -> None:
    def refusal(*words: str, **environment: str) -> str:
        command = ["serve", "--data-dir", str(tmp_path / "data"), "--address", "localhost:0"]
        ran = CliRunner().invoke(main, [*command, *words], env=environment)
        assert ran.exit_code == 1
        return ran.output

    assert "has no verifier key" in refusal("--witness", "nonsense", pair[0].url)
    one, other = pair[0], pair[1]
    twice = f"{one.vkey} {one.url} {one.vkey} {other.url}"
    assert "named twice" in refusal(UNLEARN_WITNESSES=twice)
    both = f"{one.vkey} {one.url} {other.vkey} {other.url}"
    wanted = {"UNLEARN_WITNESSES": both, "UNLEARN_WITNESSES_WANTED": "3"}
    assert "more than the 2 named" in refusal(**wanted)
