"""``unlearn monitor`` of a real server: what is new, what is flagged, and how it ends."""

import json
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from click.testing import CliRunner

from unlearn_client import Client, Selection
from unlearn_client.cli import main
from unlearn_server.app import Options, running
from unlearn_server.cli import main as server_main


@pytest.fixture
def watched(tmp_path: Path, make_sample):
    """A server with a model, and what looks at it; it may be stopped and started."""
    return Watched(tmp_path, make_sample)


class Watched:
    def __init__(self, folder: Path, make_sample) -> None:
        self.folder, self.data = folder, folder / "data"
        self.key = folder / "key"
        with self.open():
            self.client.create_model("m", "features:3", ["cat", "dog", "bird"])
            people = ["", "", "ada", "bob", "cyd", "dan"]
            added = [make_sample(f"s{i}", who) for i, who in enumerate(people)]
            self.client.add_samples("m", added)
            self.client.create_release("m")
            self.key.write_text(self.client.get_checkpoint().verifier_key)

    def open(self):
        return _Open(self)

    def erase(self, person: str, **more) -> None:
        accepted = self.client.create_erasure(Selection.subjects([person]), ["m"], **more)
        self.client.wait_for_erasure(accepted.name)

    def look(self, *words: object, log: bool = True) -> tuple[int, dict]:
        where = ["--log", self.data / "log"] if log else []
        command = ["--json", "--address", f"localhost:{self.port}", "--timeout", "20", "monitor"]
        command += ["--state", self.folder / "state", "--key", self.key, *where, *words]
        ran = CliRunner().invoke(main, list(map(str, command)), catch_exceptions=False)
        # Servers of this process write there too.
        documents = [line for line in ran.stdout.splitlines() if line.startswith("{")]
        return ran.exit_code, json.loads(documents[-1]) if documents else {}

    def sql(self, statement: str, **values: object) -> None:
        engine = sa.create_engine(f"sqlite:///{self.data}/unlearn.db")
        with engine.begin() as conn:
            conn.execute(sa.text(statement), values)
        engine.dispose()


class _Open:
    def __init__(self, watched: Watched) -> None:
        self._watched = watched
        self._running = running(Options(watched.data, "localhost:0", "localhost:0"))

    def __enter__(self):
        self._watched.port = self._running.__enter__().port
        self._watched.client = Client(f"localhost:{self._watched.port}", timeout=60)

    def __exit__(self, *exception: object) -> None:
        self._watched.client.close()
        self._running.__exit__(*exception)


def indices(document: dict) -> list[int]:
    return [each["predicate"]["log"]["index"] for each in document["certificates"]]


def findings(document: dict) -> list[tuple[str, bool]]:
    return [(each["about"], each["flagged"]) for each in document["findings"]]


@pytest.mark.parametrize("log", [True, False])
def test_each_look_tells_what_is_new(watched, wait_until, log):
    with watched.open():
        assert watched.look(log=log)[0] == 0
        for people in (["ada", "bob"], [], ["cyd"]):
            before = len(indices(watched.look(log=log)[1]))
            assert before == 0
            start = int(json.loads((watched.folder / "state").read_text())["seen"])
            for person in people:
                watched.erase(person)
            end = start + len(people)
            published = watched.data / "log" / "checkpoint"
            wait_until(lambda n=end, at=published: at.read_text().split("\n")[1] == str(n))
            code, document = watched.look(log=log)
            assert (code, indices(document)) == (0, list(range(start, end)))
            assert document["log"]["size"] == end


def test_what_is_wrong_is_flagged(watched, wait_until):
    long_ago = datetime.now(UTC) - timedelta(days=90)
    with watched.open():
        watched.erase("ada")
        watched.erase("bob")
        wait_until(lambda: watched.look()[1]["log"]["size"] == 2)
    open_id, refused_id = (
        "00000000-0000-4000-8000-000000000001",
        "00000000-0000-4000-8000-000000000002",
    )
    columns = (
        "fingerprint, selection_kind, selection_hashes, method, regulation, state_reason,"
        " receive_time, due_time"
    )
    for request_id, state in ((open_id, "NEEDS_OPERATOR"), (refused_id, "REFUSED")):
        watched.sql(
            f"INSERT INTO erasures (request_id, state, {columns}) SELECT :id, :state,"  # noqa: S608
            " fingerprint, selection_kind, selection_hashes, method, regulation, 'said so',"
            " receive_time, :due FROM erasures LIMIT 1",
            id=request_id,
            state=state,
            due=int(long_ago.timestamp() * 1e6),
        )
    with watched.open():
        code, document = watched.look()
        assert code == 1
        told = {each["about"]: each["words"] for each in document["findings"]}
        assert "is NEEDS_OPERATOR, and was due" in told[f"erasures/{open_id}"]
        assert told[f"erasures/{refused_id}"] == "was refused: said so"
        # What is still open is told again, what was refused is not.
        code, document = watched.look()
        assert findings(document) == [(f"erasures/{open_id}", True)]


