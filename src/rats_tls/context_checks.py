"""Looks at the kinds of a Context's settings when they are given, not at the first connection."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rats_tls import registry
from rats_tls.certificates.attested import RESERVED_CLAIMS
from rats_tls.core.algorithms import KeyAlgorithm
from rats_tls.core.endorsements import Endorsements
from rats_tls.core.errors import ConfigurationError
from rats_tls.core.interfaces import Attester, CryptoWrapper
from rats_tls.core.tls import TlsWrapper
from rats_tls.endorsements.service import EndorsementService
from rats_tls.policy import Policy


def tls_wrapper_of(tls: object) -> TlsWrapper:
    """Give the TLS wrapper that a setting is or names. Raises ConfigurationError, NoInstanceError."""
    if isinstance(tls, str):
        return registry.tls_wrapper(tls)
    if not isinstance(tls, TlsWrapper):
        raise _wrong("tls", tls, _an_instance("a TlsWrapper", "tls_wrappers"))
    return tls


def crypto_wrapper_of(crypto: object) -> CryptoWrapper:
    """Give the crypto wrapper that a setting is or names. Raises ConfigurationError, NoInstanceError."""
    if isinstance(crypto, str):
        return registry.crypto_wrapper(crypto)
    if not isinstance(crypto, CryptoWrapper):
        raise _wrong("crypto", crypto, _an_instance("a CryptoWrapper", "crypto_wrappers"))
    return crypto


def key_algorithm_of(key_algorithm: object) -> KeyAlgorithm:
    """Give the algorithm that a setting is or names. Raises ConfigurationError."""
    known = [each for each in KeyAlgorithm if each is not KeyAlgorithm.RSA]  # which is not made here
    found = next((each for each in known if key_algorithm in (each, each.value)), None)
    if found is None:
        listed = ", ".join(each.value for each in known)
        raise ConfigurationError(f"key_algorithm: got {str(key_algorithm)[:40]!r}, expected one of {listed}")
    return found


def _an_instance(what: str, kind: str) -> str:
    return f"{what}, or the name of one: {', '.join(registry.instance_names(kind))}"


def require_kinds(
    *,
    policy: object,
    attester: object,
    mutual: object,
    confirm: object,
    endorsements: object,
    application_protocols: object,
    custom_claims: object,
) -> None:
    """Require that each setting is of its kind.

    Raises:
        ConfigurationError: one is not; the message names it.
    """
    if policy is not None and not isinstance(policy, Policy):
        raise _wrong("policy", policy, "a Policy; Policy.from_file reads one")
    if attester is not None and not isinstance(attester, Attester):
        raise _wrong("attester", attester, "an Attester, or the name of one")
    if mutual is not None and not isinstance(mutual, bool):
        raise _wrong("mutual", mutual, "True, False or None")
    if confirm is not None and not callable(confirm):
        raise _wrong("confirm", confirm, "a function")
    if endorsements is not None and not isinstance(endorsements, Endorsements | EndorsementService):
        raise _wrong(
            "endorsements", endorsements, "Endorsements (load_endorsements reads files) or an EndorsementService"
        )
    if (
        isinstance(application_protocols, str)
        or not isinstance(application_protocols, Sequence)
        or not all(isinstance(protocol, str) for protocol in application_protocols)
    ):
        raise _wrong("application_protocols", application_protocols, "a list of texts")
    _require_claims(custom_claims)


def _require_claims(claims: object) -> None:
    if claims is None:
        return
    if not isinstance(claims, Mapping):
        raise _wrong("custom_claims", claims, "a mapping from names to bytes")
    for name, value in claims.items():
        if not isinstance(name, str) or not isinstance(value, bytes):
            got = f"{type(name).__name__} and {type(value).__name__}"
            raise ConfigurationError(f"custom_claims {name!r}: got {got}, expected a name and bytes")
        if name in RESERVED_CLAIMS:
            raise ConfigurationError(f"custom_claims {name!r}: this name is reserved")


def _wrong(name: str, value: object, expected: str) -> ConfigurationError:
    return ConfigurationError(f"{name}: got {type(value).__name__}, expected {expected}")
