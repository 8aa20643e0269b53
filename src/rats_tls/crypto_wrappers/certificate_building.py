"""Self-signed certificates for wrappers whose library builds none: made with `asn1crypto` (an extra), signed by a call.

They are byte for byte those that the `openssl` wrapper makes of the same request and key, up to the signature.
"""

from __future__ import annotations

import hashlib
import importlib
from collections.abc import Callable
from datetime import UTC, datetime
from importlib.util import find_spec
from typing import Any

from rats_tls.core.algorithms import KeyAlgorithm, SignatureAlgorithm
from rats_tls.core.errors import UnsupportedError
from rats_tls.core.extras import pip_install
from rats_tls.core.interfaces import CertificateRequest

USUAL_SIGNATURES = {
    KeyAlgorithm.EC_P256: SignatureAlgorithm.ECDSA_SHA256,
    KeyAlgorithm.EC_P384: SignatureAlgorithm.ECDSA_SHA384,
    KeyAlgorithm.RSA_3072: SignatureAlgorithm.RSA_PKCS1_SHA256,
    KeyAlgorithm.ED25519: SignatureAlgorithm.ED25519,
    KeyAlgorithm.SM2: SignatureAlgorithm.SM2_SM3,
}
"""Keys that certificates are made for, and what signs them: with the key's usual hash."""

_OIDS = {
    SignatureAlgorithm.ECDSA_SHA256: "1.2.840.10045.4.3.2",  # RFC 5758 3.2
    SignatureAlgorithm.ECDSA_SHA384: "1.2.840.10045.4.3.3",
    SignatureAlgorithm.RSA_PKCS1_SHA256: "1.2.840.113549.1.1.11",  # RFC 4055 5
    SignatureAlgorithm.ED25519: "1.3.101.112",  # RFC 8410 3
    SignatureAlgorithm.SM2_SM3: "1.2.156.10197.1.501",  # GM/T 0006
}
_BASIC_CONSTRAINTS, _SUBJECT_KEY_IDENTIFIER, _AUTHORITY_KEY_IDENTIFIER = "2.5.29.19", "2.5.29.14", "2.5.29.35"
_FIRST_GENERALIZED_YEAR = 2050  # RFC 5280 4.1.2.5: until 2049 UTCTime, then GeneralizedTime


def why_none_are_built(wrapper: str) -> str:
    """Give what a crypto wrapper has to be installed with before certificates are made here; "" where they are."""
    return "" if find_spec("asn1crypto") is not None else pip_install("crypto_wrappers", wrapper)


def build_certificate(
    request: CertificateRequest,
    spki: bytes,
    algorithm: KeyAlgorithm,
    sign: Callable[[SignatureAlgorithm, bytes], bytes],
    *,
    wrapper: str,
) -> bytes:
    """Make a self-signed certificate.

    Args:
        request: what it says.
        spki: DER SubjectPublicKeyInfo of the key.
        algorithm: of the key.
        sign: signs bytes with the key; gives the signature in X.509 form.
        wrapper: name of the crypto wrapper that it is made for.

    Returns:
        Its DER.

    Raises:
        UnsupportedError: `asn1crypto` is not installed, or no certificates are made for such keys.
    """
    if algorithm not in USUAL_SIGNATURES:
        raise UnsupportedError(f"no certificates are made for {algorithm.value} keys")
    signature_algorithm = USUAL_SIGNATURES[algorithm]
    try:
        core, x509 = importlib.import_module("asn1crypto.core"), importlib.import_module("asn1crypto.x509")
    except ImportError as error:
        raise UnsupportedError(
            f"crypto wrapper {wrapper} makes no certificates for {algorithm.value} keys without asn1crypto: "
            f"{pip_install('crypto_wrappers', wrapper)}"
        ) from error
    identifier: dict[str, Any] = {"algorithm": _OIDS[signature_algorithm]}
    if signature_algorithm is SignatureAlgorithm.RSA_PKCS1_SHA256:
        identifier["parameters"] = core.Null()  # RFC 4055 5: NULL, not absent
    tbs = _tbs(core, x509, request, spki, identifier)
    built = x509.Certificate(
        {
            "tbs_certificate": tbs,
            "signature_algorithm": identifier,
            "signature_value": sign(signature_algorithm, tbs.dump()),
        }
    )
    return bytes(built.dump())


def _tbs(core: Any, x509: Any, request: CertificateRequest, spki: bytes, identifier: dict[str, Any]) -> Any:  # noqa: ANN401  # asn1crypto has no types
    key = x509.PublicKeyInfo.load(spki)
    # RFC 5280 4.2.1.2, method 1: the SHA-1 of the BIT STRING's content names the key; no security rests on it.
    key_identifier = hashlib.sha1(key["public_key"].contents[1:], usedforsecurity=False).digest()
    name = x509.Name(
        "",
        [
            _name_part(x509, "organization_name", request.organization),
            _name_part(x509, "common_name", request.common_name),
        ],
    )
    extensions = [
        (_BASIC_CONSTRAINTS, x509.BasicConstraints({"ca": False}).dump()),
        (_SUBJECT_KEY_IDENTIFIER, b"\x04\x14" + key_identifier),
        (_AUTHORITY_KEY_IDENTIFIER, x509.AuthorityKeyIdentifier({"key_identifier": key_identifier}).dump()),
        *request.extensions,
    ]
    return x509.TbsCertificate(
        {
            "version": "v3",
            "serial_number": request.serial,
            "signature": identifier,
            "issuer": name,
            "validity": {"not_before": _time(x509, request.not_before), "not_after": _time(x509, request.not_after)},
            "subject": name,
            "subject_public_key_info": key,
            "extensions": [
                {"extn_id": oid, "critical": False, "extn_value": core.ParsableOctetString(value)}
                for oid, value in extensions
            ],
        }
    )


def _name_part(x509: Any, kind: str, value: str) -> Any:  # noqa: ANN401  # asn1crypto has no types
    return x509.RelativeDistinguishedName([{"type": kind, "value": x509.DirectoryString("utf8_string", value)}])


def _time(x509: Any, moment: datetime) -> Any:  # noqa: ANN401  # asn1crypto has no types
    whole = moment.astimezone(UTC).replace(microsecond=0)
    return x509.Time({"general_time" if whole.year >= _FIRST_GENERALIZED_YEAR else "utc_time": whole})
