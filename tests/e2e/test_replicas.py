"""Several servers on one PostgreSQL database: each answers, one erases, and nothing is lost."""

import os
import shutil
import signal
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from threading import Event
from time import sleep
from urllib.request import build_opener
from uuid import uuid4

import grpc
import numpy as np
import pytest

from unlearn.v1.erasure_pb2 import CreateErasureRequest, Erasure
from unlearn.v1.model_pb2 import AddSamplesRequest, DeleteModelRequest
from unlearn_client import Selection
from unlearn_client.tensors import feature_tensors, infer_request

CLASSES = ["cat", "dog", "bird"]
SALT = bytes(range(32))
PEOPLE = 60
SECRETS = ("master.key", "id-hashing.key", "signing.key")
FEATURES = np.ones((1, 3), np.float32)


class Replica:
    """A real server, one of several."""

    def __init__(self, process, stack: ExitStack) -> None:
        self.process = process
        self.server = stack.enter_context(process.asked())
        self.client = self.server.client
        self.is_stopped = False

    @property
    def is_holder(self) -> bool:
        url = self.server.log_url.replace("/log", "/metrics")
        with build_opener().open(url, timeout=10) as answer:
            return b"\nunlearn_holder 1.0" in answer.read()

    def release(self, model: str = "m") -> int:
        """Which release answers a prediction now."""
        [tensor] = feature_tensors(FEATURES)
        answer = self.server.inference.ModelInfer(infer_request(model, tensor), timeout=30)
        return int(answer.model_version or 0)

    def ask_for(self, subject: str) -> str:
        """Asks for an erasure; its name once it is accepted."""
        erasure = Erasure(selection=Selection.subjects([subject]))
        request = CreateErasureRequest(request_id=str(uuid4()), erasure=erasure)
        return self.server.erasures.CreateErasure(request, timeout=30).name

    def stop(self) -> None:
        os.kill(self.process.pid, signal.SIGSTOP)

    def go_on(self) -> None:
        os.kill(self.process.pid, signal.SIGCONT)

    @property
    def state(self) -> str:
        return Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(") ")[2][0]


@pytest.fixture
def url(postgres):
    return postgres.new_database()


@pytest.fixture
def samples(make_sample):
    core = [make_sample(f"c{i}") for i in range(10)]
    return core + [make_sample(f"s{i}", f"p{i % PEOPLE}") for i in range(3 * PEOPLE)]


@pytest.fixture
def join(start, tmp_path, url):
    """Starts one more server on the database, with the secrets of the first."""
    with ExitStack() as stack:
        count = 0

        def join() -> Replica:
            nonlocal count
            folder = tmp_path / f"replica-{count}"
            if count:
                folder.mkdir(mode=0o700)
                for name in SECRETS:
                    shutil.copy2(tmp_path / "replica-0" / name, folder)
            count += 1
            return Replica(start(folder, database=url), stack)

        yield join


def fill(replica, samples, model="m"):
    replica.client.create_model(model, "features:3", CLASSES)
    replica.client.add_samples(model, samples)
    replica.client.create_release(model)


def last_seen(name, replica):
    """What who watches an erasure sees last."""
    return list(replica.client.watch_erasure(name))[-1]


def serves_what_never_saw(replica, samples, subjects):
    """Whether the model is, bit for bit, one that the subjects were never in."""
    fresh = f"fresh-{uuid4().hex[:8]}"
    fill(replica, [each for each in samples if each.subject_id not in subjects], fresh)
    audit = replica.client.audit_model("m", SALT)
    return audit.consistent and audit == replica.client.audit_model(fresh, SALT)


def done_once(replica, names):
    """The erasures, each of which took its three samples exactly once."""
    done = [replica.client.wait_for_erasure(name) for name in names]
    assert {erasure.state for erasure in done} == {Erasure.SUCCEEDED}
    assert [[o.erased_samples for o in erasure.outcomes] for erasure in done] == [[3]] * len(done)
    certificates = {outcome.certificate for erasure in done for outcome in erasure.outcomes}
    assert len(certificates) == len(done)
    assert {each.name for each in replica.client.list_erasures()} == set(names)
    return done


def test_each_answers_and_one_erases(join, samples, wait_until: Callable) -> None:
    *_, third = replicas = [join() for _ in range(3)]
    assert [replica.is_holder for replica in replicas] == [True, False, False]
    fill(third, samples)  # which only the first can do
    assert [replica.release() for replica in replicas] == [1, 1, 1]
    with ThreadPoolExecutor() as pool:
        for number, asked in enumerate(replicas, 1):
            name = asked.ask_for(f"p{number}")
            ended = pool.map(partial(last_seen, name), replicas)
            assert {erasure.state for erasure in ended} == {Erasure.SUCCEEDED}
            # Whoever knows that it is done may ask any of them: none answers from what was before.
            assert [replica.release() for replica in replicas] == [number + 1] * 3
    for replica in replicas:
        assert serves_what_never_saw(replica, samples, {"p1", "p2", "p3"})
    checkpoints = [replica.server.data_dir / "log" / "checkpoint" for replica in replicas]
    wait_until(lambda: len({path.read_text() for path in checkpoints}) == 1)


