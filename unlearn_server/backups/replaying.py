"""Does to the database of a backup what the journal says was done since.

Erasures are carried out on what the backup holds: whoever they name is in it as they were before,
for none of its samples is younger than they are. Their outcomes are those that were certified. A
model that the backup has not comes back without samples, since the log speaks of it.
"""

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from sqlalchemy import Connection

from unlearn_server import statements
from unlearn_server.backups import certificates
from unlearn_server.backups.certificates import Certificate
from unlearn_server.backups.history import History
from unlearn_server.domain import (
    Erasure,
    ErasureState,
    Model,
    Refusal,
    Retention,
    SelectionKind,
)
from unlearn_server.ledger import erasures, log, models, outcomes, releases, samples, suppressions
from unlearn_server.ledger.log import LoggedKey
from unlearning.objective import Objective

ASK = (
    "restored from a backup: it may have been withdrawn since; retry it, or cancel it, as whoever "
    "asked for it wants"
)
"""What is told of a request that was open, and has no end that the journal knows."""


def replay(conn: Connection, history: History) -> set[str]:
    """Carries out what happened since; the log itself is not grown.

    Returns:
        The models whose releases are to be made again.
    """
    since = [Certificate.of(told) for told in history.leaves]
    of_erasures = [each for each in since if each.kind == statements.ERASURE]
    _make_models(conn, of_erasures)
    touched = {each.model_id for each in of_erasures if _erase(conn, each)}
    for each in since:
        if each.kind == statements.REFUSAL:
            _refuse(conn, each)
        elif each.kind == statements.KEY_ROTATION:
            _hand_over(conn, each)
    gone = models.existing(conn, history.deleted)
    for model_id in gone:
        models.delete(conn, models.get(conn, model_id).key, datetime.now(UTC))
    return touched - gone.keys()


def ask_operator(conn: Connection, history: History) -> None:
    """Leaves to people what nobody knows any more: whether a request that is open still stands."""
    for erasure in history.waiting.values():
        if models.existing(conn, erasure.models):  # else what it was about is not in the backup
            _known(conn, erasure)
    after = 0
    while found := erasures.page(conn, erasures.RUNNABLE_STATES, after, 1000):
        after = found[-1].key
        keys = [each.key for each in found]
        erasures.move(conn, keys, ErasureState.NEEDS_OPERATOR, ASK)


def _make_models(conn: Connection, certified: Iterable[Certificate]) -> None:
    known: set[str] = set()
    for each in certified:
        told = each.told.model
        if told is None or each.model_id in known:
            continue
        known.add(each.model_id)
        if not models.ever(conn, {each.model_id}):
            models.insert(
                conn,
                model_id=each.model_id,
                core=each.predicate["model"]["core"]["name"],
                objective=Objective.from_json(each.predicate["method"]["parameters"]),
                minimum_cohort=told["minimumCohort"],
                create_time=certificates.time(told["createTime"]),
            )


def _erase(conn: Connection, each: Certificate) -> bool:
    """Carries an erasure out in one model; whether that had a release afterwards."""
    erasure = _erasure(conn, each)
    outcome = certificates.outcome(each)
    complete_time = each.end_time
    model = models.get(conn, each.model_id)
    models.bump(conn, model.key)
    _delete(conn, model, erasure)
    if erasure.selection.kind is SelectionKind.SUBJECTS:
        suppressions.add(conn, model.key, set(erasure.selection.hashes), complete_time)
    outcomes.add_all(conn, {erasure.key: outcome}, complete_time)
    if outcome.release_after is None:
        return False
    releases.supersede(conn, model.key, outcome.release_after, complete_time)
    return True


def _delete(conn: Connection, model: Model, erasure: Erasure) -> None:
    if erasure.selection.kind is SelectionKind.ALL_USER_DATA:
        samples.erase_user_data(conn, model.key)
        return
    [found] = samples.matching(conn, model.key, [erasure.selection])
    users = [row.key for row in found if row.retention is Retention.USER]
    samples.erase(conn, model.key, users)


def _refuse(conn: Connection, each: Certificate) -> None:
    erasure = _erasure(conn, each)
    refusal = Refusal(each.predicate["ground"], each.index)
    erasures.refuse(conn, erasure.key, refusal, "", each.end_time)


def _hand_over(conn: Connection, each: Certificate) -> None:
    key = load_pem_public_key(each.predicate["nextKey"].encode())
    assert isinstance(key, Ed25519PublicKey)  # noqa: S101 # the log has no other
    log.add_key(conn, LoggedKey(each.index + 1, key.public_bytes_raw(), each.told.leaf.envelope))


def _erasure(conn: Connection, each: Certificate) -> Erasure:
    """The request of a certificate, ready to go on."""
    assert each.told.erasure  # noqa: S101 # told of every certificate of one
    erasure = _known(conn, each.told.erasure)
    erasures.move(conn, [erasure.key], ErasureState.PENDING, "")
    if each.extension and erasure.extension is None:
        erasures.extend(conn, erasure.key, each.due_time, each.extension)
    return erasure


def _known(conn: Connection, told: Erasure) -> Erasure:
    """A request as it stands, accepted now if the backup has it not."""
    erasure = erasures.find(conn, [told.request_id]).get(told.request_id)
    if erasure is None:
        there = models.existing(conn, told.models)
        of_these = tuple(model_id for model_id in told.models if model_id in there)
        [erasure] = erasures.insert(conn, [replace(told, models=of_these)]).values()
    return erasure
