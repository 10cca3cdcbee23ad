"""A server whose database is PostgreSQL: it does what it does on SQLite, and loses nothing."""

import contextlib
import random
import re
import socket
import subprocess
import sys
from pathlib import Path
from threading import Thread
from time import sleep
from uuid import uuid4

import grpc
import numpy as np
import pytest

from tests.postgres import running
from unlearn.v1.erasure_pb2 import CreateErasureRequest, Erasure
from unlearn_client import Selection

CLASSES = ["cat", "dog", "bird"]
SALT = bytes(range(32))
PASSWORD = "hunter2"  # noqa: S105 # which nobody checks
KILLS, SUBJECTS = 3, 60


@pytest.fixture
def url(postgres):
    return postgres.new_database().replace("tests@", f"tests:{PASSWORD}@")


@pytest.fixture
def samples(make_sample):
    core = [make_sample(f"c{i}") for i in range(10)]
    return core + [make_sample(f"s{i}", f"p{i % 80}") for i in range(240)]


def filled(server, samples, model_id="m"):
    server.client.create_model(model_id, "features:3", CLASSES)
    server.client.add_samples(model_id, samples)
    server.client.create_release(model_id)


def ask_for(subject):
    erasure = Erasure(selection=Selection.subjects([subject]))
    return CreateErasureRequest(request_id=str(uuid4()), erasure=erasure)


def without(samples, subjects):
    return [sample for sample in samples if sample.subject_id not in subjects]


def serves_what_never_saw(server, samples, subjects):
    """Whether the model is, bit for bit, one that the subjects were never in."""
    fresh = f"fresh-{uuid4().hex[:8]}"
    filled(server, without(samples, subjects), fresh)
    audit = server.client.audit_model("m", SALT)
    return audit.consistent and audit == server.client.audit_model(fresh, SALT)


def command(*words, data_dir, url):
    """Runs unlearn-server with words; its exit code and what it said."""
    program = str(Path(sys.executable).with_name("unlearn-server"))
    run = subprocess.run(
        [program, *words, "--data-dir", str(data_dir), "--database", url],
        capture_output=True,
        text=True,
        check=False,
    )
    assert PASSWORD not in run.stdout + run.stderr
    return run.returncode, run.stdout + run.stderr


def test_erasures_are_carried_out_certified_published_and_found_sound(
    open_server, tmp_path, url, samples
):
    data_dir = tmp_path / "data"
    with open_server(data_dir, url) as server:
        filled(server, samples)
        done = [
            server.client.wait_for_erasure(server.erasures.CreateErasure(ask_for(who)).name)
            for who in ("p1", "p2", "nobody")
        ]
        assert [erasure.state for erasure in done] == [Erasure.SUCCEEDED] * 3
        assert [o.erased_samples for e in done for o in e.outcomes] == [3, 3]
        assert [o.certificate for e in done for o in e.outcomes] == [
            "certificates/0",
            "certificates/1",
        ]
        assert serves_what_never_saw(server, samples, {"p1", "p2"})
        features = [sample.features.values for sample in samples[:5]]
        answered = server.client.predict("m", features=np.array(features, np.float32))
    assert not (data_dir / "unlearn.db").exists()
    assert command("fsck", data_dir=data_dir, url=url) == (0, "sound\n")
    code, said = command("keys", "rotate", data_dir=data_dir, url=url)
    assert (code, said.startswith("the key in force is ")) == (0, True)
    assert command("fsck", data_dir=data_dir, url=url) == (0, "sound\n")
    with open_server(data_dir, url) as server:
        again = server.client.predict("m", features=np.array(features, np.float32))
        assert np.array_equal(np.asarray(again.logits), np.asarray(answered.logits))
        little = ["--erase", "p3", "--shadows", "3", "--pairs", "8", "--json"]
        code, said = command("readouts", "m", *little, data_dir=data_dir, url=url)
        assert code == 0, said
        out = tmp_path / "m.npz"
        code, said = command("export", "m", "--out", str(out), data_dir=data_dir, url=url)
        assert (code, out.exists()) == (0, True), said
        code, said = command("fsck", data_dir=data_dir, url=url)
        assert (code, "in use" in said) == (2, True)


