"""Loads a certificate and its key into an `ssl.SSLContext`, which reads them from files alone.

The key is never in clear on a disk. On Linux the file is a memfd: memory of this process that no directory names, only
/proc/self/fd for the moment. Elsewhere it is a file in a temporary directory of mode 0700, with the key encrypted under
a random password; it is removed at once.
"""

from __future__ import annotations

import secrets
import ssl
import tempfile
from pathlib import Path

from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
)

from rats_tls.tls_wrappers.memory_files import memory_file
from rats_tls.tls_wrappers.own_certificate import OwnCertificate


def load(context: ssl.SSLContext, own: OwnCertificate) -> None:
    """Load `own` into `context`.

    Raises:
        OSError: `ssl` refuses it (ssl.SSLError), or there is no place for the file.
    """
    with memory_file(_pem(own, NoEncryption())) as path:
        if path is not None:
            context.load_cert_chain(path)
            return
    _load_encrypted(context, own)


def _load_encrypted(context: ssl.SSLContext, own: OwnCertificate) -> None:
    password = secrets.token_hex(32)
    with tempfile.TemporaryDirectory(prefix="rats-tls-") as directory:  # mode 0700
        path = Path(directory, "pair.pem")
        path.write_bytes(_pem(own, BestAvailableEncryption(password.encode("ascii"))))
        context.load_cert_chain(path, password=password)


def _pem(own: OwnCertificate, encryption: KeySerializationEncryption) -> bytes:
    key = own.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption)
    return key + ssl.DER_cert_to_PEM_cert(own.der).encode("ascii")
