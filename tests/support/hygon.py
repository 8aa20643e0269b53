"""Real CSV reports with the certificates of their chips, and reports of version 1 under another mask."""

from __future__ import annotations

import functools
from dataclasses import dataclass, replace
from typing import Any

from rats_tls.core.claims import CsvClaims
from rats_tls.core.endorsements import Endorsement, Endorsements
from rats_tls.core.evidence import Evidence, TeeType
from rats_tls.core.verification import Verification
from rats_tls.endorsements.files import endorsements_from_file
from rats_tls.files import evidence_from_json
from rats_tls.policy import Policy
from rats_tls.verifiers.csv import CsvVerifier
from rats_tls.verifiers.vendor_roots import VENDOR_ROOTS
from support.appraisals import claims_of
from support.intel import CRYPTO
from support.paths import VECTORS
from support.policies import default_policy
from support.simulated import NOW

CSV_RS = "csv/csv-rs-complete"
TRUSTEE_CSV = "csv/trustee-csv-evidence-v2"
ANONCE = slice(0xBC, 0xC0)
PEK_V1, SIGNED_V1 = 0x150, 0xB4
PEK_LATER = 0x490


@dataclass(frozen=True, slots=True, kw_only=True)
class CsvVector:
    """One report, and the Endorsements that go with it."""

    evidence: Evidence
    endorsements: Endorsements

    @property
    def chain(self) -> Endorsement:
        """HSK and CEK."""
        (item,) = self.endorsements
        return item

    def with_data(self, data: bytes) -> CsvVector:
        """Give the same with other Evidence bytes."""
        return replace(self, evidence=Evidence.of(TeeType.CSV, data))

    def with_chain(self, *, hsk: bytes | None = None, cek: bytes | None = None) -> CsvVector:
        """Give the same under another HSK or CEK certificate."""
        chain = self.chain
        own = (chain.issuer_chain[0] if hsk is None else hsk,)
        changed = replace(chain, data=chain.data if cek is None else cek, issuer_chain=own)
        return replace(self, endorsements=Endorsements((changed,)))


@functools.cache
def load() -> CsvVector:
    """Load the complete vector: a report of version 1, HSK and CEK."""
    folder = VECTORS / CSV_RS
    items = endorsements_from_file((folder / "hsk_cek.cert").read_bytes(), where="hsk_cek.cert")
    return CsvVector(
        evidence=Evidence.of(TeeType.CSV, (folder / "report.cert").read_bytes()), endorsements=Endorsements(items)
    )


@functools.cache
def trustee_evidence() -> Evidence:
    """Load the Evidence in Trustee's form: a report, an event log, no HSK or CEK."""
    evidence = evidence_from_json((VECTORS / TRUSTEE_CSV / "csv_evidence.json").read_bytes())
    assert isinstance(evidence, Evidence)
    return evidence


def verify(vector: CsvVector, *, verifier: CsvVerifier | None = None) -> Verification:
    """Decode and verify under Hygon's root; with `verifier`, its memory is used."""
    verifier = verifier or CsvVerifier()
    decoded = verifier.decode(vector.evidence)
    return verifier.verify(decoded, vector.endorsements, anchors=VENDOR_ROOTS, crypto=CRYPTO, now=NOW)


def shifted(word: int) -> bytes:
    """Give a word as bytes of a mask."""
    return word.to_bytes(4, "little")


def xor(data: bytes, mask: bytes) -> bytes:
    """Change every word of `data` by a mask of 4 bytes."""
    return bytes(byte ^ mask[number % 4] for number, byte in enumerate(data))


def under_another_mask(data: bytes, change: bytes) -> bytes:
    """Give a report of version 1 whose signed words all read changed by `change`, under its own good signature.

    What nothing signs is written anew as the reader expects it: `sig_usage` and `sig_algo`, PEK, chip_id.
    """
    anonce = xor(data[ANONCE], change)
    end = PEK_V1 + 2084 + 64
    words, tail = xor(data[SIGNED_V1 : ANONCE.start], change), xor(data[PEK_V1:end], change)
    return data[:SIGNED_V1] + words + anonce + data[ANONCE.stop : PEK_V1] + tail + data[end:]


def csv_claims(data: bytes) -> CsvClaims:
    """Give the claims that Evidence shows, unverified."""
    claims = claims_of(data)
    assert isinstance(claims, CsvClaims)
    return claims


def pinned(data: bytes, **changes: Any) -> Policy:
    """Give the policy that pins what a report says."""
    return default_policy(csv_claims(data), **changes)