def test_people_are_told_of_each_outcome_in_a_line(watched, wait_until):
    with watched.open():
        watched.erase("ada")
        watched.client.place_hold("bob", "a lawsuit")
        asked = watched.client.create_erasure(Selection.subjects(["bob"]), ["m"])
        watched.client.refuse_erasure(asked.name, "gdpr-17-3-e", "a lawsuit")
        command = ["monitor", "--state", watched.folder / "seen", "--key", watched.key]
        command += ["--log", watched.data / "log"]
        wait_until(lambda: watched.look()[1]["log"]["size"] == 2)
        told = CliRunner().invoke(
            main, ["--address", f"localhost:{watched.port}", *map(str, command)]
        )
    assert told.exit_code == 1  # the refusal is flagged
    words = "".join(told.stdout.split())  # lines are broken anywhere
    assert "inmodels/m;1sampleof1subjectnamed;5remain;20" in words
    assert f"{asked.name}inmodels/m;gdpr-17-3-e;20" in words


def test_a_changed_key_is_flagged_once_and_followed(watched, wait_until):
    with watched.open():
        watched.erase("ada")
        wait_until(lambda: watched.look()[1]["log"]["size"] == 1)
    command = ["keys", "rotate", "--data-dir", str(watched.data)]
    assert CliRunner().invoke(server_main, command).exit_code == 0
    with watched.open():
        watched.erase("bob")
        code, document = watched.look()
        assert code == 1
        assert "changed its key" in document["findings"][0]["words"]
        wait_until(lambda: watched.look()[1]["log"]["size"] == 3)  # it is published a little later
        assert watched.look()[1]["findings"] == []
        assert watched.look(log=False)[0] == 1  # the server does not say who endorsed its key
    assert json.loads((watched.folder / "state").read_text())["seen"] == 3


@pytest.mark.parametrize("log", [True, False])
def test_a_log_with_two_histories_is_flagged_and_not_kept(watched, wait_until, tmp_path, log):
    with watched.open():
        watched.erase("ada")
        wait_until(lambda: watched.look()[1]["log"]["size"] == 1)
    shutil.copytree(watched.data, tmp_path / "copy")
    with watched.open():
        watched.erase("bob")
        wait_until(lambda: watched.look()[1]["log"]["size"] == 2)
    memory = (watched.folder / "state").read_text()
    watched.data = tmp_path / "copy"
    with watched.open():
        for people, reason in ((["cyd"], "two histories"), (["dan"], "two histories")):
            for person in people:
                watched.erase(person)
            published = watched.data / "log" / "checkpoint"
            size = "2" if people == ["cyd"] else "3"
            wait_until(lambda at=published, n=size: at.read_text().split("\n")[1] == n)
            code, document = watched.look(log=log)
            assert (code, document["verified"], document["log"]) == (1, False, None)
            assert reason in document["findings"][0]["words"]
            assert (watched.folder / "state").read_text() == memory


def test_a_log_that_was_rolled_back_is_flagged(watched, wait_until, tmp_path):
    shutil.copytree(watched.data, tmp_path / "copy")
    with watched.open():
        watched.erase("ada")
        wait_until(lambda: watched.look()[1]["log"]["size"] == 1)
    watched.data = tmp_path / "copy"
    with watched.open():
        code, document = watched.look()
    assert code == 1
    assert "rolled back" in document["findings"][0]["words"]


def test_it_says_when_it_could_not_look(watched):
    with watched.open():
        assert watched.look()[0] == 0
    assert watched.look("--timeout", "1")[0] == 2  # no such option here
    assert watched.look(log=False)[0] == 2  # nobody answers
    (watched.folder / "state").write_text("{}")
    with watched.open():
        assert watched.look()[0] == 2
