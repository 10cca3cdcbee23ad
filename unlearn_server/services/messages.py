"""The domain's nouns as protobuf messages."""

from datetime import datetime

from google.protobuf.timestamp_pb2 import Timestamp

from unlearn.v1 import audit_pb2, erasure_pb2, model_pb2
from unlearn_server.auditing import Audit
from unlearn_server.domain import Erasure, Extension, Hold, Model, Outcome, Release
from unlearn_server.evidence import Certificate
from unlearn_server.previewing import Preview
from unlearning.information import InformationBound
from unlearning.objective import Objective
from unlearning.rounding import SolveReport


def timestamp(time: datetime | None) -> Timestamp | None:
    """A time, in microseconds."""
    if time is None:
        return None
    stamp = Timestamp()
    stamp.FromDatetime(time)
    return stamp


def model(m: Model) -> model_pb2.Model:
    """A model, with the settings in effect."""
    return model_pb2.Model(
        name=f"models/{m.model_id}",
        core=m.core,
        core_digest=m.objective.core_digest,
        classes=m.objective.classes,
        user_weights=_user_weights(m.objective),
        sample_count=m.sample_count,
        subject_count=m.subject_count,
        release=_release_name(m.model_id, m.release),
        create_time=timestamp(m.create_time),
        etag=m.etag,
        minimum_cohort=m.minimum_cohort,
        has_head=m.objective.has_head,
    )


def release(model_id: str, r: Release) -> model_pb2.Release:
    """A release; of a destroyed one the record remains."""
    return model_pb2.Release(
        name=_release_name(model_id, r.number),
        state=model_pb2.Release.State.Value(r.state.name),
        weights_commitment=r.weights_commitment or b"",
        state_commitment=r.state_commitment or b"",
        sample_count=r.sample_count,
        solve=_solve(r.solve),
        create_time=timestamp(r.create_time),
        destroy_time=timestamp(r.destroy_time),
    )


def erasure(e: Erasure) -> erasure_pb2.Erasure:
    """An erasure; what it selected is never said again."""
    return erasure_pb2.Erasure(
        name=f"erasures/{e.request_id}",
        models=[f"models/{model_id}" for model_id in e.models],
        method=erasure_pb2.Erasure.Method.Value(e.method.name),
        regulation=e.regulation,
        state=erasure_pb2.Erasure.State.Value(e.state.name),
        state_reason=e.state_reason,
        outcomes=[_outcome(outcome) for outcome in e.outcomes],
        receive_time=timestamp(e.receive_time),
        due_time=timestamp(e.due_time),
        complete_time=timestamp(e.complete_time),
        refusal_ground=e.refusal.ground if e.refusal else "",
        certificate=_certificate_name(e.refusal.certificate if e.refusal else None),
        extension=_extension(e.extension),
    )


def hold(h: Hold) -> erasure_pb2.Hold:
    """A hold; whom it is on is never said again."""
    return erasure_pb2.Hold(
        name=f"holds/{h.hold_id}",
        reason=h.reason,
        place_time=timestamp(h.place_time),
        lift_time=timestamp(h.lift_time),
    )


def preview(p: Preview) -> erasure_pb2.PreviewErasureResponse:
    """What an erasure would do."""
    return erasure_pb2.PreviewErasureResponse(
        samples=p.samples,
        error_before=p.before.error,
        error_after=p.after.error,
        accuracy_before=p.before.accuracy,
        accuracy_after=p.after.accuracy,
        prediction_shift=p.prediction_shift,
        scarce_classes=[
            erasure_pb2.ClassSize(
                label=size.label, samples_before=size.before, samples_after=size.after
            )
            for size in p.scarce_classes
        ],
        critical_subjects=[subject.hex() for subject in p.critical_subjects],
    )


def audit(a: Audit) -> audit_pb2.AuditModelResponse:
    """What an audit found."""
    return audit_pb2.AuditModelResponse(
        consistent=a.consistent,
        salt=a.salt,
        state_commitment_recomputed=a.state_recomputed,
        state_commitment_held=a.state_held,
        weights_commitment_recomputed=a.weights_recomputed,
        weights_commitment_served=a.weights_served,
        samples=a.samples,
    )


def certificate(c: Certificate) -> audit_pb2.Certificate:
    """A certificate; of a refusal without a model, of a change of the key without either."""
    of = c.certified
    return audit_pb2.Certificate(
        name=_certificate_name(of.index),
        erasure="" if of.request_id is None else f"erasures/{of.request_id}",
        model="" if of.model_id is None else f"models/{of.model_id}",
        envelope=c.envelope,
        bundle=c.bundle,
        tlog_proof=c.tlog_proof,
        public_key=c.public_key.encode(),
    )


def _user_weights(o: Objective) -> model_pb2.UserWeights:
    weights = model_pb2.UserWeights(
        parametrization=model_pb2.UserWeights.FEATURES,
        ridge=o.ridge_in_real_units,
        label_scale=o.label_scale_in_real_units,
        feature_bound=o.feature_bound,
        noise_scale=o.noise_scale,
        noise=model_pb2.UserWeights.Noise.Value(o.noise),
    )
    if o.is_tangent:
        weights.parametrization = model_pb2.UserWeights.TANGENT
        weights.tangent_scope = o.tangent_scope
    else:
        weights.feature_map = o.feature_map
    return weights


def _extension(e: Extension | None) -> erasure_pb2.Extension | None:
    if e is None:
        return None
    return erasure_pb2.Extension(
        extend_time=timestamp(e.extend_time),
        reason=e.reason,
        first_due_time=timestamp(e.first_due_time),
    )


def _outcome(o: Outcome) -> erasure_pb2.Outcome:
    return erasure_pb2.Outcome(
        model=f"models/{o.model_id}",
        method=erasure_pb2.Erasure.Method.Value(o.method.name),
        erased_samples=o.erased_samples,
        release_before=_release_name(o.model_id, o.release_before),
        release_after=_release_name(o.model_id, o.release_after),
        solve=_solve(o.solve),
        bound=_bound(o.bound),
        certificate=_certificate_name(o.certificate),
    )


def _certificate_name(index: int | None) -> str:
    """A certificate's name, by its index in the log; empty without one."""
    return "" if index is None else f"certificates/{index}"


def _bound(b: InformationBound) -> erasure_pb2.InformationBound:
    return erasure_pb2.InformationBound(
        nats=b.nats,
        gaussian_dp=b.gaussian_dp,
        epsilon=b.epsilon,
        delta=b.delta,
        attack_accuracy=b.attack_accuracy,
        attack_tpr=b.attack_tpr,
        differencing_gaussian_dp=b.differencing_gaussian_dp,
        cohort=b.cohort,
        assumptions=b.assumptions,
    )


def _solve(report: SolveReport | None) -> model_pb2.SolveReport | None:
    if report is None:
        return None
    return model_pb2.SolveReport(
        solver=report.solver,
        gradient_norm=report.gradient_norm,
        distance_bound=report.distance_bound,
        correctly_rounded=report.correctly_rounded,
    )


def _release_name(model_id: str, number: int | None) -> str:
    return "" if number is None else f"models/{model_id}/releases/{number}"
