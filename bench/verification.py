"""Compare warm verification of real SGX and TDX quotes with dcap-qvl, interleaved in one run.

Usage: python bench/verify_intel.py [ROUNDS]
Both sides do the whole work from bytes to verdict each time; this side remembers what its caches allow (chains,
revocation lists, documents, QE report), as a service that appraises many connections does.
"""

from __future__ import annotations

import os
import statistics
import sys
import time
from datetime import datetime
from pathlib import Path

import dcap_qvl

from rats_tls.core.endorsements import Endorsements
from rats_tls.core.evidence import Evidence
from rats_tls.crypto_wrappers.openssl import OpensslCryptoWrapper
from rats_tls.formats.intel.collateral import endorsements_from_json
from rats_tls.verifiers.sgx_ecdsa import SgxEcdsaVerifier
from rats_tls.verifiers.tdx_ecdsa import TdxEcdsaVerifier
from rats_tls.verifiers.vendor_roots import VENDOR_ROOTS

REPOSITORY = Path(__file__).resolve().parents[1]
VECTORS = Path(os.environ.get("RATS_TLS_VECTORS", REPOSITORY.parent / "shared" / "vectors"))
CASES = (
    (SgxEcdsaVerifier, "sgx_ecdsa/phala-sgx-v3", "sgx_quote", "2025-07-19T10:01:17Z"),
    (TdxEcdsaVerifier, "tdx_ecdsa/phala-tdx-v4-uptodate", "tdx_quote", "2025-07-19T10:00:34Z"),
)
BATCH = 20


def main(rounds: int) -> None:
    print(f"{'quote':32} {'rats-tls ms':>12} {'dcap-qvl ms':>12} {'ratio':>7} {'first ms':>9}")
    for case in CASES:
        compare(*case, rounds)


def compare(
    verifier_class: type[SgxEcdsaVerifier | TdxEcdsaVerifier], folder: str, name: str, when: str, rounds: int
) -> None:
    quote = (VECTORS / folder / name).read_bytes()
    bundle = (VECTORS / folder / f"{name}_collateral.json").read_bytes()
    now = datetime.fromisoformat(when)
    seconds = int(now.timestamp())
    pool = Endorsements(endorsements_from_json(bundle))
    collateral = dcap_qvl.QuoteCollateralV3.from_json(bundle.decode())
    verifier = verifier_class()
    evidence = Evidence.of(verifier.tee_type, quote)
    crypto = OpensslCryptoWrapper()

    def ours() -> None:
        decoded = verifier.decode(evidence)
        result = verifier.verify(decoded, pool, anchors=VENDOR_ROOTS, crypto=crypto, now=now)
        if result.problems:
            raise SystemExit(f"{folder}: {result.problems[0].error}")

    def theirs() -> None:
        dcap_qvl.verify(quote, collateral, seconds)

    start = time.perf_counter()
    ours()
    first = time.perf_counter() - start
    theirs()
    times: dict[str, list[float]] = {"ours": [], "theirs": []}
    for _ in range(rounds):
        for label, function in (("ours", ours), ("theirs", theirs)):
            start = time.perf_counter()
            for _ in range(BATCH):
                function()
            times[label].append((time.perf_counter() - start) / BATCH)
    mine, other = (statistics.median(times[label]) * 1000 for label in ("ours", "theirs"))
    print(f"{folder:32} {mine:12.3f} {other:12.3f} {other / mine:7.2f} {first * 1000:9.2f}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 50)
