"""The objects of a server without its threads: an eraser erases when it is told to."""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from threading import Event
from typing import Any
from uuid import uuid4

import numpy as np
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from unlearn_server import custody
from unlearn_server.announcements import Announcements
from unlearn_server.auditing import Auditor
from unlearn_server.certifying import Certifier
from unlearn_server.curation import Curation, Settings
from unlearn_server.decisions import Decisions
from unlearn_server.domain import (
    Erasure,
    Method,
    Model,
    Retention,
    Selection,
    SelectionKind,
)
from unlearn_server.eraser import Eraser
from unlearn_server.evidence import Evidence
from unlearn_server.holding import Holding
from unlearn_server.ingest import Arrival, Ingest
from unlearn_server.intake import Intake, Request
from unlearn_server.journal import Journal
from unlearn_server.keys import KeyRing
from unlearn_server.ledger import erasures, models
from unlearn_server.ledger.database import Database
from unlearn_server.metrics import LedgerSnapshot, Metrics
from unlearn_server.releasing import Releaser
from unlearn_server.workspace import Workspaces
from unlearning.cores import Library
from unlearning.objective import Noise

WIDTH = 4
EVERYONE = Selection(SelectionKind.ALL_USER_DATA)


class House:
    """A server in one directory."""

    def __init__(self, directory: Path, url: str = "") -> None:
        self.keys = KeyRing.open(directory, create=True)
        self.database = Database.open(url or f"sqlite:///{directory}/unlearn.db")
        with self.database.write() as conn:
            custody.begin(conn, self.keys)
        self.to_erase, changes = Announcements(), Announcements()
        metrics = Metrics(lambda: LedgerSnapshot({}, None, {}, {}))
        workspaces = Workspaces(self.database, Library())
        self.intake = Intake(self.database, self.to_erase, changes)
        self.holding = Holding(self.database, self.to_erase, changes)
        self.evidence = Evidence(self.database)
        self._releaser = Releaser(self.database, self.keys, workspaces, metrics, self.to_erase)
        journal = Journal(directory / "journal", self.keys)
        certifier = Certifier(Ed25519PrivateKey.generate(), journal)
        self.decisions = Decisions(self.database, certifier, self.to_erase, changes)
        self.eraser, self.patient_eraser = (
            Eraser(
                self.database,
                self.keys,
                workspaces,
                self._releaser,
                certifier,
                metrics,
                self.to_erase,
                changes,
                tangent=tangent,
            )
            for tangent in (False, True)
        )
        with self.database.write() as conn:
            certifier.open(conn, None)
        self.auditor = Auditor(self.database, self.keys, workspaces, Event())
        self._curation = Curation(self.database, workspaces, changes)
        self._ingest = Ingest(self.database, self.keys, workspaces)
        self._random = np.random.default_rng(0)

    def fill(
        self,
        model_id: str,
        people: Sequence[str],
        *,
        core: Sequence[str] = (),
        cohort: int = 0,
        release: bool = True,
    ) -> None:
        """A model with two samples of each person, ``ada-0`` and ``ada-1``, and some of CORE."""
        settings = Settings("", 0, 0, 0, None, 0, Noise.ISOTROPIC)
        self._curation.create(model_id, f"features:{WIDTH}", ("cat", "dog"), settings, cohort)
        self.add(model_id, *((f"{who}-{i}", who) for who in people for i in range(2)))
        self.add(model_id, *((name, "") for name in core))
        if release:
            self.release(model_id)

    def add(
        self, model_id: str, *names: tuple[str, str], retention: Retention | None = None
    ) -> None:
        """Adds samples; those of nobody are CORE, unless it is said."""
        self._ingest.add(
            model_id,
            [
                Arrival(
                    sample_id=sample_id,
                    subject_id=subject_id,
                    content=self._random.normal(size=WIDTH).astype(np.float32),
                    label=0,
                    retention=retention or (Retention.USER if subject_id else Retention.CORE),
                    canonical=sample_id.encode(),
                )
                for sample_id, subject_id in names
            ],
        )

    def release(self, model_id: str) -> None:
        self._releaser.create(model_id, str(uuid4()))

    def delete(self, model_id: str) -> None:
        self._curation.delete(model_id, "")

    def subjects(self, *ids: str) -> Selection:
        return Selection(SelectionKind.SUBJECTS, tuple(map(self.keys.hash_subject, ids)))

    def samples(self, *ids: str) -> Selection:
        return Selection(SelectionKind.SAMPLES, tuple(map(self.keys.hash_sample, ids)))

    def ask(self, selection: Selection, *model_ids: str, **changes: Any) -> Erasure:
        salt = self.keys.conceal(b"s" * 32)
        return self.intake.accept(
            request(selection, *model_ids, **{"commitment_salt": salt, **changes})
        )

    def now(self, erasure: Erasure) -> Erasure:
        with self.database.read() as conn:
            return erasures.get(conn, erasure.request_id)

    def model(self, model_id: str) -> Model:
        with self.database.read() as conn:
            return models.get(conn, model_id)

    def is_consistent(self, model_id: str) -> bool:
        return self.auditor.audit(model_id, b"").consistent

    def close(self) -> None:
        self.database.close()


def request(selection: Selection, *model_ids: str, **changes: Any) -> Request:
    fields: dict[str, Any] = {
        "request_id": str(uuid4()),
        "fingerprint": b"f" * 32,
        "selection": selection,
        "subject_root": b"r" * 32,
        "commitment_salt": b"s" * 32,
        "model_ids": model_ids,
        "method": Method.EXACT,
        "regulation": "gdpr",
        "receive_time": datetime.now(UTC),
    }
    return Request(**{**fields, **changes})


def counts(erasure: Erasure) -> dict[str, int]:
    return {outcome.model_id: outcome.erased_samples for outcome in erasure.outcomes}
