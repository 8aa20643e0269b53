"""Files to call the command line with: a simulated Intel, its policies, Evidence and Endorsements.

No AMD: its keys take a second or more to make.
"""

from __future__ import annotations

import base64
import functools
import logging
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from rats_tls.certificates.making import make_certificate, make_claims_buffer
from rats_tls.core.algorithms import KeyAlgorithm
from rats_tls.core.binding import Binding, certificate_report_data
from rats_tls.core.endorsements import EndorsementKind, Endorsements
from rats_tls.core.interfaces import CertificateRequest
from rats_tls.crypto_wrappers.openssl import OpensslCryptoWrapper
from rats_tls.formats.intel.collateral import endorsements_to_json
from rats_tls.policy import Policy
from rats_tls.simulation.pki import to_pem
from rats_tls.simulation.world import SimulatedWorld
from support.appraisals import claims_of
from support.policies import pinning_entry

SGX = "simulated_sgx_ecdsa"
TDX = "simulated_tdx_ecdsa"
REPORT_DATA = bytes(range(64))
_CRYPTO = OpensslCryptoWrapper()


@dataclass(frozen=True)
class CommandFiles:
    """A folder of files; each method writes its file and gives its path."""

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

    def policy(self, file: str = "policy.toml", *, tee: str = SGX, **written: Any) -> Path:
        """A policy that pins the healthy simulated TEE in `certificate` binding, with other fields written."""
        collected = self.world.attester(tee).collect(REPORT_DATA)
        assert collected is not None
        entry = pinning_entry(
            claims_of(collected.evidence.data), **{"name": "pinned", "bindings": (Binding.CERTIFICATE,), **written}
        )
        return self.write(file, Policy.of(entry).to_toml())

    def evidence(self, name: str = "good", **state: Any) -> tuple[Path, Path]:
        """Bare Evidence that carries `REPORT_DATA`, and its Endorsements."""
        collected = self.world.attester_from_texts(SGX, state).collect(REPORT_DATA)
        assert collected is not None
        return (
            self.write(f"{name}.bin", collected.evidence.data),
            self.write(f"{name}.json", endorsements_to_json(collected.endorsements)),
        )

    def endorsements_without(self, name: str, *kinds: EndorsementKind) -> Path:
        items = Endorsements(tuple(item for item in self.world.endorsements(SGX) if item.kind not in kinds))
        return self.write(name, endorsements_to_json(items))

    def certificate(
        self, name: str, claims: dict[str, bytes] | None = None, *, age: timedelta = timedelta(0), attests: bool = True
    ) -> Path:
        """A certificate (DER) that carries Evidence."""
        key = _CRYPTO.generate_key(KeyAlgorithm.EC_P256)
        made_at = datetime.now(UTC) - age
        buffer = make_claims_buffer(key.public_key.spki, _CRYPTO, custom_claims=claims, issued_at=made_at)
        collected = self.world.attester(SGX).collect(certificate_report_data(buffer)) if attests else None
        evidence = collected.evidence if collected is not None else None
        made = make_certificate(key, evidence, buffer, _CRYPTO, now=made_at, lifetime_seconds=86_400)
        return self.write(name, made.der)

    def root(self, name: str, common_name: str) -> Path:
        """A self-signed certificate (PEM) that is no CA's, with that name."""
        return self.write(name, to_pem([self.plain(common_name)[0]]))

    def plain(self, common_name: str) -> tuple[bytes, str]:
        """A self-signed certificate (DER) and its private key (PEM)."""
        now = datetime.now(UTC)
        request = CertificateRequest(
            organization="Test",
            common_name=common_name,
            serial=1,
            not_before=now - timedelta(days=1),
            not_after=now + timedelta(days=1),
        )
        key = _CRYPTO.generate_key(KeyAlgorithm.EC_P256)
        private = base64.encodebytes(key.pkcs8()).decode()
        return (
            _CRYPTO.self_signed_certificate(key, request),
            f"-----BEGIN PRIVATE KEY-----\n{private}-----END PRIVATE KEY-----\n",
        )
