"""Compares what clients were told with what a server and its published log show.

It asks over gRPC and reads the log's files; what ought to be there it works out for itself:
weights in rational arithmetic, the log's roots by RFC 9162, signatures by the client's
verifier, which shares no code with the server. So it may be wrong, but not in the same way.
"""

import base64
import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any
from uuid import uuid4

from tests.e2e.truth import Truth
from tests.faults.callers import Caller, settle
from tests.faults.published import published_leaves, roots_of
from tests.faults.servers import wait_until
from tests.faults.told import Asked, Told
from unlearn.v1.audit_pb2 import (
    AuditModelRequest,
    Certificate,
    GetCheckpointRequest,
    ListCertificatesRequest,
)
from unlearn.v1.erasure_pb2 import Erasure, ListErasuresRequest
from unlearn.v1.model_pb2 import (
    CreateModelRequest,
    DeleteModelRequest,
    GetModelRequest,
    Model,
    Sample,
)
from unlearn_client.verification import open_log, read_checkpoint, read_trusted, verify

SALT = bytes(range(32))


@dataclass(frozen=True)
class Checked:
    """What was compared, and what did not agree."""

    erasures: int
    withdrawn: int
    certificates: int
    leaves: int
    checkpoints: int
    remaining: int
    mismatches: tuple[str, ...]