def test_killed_at_any_moment_it_does_each_acknowledged_erasure_exactly_once(start, url, samples):
    rng = random.Random()  # any moment; there is no seed for the kernel's part in it
    requests = [ask_for(f"p{i}") for i in range(SUBJECTS)]
    process = start(database=url)
    with process.asked() as server:
        filled(server, samples)
    left = list(requests)
    for _ in range(KILLS):
        with process.asked() as server:
            stop = max(0, len(left) - rng.randint(1, SUBJECTS // KILLS))
            killer = Thread(target=lambda p=process: (sleep(rng.uniform(0, 0.1)), p.kill()))
            killer.start()
            while len(left) > stop:
                try:
                    server.erasures.CreateErasure(left[-1], timeout=10)
                except grpc.RpcError:  # asked again, under the same request id
                    break
                left.pop()
            killer.join()
        process = start(database=url)
    with process.asked() as server:
        for request in reversed(left):
            server.erasures.CreateErasure(request)
        done = [server.client.wait_for_erasure(f"erasures/{r.request_id}") for r in requests]
        assert {erasure.state for erasure in done} == {Erasure.SUCCEEDED}
        assert [len(e.outcomes) for e in done] == [1] * SUBJECTS
        assert [e.outcomes[0].erased_samples for e in done] == [3] * SUBJECTS
        assert len(list(server.client.list_erasures())) == SUBJECTS
        assert serves_what_never_saw(server, samples, {f"p{i}" for i in range(SUBJECTS)})


def test_no_key_is_made_anew_beside_an_old_database(start, tmp_path, url):
    first = start(database=url)
    first.ports()
    assert first.terminate() == 0
    second = start(tmp_path / "elsewhere", database=url)
    assert second.wait() == 1
    assert "id-hashing.key: cannot be read" in second.said.splitlines()[-1]


def test_a_server_goes_down_with_its_database_and_comes_back_with_it(start, samples):
    with running() as own:
        url = own.new_database().replace("tests@", f"tests:{PASSWORD}@")
        process = start(database=url)
        with process.asked() as server:
            filled(server, samples)
            own.stop()
            assert process.wait() == 1
        last = process.said.splitlines()[-1]
        assert last == "unlearn-server: the database: the connection to it was lost; start again"
        too_early = start(database=url)
        assert too_early.wait() == 1
        assert too_early.said.splitlines()[-1].startswith("unlearn-server: the database: cannot")
        own.start()
        with start(database=url).asked() as server:
            name = server.erasures.CreateErasure(ask_for("p1")).name
            assert server.client.wait_for_erasure(name).state == Erasure.SUCCEEDED
        assert PASSWORD not in process.said + too_early.said


class Proxy:
    """Between a server and PostgreSQL: cuts the connection whose COMMIT of outcomes was answered.

    PostgreSQL has committed then, and the server does not get to know.
    """

    def __init__(self, folder: Path, upstream: str) -> None:
        self._upstream = upstream
        self._sockets = [socket.socket(socket.AF_UNIX)]
        self._sockets[0].bind(str(folder / ".s.PGSQL.5432"))
        self._sockets[0].listen()
        self._threads = [Thread(target=self._accept)]
        self._threads[0].start()
        self.has_cut = False

    def close(self) -> None:
        for each in self._sockets:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()
        for each in self._sockets:
            each.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                below, above = self._sockets[0].accept()[0], socket.socket(socket.AF_UNIX)
                above.connect(self._upstream)
                watched = {"outcomes": False, "commits": False}
                for pair in ((below, above, True), (above, below, False)):
                    self._threads.append(Thread(target=self._pass_on, args=(*pair, watched)))
                    self._threads[-1].start()
                self._sockets += [below, above]

    def _pass_on(self, source, target, is_question, watched) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(1 << 16):
                if is_question:
                    watched["outcomes"] |= b"INSERT INTO outcomes" in data
                    watched["commits"] |= watched["outcomes"] and b"COMMIT\0" in data
                elif watched["commits"] and b"COMMIT\0" in data:
                    self.has_cut = True
                    break
                target.sendall(data)
        for end in (source, target):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)


def test_an_erasure_whose_commit_got_no_answer_is_done_once_and_served(
    start, tmp_path, url, samples
):
    folder = Path(re.search("host=(.*)", url).group(1))
    proxy = Proxy(tmp_path, f"{folder}/.s.PGSQL.5432")
    process = start(database=url.replace(str(folder), str(tmp_path)))
    with process.asked() as server:
        filled(server, samples)
        name = server.erasures.CreateErasure(ask_for("p1")).name
        assert process.wait() == 1
    assert proxy.has_cut
    proxy.close()
    with start(database=url).asked() as server:
        done = server.client.get_erasure(name)
        assert done.state == Erasure.SUCCEEDED
        assert [outcome.release_after for outcome in done.outcomes] == ["models/m/releases/2"]
        assert server.client.get_model("m").release == "models/m/releases/2"
        assert serves_what_never_saw(server, samples, {"p1"})
    assert PASSWORD not in process.said