def test_what_is_passed_on_is_answered_as_the_holder_answers(join, samples, refusal) -> None:
    first, second = join(), join()
    fill(first, samples)
    name = first.ask_for("p1")
    first.client.wait_for_erasure(name)
    back = [sample for sample in samples if sample.subject_id == "p1"]
    for method, request in (
        ("AddSamples", AddSamplesRequest(model="models/m", samples=back)),
        ("DeleteModel", DeleteModelRequest(name="models/none")),
        ("DeleteModel", DeleteModelRequest(name="models/m", etag="old")),
    ):
        asked = iter([request]) if method == "AddSamples" else request
        there = refusal(getattr(first.server.models, method), asked)
        asked = iter([request]) if method == "AddSamples" else request
        here = refusal(getattr(second.server.models, method), asked)
        assert (here.code, here.reason, here.message, here.field, here.metadata) == (
            there.code,
            there.reason,
            there.message,
            there.field,
            there.metadata,
        )
        assert here.reason


def test_killed_under_load_the_others_go_on(join, samples, wait_until) -> None:
    replicas = [join() for _ in range(3)]
    fill(replicas[0], samples)
    names, left, is_over = [], [f"p{i}" for i in range(PEOPLE)], Event()

    def ask(replica) -> None:
        while left and not is_over.is_set():
            subject = left.pop()
            try:
                names.append(replica.ask_for(subject))
            except grpc.RpcError:  # the request may be there or not: the checks below would see
                assert replica.process.wait() == -signal.SIGKILL
                left.append(subject)
                return
            sleep(0.05)

    with ThreadPoolExecutor() as pool:
        asking = [pool.submit(ask, replica) for replica in replicas]
        sleep(0.3)
        [holder] = [replica for replica in replicas if replica.is_holder]
        holder.process.kill()
        for each in asking:
            each.result()
    survivors = [replica for replica in replicas if replica is not holder]
    wait_until(lambda: sum(replica.is_holder for replica in survivors) == 1)
    [survivor] = [replica for replica in survivors if replica.is_holder]
    names.extend(survivor.ask_for(subject) for subject in left)
    done = [survivor.client.wait_for_erasure(name) for name in names]
    assert {erasure.state for erasure in done} == {Erasure.SUCCEEDED}
    listed = list(survivor.client.list_erasures())
    assert {each.name for each in listed} >= set(names)
    # One that was killed before it could answer may have been taken in, and is carried out too.
    assert len(listed) <= len(names) + 1
    assert sum(o.erased_samples for each in listed for o in each.outcomes) == 3 * PEOPLE
    assert serves_what_never_saw(survivor, samples, {f"p{i}" for i in range(PEOPLE)})


def test_a_holder_that_was_stopped_past_its_lease_serves_nothing_old(
    join, samples, wait_until
) -> None:
    holder, other = join(), join()
    fill(holder, samples)
    holder.stop()
    wait_until(lambda: other.is_holder)
    names = [other.ask_for("p1")]
    done_once(other, names)
    holder.go_on()
    assert holder.release() == 2
    assert not holder.is_holder
    names.append(holder.ask_for("p2"))
    done_once(other, names)
    assert [holder.release(), other.release()] == [3, 3]
    assert serves_what_never_saw(holder, samples, {"p1", "p2"})


@pytest.fixture
def stopped(join, samples, wait_until, monkeypatch):
    """A holder that was stopped at a failpoint of an erasure, which another then did; its name."""

    def stopped(point):
        with monkeypatch.context() as armed:
            armed.setenv("UNLEARN_FAILPOINTS", f"{point}=stop@1")
            holder = join()
        other = join()
        fill(other, samples)
        name = other.ask_for("p1")
        wait_until(lambda: holder.state == "T")
        done_once(other, [name])
        assert other.is_holder
        return holder, other, name

    return stopped


def test_a_holder_that_was_stopped_before_its_transaction_cannot_commit(stopped, samples) -> None:
    holder, other, name = stopped("erase.solved")
    holder.go_on()
    names = [name, holder.ask_for("p2")]
    done_once(holder, names)
    assert [holder.release(), other.release()] == [3, 3]
    assert serves_what_never_saw(other, samples, {"p1", "p2"})
    assert "another server erases now" in holder.process.said


def test_a_holder_that_was_stopped_in_its_transaction_cannot_commit(
    stopped, samples, join, wait_until
) -> None:
    """The others write nothing until PostgreSQL has ended its session, and it comes to know.

    Either from its commit, after which it starts anew; or before, from what another has written.
    """
    holder, other, name = stopped("erase.stored")
    holder.go_on()
    wait_until(lambda: holder.process.is_over or "another server erases now" in holder.process.said)
    again = join() if holder.process.is_over else holder
    names = [name, again.ask_for("p2")]
    done_once(again, names)
    assert [again.release(), other.release()] == [3, 3]
    assert serves_what_never_saw(other, samples, {"p1", "p2"})


def test_a_server_with_other_secrets_is_turned_away(start, tmp_path, url) -> None:
    start(tmp_path / "one", database=url).ports()
    stranger = start(tmp_path / "two", database=url)
    assert stranger.wait() == 1
    assert "id-hashing.key: cannot be read" in stranger.said.splitlines()[-1]
