"""ValuationService."""

from collections.abc import Iterator

import grpc

from unlearn.v1 import valuation_pb2, valuation_pb2_grpc
from unlearn_server.services import fields
from unlearn_server.valuing import Objective, Valuer

_MOST_STEPS = 3


class ValuationService(valuation_pb2_grpc.ValuationServiceServicer):
    """Says what samples are worth."""

    def __init__(self, valuer: Valuer) -> None:
        self._valuer = valuer

    def DifferentiateDataset(
        self, request: valuation_pb2.DifferentiateDatasetRequest, context: grpc.ServicerContext
    ) -> Iterator[valuation_pb2.Derivative]:
        """Streams derivatives, most harmful first."""
        del context
        values = self._valuer.differentiate(
            fields.model_id(request.model, "model"),
            _objective(request.objective),
            subjects=request.by_subject,
            limit=fields.not_negative(request.limit, "limit"),
            ridge=request.ridge,
            steps=_steps(request),
        )
        for value in values:
            yield valuation_pb2.Derivative(
                id=value.id,
                derivative=value.derivative,
                held_out_error=value.held_out_error,
                core=value.is_core,
                proposed_weight=value.weight,
            )

    def EstimateError(
        self, request: valuation_pb2.EstimateErrorRequest, context: grpc.ServicerContext
    ) -> valuation_pb2.EstimateErrorResponse:
        """Answers a model's error."""
        del context
        model_id = fields.model_id(request.model, "model")
        found = self._valuer.estimate(model_id, _objective(request.objective), request.ridge)
        return valuation_pb2.EstimateErrorResponse(
            error=found.error, accuracy=found.accuracy, samples=found.samples
        )


def _steps(request: valuation_pb2.DifferentiateDatasetRequest) -> int:
    steps = fields.not_negative(request.steps, "steps")
    if steps > _MOST_STEPS:
        raise fields.invalid("steps", f"{steps} are too many", f"use at most {_MOST_STEPS}")
    if steps and request.by_subject:
        raise fields.invalid("steps", "weights are of samples", "leave out by_subject")
    return steps


def _objective(value: int) -> Objective:
    if value == valuation_pb2.OBJECTIVE_UNSPECIFIED:
        return Objective.LEAVE_ONE_OUT
    for objective in Objective:
        if valuation_pb2.Objective.Value(f"OBJECTIVE_{objective.name}") == value:
            return objective
    raise fields.invalid("objective", f"{value} is not an objective", "leave it empty")
