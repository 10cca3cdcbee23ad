"""A real server that is killed, stopped and started on what others left."""

import random
import sqlite3
from contextlib import closing
from threading import Event, Thread
from time import sleep
from uuid import uuid4

import grpc
import numpy as np
import pytest

from unlearn.v1.erasure_pb2 import CreateErasureRequest, Erasure, WatchErasureRequest
from unlearn.v1.model_pb2 import AddSamplesRequest
from unlearn_client import Selection, UnlearnError
from unlearn_server.errors import StartupError

CLASSES = ["cat", "dog", "bird"]
SALT = bytes(range(32))
KILLS = 4
SUBJECTS = 150


class Sender(Thread):
    """Asks for one person after another until told to stop; knows what was acknowledged.

    One whose answer is lost is asked for again with the same request id, as callers should.
    """

    def __init__(self, requests):
        super().__init__()
        self.left = list(requests)
        self.acknowledged = []
        self._server = None
        self._up = Event()

    def resume(self, server):
        self._server = server
        self._up.set()

    def run(self):
        while self.left:
            self._up.wait()
            try:
                answer = self._server.erasures.CreateErasure(self.left[0], timeout=10)
            except (grpc.RpcError, ValueError):  # ValueError: its channel was closed
                sleep(0.01)
                continue
            self.acknowledged.append(answer.name)
            del self.left[0]


def ask_for(subject, models):
    erasure = Erasure(selection=Selection.subjects([subject]), models=models)
    return CreateErasureRequest(request_id=str(uuid4()), erasure=erasure)


def message_of(samples):
    return AddSamplesRequest(model="models/m", samples=samples)


@pytest.fixture
def samples(make_sample):
    core = [make_sample(f"c{i}", d=4) for i in range(10)]
    people = [make_sample(f"s{i}", f"p{i % (SUBJECTS + 20)}", d=4) for i in range(300)]
    return core + people


def test_a_server_killed_at_any_moment_does_each_acknowledged_erasure_exactly_once(
    start, samples, wait_until
):
    rng = random.Random()  # any moment; there is no seed for the kernel's part in it
    requests = [
        ask_for(f"p{i}", ["models/a", "models/b"] if i % 3 else ["models/b"])
        for i in range(SUBJECTS)
    ]
    sender = Sender(requests)
    process = start()
    with process.asked() as server:
        for model in ("a", "b"):
            server.client.create_model(model, "features:4", CLASSES)
            server.client.add_samples(model, samples)
            server.client.create_release(model)
        sender.start()
    for _ in range(KILLS):
        with process.asked() as server:
            sender.resume(server)
            enough = len(sender.acknowledged) + rng.randint(1, 20)
            wait_until(lambda enough=enough: len(sender.acknowledged) >= enough)
            sleep(rng.uniform(0, 0.02))
            process.kill()
        process = start()
    with process.asked() as server:
        sender.resume(server)
        sender.join()
        assert sender.acknowledged == [f"erasures/{r.request_id}" for r in requests]
        done = [server.client.wait_for_erasure(name) for name in sender.acknowledged]
        assert {erasure.state for erasure in done} == {Erasure.SUCCEEDED}
        assert sorted(e.name for e in server.client.list_erasures()) == sorted(sender.acknowledged)
        for i, erasure in enumerate(done):
            erased = sum(sample.subject_id == f"p{i}" for sample in samples)
            outcomes = sorted((o.model, o.erased_samples) for o in erasure.outcomes)
            assert outcomes == [(model, erased) for model in requests[i].erasure.models]

        for model in ("a", "b"):
            gone = {f"p{i}" for i in range(SUBJECTS) if model == "b" or i % 3}
            remain = [sample for sample in samples if sample.subject_id not in gone]
            rng.shuffle(remain)
            fresh = f"fresh-{model}"
            server.client.create_model(fresh, "features:4", CLASSES)
            server.client.add_samples(fresh, remain)
            server.client.create_release(fresh)
            audit = server.client.audit_model(model, SALT)
            assert audit.consistent
            assert audit == server.client.audit_model(fresh, SALT)


def test_samples_and_releases_whose_answers_were_lost_are_sent_again_and_counted_once(
    start, samples
):
    process = start()
    with process.asked() as server:
        server.client.create_model("m", "features:4", CLASSES)
        calls = [
            server.models.AddSamples.future(iter([message_of(samples[i : i + 10])]), timeout=60)
            for i in range(0, len(samples), 10)
        ]
        while not any(call.done() for call in calls):
            sleep(0.001)
        process.kill()
        stored = sum(10 for call in calls if call.code() is grpc.StatusCode.OK)
    with start().asked() as server:
        assert server.client.get_model("m").sample_count >= stored >= 10
        answer = server.client.add_samples("m", samples)
        assert answer.added + answer.unchanged == len(samples)
        assert answer.unchanged >= stored
        assert server.client.get_model("m").sample_count == len(samples)
        server.client.create_release("m")
        assert server.client.audit_model("m").consistent


def test_a_second_server_on_the_same_data_is_turned_away(start):
    with start().asked() as server:
        second = start()
        assert second.wait() == 1
        assert second.said.startswith("unlearn-server: --data-dir: is in use by another server")
        assert "Traceback" not in second.said
        assert list(server.client.list_models()) == []


