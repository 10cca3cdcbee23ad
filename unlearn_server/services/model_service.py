"""ModelService."""

from collections.abc import Iterator

import grpc
import numpy as np

from unlearn.v1 import model_pb2, model_pb2_grpc
from unlearn_server.curation import Curation, Settings
from unlearn_server.domain import Retention
from unlearn_server.errors import ServerError, ServiceError, in_message
from unlearn_server.ingest import Arrival, Ingest
from unlearn_server.ledger import models, releases
from unlearn_server.ledger.database import Database
from unlearn_server.releasing import Releaser
from unlearn_server.services import fields, messages
from unlearning.errors import UnlearningError
from unlearning.objective import Noise

_LONGEST_ID = 256


class ModelService(model_pb2_grpc.ModelServiceServicer):
    """Owns a model's life."""

    def __init__(
        self, database: Database, curation: Curation, ingest: Ingest, releaser: Releaser
    ) -> None:
        self._database = database
        self._curation = curation
        self._ingest = ingest
        self._releaser = releaser

    def CreateModel(
        self, request: model_pb2.CreateModelRequest, context: grpc.ServicerContext
    ) -> model_pb2.Model:
        """Creates an empty model."""
        del context
        model_id = fields.new_model_id(request.model_id)
        model = self._curation.create(
            model_id,
            request.model.core,
            tuple(request.model.classes),
            _settings(request.model.user_weights),
            _minimum_cohort(request.model),
            needs_head=request.model.has_head,
        )
        return messages.model(model)

    def GetModel(
        self, request: model_pb2.GetModelRequest, context: grpc.ServicerContext
    ) -> model_pb2.Model:
        """Answers a model as it stands."""
        del context
        with self._database.read() as conn:
            return messages.model(models.get(conn, fields.model_id(request.name, "name")))

    def ListModels(
        self, request: model_pb2.ListModelsRequest, context: grpc.ServicerContext
    ) -> model_pb2.ListModelsResponse:
        """Lists models in order of creation."""
        del context
        page = fields.Page.of(request.page_size, request.page_token, "models")
        with self._database.read() as conn:
            found = models.page(conn, page.after, page.size)
        return model_pb2.ListModelsResponse(
            models=[messages.model(model) for model in found],
            next_page_token=page.next_token([model.key for model in found]),
        )

    def DeleteModel(
        self, request: model_pb2.DeleteModelRequest, context: grpc.ServicerContext
    ) -> model_pb2.DeleteModelResponse:
        """Deletes a model with all it holds."""
        del context
        self._curation.delete(fields.model_id(request.name, "name"), request.etag)
        return model_pb2.DeleteModelResponse()

    def AddSamples(
        self,
        request_iterator: Iterator[model_pb2.AddSamplesRequest],
        context: grpc.ServicerContext,
    ) -> model_pb2.AddSamplesResponse:
        """Adds samples, each message a transaction."""
        del context
        total = model_pb2.AddSamplesResponse()
        model_id = ""
        for index, request in enumerate(request_iterator):
            try:
                if request.model or not model_id:
                    model_id = fields.model_id(request.model, "model")
                arrivals = [_arrival(row, sample) for row, sample in enumerate(request.samples)]
                added, unchanged = self._ingest.add(model_id, arrivals)
            except (ServerError, UnlearningError) as error:
                raise in_message(index, error) from error
            total.added += added
            total.unchanged += unchanged
        return total

    def CreateRelease(
        self, request: model_pb2.CreateReleaseRequest, context: grpc.ServicerContext
    ) -> model_pb2.Release:
        """Solves and serves."""
        del context
        model_id = fields.model_id(request.model, "model")
        release = self._releaser.create(model_id, fields.request_id(request.request_id))
        return messages.release(model_id, release)

    def GetRelease(
        self, request: model_pb2.GetReleaseRequest, context: grpc.ServicerContext
    ) -> model_pb2.Release:
        """Answers a release, or the one being served."""
        del context
        model_id, number = fields.release_name(request.name)
        with self._database.read() as conn:
            model = models.get(conn, model_id)
            if number is None:
                # Numbers start at 1: 0 is not found, as it must be while the core answers.
                number = model.release or 0
            return messages.release(model_id, releases.get(conn, model.key, number))


def _settings(weights: model_pb2.UserWeights) -> Settings:
    """What can be checked without the core."""
    if weights.parametrization not in model_pb2.UserWeights.Parametrization.values():
        problem = f"{weights.parametrization} is no parametrization"
        raise fields.invalid("user_weights.parametrization", problem, "leave it empty")
    is_tangent = weights.parametrization == model_pb2.UserWeights.TANGENT
    if weights.tangent_scope and not is_tangent:
        raise fields.invalid(
            "user_weights.tangent_scope", "is for TANGENT", "leave it empty with FEATURES"
        )
    if weights.feature_map and is_tangent:
        raise fields.invalid(
            "user_weights.feature_map", "is for FEATURES", "leave it empty with TANGENT"
        )
    return Settings(
        feature_map=weights.feature_map,
        feature_bound=weights.feature_bound,
        ridge=weights.ridge,
        label_scale=weights.label_scale,
        tangent_scope=weights.tangent_scope if is_tangent else None,
        noise_scale=weights.noise_scale,
        noise=_noise(weights),
    )


def _noise(weights: model_pb2.UserWeights) -> Noise:
    if weights.noise == model_pb2.UserWeights.NOISE_UNSPECIFIED:
        return Noise.ISOTROPIC
    for noise in Noise:
        if model_pb2.UserWeights.Noise.Value(noise.name) == weights.noise:
            return noise
    raise fields.invalid("user_weights.noise", f"{weights.noise} is no noise", "leave it empty")


def _minimum_cohort(model: model_pb2.Model) -> int:
    if model.minimum_cohort < 0:
        raise fields.invalid("model.minimum_cohort", "is negative", "use 0 to never wait")
    return model.minimum_cohort


def _arrival(row: int, sample: model_pb2.Sample) -> Arrival:
    """Checks what can be checked without the model."""
    if not 0 < len(sample.sample_id) <= _LONGEST_ID:
        raise _bad_sample(
            row, "sample_id", "is empty or long", f"use 1 to {_LONGEST_ID} characters"
        )
    if sample.retention not in model_pb2.Sample.Retention.values():
        problem = f"{sample.retention} is no retention"
        raise _bad_sample(row, "retention", problem, "use USER or CORE")
    is_core = sample.retention == model_pb2.Sample.CORE
    if len(sample.subject_id) > _LONGEST_ID or not (sample.subject_id or is_core):
        raise _bad_sample(
            row,
            "subject_id",
            "is missing or long",
            f"name the person in 1 to {_LONGEST_ID} characters, or retain the sample as CORE",
        )
    if not sample.HasField("label"):
        raise _bad_sample(row, "label", "is missing", "give the index of its class")
    kind = sample.WhichOneof("content")
    if kind is None:
        raise _bad_sample(row, "content", "is no image, no text and no features", "send one")
    return Arrival(
        sample_id=sample.sample_id,
        subject_id=sample.subject_id,
        content=np.array(sample.features.values, np.float32)
        if kind == "features"
        else getattr(sample, kind),
        label=sample.label,
        retention=Retention.CORE if is_core else Retention.USER,
        canonical=sample.SerializeToString(deterministic=True),
    )


def _bad_sample(row: int, field: str, problem: str, fix: str) -> ServiceError:
    error = fields.invalid(f"samples.{field}", problem, fix)
    error.metadata["sample"] = str(row)
    return error
