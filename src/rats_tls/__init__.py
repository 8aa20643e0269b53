"""Attested TLS: a TLS connection whose peer has proved what code it is, on what platform, in what state.

context = Context(policy=Policy.from_file("policy.toml"))
with context.connect(("10.0.0.7", 1234)) as connection:
    connection.sendall(b"for the attested peer only")
"""

from __future__ import annotations

import importlib

from rats_tls._version import __version__

TYPE_CHECKING = False
"""As of `typing`, whose import would take longer than all else here."""

if TYPE_CHECKING:
    from rats_tls.aio import open_connection, start_server
    from rats_tls.appraisal import Appraiser
    from rats_tls.appraisers import make_appraiser
    from rats_tls.connection import Connection
    from rats_tls.context import Context
    from rats_tls.core.algorithms import KeyAlgorithm
    from rats_tls.core.anchors import TrustAnchor
    from rats_tls.core.endorsements import Endorsements
    from rats_tls.core.errors import (
        AppraisalError,
        AuthenticityError,
        BindingError,
        CertificateChainError,
        ClockError,
        CollectionError,
        ConfigurationError,
        ConnectionFailedError,
        DecodeError,
        EndorsementMissingError,
        EventLogError,
        ExpiredError,
        FreshnessError,
        HandshakeTimeoutError,
        InternalError,
        NoEvidenceError,
        NoInstanceError,
        NotConfirmedError,
        PeerRefusedError,
        ProtocolError,
        RatsTlsError,
        RevokedError,
        RolledBackError,
        SignatureError,
        TcbLevelError,
        TlsError,
        UnsupportedError,
    )
    from rats_tls.core.evidence import Evidence, TeeType
    from rats_tls.core.results import AttestationResult
    from rats_tls.files import load_endorsements, load_evidence, load_trust_anchors
    from rats_tls.listener import Listener
    from rats_tls.policy import Policy

__all__ = [
    "AppraisalError",
    "Appraiser",
    "AttestationResult",
    "AuthenticityError",
    "BindingError",
    "CertificateChainError",
    "ClockError",
    "CollectionError",
    "ConfigurationError",
    "Connection",
    "ConnectionFailedError",
    "Context",
    "DecodeError",
    "EndorsementMissingError",
    "Endorsements",
    "EventLogError",
    "Evidence",
    "ExpiredError",
    "FreshnessError",
    "HandshakeTimeoutError",
    "InternalError",
    "KeyAlgorithm",
    "Listener",
    "NoEvidenceError",
    "NoInstanceError",
    "NotConfirmedError",
    "PeerRefusedError",
    "Policy",
    "ProtocolError",
    "RatsTlsError",
    "RevokedError",
    "RolledBackError",
    "SignatureError",
    "TcbLevelError",
    "TeeType",
    "TlsError",
    "TrustAnchor",
    "UnsupportedError",
    "__version__",
    "load_endorsements",
    "load_evidence",
    "load_trust_anchors",
    "make_appraiser",
    "open_connection",
    "start_server",
]

_ERRORS = "rats_tls.core.errors"
_HOMES = {
    "Appraiser": "rats_tls.appraisal",
    "AttestationResult": "rats_tls.core.results",
    "Connection": "rats_tls.connection",
    "Context": "rats_tls.context",
    "Endorsements": "rats_tls.core.endorsements",
    "Evidence": "rats_tls.core.evidence",
    "KeyAlgorithm": "rats_tls.core.algorithms",
    "Listener": "rats_tls.listener",
    "Policy": "rats_tls.policy",
    "TeeType": "rats_tls.core.evidence",
    "TrustAnchor": "rats_tls.core.anchors",
    "load_endorsements": "rats_tls.files",
    "load_evidence": "rats_tls.files",
    "load_trust_anchors": "rats_tls.files",
    "make_appraiser": "rats_tls.appraisers",
    "open_connection": "rats_tls.aio",
    "start_server": "rats_tls.aio",
}
"""Where the public names live; the errors have a home of their own. Loaded on first use, to keep imports fast."""


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES.get(name, _ERRORS)), name)


def __dir__() -> list[str]:
    return sorted(__all__)