def test_sigterm_lets_requests_finish_and_exits_with_0(start, samples):
    process = start()
    with process.asked() as server:
        server.client.create_model("m", "features:4", CLASSES)
        messages = iter([message_of([sample]) for sample in samples])
        first, sent = next(messages), Event()

        def slowly():
            yield first
            sent.wait()
            yield from messages

        call = server.models.AddSamples.future(slowly(), timeout=60)
        while server.client.get_model("m").sample_count == 0:
            sleep(0.01)
        process.ask_to_stop()
        while '"draining"' not in process.said:
            sleep(0.01)
        sent.set()
        assert call.result().added == len(samples)
        assert process.wait() == 0
    assert '"stopped"' in process.said
    assert "Traceback" not in process.said
    with start().asked() as server:
        assert server.client.get_model("m").sample_count == len(samples)


def test_watchers_do_not_hold_up_a_shutdown(start, samples):
    process = start()
    with process.asked() as server:
        server.client.create_model("m", "features:4", CLASSES, minimum_cohort=1000)
        server.client.add_samples("m", samples)
        waiting = server.erasures.CreateErasure(ask_for("p1", ["models/m"]))
        stream = server.erasures.WatchErasure(WatchErasureRequest(name=waiting.name))
        assert next(stream).state == Erasure.PENDING
        assert process.terminate() == 0
        with pytest.raises(grpc.RpcError) as ended:
            next(stream)
        told = UnlearnError.from_rpc_error(ended.value)  # not cut off by the end of patience
        assert (told.code, told.reason) == (grpc.StatusCode.UNAVAILABLE, "SHUTTING_DOWN")
    with start().asked() as server:
        assert server.client.get_erasure(waiting.name) == waiting


def test_a_database_of_a_newer_version_is_refused(start, tmp_path):
    process = start()
    process.ports()
    assert process.terminate() == 0
    with closing(sqlite3.connect(tmp_path / "data" / "unlearn.db")) as database, database:
        database.execute("UPDATE alembic_version SET version_num = 'f999'")
    refused = start()
    assert refused.wait() == 1
    last = refused.said.splitlines()[-1]
    assert last.startswith("unlearn-server: the database was written by a newer version")
    assert "Traceback" not in refused.said
    with closing(sqlite3.connect(tmp_path / "data" / "unlearn.db")) as database:
        assert database.execute("SELECT * FROM alembic_version").fetchall() == [("f999",)]


@pytest.mark.parametrize(
    "lost", [["master.key"], ["id-hashing.key"], ["id-hashing.key", "master.key"]]
)
def test_no_key_is_made_anew_beside_old_data(open_server, tmp_path, lost):
    """With new keys, requests to erase would match nothing and be called done."""
    with open_server(tmp_path):
        pass
    for name in lost:
        (tmp_path / name).unlink()
    with pytest.raises(StartupError, match=f"{lost[0]}: cannot be read"), open_server(tmp_path):
        pass
    assert not any((tmp_path / name).exists() for name in lost)


def test_keys_that_others_may_read_are_refused(open_server, tmp_path):
    with open_server(tmp_path):
        pass
    (tmp_path / "master.key").chmod(0o644)
    with pytest.raises(StartupError, match="chmod 600"), open_server(tmp_path):
        pass


def test_what_the_server_writes_is_for_its_owner_only(start, tmp_path, samples):
    with start().asked() as server:
        server.client.create_model("m", "features:4", CLASSES)
        server.client.add_samples("m", samples)
        private = [p for p in (tmp_path / "data").iterdir() if p.name != "log"]  # is for strangers
        private += (tmp_path / "data/journal").iterdir()
        modes = {p.name: p.stat().st_mode & 0o777 for p in private}
    secrets = {"master.key", "id-hashing.key", "signing.key"}
    assert {"unlearn.db", "unlearn.db-wal", "erasures", *secrets} <= modes.keys()
    assert modes.pop("journal") == 0o700
    assert set(modes.values()) == {0o600}
    assert (tmp_path / "data").stat().st_mode & 0o777 == 0o700


def test_the_log_names_no_person_no_sample_and_no_feature(start, make_sample):
    process = start()
    secret = make_sample("sample-7d1f", "ada@example.org", d=4)
    with process.asked() as server:
        server.client.create_model("m", "features:4", CLASSES)
        server.client.add_samples("m", [secret])
        other = make_sample("sample-7d1f", "ada@example.org", d=4)
        other.features.values[0] += 1
        with pytest.raises(UnlearnError, match="SAMPLE_EXISTS"):
            server.client.add_samples("m", [other])
        server.client.create_release("m")
        server.client.predict("m", features=np.array([secret.features.values], np.float32))
        done = server.client.wait_for_erasure(
            server.erasures.CreateErasure(ask_for("ada@example.org", [])).name
        )
        assert done.outcomes[0].erased_samples == 1
    assert process.terminate() == 0
    assert "/unlearn.v1.ErasureService/CreateErasure" in process.said
    for value in ("ada@", "sample-7d1f", *(repr(v)[:7] for v in secret.features.values)):
        assert value not in process.said
