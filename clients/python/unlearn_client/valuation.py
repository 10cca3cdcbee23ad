"""ValuationService: what samples are worth, and how large the error is without a test set."""

from collections.abc import Iterator

from unlearn.v1.valuation_pb2 import (
    Derivative,
    DifferentiateDatasetRequest,
    EstimateErrorRequest,
    EstimateErrorResponse,
    Objective,
)
from unlearn_client.connection import Connection
from unlearn_client.errors import rpc_errors
from unlearn_client.names import model_name


class ValuationCalls(Connection):
    """Calls about FEATURES models; nothing of what they answer is stored.

    Each raises ``UnlearnError``: UNIMPLEMENTED for a TANGENT model, FAILED_PRECONDITION without
    a sample to measure an error on, ABORTED if samples were erased meanwhile, and
    RESOURCE_EXHAUSTED while another one is computed.
    """

    def differentiate_dataset(
        self,
        model: str,
        objective: Objective.ValueType = Objective.OBJECTIVE_UNSPECIFIED,
        *,
        by_subject: bool = False,
        limit: int = 0,
        ridge: float = 0.0,
        steps: int = 0,
    ) -> Iterator[Derivative]:
        """How the error moves with the weight of each sample, most harmful first.

        Args:
            model: the model.
            objective: of which error; unspecified: leave one sample out.
            by_subject: sums over each subject's samples, named by its keyed hash.
            limit: so many at most; 0: all.
            ridge: under another one; 0: the model's own.
            steps: of 0.1 down the gradient, at most 3, to propose weights by.
        """
        request = DifferentiateDatasetRequest(
            model=model_name(model),
            objective=objective,
            by_subject=by_subject,
            limit=limit,
            ridge=ridge,
            steps=steps,
        )
        with rpc_errors():
            yield from self._valuation.DifferentiateDataset(request, timeout=self._timeout)

    def estimate_error(
        self,
        model: str,
        objective: Objective.ValueType = Objective.OBJECTIVE_UNSPECIFIED,
        *,
        ridge: float = 0.0,
    ) -> EstimateErrorResponse:
        """The model's error and accuracy on samples that are left out of it.

        Args:
            model: the model.
            objective: which error; unspecified: leave one sample out.
            ridge: what it would be under another one; 0: the model's own.
        """
        request = EstimateErrorRequest(model=model_name(model), objective=objective, ridge=ridge)
        return self._call(self._valuation.EstimateError, request)
