"""Names that a client sends in the server_name extension (RFC 6066 3)."""

from __future__ import annotations

import ipaddress

from rats_tls.core.errors import ConfigurationError


def server_name(hostname: str | None) -> bytes | None:
    """Give what is to be sent for `hostname`: its IDNA form; None for none and for addresses, which are not sent.

    Raises:
        ConfigurationError: `hostname` is neither a host name nor an address.
    """
    if not hostname:
        return None
    try:
        ipaddress.ip_address(hostname)
    except ValueError:
        pass
    else:
        return None
    try:
        return hostname.encode("idna")
    except UnicodeError as error:
        raise ConfigurationError(f"server_hostname: got {hostname!r}, expected a host name: {error}") from error
