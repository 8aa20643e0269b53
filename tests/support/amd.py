"""Real SEV-SNP reports with the certificates that go with them."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime

from rats_tls.core.endorsements import Endorsement, EndorsementKind, Endorsements
from rats_tls.core.evidence import Evidence, TeeType
from rats_tls.core.verification import Problem, Verification
from rats_tls.endorsements.files import endorsements_from_file
from rats_tls.verifiers.sev_snp import SevSnpVerifier
from rats_tls.verifiers.vendor_roots import VENDOR_ROOTS
from support.intel import CRYPTO, manifest
from support.paths import VECTORS

GO_MILAN = "sev_snp/go-sev-guest-milan-vcek"
TRUSTEE_MILAN = "sev_snp/trustee-milan-vcek"
TRUSTEE_GENOA = "sev_snp/trustee-genoa-e2e-json"
VERAISON_GENOA = "sev_snp/veraison-genoa-tsm"
TURIN = "sev_snp/virtee-turin-vcek-only"

REPORTS = {
    GO_MILAN: ("attestation.bin", (f"{GO_MILAN}/vcek.testcer", f"{GO_MILAN}/milan.testcer")),
    TRUSTEE_MILAN: ("test-report.bin", (f"{TRUSTEE_MILAN}/test-vcek.der", "trust/amd/ask_ark_milan.pem")),
    TRUSTEE_GENOA: ("report.bin", (f"{TRUSTEE_GENOA}/vcek.der", "trust/amd/ask_ark_genoa.pem")),
    VERAISON_GENOA: ("report.bin", (f"{VERAISON_GENOA}/vcek.der", "trust/amd/ask_ark_genoa.pem")),
}
"""File of the report and files of VCEK, ASK and ARK, by vector. No revocation list is stored."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SnpVector:
    """One report, the Endorsements that go with it, and the time at which they are to be judged."""

    id: str
    evidence: Evidence
    endorsements: Endorsements
    now: datetime

    def with_data(self, data: bytes) -> SnpVector:
        """Give the same with other report bytes."""
        return replace(self, evidence=Evidence.of(TeeType.SEV_SNP, data))

    def with_items(self, items: Iterable[Endorsement]) -> SnpVector:
        """Give the same with other Endorsements."""
        return replace(self, endorsements=Endorsements(tuple(items)))

    def at(self, time: str | datetime) -> SnpVector:
        """Give the same at another time."""
        return replace(self, now=datetime.fromisoformat(time) if isinstance(time, str) else time)

    def item(self, kind: EndorsementKind) -> Endorsement:
        """Give its only Endorsement of `kind`."""
        (item,) = self.endorsements.of_kind(kind)
        return item


def files(*names: str) -> Endorsements:
    """Read Endorsements out of files of the vectors."""
    items = [item for name in names for item in endorsements_from_file((VECTORS / name).read_bytes(), where=name)]
    return Endorsements(tuple(items))


def auxblob() -> bytes:
    """Give the certificate table that configfs-tsm gave beside the report of VERAISON_GENOA."""
    document = json.loads((VECTORS / VERAISON_GENOA / "sevsnp-tsm-report.json").read_text())
    return base64.urlsafe_b64decode(document["auxblob"] + "==")


def load(vector_id: str) -> SnpVector:
    """Load a vector."""
    report, names = REPORTS[vector_id]
    return SnpVector(
        id=vector_id,
        evidence=Evidence.of(TeeType.SEV_SNP, (VECTORS / vector_id / report).read_bytes()),
        endorsements=files(*names),
        now=datetime.fromisoformat(manifest()[vector_id]["verify_at"]),
    )


def verify(vector: SnpVector, *, verifier: SevSnpVerifier | None = None) -> Verification:
    """Decode and verify under AMD's roots; with `verifier`, its memory is used."""
    verifier = verifier or SevSnpVerifier()
    decoded = verifier.decode(vector.evidence)
    return verifier.verify(decoded, vector.endorsements, anchors=VENDOR_ROOTS, crypto=CRYPTO, now=vector.now)


def problems(verification: Verification) -> tuple[Problem, ...]:
    """Give its problems but the one that no revocation list is at hand, which is true of every stored vector."""
    return tuple(
        problem
        for problem in verification.problems
        if problem.missing is None or problem.missing.kind is not EndorsementKind.AMD_CRL
    )
