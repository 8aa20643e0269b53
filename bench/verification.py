"""Verification of the vendors' real evidence: beside `dcap-qvl`, and beside its bare signature checks.

Each side does the whole work from bytes to verdict. *Warm*: one Verifier remembers chains, lists, documents and QE
reports, as a service that appraises many connections does. *Cold*: a new Verifier each time; for Intel's quotes both
sides also read the bundle each time from its JSON. The bare check is one signature over the report by the evidence's
own key through the same crypto wrapper: what no verifier can avoid.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path

import dcap_qvl

from bench.measure import Candidate, Figure, interleaved
from rats_tls.core.algorithms import KeyAlgorithm, SignatureAlgorithm
from rats_tls.core.endorsements import EndorsementKind, Endorsements
from rats_tls.core.evidence import Evidence, TeeType
from rats_tls.core.interfaces import CryptoWrapper
from rats_tls.crypto_wrappers.openssl import OpensslCryptoWrapper
from rats_tls.endorsements.files import endorsements_from_file
from rats_tls.formats.amd.report import AttestationReport
from rats_tls.formats.hygon.evidence import CsvEvidence
from rats_tls.formats.intel.collateral import endorsements_from_json
from rats_tls.formats.intel.quote import Quote
from rats_tls.formats.x509 import Certificate
from rats_tls.verifiers.csv import CsvVerifier
from rats_tls.verifiers.sev_snp import SevSnpVerifier
from rats_tls.verifiers.sgx_ecdsa import SgxEcdsaVerifier
from rats_tls.verifiers.tdx_ecdsa import TdxEcdsaVerifier
from rats_tls.verifiers.vendor_roots import VENDOR_ROOTS

_REPOSITORY = Path(__file__).resolve().parents[1]
VECTORS = Path(os.environ.get("RATS_TLS_VECTORS", _REPOSITORY.parent / "shared" / "vectors"))
_TIMES = 20


@dataclass(frozen=True)
class _Case:
    verifier: type[SgxEcdsaVerifier | TdxEcdsaVerifier]
    folder: str
    name: str
    at: str


_CASES = (
    _Case(SgxEcdsaVerifier, "sgx_ecdsa/phala-sgx-v3", "sgx_quote", "2025-07-19T10:01:17Z"),
    _Case(TdxEcdsaVerifier, "tdx_ecdsa/phala-tdx-v4-uptodate", "tdx_quote", "2025-07-19T10:00:34Z"),
)


_SNP = "sev_snp/trustee-genoa-e2e-json"
_SNP_AT = "2025-09-01T00:00:00Z"
_CSV = "csv/csv-rs-complete"
_CSV_AT = "2026-01-01T00:00:00Z"


def figures(rounds: int) -> list[Figure]:
    """Measure each case; none where the vectors are not at hand."""
    if not VECTORS.is_dir():
        return []
    return [*(figure for case in _CASES for figure in _compare(case, rounds)), *_snp(rounds), *_csv(rounds)]


def _csv(rounds: int) -> list[Figure]:
    """Measure a report of CSV, by the SM2 library that is at hand."""
    crypto, now = OpensslCryptoWrapper(), datetime.fromisoformat(_CSV_AT)
    data = (VECTORS / _CSV / "hsk_cek.cert").read_bytes()
    pool = Endorsements(tuple(endorsements_from_file(data, where="hsk_cek.cert")))
    evidence = Evidence.of(TeeType.CSV, (VECTORS / _CSV / "report.cert").read_bytes())
    known = CsvVerifier()

    def verify(verifier: CsvVerifier) -> None:
        result = verifier.verify(verifier.decode(evidence), pool, anchors=VENDOR_ROOTS, crypto=crypto, now=now)
        if result.problems:
            raise SystemExit(f"{_CSV}: {result.problems[0].error}")

    report = CsvEvidence.from_bytes(evidence.data).report
    key = crypto.load_sm2_point(report.pek.key.point, report.pek.key.user_id)
    bare = partial(key.verify_ecdsa, SignatureAlgorithm.SM2_SM3, report.r, report.s, report.signed)

    def candidate(name: str, run: Callable[[], object]) -> Candidate:
        return Candidate(f"csv: {name}", partial(_repeat, run), _TIMES, "verifications/s")

    return interleaved(
        candidate(f"the report's signature alone ({key.library})", bare),
        candidate("rats-tls, warm", lambda: verify(known)),
        candidate("rats-tls, cold", lambda: verify(CsvVerifier())),
        rounds=rounds,
    )


class SnpCase:
    """A report of SEV-SNP, for which no revocation list is stored: a policy would have to waive it."""

    def __init__(self) -> None:
        files = (f"{_SNP}/vcek.der", "trust/amd/ask_ark_genoa.pem")
        self._pool = Endorsements(
            tuple(item for name in files for item in endorsements_from_file((VECTORS / name).read_bytes(), where=name))
        )
        data = (VECTORS / _SNP / "report.bin").read_bytes()
        self._evidence = Evidence.of(TeeType.SEV_SNP, data)
        self._now = datetime.fromisoformat(_SNP_AT)
        self.report = AttestationReport.from_bytes(data)
        (vek,) = self._pool.of_kind(EndorsementKind.AMD_VEK)
        self.spki = Certificate.from_der(vek.data).spki

    def verify(self, verifier: SevSnpVerifier, crypto: CryptoWrapper) -> None:
        result = verifier.verify(
            verifier.decode(self._evidence), self._pool, anchors=VENDOR_ROOTS, crypto=crypto, now=self._now
        )
        if any(not problem.waived_by_revocation for problem in result.problems):
            raise SystemExit(f"{_SNP}: {result.problems[0].error}")


def _snp(rounds: int) -> list[Figure]:
    crypto, case, known = OpensslCryptoWrapper(), SnpCase(), SevSnpVerifier()
    key, report = crypto.load_public_key(case.spki), case.report
    bare = partial(key.verify_ecdsa, SignatureAlgorithm.ECDSA_SHA384, report.r, report.s, report.signed)

    def candidate(name: str, run: Callable[[], object]) -> Candidate:
        return Candidate(f"sev_snp: {name}", partial(_repeat, run), _TIMES, "verifications/s")

    return interleaved(
        candidate("the report's signature alone", bare),
        candidate("rats-tls, warm", lambda: case.verify(known, crypto)),
        candidate("rats-tls, cold", lambda: case.verify(SevSnpVerifier(), crypto)),
        rounds=rounds,
    )


def _compare(case: _Case, rounds: int) -> list[Figure]:
    quote = (VECTORS / case.folder / case.name).read_bytes()
    bundle = (VECTORS / case.folder / f"{case.name}_collateral.json").read_bytes()
    now = datetime.fromisoformat(case.at)
    pool = Endorsements(endorsements_from_json(bundle))
    collateral = dcap_qvl.QuoteCollateralV3.from_json(bundle.decode())
    at = int(now.timestamp())
    crypto = OpensslCryptoWrapper()
    known = case.verifier()
    evidence = Evidence.of(known.tee_type, quote)

    def verify(verifier: SgxEcdsaVerifier | TdxEcdsaVerifier, pool: Endorsements) -> None:
        result = verifier.verify(verifier.decode(evidence), pool, anchors=VENDOR_ROOTS, crypto=crypto, now=now)
        if result.problems:
            raise SystemExit(f"{case.folder}: {result.problems[0].error}")

    title = str(known.tee_type)

    def candidate(name: str, run: Callable[[], object], wanted: str = "") -> Candidate:
        return Candidate(f"{title}: {name}", partial(_repeat, run), _TIMES, "verifications/s", wanted)

    def verify_cold() -> None:
        verify(case.verifier(), Endorsements(endorsements_from_json(bundle)))

    def other_cold() -> None:
        dcap_qvl.verify(quote, dcap_qvl.QuoteCollateralV3.from_json(bundle.decode()), at)

    return [
        *interleaved(
            candidate("dcap-qvl", partial(dcap_qvl.verify, quote, collateral, at)),
            candidate("rats-tls, warm", lambda: verify(known, pool), ">= 5"),
            candidate("the quote's signature alone", _bare_check(quote, crypto)),
            rounds=rounds,
        ),
        *interleaved(
            candidate("dcap-qvl, bundle and quote", other_cold),
            candidate("rats-tls, cold, bundle and quote", verify_cold, ">= 1.0"),
            rounds=rounds,
        ),
    ]


def _repeat(run: Callable[[], object]) -> None:
    for _ in range(_TIMES):
        run()


def _bare_check(data: bytes, crypto: CryptoWrapper) -> Callable[[], None]:
    """Give the check of the quote's signature by its attestation key, with everything decoded beforehand."""
    quote = Quote.from_bytes(data)
    key = crypto.load_ec_point(KeyAlgorithm.EC_P256, quote.signature_data.attestation_key)
    signature = quote.signature_data.signature
    r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big")
    return partial(key.verify_ecdsa, SignatureAlgorithm.ECDSA_SHA256, r, s, quote.signed)
