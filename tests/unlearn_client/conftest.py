"""An in-process server that records what it is sent and answers as it is told."""

# ruff: noqa: N802 - gRPC names its methods

import json
from collections import defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from threading import Event

import grpc
import numpy as np
import pytest
from click.testing import CliRunner, Result
from google.protobuf.any_pb2 import Any
from google.rpc import error_details_pb2, status_pb2
from grpc_status import rpc_status

from inference import open_inference_grpc_pb2 as oip
from inference import open_inference_grpc_pb2_grpc as oip_grpc
from unlearn.v1 import audit_pb2, audit_pb2_grpc, erasure_pb2, erasure_pb2_grpc, model_pb2
from unlearn.v1 import model_pb2_grpc as model_grpc
from unlearn.v1.erasure_pb2 import Erasure
from unlearn_client import Client
from unlearn_client.cli import main

CLASSES = ["cat", "dog", "7"]


@dataclass
class Failure:
    code: grpc.StatusCode
    message: str = "told to fail"
    reason: str = ""
    metadata: dict[str, str] = field(default_factory=dict)


@dataclass
class Book:
    """What was asked, and what is to be answered."""

    address: str = ""
    requests: dict[str, list] = field(default_factory=lambda: defaultdict(list))
    failures: dict[str, list[Failure]] = field(default_factory=lambda: defaultdict(list))
    deadlines: dict[str, float] = field(default_factory=dict)
    states: list[int] = field(default_factory=lambda: [Erasure.SUCCEEDED])
    hold_stream_open: bool = False
    consistent: bool = True
    certificate: audit_pb2.Certificate = field(default_factory=audit_pb2.Certificate)
    outputs: str = "logits"
    report: bytes = b"report"

    def enter(self, method: str, request, context: grpc.ServicerContext) -> None:
        self.requests[method].append(request)
        self.deadlines[method] = context.time_remaining()
        if self.failures[method]:
            abort(context, self.failures[method].pop(0))

    def erasure(self, name: str) -> Erasure:
        """Each asking sees the next state; the last one stays."""
        state = self.states.pop(0) if len(self.states) > 1 else self.states[0]
        erasure = Erasure(name=name, state=state)
        erasure.due_time.FromJsonString("2030-02-28T12:00:00Z")
        if state == Erasure.SUCCEEDED:
            erasure.outcomes.append(outcome())
        return erasure


def outcome() -> erasure_pb2.Outcome:
    bound = erasure_pb2.InformationBound(
        attack_accuracy=0.5, differencing_gaussian_dp=float("inf"), cohort=1
    )
    return erasure_pb2.Outcome(
        model="models/pets", method=Erasure.EXACT, erased_samples=20, bound=bound
    )


def abort(context: grpc.ServicerContext, failure: Failure) -> None:
    status = status_pb2.Status(code=failure.code.value[0], message=failure.message)
    if failure.reason:
        info = error_details_pb2.ErrorInfo(reason=failure.reason, metadata=failure.metadata)
        detail = Any()
        detail.Pack(info)
        status.details.append(detail)
    context.abort_with_status(rpc_status.to_status(status))


class Models(model_grpc.ModelServiceServicer):
    def __init__(self, book: Book) -> None:
        self.book = book

    def CreateModel(self, request, context):
        self.book.enter("CreateModel", request, context)
        created = model_pb2.Model(name=f"models/{request.model_id}")
        created.MergeFrom(request.model)
        return created

    def GetModel(self, request, context):
        self.book.enter("GetModel", request, context)
        return model_pb2.Model(name=request.name, classes=CLASSES, etag="v1", sample_count=3)

    def ListModels(self, request, context):
        self.book.enter("ListModels", request, context)
        if request.page_token:
            return model_pb2.ListModelsResponse(models=[model_pb2.Model(name="models/b")])
        first = model_pb2.Model(name="models/a")
        return model_pb2.ListModelsResponse(models=[first], next_page_token="more")  # noqa: S106

    def DeleteModel(self, request, context):
        self.book.enter("DeleteModel", request, context)
        return model_pb2.DeleteModelResponse()

    def AddSamples(self, request_iterator, context):
        messages = list(request_iterator)
        self.book.enter("AddSamples", messages, context)
        return model_pb2.AddSamplesResponse(added=sum(len(m.samples) for m in messages))

    def CreateRelease(self, request, context):
        self.book.enter("CreateRelease", request, context)
        return model_pb2.Release(name=f"{request.model}/releases/1", state="SERVING")

    def GetRelease(self, request, context):
        self.book.enter("GetRelease", request, context)
        return model_pb2.Release(name=request.name)


