"""Predictions by the Open Inference Protocol v2, so that existing clients work."""

from importlib.metadata import version

import grpc

from inference import open_inference_grpc_pb2 as pb
from inference import open_inference_grpc_pb2_grpc as pb_grpc
from unlearn_server.errors import Reason, ServiceError
from unlearn_server.prediction import Predictor
from unlearn_server.services import tensors
from unlearn_server.workspace import Served

_PLATFORM = "unlearn_mixed_privacy_linear"


class InferenceService(pb_grpc.GRPCInferenceServiceServicer):
    """Answers from the release that is served; model_name is the model_id."""

    def __init__(self, predictor: Predictor) -> None:
        self._predictor = predictor

    def ServerLive(
        self, request: pb.ServerLiveRequest, context: grpc.ServicerContext
    ) -> pb.ServerLiveResponse:
        """Says that the process answers."""
        del request, context
        return pb.ServerLiveResponse(live=True)

    def ServerReady(
        self, request: pb.ServerReadyRequest, context: grpc.ServicerContext
    ) -> pb.ServerReadyResponse:
        """Says that models can be asked; it is served only once they can."""
        del request, context
        return pb.ServerReadyResponse(ready=True)

    def ModelReady(
        self, request: pb.ModelReadyRequest, context: grpc.ServicerContext
    ) -> pb.ModelReadyResponse:
        """Says whether a model, in that version if one is given, can be asked."""
        del context
        try:
            self._served(request.name, request.version)
        except ServiceError as error:
            if error.reason.code is not grpc.StatusCode.NOT_FOUND:
                raise
            return pb.ModelReadyResponse(ready=False)
        return pb.ModelReadyResponse(ready=True)

    def ServerMetadata(
        self, request: pb.ServerMetadataRequest, context: grpc.ServicerContext
    ) -> pb.ServerMetadataResponse:
        """Names the server."""
        del request, context
        return pb.ServerMetadataResponse(name="unlearn-server", version=version("unlearn-server"))

    def ModelMetadata(
        self, request: pb.ModelMetadataRequest, context: grpc.ServicerContext
    ) -> pb.ModelMetadataResponse:
        """Describes a model's tensors."""
        del context
        served = self._served(request.name, request.version)
        tensor = pb.ModelMetadataResponse.TensorMetadata
        objective = served.model.objective
        kind = self._predictor.input(served.model)
        return pb.ModelMetadataResponse(
            name=request.name,
            versions=[str(served.release)] if served.release else [],
            platform=_PLATFORM,
            inputs=[
                tensor(name=kind, datatype="FP32", shape=[-1, objective.width - 1])
                if kind == "features"
                else tensor(name=kind, datatype="BYTES", shape=[-1])
            ],
            outputs=[
                tensor(name="logits", datatype="FP32", shape=[-1, len(objective.classes)]),
                tensor(name="class", datatype="BYTES", shape=[-1]),
            ],
        )

    def ModelInfer(
        self, request: pb.ModelInferRequest, context: grpc.ServicerContext
    ) -> pb.ModelInferResponse:
        """Predicts; one release answers a whole request."""
        del context
        served = self._served(request.model_name, request.model_version)
        logits = self._predictor.logits(served, tensors.read_input(request))
        classes = served.model.objective.classes
        outputs = {
            "logits": tensors.logits_output(logits),
            "class": tensors.class_output([classes[best] for best in logits.argmax(axis=1)]),
        }
        chosen = [output.name for output in request.outputs] or list(outputs)
        if not outputs.keys() >= set(chosen):
            raise tensors.unknown_output()
        return pb.ModelInferResponse(
            model_name=request.model_name,
            model_version=str(served.release or ""),
            id=request.id,
            outputs=[outputs[name][0] for name in chosen],
            raw_output_contents=[outputs[name][1] for name in chosen],
        )

    def _served(self, model_id: str, model_version: str) -> Served:
        served = self._predictor.served(model_id)
        if model_version not in {"", str(served.release)}:
            message = (
                "model_version: is not the release being served, and earlier ones are destroyed; "
                "leave it empty"
            )
            raise ServiceError(Reason.RELEASE_NOT_FOUND, message, field="model_version")
        return served
