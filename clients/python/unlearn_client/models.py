"""ModelService: a model's life, from its creation on a core to its deletion."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from itertools import islice
from uuid import uuid4

from grpc import StatusCode

from unlearn.v1.model_pb2 import (
    AddSamplesResponse,
    CreateModelRequest,
    CreateReleaseRequest,
    DeleteModelRequest,
    GetModelRequest,
    GetReleaseRequest,
    ListModelsRequest,
    Model,
    Release,
    Sample,
    UserWeights,
)
from unlearn_client.connection import Connection, pages
from unlearn_client.errors import UnlearnError, rpc_errors
from unlearn_client.names import model_id as bare_id
from unlearn_client.names import model_name, release_name
from unlearn_client.packing import pack_samples
from unlearn_client.waiting import PATIENCE, pauses

# Each message is a transaction of its own, so a stream for each costs nothing. It gives
# long uploads a deadline that means something, and progress that is true.
_IN_FLIGHT = 2  # one is on its way while the server works on the other
_Answer = Callable[[], AddSamplesResponse]


class ModelCalls(Connection):
    """Calls about models; each raises ``UnlearnError`` where it is refused or late."""

    def create_model(
        self,
        model_id: str,
        core: str,
        classes: Sequence[str],
        *,
        user_weights: UserWeights | None = None,
        minimum_cohort: int = 0,
        has_head: bool = False,
    ) -> Model:
        """Creates an empty model on a core.

        Args:
            model_id: its id, never used before.
            core: name of an installed core.
            classes: the label of each class, in order.
            user_weights: how user data enters; None: the core's defaults.
            minimum_cohort: subjects to be erased together; 0: each at once.
            has_head: to be refused unless the core has a head with all of the classes.

        Raises:
            UnlearnError: ALREADY_EXISTS if the id is or ever was taken; INVALID_ARGUMENT for a
                core without such a head, if it is asked for.
        """
        model = Model(
            core=core,
            classes=classes,
            user_weights=user_weights,
            minimum_cohort=minimum_cohort,
            has_head=has_head,
        )
        request = CreateModelRequest(model_id=bare_id(model_id), model=model)
        return self._call(self._models.CreateModel, request)

    def get_model(self, model: str) -> Model:
        """The model as it stands.

        Raises:
            UnlearnError: NOT_FOUND if there is none.
        """
        return self._call(self._models.GetModel, GetModelRequest(name=model_name(model)))

    def list_models(self) -> Iterator[Model]:
        """Every model; pages are fetched as the iterator reaches them.

        Raises:
            UnlearnError: a page was refused, or did not come in time.
        """
        for page in pages(
            lambda token: self._call(self._models.ListModels, ListModelsRequest(page_token=token))
        ):
            yield from page.models

    def delete_model(self, model: str, etag: str = "") -> None:
        """Deletes a model with its samples, releases and keys.

        Args:
            model: the model.
            etag: of the model as last seen; empty: as it stands.

        Raises:
            UnlearnError: ABORTED if the etag is old, FAILED_PRECONDITION while an
                erasure of it is open or a hold applies.
        """
        request = DeleteModelRequest(name=model_name(model), etag=etag)
        self._call(self._models.DeleteModel, request)

    def add_samples(
        self,
        model: str,
        samples: Iterable[Sample],
        progress: Callable[[int], None] | None = None,
    ) -> AddSamplesResponse:
        """Streams samples to a model, batches in any order; sending them again changes nothing.

        An exception of ``samples`` passes through. After any error the other batches
        that were sent stay, so the same call can be made again.

        Args:
            model: the model.
            samples: taken as they are sent, never all at once.
            progress: told how many samples the server has stored or knows so far.

        Raises:
            UnlearnError: a batch was refused; where the server says which sample,
                ``metadata["position"]`` is its place in ``samples``, from 0.
        """
        total = AddSamplesResponse()
        answers: deque[_Answer] = deque()
        messages = pack_samples(model_name(model), samples)
        while True:
            for message in islice(messages, _IN_FLIGHT - len(answers)):
                call = self._models.AddSamples.future(iter([message]), timeout=self._timeout)
                answers.append(call.result)
            if not answers:
                return total
            response = _located(answers.popleft(), total.added + total.unchanged)
            total.added += response.added
            total.unchanged += response.unchanged
            if progress:
                progress(total.added + total.unchanged)

    def create_release(self, model: str, *, patience: float = PATIENCE) -> Release:
        """Solves for the weights on every sample now held, and serves them.

        A TANGENT model takes minutes, behind the request; it may end as FAILED.

        Args:
            model: the model.
            patience: seconds to wait for a long solve; it goes on by itself.

        Raises:
            UnlearnError: the service refused it, or did not answer in time; or
                DEADLINE_EXCEEDED when patience is over.
        """
        # One request id for all of gRPC's attempts, so that they make one release.
        request = CreateReleaseRequest(model=model_name(model), request_id=str(uuid4()))
        release = self._call(self._models.CreateRelease, request)
        if release.state != Release.SOLVING:
            return release
        for _ in pauses(patience):
            release = self.get_release(release.name)
            if release.state != Release.SOLVING:
                return release
        raise UnlearnError(
            StatusCode.DEADLINE_EXCEEDED,
            f"{release.name} was not solved after {patience:g} s of waiting; it goes on by itself",
        )

    def get_release(self, release: str) -> Release:
        """A release by its name, or the one that the named model serves.

        Raises:
            UnlearnError: NOT_FOUND if there is none, or the core alone answers.
        """
        request = GetReleaseRequest(name=release_name(release))
        return self._call(self._models.GetRelease, request)


def _located(answer: _Answer, before: int) -> AddSamplesResponse:
    """Waits for an answer; an error names the sample's place among all that were sent."""
    try:
        with rpc_errors():
            return answer()
    except UnlearnError as error:
        with suppress(KeyError, ValueError):
            error.metadata["position"] = str(before + int(error.metadata["sample"]))
        raise
