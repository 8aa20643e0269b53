"""EARs: what the draft demands, that nothing of a result is lost, and that their signatures verify."""

from __future__ import annotations

import base64
import hashlib
import json
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256, SHA384

from rats_tls import __version__
from rats_tls.core.documents import refusal_document, result_document
from rats_tls.core.errors import ConfigurationError, UnsupportedError
from rats_tls.core.evidence import TeeType
from rats_tls.core.results import AttestationResult
from rats_tls.explanation import EAR_PROFILE, SigningKey, refusal_ear, result_ear, sign_ear
from support.explained import CASES, TEES, Judged, case
from support.simulated import NOW

CURVES = {"ES256": (ec.SECP256R1(), SHA256(), 32), "ES384": (ec.SECP384R1(), SHA384(), 48)}


def ear_of(judged: Judged) -> dict[str, Any]:
    if isinstance(judged.outcome, AttestationResult):
        return result_ear(judged.outcome, judged.policy)
    return refusal_ear(judged.outcome, judged_at=NOW, policy=judged.policy)


def pem(key: Any, password: bytes | None = None, form: Any = serialization.PrivateFormat.PKCS8) -> bytes:
    encryption = serialization.BestAvailableEncryption(password) if password else serialization.NoEncryption()
    data: bytes = key.private_bytes(serialization.Encoding.PEM, form, encryption)
    return data


def decoded(part: str) -> bytes:
    assert "=" not in part
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))


@pytest.mark.parametrize("name", CASES)
def test_what_the_draft_demands(name: str) -> None:
    ear = ear_of(case(name))
    assert ear["eat_profile"] == EAR_PROFILE == "tag:ietf.org,2026:rats/ear#03"
    assert ear["iat"] == int(case(name).result.judged_at.timestamp() if "exp" in ear else NOW.timestamp())
    assert set(ear["ear_verifier_id"]) == {"developer", "build"}
    assert ear["ear_verifier_id"]["build"].startswith(__version__)
    (appraisal,) = ear["submods"].values()
    assert appraisal["ear_status"] in {"none", "affirming", "warning", "contraindicated"}
    assert all(
        isinstance(value, int) and -128 <= value <= 127 for value in appraisal["ear_trustworthiness_vector"].values()
    )
    assert appraisal["ear_trustworthiness_vector"]
    (policy,) = appraisal["ear_appraisal_policy_ids"]
    digest = base64.urlsafe_b64encode(case(name).policy.digest).decode().rstrip("=")
    assert policy == f"ni:///sha-256;{digest}"
    json.dumps(ear)


@pytest.mark.parametrize("name", CASES)
def test_nothing_is_lost(name: str) -> None:
    outcome = case(name).outcome
    document = result_document(outcome) if isinstance(outcome, AttestationResult) else refusal_document(outcome)
    assert ear_of(case(name))["rats_tls_result"] == document


@pytest.mark.parametrize("tee", TEES.values())
def test_labels_and_times(tee: str) -> None:
    result = case(f"good {tee}").result
    ear = ear_of(case(f"good {tee}"))
    assert list(ear["submods"]) == [tee]
    # Nothing that a bare local report, or a certificate of Hygon's, rests on has an end.
    assert (result.valid_until is None) == (tee in {"sgx_la", "csv"})
    assert ear.get("exp") == (int(result.valid_until.timestamp()) if result.valid_until is not None else None)


@pytest.mark.parametrize("tee", ["sgx", "tdx", "snp"])
def test_a_refusal_names_its_tee_and_does_not_expire(tee: str) -> None:
    ear = ear_of(case(f"changed {tee}"))
    (label,) = ear["submods"]
    assert tee in label
    assert "exp" not in ear


def test_evidence_that_was_never_decoded() -> None:
    error, policy = UnsupportedError("m"), case("cut").policy
    assert list(refusal_ear(error, judged_at=NOW, policy=policy)["submods"]) == ["unknown"]
    known = refusal_ear(error, judged_at=NOW, policy=policy, tee_type=TeeType.TDX_ECDSA)
    assert list(known["submods"]) == ["tdx_ecdsa"]


@pytest.mark.parametrize("algorithm", CURVES)
@pytest.mark.parametrize("form", [serialization.PrivateFormat.PKCS8, serialization.PrivateFormat.TraditionalOpenSSL])
def test_signatures_verify(algorithm: str, form: Any) -> None:
    curve, digest, size = CURVES[algorithm]
    key = ec.generate_private_key(curve)
    ear = ear_of(case("good sgx_ecdsa"))
    token = sign_ear(ear, SigningKey.from_pem(pem(key, form=form), where="key.pem"))
    header, payload, signature = token.split(".")
    numbers = key.public_key().public_numbers()
    jwk = {
        "crv": {"ES256": "P-256", "ES384": "P-384"}[algorithm],
        "kty": "EC",
        **{
            name: base64.urlsafe_b64encode(value.to_bytes(size, "big")).decode().rstrip("=")
            for name, value in (("x", numbers.x), ("y", numbers.y))
        },
    }
    thumbprint = hashlib.sha256(json.dumps(jwk, separators=(",", ":")).encode()).digest()
    kid = base64.urlsafe_b64encode(thumbprint).decode().rstrip("=")
    assert json.loads(decoded(header)) == {"alg": algorithm, "typ": "eat+jwt", "kid": kid}
    assert json.loads(decoded(payload)) == json.loads(json.dumps(ear))
    raw = decoded(signature)
    assert len(raw) == 2 * size
    der = encode_dss_signature(int.from_bytes(raw[:size], "big"), int.from_bytes(raw[size:], "big"))
    key.public_key().verify(der, f"{header}.{payload}".encode(), ec.ECDSA(digest))


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"", "no private key"),
        (b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", "no private key"),
        (pem(ec.generate_private_key(ec.SECP256R1()), b"secret"), "encrypted"),
        (pem(ec.generate_private_key(ec.SECP521R1())), "secp521r1, expected one on P-256 or P-384"),
        (pem(rsa.generate_private_key(65537, 2048)), "expected one on P-256 or P-384"),
        (pem(ed25519.Ed25519PrivateKey.generate()), "expected one on P-256 or P-384"),
        (
            ec.generate_private_key(ec.SECP256R1())
            .public_key()
            .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo),
            "no private key",
        ),
    ],
    ids=["empty", "garbage", "encrypted", "P-521", "RSA", "Ed25519", "public"],
)
def test_other_keys_are_refused(data: bytes, problem: str) -> None:
    with pytest.raises(ConfigurationError, match=problem) as caught:
        SigningKey.from_pem(data, where="key.pem")
    assert caught.value.message.startswith("key.pem: ")
