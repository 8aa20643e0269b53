"""SM2 keys and certificates, and settings of TLS with them."""

from __future__ import annotations

import functools
from datetime import timedelta

from rats_tls.core.algorithms import KeyAlgorithm
from rats_tls.core.interfaces import CertificateRequest, PrivateKey
from rats_tls.core.tls import TlsConfig
from rats_tls.crypto_wrappers.gm import GmCryptoWrapper
from support.channels import NOW, PADDING_OID

GM = GmCryptoWrapper()


def sm2_key(number: int = 0) -> PrivateKey:
    return _key(number)


@functools.cache
def _key(number: int) -> PrivateKey:
    return GM.generate_key(KeyAlgorithm.SM2)


def sm2_certificate(size: int = 5000, serial: int = 1, number: int = 0) -> bytes:
    """A self-signed certificate of `size` bytes of DER, or up to two less: signatures vary in length."""
    return _certificate(size, serial, number)


@functools.cache
def _certificate(size: int, serial: int, number: int) -> bytes:

    def make(padding: int) -> bytes:
        return GM.self_signed_certificate(
            _key(number),
            CertificateRequest(
                organization="Test",
                common_name="peer",
                serial=serial,
                not_before=NOW - timedelta(days=1),
                not_after=NOW + timedelta(days=1),
                extensions=((PADDING_OID, b"\x5a" * padding),),
            ),
        )

    padding = size - len(make(size)) + size
    while len(der := make(padding)) > size:
        padding -= 1
    return der


def sm2_config(role: str, *, size: int = 5000, serial: int = 1, other_key: bool = False) -> TlsConfig:
    return TlsConfig(
        role=role,
        certificate=sm2_certificate(size, serial, int(other_key)),
        private_key=sm2_key(int(other_key)).pkcs8(),
        request_peer_certificate=role == "server",
    )
