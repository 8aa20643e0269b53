"""The TLS certificate of simulated services: clients take HTTPS alone."""

from __future__ import annotations

import ipaddress
import os
import ssl
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, ExtensionOID, NameOID

from rats_tls.simulation import pki
from rats_tls.verifiers.chain import SIMULATED_ORGANIZATION

HOST = "127.0.0.1"
_LIFETIME = timedelta(days=365)
_HOUR = timedelta(hours=1)


class ServiceCertificate:
    """A certificate for 127.0.0.1 and localhost, and the authority that issued it. Keys stay in this process.

    Attributes:
        authority_pem: the authority's certificate, for clients to trust. It can issue for loopback alone.
        context: for servers; TLS 1.2 or later.
    """

    def __init__(self) -> None:
        key, authority_key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
        authority = pki.Authority(_name("Simulated services CA"), authority_key)
        # By the clock of TLS libraries, whatever the world's says.
        now = datetime.now(UTC).replace(microsecond=0)
        validity = pki.Validity(start=now - _HOUR, end=now + _LIFETIME)
        loopback = x509.NameConstraints(
            permitted_subtrees=[x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_network(f"{HOST}/32"))],
            excluded_subtrees=None,
        )
        authority_certificate = authority.issue(
            authority.name,
            authority_key.public_key(),
            pki.CertificateProfile(
                validity=validity,
                ca=True,
                path_length=0,
                usage=frozenset({"key_cert_sign"}),
                extensions=((ExtensionOID.NAME_CONSTRAINTS.dotted_string, loopback.public_bytes()),),
            ),
        )
        names = x509.SubjectAlternativeName([x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address(HOST))])
        usage = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH])
        certificate = authority.issue(
            _name("Simulated services"),
            key.public_key(),
            pki.CertificateProfile(
                validity=validity,
                ca=False,
                usage=frozenset({"digital_signature"}),
                extensions=(
                    (ExtensionOID.SUBJECT_ALTERNATIVE_NAME.dotted_string, names.public_bytes()),
                    (ExtensionOID.EXTENDED_KEY_USAGE.dotted_string, usage.public_bytes()),
                ),
            ),
        )
        self.authority_pem = pki.to_pem((authority_certificate,))
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        _load(self.context, pki.to_pem((certificate,)) + pki.key_to_pem(key))


def _load(context: ssl.SSLContext, pem: bytes) -> None:
    # The standard library takes files alone.
    descriptor, name = tempfile.mkstemp(prefix="rats-tls-")  # mode 0600
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(pem)
        context.load_cert_chain(name)
    finally:
        Path(name).unlink()


def _name(common_name: str) -> x509.Name:
    return x509.Name(
        [
            x509.NameAttribute(NameOID.COMMON_NAME, common_name),
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, SIMULATED_ORGANIZATION),
        ]
    )
