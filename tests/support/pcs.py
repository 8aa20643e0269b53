"""Answers as Intel PCS and AMD KDS give them, from real documents and from made ones."""

from __future__ import annotations

import functools
import json
from collections.abc import Iterable
from urllib.parse import quote

from rats_tls.core.endorsements import Endorsement, EndorsementKind, MissingEndorsement
from rats_tls.simulation.pki import to_pem
from support.paths import VECTORS
from support.simulated import world
from support.vendor_server import Reply

K = EndorsementKind
GO_TDX = VECTORS / "tdx_ecdsa" / "go-tdx-guest-v4-spr-e4"


def missing(kind: EndorsementKind, **key: str) -> MissingEndorsement:
    """Make a missing item."""
    return MissingEndorsement(kind=kind, key=tuple(key.items()))


def encoded(chain: Iterable[bytes] | str) -> str:
    """Write a chain as Intel's headers have it."""
    return quote(chain if isinstance(chain, str) else to_pem(chain).decode(), safe="+/=")


def response(member: str, data: bytes, signature: bytes) -> bytes:
    """Write a response around the exact bytes of a document."""
    return b'{"%s":%s,"signature":"%s"}' % (member.encode(), data, signature.hex().encode())


@functools.cache
def real_bundle() -> dict[str, str]:
    """Give the real collateral of a TDX platform of FMSPC 50806f000000."""
    bundle: dict[str, str] = json.loads((GO_TDX / "collateral.json").read_bytes())
    return bundle


@functools.cache
def simulated(name: str) -> tuple[Endorsement, ...]:
    """Give the Endorsements of a simulated platform."""
    settings = {"certification_data_type": 1} if "sgx" in name else {}
    return tuple(world().attester(name, **settings).endorsements)


def one(name: str, kind: EndorsementKind) -> Endorsement:
    """Give its item of that kind."""
    return next(item for item in simulated(name) if item.kind is kind)


def json_reply(item: Endorsement, member: str, header: str) -> Reply:
    """Answer with a JSON document of Intel's."""
    body = response(member, item.data, item.signature)
    return Reply(headers=((header, encoded(item.issuer_chain)),), body=body)
