"""A server's report against what it lists and certifies, as strangers read both."""

import io
import json
from base64 import b64decode
from collections import Counter
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from uuid import uuid4

import grpc
import pikepdf
import pypdfium2
import pytest
from click.testing import CliRunner
from google.protobuf.timestamp_pb2 import Timestamp

from unlearn.v1.audit_pb2 import Certificate, GetReportRequest
from unlearn.v1.erasure_pb2 import CreateErasureRequest, Erasure
from unlearn.v1.erasure_pb2_grpc import ErasureServiceStub
from unlearn_client import Client, Selection
from unlearn_client.cli import main
from unlearn_client.reports import MEDIA_TYPES
from unlearn_client.verification.notes import read_checkpoint
from unlearn_server.app import Options, running
from unlearn_server.cli import main as server_main

NOW = datetime.now(UTC).replace(microsecond=0)
START, END = NOW - timedelta(days=60), NOW + timedelta(days=1)


def erase(client: Client, address: str, person: str, *models: str, days_ago: int = 0) -> None:
    """Asks as a controller does who received the request earlier, and waits."""
    erasure = Erasure(
        selection=Selection.subjects([person]),
        models=[f"models/{model}" for model in models],
        regulation="gdpr",
    )
    erasure.receive_time.FromDatetime(NOW - timedelta(days=days_ago))
    request = CreateErasureRequest(request_id=str(uuid4()), erasure=erasure)
    with grpc.insecure_channel(address) as channel:
        accepted = ErasureServiceStub(channel).CreateErasure(request, timeout=60)
    client.wait_for_erasure(accepted.name)


def statement(certificate: Certificate) -> dict:
    return json.loads(b64decode(json.loads(certificate.envelope)["payload"]))


@contextmanager
def serving(data: Path):
    with running(Options(data, "localhost:0", "localhost:0")) as ports:
        address = f"localhost:{ports.port}"
        with Client(address, timeout=60) as client:
            yield address, client


@pytest.fixture(scope="module")
def told(tmp_path_factory, make_sample):
    """What a server lists, certifies and reports, of two keys' time."""
    data = tmp_path_factory.mktemp("report") / "data"
    people = ["", "", "ada", "bob", "cyd", "dan"]
    with serving(data) as (address, client):
        for model, cohort in (("m", 0), ("n", 0), ("waits", 3)):
            client.create_model(model, "features:3", list("abc"), minimum_cohort=cohort)
            samples = [make_sample(f"{model}{i}", each) for i, each in enumerate(people)]
            client.add_samples(model, samples)
            client.create_release(model)
        first_key = client.get_checkpoint().verifier_key
        erase(client, address, "ada", "m", "n")
        erase(client, address, "nobody")
        erase(client, address, "bob", "m", days_ago=2)
        erase(client, address, "cyd", "m", days_ago=45)
    rotated = CliRunner().invoke(server_main, ["keys", "rotate", "--data-dir", str(data)])
    assert rotated.exit_code == 0, rotated.output
    with serving(data) as (address, client):
        erase(client, address, "dan", "n")
        waiting = client.create_erasure(Selection.subjects(["ada"]), ["waits"])
        cancelled = client.create_erasure(Selection.subjects(["bob"]), ["waits"])
        client.cancel_erasure(cancelled.name)
        head = client.get_checkpoint()
        yield SimpleNamespace(
            address=address,
            erasures=list(client.list_erasures()),
            certificates={
                each.name: statement(each) for each in client.list_certificates() if each.erasure
            },
            keys=[first_key, head.verifier_key],
            checkpoint=head.note,
            waiting=waiting.name,
            reports={form: client.get_report(START, END, form) for form in MEDIA_TYPES.values()},
        )


@pytest.fixture(scope="module")
def report(told):
    return json.loads(told.reports["application/json"])


def test_the_counts_are_those_of_the_list(told, report):
    states = Counter(each.state for each in told.erasures)
    late = [
        each
        for each in told.erasures
        if each.state == Erasure.SUCCEEDED
        and each.complete_time.ToNanoseconds() > each.due_time.ToNanoseconds()
    ]
    assert len(late) == 1
    counts = report["requests"]
    assert counts["received"] == len(told.erasures)
    assert counts["late"] == 1
    assert counts["onTime"] == states[Erasure.SUCCEEDED] - 1
    assert counts["cancelled"] == states[Erasure.CANCELLED] == 1
    assert counts["nothingMatched"] == 1
    assert [each["erasure"] for each in report["open"]] == [told.waiting]


