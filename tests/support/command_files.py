"""Files to call the command line with: a simulated Intel, its policies, Evidence and Endorsements. No AMD: its keys
take a second or more to make."""

from __future__ import annotations

import functools
import logging
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from rats_tls.core.algorithms import KeyAlgorithm
from rats_tls.core.endorsements import EndorsementKind, Endorsements
from rats_tls.core.interfaces import CertificateRequest
from rats_tls.credentials import CredentialSource
from rats_tls.core.limits import DEFAULT_LIMITS
from rats_tls.crypto_wrappers.openssl import OpensslCryptoWrapper
from rats_tls.formats.intel.collateral import endorsements_to_json
from rats_tls.policy import Policy
from rats_tls.simulation.policies import policy_for
from rats_tls.simulation.world import SimulatedWorld

SGX = "simulated_sgx_ecdsa"
TDX = "simulated_tdx_ecdsa"
REPORT_DATA = bytes(range(64))


@dataclass(frozen=True)
class CommandFiles:
    """A folder of files; each method makes its file on first use and gives its path."""

    folder: Path

    @functools.cached_property
    def world(self) -> SimulatedWorld:
        logging.getLogger("rats_tls.simulation").setLevel(logging.ERROR)
        return SimulatedWorld.create(self.folder / "world", products=())

    @property
    def directory(self) -> Path:
        return self.world.trust_anchors_file.parent

    @property
    def anchors(self) -> Path:
        return self.world.trust_anchors_file

    def write(self, name: str, data: bytes | str) -> Path:
        path = self.folder / name
        path.write_bytes(data.encode() if isinstance(data, str) else data)
        return path

    def policy(self, name: str = SGX, *, bindings: tuple[str, ...] = ("certificate",), **written: Any) -> Path:
        """A policy that pins the healthy simulated TEE, with other fields written."""
        (entry,) = policy_for(self.world, name).entries
        text = Policy.of(entry.__class__(**{**entry_fields(entry), "bindings": bindings, **written})).to_toml()
        return self.write(f"policy-{abs(hash(text))}.toml", text)

    def evidence(self, label: str = "good", **state: Any) -> tuple[Path, Path]:
        """Bare Evidence that carries `REPORT_DATA`, and its Endorsements."""
        collected = self.world.attester_from_texts(SGX, state).collect(REPORT_DATA)
        assert collected is not None
        return (
            self.write(f"{label}.bin", collected.evidence.data),
            self.write(f"{label}.json", endorsements_to_json(collected.endorsements)),
        )

    def endorsements(self, *kinds: EndorsementKind) -> Path:
        """A bundle without those kinds."""
        items = Endorsements(tuple(item for item in self.world.endorsements(SGX) if item.kind not in kinds))
        return self.write("without.json", endorsements_to_json(items))

    def certificate(self, claims: dict[str, bytes] | None = None, *, age: timedelta = timedelta(0)) -> Path:
        """A certificate that carries Evidence."""
        credentials = CredentialSource(
            self.world.attester(SGX),
            OpensslCryptoWrapper(),
            key_algorithm=KeyAlgorithm.EC_P256,
            custom_claims=claims or {},
            max_evidence_age=3600.0,
            endorsements_in_certificate=False,
            clock=lambda: datetime.now(UTC) - age,
            limits=DEFAULT_LIMITS,
        ).current()
        return self.write(f"certificate-{len(claims or {})}-{age.seconds}.der", credentials.certificate)

    def plain_certificate(self, *, name: str = "plain", organization: str = "Test", days: int = 1) -> bytes:
        """A certificate without Evidence (DER)."""
        crypto = OpensslCryptoWrapper()
        now = datetime.now(UTC)
        request = CertificateRequest(
            organization=organization,
            common_name=name,
            serial=1,
            not_before=now - timedelta(days=1),
            not_after=now + timedelta(days=days),
        )
        return crypto.self_signed_certificate(crypto.generate_key(KeyAlgorithm.EC_P256), request)


def entry_fields(entry: Any) -> dict[str, Any]:
    """The fields with which an entry was made."""
    return {name: getattr(entry, name) for name in entry.__dataclass_fields__ if name != "tee"}
