"""Calls about certificates, and the files that ``unlearn certificates get`` writes."""

import grpc
import pytest

from unlearn_client import UnlearnError


@pytest.mark.parametrize("name", ["17", "certificates/17"])
def test_certificates_go_by_index_or_name(client, name):
    assert client.get_certificate(name).name == "certificates/17"


def test_list_certificates_walks_all_pages_and_keeps_its_filters(client, book):
    found = list(client.list_certificates(erasure="x", model="pets"))
    assert [certificate.name for certificate in found] == ["certificates/0", "certificates/1"]
    asked = book.requests["ListCertificates"]
    assert [request.page_token for request in asked] == ["", "more"]
    assert {(request.erasure, request.model) for request in asked} == {
        ("erasures/x", "models/pets")
    }


def test_list_certificates_without_filters(client, book):
    list(client.list_certificates())
    assert (book.requests["ListCertificates"][0].erasure,) == ("",)
    assert (book.requests["ListCertificates"][0].model,) == ("",)


def test_the_logs_checkpoint_and_proof(client, book):
    assert client.get_checkpoint().note == b"note"
    assert client.get_consistency_proof(3, 9) == [b"a", b"b"]
    sent = book.requests["GetConsistencyProof"][0]
    assert (sent.first_size, sent.second_size) == (3, 9)


def test_reads_are_repeated_when_the_server_was_away(client, book, failure):
    calls = {
        "GetCertificate": lambda: client.get_certificate("1"),
        "ListCertificates": lambda: list(client.list_certificates()),
        "GetCheckpoint": client.get_checkpoint,
        "GetConsistencyProof": lambda: client.get_consistency_proof(1, 2),
    }
    for method, call in calls.items():
        book.failures[method] = [failure(grpc.StatusCode.UNAVAILABLE)]
        call()


def test_a_certificate_that_is_not_there(client, book, failure):
    book.failures["GetCertificate"] = [failure(grpc.StatusCode.NOT_FOUND)]
    with pytest.raises(UnlearnError):
        client.get_certificate("9")


def test_get_writes_the_three_files(run, run_json, book, tmp_path):
    book.certificate.envelope, book.certificate.bundle = b"e", b"b"
    book.certificate.tlog_proof = b"p"
    assert run("certificates", "get", "17", "--out", tmp_path).exit_code == 0
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {
        "certificate-17.dsse.json": b"e",
        "certificate-17.sigstore.json": b"b",
        "certificate-17.tlog-proof": b"p",
    }
    (written,) = run_json("certificates", "get", "certificates/17", "--out", tmp_path)
    assert len(written["files"]) == 3


@pytest.mark.parametrize("name", ["certificates/../../etc/x", "certificates/", "models/1", "/x"])
def test_a_server_cannot_choose_where_files_go(run, book, tmp_path, name):
    book.certificate.name = name
    refused = run("certificates", "get", "17", "--out", tmp_path)
    assert refused.exit_code == 3
    assert "no proper name" in refused.stderr
    assert not list(tmp_path.iterdir())


def test_list(run, run_json):
    assert "certificates/1  erasures/x  models/pets" in run("certificates", "list").stdout
    found = run_json("certificates", "list", "--erasure", "x", "--model", "pets")
    assert [certificate["name"] for certificate in found] == ["certificates/0", "certificates/1"]