class Checker:
    """Checks one server that has nothing left to do, once ``settle`` has waited for that."""

    def __init__(self, address: str, told: Told, log: Path) -> None:
        self._caller = Caller(address, told, Random(0))
        self._stubs = self._caller.stubs
        self._told = told
        self._log = log

    def check(self) -> Checked:
        """Waits until every request is final, then compares everything."""
        finals = {asked.name: settle(self._caller, asked) for asked in self._told.asked}
        certificates = list(self._certificates())
        leaves = self._leaves()
        mismatches = [
            *self._told.violations,
            *self._requests(finals),
            *self._certified(finals, certificates),
            *self._logged(certificates, leaves),
            *self._checkpoints(leaves),
        ]
        models = sorted(self._told.samples)
        for model in models:
            mismatches += self._model(model, finals)
        states = Counter(erasure.state for erasure in finals.values() if erasure)
        return Checked(
            erasures=states[Erasure.SUCCEEDED],
            withdrawn=states[Erasure.CANCELLED],
            certificates=len(certificates),
            leaves=len(leaves),
            checkpoints=len(self._told.checkpoints),
            remaining=sum(len(self._remaining(model, finals)) for model in models),
            mismatches=tuple(mismatches),
        )

    def _requests(self, finals: Mapping[str, Erasure | None]) -> Iterator[str]:
        """Acknowledged is held, once, and in the state that its caller was told."""
        held = Counter(erasure.name for erasure in self._listed())
        accepted = {name for name, erasure in finals.items() if erasure}
        if held != Counter(accepted):
            yield f"the server lists {len(held)} requests, and accepted {len(accepted)}"
        for asked in self._told.asked:
            final = finals[asked.name]
            if asked.accepted and not final:
                yield f"{asked.name} was acknowledged and is unknown"
            if final and asked.withdrawn is not None:
                expected = Erasure.CANCELLED if asked.withdrawn else Erasure.SUCCEEDED
                if final.state != expected:
                    yield f"{asked.name} is {final.state} and was told {expected}"
            if asked.done and final != asked.done:
                yield f"{asked.name} changed after it was done"
            yield from self._outcomes(asked, final)

    def _outcomes(self, asked: Asked, final: Erasure | None) -> Iterator[str]:
        """Applied once in each model, to the samples that it names."""
        if not final or final.state != Erasure.SUCCEEDED:
            return
        erased = {outcome.model: outcome.erased_samples for outcome in final.outcomes}
        expected = {model: len(samples) for model, samples in asked.samples.items()}
        if erased != expected or len(final.outcomes) != len(expected):
            yield f"{asked.name} erased {erased} instead of {expected}"

    def _certified(
        self, finals: Mapping[str, Erasure | None], certificates: Sequence[Certificate]
    ) -> Iterator[str]:
        """Each outcome has one certificate, which verifies and says the same."""
        named = Counter((each.erasure, each.model, each.name) for each in certificates)
        outcomes = Counter(
            (final.name, outcome.model, outcome.certificate)
            for final in finals.values()
            if final
            for outcome in final.outcomes
        )
        if named != outcomes:
            yield f"{len(named)} certificates of {len(outcomes)} outcomes, or of others"
        if not certificates:
            return
        trusted = read_trusted(certificates[0].public_key)
        files = {f"{i}.sigstore.json": each.bundle for i, each in enumerate(certificates)}
        for report in verify(files, trusted, open_log(str(self._log), timeout=60)).reports:
            if report.refusal:
                yield f"a certificate does not verify: {report.refusal}"
        for each in certificates:
            told = json.loads(_payload(each))["predicate"]
            final = finals.get(told["erasure"])
            erased = {o.model: o.erased_samples for o in final.outcomes} if final else {}
            if told["samples"]["erased"] != erased.get(told["model"]["name"]):
                yield f"{each.name} says {told['samples']} of {erased}"

    def _logged(
        self, certificates: Sequence[Certificate], leaves: Sequence[bytes]
    ) -> Iterator[str]:
        """Every leaf is of one certificate, at its place."""
        hashes = [json.loads(leaf)["spec"]["dsseV002"]["payloadHash"]["digest"] for leaf in leaves]
        expected = [
            base64.b64encode(hashlib.sha256(_payload(each)).digest()).decode()
            for each in certificates
        ]
        if hashes != expected:
            yield f"the log holds {len(hashes)} leaves, which are not the {len(expected)} certified"

    def _checkpoints(self, leaves: Sequence[bytes]) -> Iterator[str]:
        """Every checkpoint that was ever seen is of the first leaves of the log."""
        seen = [read_checkpoint(note) for note in self._told.checkpoints]
        roots = roots_of(leaves, {checkpoint.size for checkpoint in seen})
        for checkpoint in seen:
            if roots.get(checkpoint.size) != checkpoint.root:
                yield f"the log once showed {checkpoint.size} entries that are not its first"

    def _model(self, model: str, finals: Mapping[str, Erasure | None]) -> Iterator[str]:
        """A model is what a fresh one of the rows that remain would be."""
        remaining = self._remaining(model, finals)
        audit = self._audit(model)
        described = self._stubs.models.GetModel(GetModelRequest(name=model), timeout=60)
        truth = Truth(described).commitment(SALT, remaining)
        if described.sample_count != len(remaining):
            yield f"{model} holds {described.sample_count} of {len(remaining)} samples"
        if not audit.consistent:
            yield f"{model} contradicts its samples"
        # A release is of the moment it was made: additions since are not in it.
        self._caller.release(model)
        audit = self._audit(model)
        if {audit.weights_commitment_served, audit.weights_commitment_recomputed} != {truth}:
            yield f"{model} serves other weights than those of the rows that remain"
        if audit != self._audit_of_fresh(described, remaining):
            yield f"{model} is not a fresh model of the rows that remain"

    def _audit_of_fresh(self, described: Model, samples: Sequence[Sample]):
        """Of a new model of the same description, which got the samples in another order."""
        fresh = f"fresh-{uuid4().hex[:12]}"
        same = Model(core=described.core, classes=described.classes)
        create = CreateModelRequest(model_id=fresh, model=same)
        self._stubs.models.CreateModel(create, timeout=60)
        shuffled = Random(len(samples)).sample(samples, len(samples))
        for start in range(0, len(samples), 1000):
            self._caller.add(f"models/{fresh}", shuffled[start : start + 1000])
        del self._told.samples[f"models/{fresh}"]
        self._caller.release(f"models/{fresh}")
        audit = self._audit(f"models/{fresh}")
        self._stubs.models.DeleteModel(DeleteModelRequest(name=f"models/{fresh}"), timeout=60)
        return audit

    def _audit(self, model: str):
        request = AuditModelRequest(model=model, salt=SALT)
        return self._stubs.audits.AuditModel(request, timeout=600)

    def _remaining(self, model: str, finals: Mapping[str, Erasure | None]) -> list[Sample]:
        gone = {
            sample
            for asked in self._told.asked
            if (final := finals[asked.name]) and final.state == Erasure.SUCCEEDED
            for sample in asked.samples.get(model, ())
        }
        return [each for name, each in self._told.samples[model].items() if name not in gone]

    def _listed(self) -> Iterator[Erasure]:
        request = ListErasuresRequest(page_size=200)
        for page in pages(self._stubs.erasures.ListErasures, request):
            yield from page.erasures

    def _certificates(self) -> Iterator[Certificate]:
        request = ListCertificatesRequest(page_size=200)
        for page in pages(self._stubs.audits.ListCertificates, request):
            yield from page.certificates

    def _leaves(self) -> list[bytes]:
        """The entries that are published, once that is what the server answers."""
        note = self._stubs.audits.GetCheckpoint(GetCheckpointRequest(), timeout=60).note
        wait_until(lambda: (self._log / "checkpoint").read_bytes() == note, "the log is published")
        self._told.checkpoints.add(note)
        return list(published_leaves(self._log, read_checkpoint(note).size))


def pages(listing: Callable[..., Any], request: Any) -> Iterator[Any]:
    """Every page of a listing."""
    while True:
        page = listing(request, timeout=60)
        yield page
        request.page_token = page.next_page_token
        if not request.page_token:
            return


def _payload(certificate: Certificate) -> bytes:
    return base64.b64decode(json.loads(certificate.envelope)["payload"])
