"""Certificates that `cryptography` refuses and that are sound all the same, read with `asn1crypto` (an extra).

Peers in the field put parameters into the AlgorithmIdentifier of ECDSA (RFC 5758 3.2 has none). Their signatures are
verified over the bytes received like any other's; nothing is accepted here that is not DER.
"""

from __future__ import annotations

import importlib
from typing import Any

from rats_tls.core.algorithms import SignatureAlgorithm
from rats_tls.core.errors import DecodeError
from rats_tls.formats.x509 import Certificate, Extension, Name

_BASIC_CONSTRAINTS = "2.5.29.19"
_SIGNATURES = {
    "1.2.840.10045.4.3.2": SignatureAlgorithm.ECDSA_SHA256,
    "1.2.840.10045.4.3.3": SignatureAlgorithm.ECDSA_SHA384,
    "1.2.840.10045.4.3.4": SignatureAlgorithm.ECDSA_SHA512,
    "1.2.840.113549.1.1.11": SignatureAlgorithm.RSA_PKCS1_SHA256,
    "1.2.840.113549.1.1.12": SignatureAlgorithm.RSA_PKCS1_SHA384,
    "1.2.840.113549.1.1.13": SignatureAlgorithm.RSA_PKCS1_SHA512,
    "1.3.101.112": SignatureAlgorithm.ED25519,
    "1.2.156.10197.1.501": SignatureAlgorithm.SM2_SM3,
}


def read_tolerantly(der: bytes, refusal: DecodeError) -> Certificate:
    """Read a certificate that `cryptography` refused.

    Args:
        der: the certificate.
        refusal: why `cryptography` refused it.

    Raises:
        DecodeError: it is not sound, or `asn1crypto` is not installed.
    """
    structure, why = refusal.structure, refusal.problem
    try:
        module = importlib.import_module("asn1crypto.x509")
    except ImportError as error:
        hint = "pip install 'rats-tls[asn1crypto]' reads more of them"
        raise DecodeError(structure, "", None, f"{why}; {hint}") from error
    try:
        return _read(module, der, structure)
    except DecodeError as error:
        raise DecodeError(structure, error.field, error.offset, f"{why}; {error.problem}") from error
    except Exception as error:  # a parser of peer bytes: whatever it raises is malformed input
        raise DecodeError(structure, "", None, why) from error


def _read(module: Any, der: bytes, structure: str) -> Certificate:  # noqa: ANN401  # asn1crypto has no types
    certificate = module.Certificate.load(der, strict=True)
    tbs = certificate["tbs_certificate"]
    inner, outer = tbs["signature"].dump(), certificate["signature_algorithm"].dump()
    if inner != outer:
        raise DecodeError(structure, "signatureAlgorithm", None, f"got {outer.hex()}, expected {inner.hex()} as inside")
    extensions: dict[str, Extension] = {}
    for item in tbs["extensions"]:
        oid = item["extn_id"].dotted
        if oid in extensions:
            raise DecodeError(structure, "extensions", None, f"extension {oid} twice")
        extensions[oid] = Extension(bool(item["critical"].native), item["extn_value"].contents)
    constraints = next(
        (item["extn_value"].parsed for item in tbs["extensions"] if item["extn_id"].dotted == _BASIC_CONSTRAINTS), None
    )
    # Written again from what was read, it must be the bytes that came: asn1crypto also reads BER.
    if module.Certificate.load(der, strict=True).dump(force=True) != der:
        raise DecodeError(structure, "", None, "not in DER")
    return Certificate(
        der=der,
        tbs=tbs.dump(),
        version={"v1": 1, "v2": 2, "v3": 3}[tbs["version"].native],
        serial=tbs["serial_number"].native,
        subject=_name(tbs["subject"]),
        issuer=_name(tbs["issuer"]),
        not_before=tbs["validity"]["not_before"].native,
        not_after=tbs["validity"]["not_after"].native,
        spki=tbs["subject_public_key_info"].dump(),
        signature=certificate["signature_value"].native,
        signature_algorithm=_SIGNATURES.get(certificate["signature_algorithm"]["algorithm"].dotted),
        extensions=extensions,
        is_ca=bool(constraints["ca"].native) if constraints is not None else False,
        path_length=constraints["path_len_constraint"].native if constraints is not None else None,
    )


def _name(name: Any) -> Name:  # noqa: ANN401  # asn1crypto has no types
    def first(attribute: str) -> str:
        value = name.native.get(attribute, "")
        return str(value[0] if isinstance(value, list) else value)

    return Name.cut(name.dump(), first("common_name"), first("organization_name"), name.human_friendly)
