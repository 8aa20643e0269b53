"""Tries each TLS wrapper on first use in a process, and lets it declare only what it has shown.

A wrapper's declarations are of the library that it was written for; the one that is installed may be another build
or release. A trial is a handful of handshakes in memory, both ends by the wrapper, or the client's by the default one
where the wrapper does no clients (docs/tls-and-crypto.md).
"""

from __future__ import annotations

import os
import threading

from rats_tls.core.errors import ConfigurationError, NoInstanceError
from rats_tls.core.tls import TlsCapabilities, TlsConfig, TlsContext, TlsWrapper
from rats_tls.tls_trial import Trial

_Key = tuple[type, str, str, TlsCapabilities]


class TriedTlsWrapper:
    """A TLS wrapper that has been tried here.

    Args:
        tls: the wrapper.
        capabilities: what it has shown.
    """

    def __init__(self, tls: TlsWrapper, capabilities: TlsCapabilities) -> None:
        self._tls = tls
        self._capabilities = capabilities

    @property
    def name(self) -> str:
        """Instance name."""
        return self._tls.name

    @property
    def version(self) -> str:
        """Version of the library underneath."""
        return self._tls.version

    @property
    def capabilities(self) -> TlsCapabilities:
        """What it declares and has shown."""
        return self._capabilities

    def context(self, config: TlsConfig) -> TlsContext:
        """Load `config`. Raises ConfigurationError; also for a certificate larger than has passed here."""
        able = self._capabilities
        if config.certificate is not None and len(config.certificate) > able.largest_certificate:
            advice = f"; {able.larger_certificates}" if able.larger_certificates else ""
            raise ConfigurationError(
                f"TLS certificate: got {len(config.certificate)} bytes, expected at most {able.largest_certificate}, "
                f"which is what TLS wrapper {self.name} takes here{advice}"
            )
        return self._tls.context(config)


_shown: dict[_Key, TlsCapabilities | NoInstanceError] = {}
_lock = threading.Lock()


def tried(tls: TlsWrapper) -> TlsWrapper:
    """Give `tls` with the capabilities that it has shown in this process; it is tried on first use.

    Raises:
        NoInstanceError: it fails where no TLS wrapper may: in a handshake with certificates of ordinary size, by
            giving another certificate than the peer's or taking one whose key the peer does not hold, by taking what
            was changed on the wire or a client without certificate, or by resuming a session.
    """
    if isinstance(tls, TriedTlsWrapper) or not tls.capabilities.encrypts:
        return tls
    key = (type(tls), tls.name, tls.version, tls.capabilities)
    with _lock:
        found = _shown.get(key)
        if found is None:
            try:
                found = Trial(tls).capabilities()
            except NoInstanceError as error:
                found = error
            _shown[key] = found
    if isinstance(found, NoInstanceError):
        raise NoInstanceError(found.message)
    return TriedTlsWrapper(tls, found)


def _renew_lock() -> None:
    """In a forked child, where the thread that held the lock is not."""
    global _lock  # noqa: PLW0603  # one lock for the module
    _lock = threading.Lock()


os.register_at_fork(after_in_child=_renew_lock)
