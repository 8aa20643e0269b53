"""Evidence outside a channel: collected for data of the caller's, so that a TEE never signs what others choose.

A TEE that puts whatever it is told into report_data is a signing oracle: who gets it to sign a digest of their own has
Evidence for a key of their own. What is bound here is therefore set apart by a prefix from all that is bound elsewhere.
"""

from __future__ import annotations

import logging

from rats_tls.core.binding import collect_report_data
from rats_tls.core.errors import CollectionError, ConfigurationError, NoInstanceError, RatsTlsError
from rats_tls.core.evidence import BINDS_NOTHING
from rats_tls.core.interfaces import Attester, Collected
from rats_tls.core.interrupts import interrupts

_log = logging.getLogger(__name__)


def collect(attester: Attester, data: bytes = b"") -> Collected:
    """Collect Evidence for `data`: its report_data is `collect_report_data(data)`.

    Args:
        attester: collects.
        data: a nonce of whoever judges, a digest, any bytes; none for Evidence that carries no report_data.

    Raises:
        CollectionError: the Attester failed.
        ConfigurationError: an argument of another kind; there is `data`, and the TEE's Evidence carries no report_data:
            it would not be for it.
        NoInstanceError: it is `null`, which has no Evidence.
    """
    _require_kinds(attester, data=data)
    if data:
        _require_bound(attester)
    return _collect(attester, collect_report_data(data))


def insecure_collect(attester: Attester, report_data: bytes) -> Collected:
    """Collect Evidence that carries `report_data` (64 bytes) as it is; each use is logged as a warning.

    Insecure: where others choose these bytes, they choose what this TEE says of itself. A certificate of theirs may be
    bound by it.

    Raises:
        CollectionError: as `collect`; also where `report_data` has another length.
        ConfigurationError: an argument of another kind; the TEE's Evidence carries no report_data.
        NoInstanceError: as `collect`.
    """
    _require_kinds(attester, report_data=report_data)
    _require_bound(attester)
    _log.warning(
        "INSECURE: attester %s is given raw report_data: whoever chose these 64 bytes chooses what this TEE says of "
        "itself, such as which TLS key is its own",
        attester.name,
    )
    return _collect(attester, report_data)


def _require_kinds(attester: Attester, **data: bytes) -> None:
    if not isinstance(attester, Attester):
        raise ConfigurationError(
            f"attester: got {type(attester).__name__}, expected an Attester: rats_tls.registry.attester(NAME) makes one"
        )
    for name, given in data.items():
        if not isinstance(given, bytes):
            raise ConfigurationError(f"{name}: got {type(given).__name__}, expected bytes")


def _require_bound(attester: Attester) -> None:
    if attester.tee_type in BINDS_NOTHING:
        raise ConfigurationError(
            f"attester {attester.name}: its Evidence carries no report_data and is for nobody's data: give none"
        )


def _collect(attester: Attester, report_data: bytes) -> Collected:
    try:
        collected = attester.collect(report_data)
    except CollectionError:
        raise
    except RatsTlsError as error:
        raise CollectionError(f"attester {attester.name}: {error.message}") from error
    except Exception as error:
        if interrupts(error):
            raise
        raise CollectionError(f"attester {attester.name} failed: {type(error).__name__}: {error}") from error
    if collected is None:
        raise NoInstanceError(f"attester {attester.name}: collects no Evidence")
    return collected
