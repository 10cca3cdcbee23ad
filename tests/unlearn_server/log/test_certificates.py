"""Envelopes, entries, bundles and proofs, taken apart by hand."""

import base64
import hashlib
import json

import pytest
import rfc8785
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from unlearn_server.log import envelopes
from unlearn_server.log.bundles import bundle
from unlearn_server.log.entries import entry
from unlearn_server.log.notes import Ed25519NoteSigner
from unlearn_server.log.proofs import Inclusion

# RFC 8032, section 7.1, test 1.
SEED = "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60"
PUBLIC = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"
KEY = Ed25519PrivateKey.from_private_bytes(bytes.fromhex(SEED))
LOG = Ed25519NoteSigner("unlearn.example/log", KEY)
# RFC 8410: AlgorithmIdentifier id-Ed25519 and a BIT STRING of 32 bytes.
SPKI = bytes.fromhex("302a300506032b6570032100" + PUBLIC)
STATEMENT = {"predicate": {"b": 1e-6, "a": "ü\u2028"}, "_type": "statement"}
CANONICAL = '{"_type":"statement","predicate":{"a":"ü\u2028","b":0.000001}}'.encode()
INCLUSION = Inclusion(5, [b"a" * 32, b"b" * 32], 7, b"r" * 32, "origin\n7\nroot\n\n— x y\n")

json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


def unbase64(text: str) -> bytes:
    return base64.b64decode(text, validate=True)


def test_keys_are_named_by_the_hash_of_their_der() -> None:
    assert envelopes.spki(KEY.public_key()) == SPKI
    assert envelopes.key_id(KEY.public_key()) == hashlib.sha256(SPKI).hexdigest()


def test_an_envelope_signs_the_pre_authentication_encoding_of_canonical_bytes() -> None:
    sealed = json.loads(envelopes.to_json(envelopes.sign(STATEMENT, envelopes.signer(KEY))))
    [signature] = sealed.pop("signatures")
    assert sealed.pop("payloadType") == "application/vnd.in-toto+json"
    assert unbase64(sealed.pop("payload")) == CANONICAL
    assert not sealed
    assert signature.pop("keyid") == hashlib.sha256(SPKI).hexdigest()
    encoding = b"DSSEv1 28 application/vnd.in-toto+json %d " % len(CANONICAL) + CANONICAL
    KEY.public_key().verify(unbase64(signature.pop("sig")), encoding)
    assert not signature


@given(st.dictionaries(st.text(), json_values))
def test_equal_statements_have_equal_envelopes_whatever_their_order(
    statement: dict[str, object],
) -> None:
    reordered = dict(reversed(statement.items()))
    first, second = (
        envelopes.to_json(envelopes.sign(each, envelopes.signer(KEY)))
        for each in (statement, reordered)
    )
    assert first == second
    assert json.loads(unbase64(json.loads(first)["payload"])) == statement


@pytest.mark.parametrize("number", [float("inf"), float("nan"), 2**53])
def test_a_statement_without_canonical_bytes_is_not_signed(number: float) -> None:
    with pytest.raises(rfc8785.CanonicalizationError):
        envelopes.sign({"x": number}, envelopes.signer(KEY))


def test_a_leaf_is_a_rekor_entry_in_canonical_bytes() -> None:
    envelope = envelopes.sign(STATEMENT, envelopes.signer(KEY))
    payload_hash = base64.b64encode(hashlib.sha256(CANONICAL).digest()).decode()
    signature = envelope.to_dict()["signatures"][0]["sig"]
    assert entry(envelope, KEY.public_key()).decode() == (
        '{"apiVersion":"0.0.2","kind":"dsse","spec":{"dsseV002":{"payloadHash":'
        f'{{"algorithm":"SHA2_256","digest":"{payload_hash}"}},"signatures":['
        f'{{"content":"{signature}","verifier":{{"keyDetails":"PKIX_ED25519",'
        f'"publicKey":{{"rawBytes":"{base64.b64encode(SPKI).decode()}"}}}}}}]}}}}}}'
    )


def test_a_tlog_proof_is_index_path_and_checkpoint() -> None:
    a, b = (base64.b64encode(node).decode() for node in INCLUSION.path)
    expected = f"c2sp.org/tlog-proof@v1\nindex 5\n{a}\n{b}\n\n{INCLUSION.checkpoint}"
    assert str(INCLUSION) == expected


def test_the_proof_of_the_only_leaf_has_no_path() -> None:
    alone = Inclusion(0, [], 1, b"r" * 32, "origin\n1\nroot\n\n— x y\n")
    assert str(alone) == f"c2sp.org/tlog-proof@v1\nindex 0\n\n{alone.checkpoint}"


def test_a_bundle_holds_envelope_leaf_and_inclusion() -> None:
    envelope = envelopes.sign(STATEMENT, envelopes.signer(KEY))
    made = json.loads(bundle(envelope, b"leaf", INCLUSION, LOG.verifier_key))
    assert made["mediaType"] == "application/vnd.dev.sigstore.bundle.v0.3+json"
    assert made["dsseEnvelope"] == envelope.to_dict()
    material = made["verificationMaterial"]
    # They must be the same (sigstore_bundle.proto).
    assert material["publicKey"]["hint"] == made["dsseEnvelope"]["signatures"][0]["keyid"]
    [logged] = material["tlogEntries"]
    assert unbase64(logged["canonicalizedBody"]) == b"leaf"
    assert unbase64(logged["logId"]["keyId"]) == LOG.verifier_key.digest
    proof = logged["inclusionProof"]
    assert logged["logIndex"] == proof["logIndex"] == "5"
    assert proof["treeSize"] == "7"
    assert unbase64(proof["rootHash"]) == INCLUSION.root
    assert [unbase64(node) for node in proof["hashes"]] == INCLUSION.path
    assert proof["checkpoint"]["envelope"] == INCLUSION.checkpoint
