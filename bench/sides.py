"""Both ends of the connections that are measured: attested, and by the standard library with the same certificates."""

from __future__ import annotations

import ssl
import tempfile
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives import serialization

from rats_tls.context import Context
from rats_tls.core.limits import Limits
from rats_tls.core.tls import TlsWrapper
from rats_tls.policy import Policy
from rats_tls.simulation.policies import policy_for
from rats_tls.simulation.world import SimulatedWorld

SGX, TDX, SNP = "simulated_sgx_ecdsa", "simulated_tdx_ecdsa", "simulated_sev_snp"


@dataclass(frozen=True)
class Pair:
    """A server and a client that attest to each other."""

    name: str
    server: Context
    client: Context


def attested(
    world: SimulatedWorld,
    server: str,
    client: str,
    *,
    remember: bool,
    tls: TlsWrapper | str = "openssl",
    client_tls: TlsWrapper | None = None,
    crypto: str = "openssl",
    mutual: bool = True,
) -> Pair:
    """Make a pair; without `remember` every connection verifies Evidence, binding and policy anew.

    Chains, lists and documents are remembered in both cases, as in any long-lived process. A pair that is not mutual
    has a server that alone attests.
    """
    limits = Limits() if remember else Limits(cached_appraisals=0)

    def context(own: str, peer: str, by: TlsWrapper | str, *, attests: bool, judges: bool) -> Context:
        policy: Policy | None = policy_for(world, peer) if judges else None
        return Context(
            attester=world.attester(own) if attests else None,
            policy=policy,
            mutual=True if attests and judges else None,
            tls=by,
            crypto=crypto,
            trust_anchors=world.trust_anchors,
            endorsements=world.endorsements(peer),
            limits=limits,
        )

    return Pair(
        f"{server} and {client}",
        context(server, client, tls, attests=True, judges=mutual),
        context(client, server, client_tls or tls, attests=mutual, judges=True),
    )


def standard(pair: Pair) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """Give the standard library's server and client contexts with the certificates of `pair`, each pinned."""
    own, peer = pair.server.collect_credentials(), pair.client.collect_credentials()
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname = False
    server.verify_mode = ssl.CERT_REQUIRED
    server.num_tickets = 0
    for context, mine, theirs in ((server, own, peer), (client, peer, own)):
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        context.options |= ssl.OP_NO_TICKET
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "own.pem"
            path.write_text(ssl.DER_cert_to_PEM_cert(mine.certificate or b"") + _key_pem(mine.private_key or b""))
            context.load_cert_chain(path)
        context.load_verify_locations(cadata=theirs.certificate)
    return server, client


def _key_pem(der: bytes) -> str:
    key = serialization.load_der_private_key(der, None)
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()