class Erasures(erasure_pb2_grpc.ErasureServiceServicer):
    def __init__(self, book: Book) -> None:
        self.book = book

    def CreateErasure(self, request, context):
        self.book.enter("CreateErasure", request, context)
        return self.book.erasure(f"erasures/{request.request_id}")

    def GetErasure(self, request, context):
        self.book.enter("GetErasure", request, context)
        return self.book.erasure(request.name)

    def ListErasures(self, request, context):
        self.book.enter("ListErasures", request, context)
        return erasure_pb2.ListErasuresResponse(erasures=[self.book.erasure("erasures/x")])

    def WatchErasure(self, request, context):
        self.book.enter("WatchErasure", request, context)
        while True:
            last = len(self.book.states) == 1
            yield self.book.erasure(request.name)
            if last:
                break
        if self.book.hold_stream_open:
            ended = Event()
            context.add_callback(ended.set)
            ended.wait()

    def CancelErasure(self, request, context):
        self.book.enter("CancelErasure", request, context)
        return Erasure(name=request.name, state=Erasure.CANCELLED)

    def RetryErasure(self, request, context):
        self.book.enter("RetryErasure", request, context)
        return Erasure(name=request.name, state=Erasure.PENDING)

    def ExtendErasure(self, request, context):
        self.book.enter("ExtendErasure", request, context)
        extended = Erasure(name=request.name, state=Erasure.HELD, due_time=request.due_time)
        extended.extension.reason = request.reason
        extended.extension.first_due_time.FromJsonString("2020-02-28T12:00:00Z")
        return extended

    def RefuseErasure(self, request, context):
        self.book.enter("RefuseErasure", request, context)
        return Erasure(
            name=request.name,
            state=Erasure.REFUSED,
            state_reason=request.reason,
            refusal_ground=request.ground,
            certificate="certificates/7",
        )

    def PlaceHold(self, request, context):
        self.book.enter("PlaceHold", request, context)
        return erasure_pb2.Hold(name="holds/h", reason=request.reason)

    def GetHold(self, request, context):
        self.book.enter("GetHold", request, context)
        return erasure_pb2.Hold(name=request.name)

    def ListHolds(self, request, context):
        self.book.enter("ListHolds", request, context)
        name, more = ("holds/2", "") if request.page_token else ("holds/1", "more")
        return erasure_pb2.ListHoldsResponse(
            holds=[erasure_pb2.Hold(name=name)], next_page_token=more
        )

    def LiftHold(self, request, context):
        self.book.enter("LiftHold", request, context)
        lifted = erasure_pb2.Hold(name=request.name)
        lifted.lift_time.FromJsonString("2030-02-28T12:00:00Z")
        return lifted

    def LiftSuppression(self, request, context):
        self.book.enter("LiftSuppression", request, context)
        return erasure_pb2.LiftSuppressionResponse()


class Audits(audit_pb2_grpc.AuditServiceServicer):
    def __init__(self, book: Book) -> None:
        self.book = book

    def AuditModel(self, request, context):
        self.book.enter("AuditModel", request, context)
        return audit_pb2.AuditModelResponse(consistent=self.book.consistent, salt=request.salt)

    def GetCertificate(self, request, context):
        self.book.enter("GetCertificate", request, context)
        answer = audit_pb2.Certificate(name=request.name)
        answer.MergeFrom(self.book.certificate)
        return answer

    def ListCertificates(self, request, context):
        self.book.enter("ListCertificates", request, context)
        name = "certificates/1" if request.page_token else "certificates/0"
        one = audit_pb2.Certificate(name=name, erasure="erasures/x", model="models/pets")
        more = "" if request.page_token else "more"
        return audit_pb2.ListCertificatesResponse(certificates=[one], next_page_token=more)

    def GetCheckpoint(self, request, context):
        self.book.enter("GetCheckpoint", request, context)
        return audit_pb2.Checkpoint(note=b"note", verifier_key="key")

    def GetConsistencyProof(self, request, context):
        self.book.enter("GetConsistencyProof", request, context)
        return audit_pb2.ConsistencyProof(hashes=[b"a", b"b"])

    def GetReport(self, request, context):
        self.book.enter("GetReport", request, context)
        return audit_pb2.Report(media_type=request.media_type, content=self.book.report)


class Inference(oip_grpc.GRPCInferenceServiceServicer):
    """Answers row i of a message with logits (i, 0, 0)."""

    def __init__(self, book: Book) -> None:
        self.book = book

    def ModelInfer(self, request, context):
        self.book.enter("ModelInfer", request, context)
        rows = request.inputs[0].shape[0]
        logits = np.zeros((rows, len(CLASSES)), dtype="<f4")
        logits[:, 0] = np.arange(rows)
        output = oip.ModelInferResponse.InferOutputTensor(
            name=self.book.outputs, datatype="FP32", shape=logits.shape
        )
        return oip.ModelInferResponse(outputs=[output], raw_output_contents=[logits.tobytes()])


@pytest.fixture
def book() -> Iterator[Book]:
    """A running server's book."""
    book = Book()
    pool = ThreadPoolExecutor(max_workers=4)
    server = grpc.server(pool, options=[("grpc.max_receive_message_length", 16 * 2**20)])
    model_grpc.add_ModelServiceServicer_to_server(Models(book), server)
    erasure_pb2_grpc.add_ErasureServiceServicer_to_server(Erasures(book), server)
    audit_pb2_grpc.add_AuditServiceServicer_to_server(Audits(book), server)
    oip_grpc.add_GRPCInferenceServiceServicer_to_server(Inference(book), server)
    book.address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    server.start()
    yield book
    server.stop(grace=None).wait()
    pool.shutdown()


@pytest.fixture
def client(book: Book) -> Iterator[Client]:
    with Client(book.address, timeout=10) as client:
        yield client


@pytest.fixture
def failure() -> type[Failure]:
    return Failure


@pytest.fixture
def run(book: Book) -> Callable[..., Result]:
    """Runs the ``unlearn`` command against the server."""

    def run(*words: object, answer: str | None = None) -> Result:
        arguments = ["--address", book.address, *map(str, words)]
        return CliRunner().invoke(main, arguments, input=answer)

    return run


@pytest.fixture
def run_json(run: Callable[..., Result]) -> Callable[..., list[dict]]:
    """Runs it with --json; the documents of its standard output."""

    def run_json(*words: object) -> list[dict]:
        return [json.loads(line) for line in run("--json", *words).stdout.splitlines()]

    return run_json