def test_every_certificate_stands_in_the_register_with_its_numbers(told, report):
    rows = {each["certificate"]: each for each in report["closed"] if "certificate" in each}
    assert rows.keys() == told.certificates.keys()
    for name, certified in told.certificates.items():
        predicate, row = certified["predicate"], rows[name]
        assert row["erasure"] == predicate["erasure"]
        assert row["model"] == predicate["model"]["name"]
        assert row["method"] == predicate["method"]["name"]
        assert row["erasedSamples"] == predicate["samples"]["erased"]
        assert (row["receiveTime"], row["dueTime"]) == (
            predicate["receiveTime"],
            predicate["dueTime"],
        )
        bound = {key: value for key, value in predicate["bound"].items() if key != "assumptions"}
        assert row["bound"] == bound
    for measure, largest in report["largestBounds"].items():
        stated = [
            float(certified["predicate"]["bound"][measure])
            for certified in told.certificates.values()
        ]
        assert float(largest["value"]) == max(stated)
    assert report["software"] == predicate["software"]


def test_both_keys_and_the_head_are_shown(told, report):
    log = report["log"]
    assert [key["verifierKey"] for key in log["keys"]] == told.keys
    assert sum(key["certificates"] for key in log["keys"]) == len(told.certificates)
    assert log["checkpoint"].encode() == told.checkpoint
    head = read_checkpoint(told.checkpoint)
    assert (log["size"], log["root"]) == (head.size, head.root.hex())
    page = told.reports["text/html"].decode()
    assert all(key in page for key in told.keys)


def test_the_pdf_names_every_erasure(told):
    content = told.reports["application/pdf"]
    document = pypdfium2.PdfDocument(content)
    text = "".join("".join(page.get_textpage().get_text_range() for page in document).split())
    for each in told.erasures:
        assert each.name.removeprefix("erasures/") in text
    with pikepdf.open(io.BytesIO(content)) as pdf, pdf.open_metadata() as metadata:
        assert (metadata["pdfaid:part"], metadata["pdfaid:conformance"]) == ("2", "B")


@pytest.mark.parametrize(
    ("start", "end", "media_type", "field"),
    [
        (None, 10, "text/html", "start_time"),
        (10, None, "text/html", "end_time"),
        (10, 10, "text/html", "end_time"),
        (20, 10, "text/html", "end_time"),
        (2**35, 2**36, "text/html", "start_time"),
        (10, 2**62, "text/html", "end_time"),
        (10, 20, "", "media_type"),
        (10, 20, "text/plain", "media_type"),
    ],
)
def test_what_cannot_be_reported_is_refused_by_its_field(
    server, refusal, start, end, media_type, field
):
    request = GetReportRequest(media_type=media_type)
    for name, seconds in (("start_time", start), ("end_time", end)):
        if seconds is not None:
            getattr(request, name).CopyFrom(Timestamp(seconds=seconds))
    refused = refusal(server.audits.GetReport, request)
    assert (refused.code, refused.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_FIELD")
    assert refused.field == field


@pytest.mark.parametrize(
    ("name", "begin"), [("r.pdf", b"%PDF"), ("r.html", b"<!doctype"), ("r.json", b"{")]
)
def test_the_command_writes_the_form_that_its_file_is_named_for(told, tmp_path, name, begin):
    words = ["--address", told.address, "report", "--from", "2026-01-01", "--to", "2100-01-01"]
    done = CliRunner().invoke(main, [*words, "--out", str(tmp_path / name)])
    assert done.exit_code == 0, done.output
    assert (tmp_path / name).read_bytes().lstrip().startswith(begin)


def test_the_command_writes_to_its_output_what_is_asked_for(told):
    words = ["--address", told.address, "report", "--from", "2026-01-01", "--to", "2100-01-01"]
    done = CliRunner().invoke(main, [*words, "--out", "-", "--format", "json"])
    assert json.loads(done.stdout.splitlines()[-1])["requests"]["cancelled"] == 1
    refused = CliRunner().invoke(main, [*words, "--out", "report.doc"])
    assert refused.exit_code == 2
    assert "--format" in refused.output


def test_a_hold_of_the_period_stands_in_it_with_its_reason(server):
    hold = server.client.place_hold("somebody", "court case 7 C 12/26")
    server.client.lift_hold(hold.name)
    end = datetime.now(UTC)
    start = end - timedelta(days=1)
    told = json.loads(server.client.get_report(start, end, "application/json"))
    [held] = [each for each in told["holds"] if each["name"] == hold.name]
    assert held["reason"] == "court case 7 C 12/26"
    assert held["placeTime"] <= held["liftTime"]
    page = server.client.get_report(start, end, "text/html").decode()
    assert "court case 7 C 12/26" in page
    assert "somebody" not in page
    before = json.loads(
        server.client.get_report(start - timedelta(days=1), start, "application/json")
    )
    assert before["holds"] == []
