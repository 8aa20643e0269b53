"""Names what a file of a vendor's is that is neither Evidence nor an Endorsement, for errors that say so."""

from __future__ import annotations

from rats_tls.formats.amd.sev_certificate import is_sev_certificate
from rats_tls.formats.amd.sev_keys import USAGES as AMD_USAGES
from rats_tls.formats.event_log.reading import is_event_log
from rats_tls.formats.hygon.certificates import KEY_USAGES, KeyCertificate, RootCertificate, is_key_form, is_root_form


def vendor_file(data: bytes) -> str | None:
    """Name what `data` is by its form: a certificate of AMD's or Hygon's own, or an event log; None of anything else.

    Raises:
        DecodeError: a certificate of Hygon's form that is malformed.
    """
    if is_root_form(data):
        return f"the certificate of a Hygon {KEY_USAGES.get(RootCertificate.from_bytes(data).usage, 'key')}"
    if is_key_form(data):
        return f"the certificate of a Hygon {KEY_USAGES.get(KeyCertificate.from_bytes(data).usage, 'key')}"
    if is_sev_certificate(data):
        return f"the certificate of an AMD {AMD_USAGES.get(int.from_bytes(data[8:12], 'little'), 'key')}"
    return "an event log" if is_event_log(data) else None
