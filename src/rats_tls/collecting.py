"""Evidence outside a channel: collected for data of the caller's, so that a TEE never signs what others choose.

A TEE that puts whatever it is told into report_data is a signing oracle: who gets it to sign a digest of their own has
Evidence for a key of their own. What is bound here is therefore set apart by a prefix from all that is bound elsewhere.
"""

from __future__ import annotations

from rats_tls.core.binding import collect_report_data
from rats_tls.core.errors import CollectionError, NoInstanceError, RatsTlsError
from rats_tls.core.interfaces import Attester, Collected


def collect(attester: Attester, data: bytes = b"") -> Collected:
    """Collect Evidence for `data`: its report_data is `collect_report_data(data)`.

    Args:
        attester: collects.
        data: a nonce of whoever judges, a digest, any bytes.

    Raises:
        CollectionError: the Attester failed.
        NoInstanceError: it is `null`, which has no Evidence.
    """
    return insecure_collect(attester, collect_report_data(data))


def insecure_collect(attester: Attester, report_data: bytes) -> Collected:
    """Collect Evidence that carries `report_data` (64 bytes) as it is.

    Insecure: where others choose these bytes, they choose what this TEE says of itself. A certificate of theirs may be
    bound by it.

    Raises:
        CollectionError: as `collect`; also where `report_data` has another length.
        NoInstanceError: as `collect`.
    """
    try:
        collected = attester.collect(report_data)
    except CollectionError:
        raise
    except RatsTlsError as error:
        raise CollectionError(f"attester {attester.name}: {error.message}") from error
    except Exception as error:
        raise CollectionError(f"attester {attester.name} failed: {type(error).__name__}: {error}") from error
    if collected is None:
        raise NoInstanceError(f"attester {attester.name}: collects no Evidence")
    return collected
