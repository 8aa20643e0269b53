"""Verification of a quote, first half: what its own bytes prove, down to the trust anchor.

Source of the steps: Intel SGX/TDX DCAP Quote Verification Library (QVL), by the step numbers of its comments.
Where this is stricter, the step says so.
"""

from __future__ import annotations

import hashlib
import hmac
from functools import partial

from rats_tls.core import lookup_keys
from rats_tls.core.algorithms import KeyAlgorithm, SignatureAlgorithm
from rats_tls.core.checks import Stage, shorten
from rats_tls.core.endorsements import EndorsementKind, MissingEndorsement, Origin
from rats_tls.core.errors import CertificateChainError, DecodeError, RatsTlsError, SignatureError
from rats_tls.core.interfaces import PublicKey
from rats_tls.formats.event_log.replay import TDX_REGISTERS
from rats_tls.formats.intel.pck import PckChain
from rats_tls.verifiers.chain import require_in_date
from rats_tls.verifiers.check_log import VERIFIES, Step
from rats_tls.verifiers.event_log import replay_event_log
from rats_tls.verifiers.intel_chain import load_p256, verify_pck_chain
from rats_tls.verifiers.intel_run import ChosenPck, Run
from rats_tls.verifiers.uses import certificates_use

_QUOTE = Step("intel.quote", Stage.DECODE, "Intel QVL 4.1.2.4.3", "a quote of version 3, 4 or 5 in Intel's form")
_QE_BINDING = Step(
    "intel.qe_binding",
    Stage.EVIDENCE_SIGNATURE,
    "Intel QVL 4.1.2.4.13",
    "QE report_data is SHA-256(attestation key, QE authentication data), and zeros",
)
_QE_SIGNATURE = Step(
    "intel.qe_report_signature",
    Stage.EVIDENCE_SIGNATURE,
    "Intel QVL 4.1.2.4.12",
    "signature by the PCK over the QE report",
)
_SAME_LEAF = Step(
    "intel.pck_same_leaf",
    Stage.VENDOR_CHAIN,
    "rats-tls: one PCK certificate for one quote",
    "a PCK chain that the peer sends has the PCK certificate of the quote",
)
_CHAIN = Step(
    "intel.pck_chain", Stage.VENDOR_CHAIN, "Intel QVL 4.1.2.4.4", "PCK, CA and root in Intel's form, the root an anchor"
)
_DATES = Step("intel.pck_dates", Stage.VENDOR_CHAIN, "RFC 5280 6.1.3 (a)(2)", "certificates of the PCK chain in date")


def verify_evidence(run: Run) -> None:
    """Verify signatures and PCK chain; the chain is in `run.chosen` unless it is missing. Raises Stop."""
    log, quote = run.log, run.evidence.quote
    data = quote.signature_data

    # (1) Header and structure: done when the quote was decoded. QVL 4.1.2.4.3.
    log.passed(_QUOTE, f"version {quote.header.version}")

    # (2) Quote signature by the attestation key over header and body as received. QVL 4.1.2.4.16.
    step = run.tee.quote_signature
    try:
        _verify_raw(_attestation_key(run, data.attestation_key), data.signature, quote.signed, "quote")
    except SignatureError as error:
        raise log.failed(step, error) from error
    log.passed(step, VERIFIES)

    # (2a) The event log replays to the registers that the quote has just been found to sign. UEFI 2.10, 38.4.1.
    if run.evidence.event_log is not None and run.tee.registers is not None:
        run.events = replay_event_log(log, run.evidence.event_log, run.tee.registers(quote), TDX_REGISTERS, run.crypto)

    # (3) The QE report binds the attestation key: SHA-256(key ‖ authentication data), 32 zero bytes behind it.
    # QVL 4.1.2.4.13 compares the digest only; a report of Intel's quoting enclave has nothing else there.
    expected = hashlib.sha256(data.attestation_key + data.qe_auth_data).digest().ljust(64, b"\0")
    got = run.evidence.qe_report.report_data
    if not hmac.compare_digest(expected, got):
        unbound = SignatureError(
            f"QE report report_data: got {shorten(got, 128)}, expected {shorten(expected, 128)}, "
            "the digest of attestation key and QE authentication data"
        )
        raise log.failed(_QE_BINDING, unbound)
    log.passed(_QE_BINDING, shorten(got))

    # (4) QE report signature by the PCK, QVL 4.1.2.4.12; then (5) the PCK chain to an anchor.
    carried = run.evidence.chain
    if carried is None:
        _find_chain(run)
    else:
        _verify_carried_chain(run, carried)


def _verify_carried_chain(run: Run, carried: PckChain) -> None:
    """Verify the QE report with the PCK certificate of the quote, and its chain."""
    log = run.log
    try:
        _verify_qe_report(run, carried)
    except RatsTlsError as error:
        raise log.failed(_QE_SIGNATURE, error) from error
    log.passed(_QE_SIGNATURE, VERIFIES)

    # The PCK certificate of the quote counts; no chain at hand replaces it. Those of this side may be of other
    # platforms, and of this one at another TCB; one that the peer sends is about this quote.
    pool = _pool_chains(run)
    same = [found for found in pool if found[0].ders[0] == carried.ders[0]]
    sent = [chain for chain, origin in pool if origin == Origin.PEER.value]
    if sent:
        if not any(chain.ders[0] == carried.ders[0] for chain in sent):
            other = CertificateChainError(
                f"PCK certificate: the quote carries {carried.leaf.sha256.hex()}, "
                f"the peer sends {sent[0].leaf.sha256.hex()}"
            )
            raise log.failed(_SAME_LEAF, other)
        log.passed(_SAME_LEAF, f"SHA-256 {carried.leaf.sha256.hex()}")
    if carried.issuers:
        _verify_chain(run, carried, "evidence")
    elif same:
        _verify_chain(run, *same[0])
    else:
        _chain_missing(run, lookup_keys.pck_issuers(carried.leaf.sha256, carried.leaf.issuer.common_name), "")


def _find_chain(run: Run) -> None:
    """Find the PCK chain of a quote that carries none: the one whose PCK signed the QE report."""
    pool = _pool_chains(run)
    for chain, origin in pool:
        try:
            _verify_qe_report(run, chain)
        except RatsTlsError:
            continue  # the PCK of another platform
        run.log.passed(_QE_SIGNATURE, VERIFIES)
        _verify_chain(run, chain, origin)
        return
    run.log.not_checked(_QE_SIGNATURE, "the PCK certificate is not at hand")
    platform = run.evidence.platform
    key: tuple[tuple[str, str], ...] = ()
    if platform is not None:
        key = (
            ("encrypted_ppid" if platform.encrypted else "ppid", platform.ppid.hex()),
            ("cpusvn", platform.cpu_svn.hex()),
            ("pcesvn", platform.pce_svn.to_bytes(2, "little").hex()),
            ("pceid", platform.pce_id.hex() if platform.pce_id is not None else ""),
            ("qeid", run.evidence.quote.header.user_data[:16].hex()),  # a cache asks for it too
        )
    item = MissingEndorsement(kind=EndorsementKind.INTEL_PCK_CHAIN, key=key)
    _chain_missing(run, item, f"none of {len(pool)} PCK certificates at hand signed the QE report" if pool else "")


def _chain_missing(run: Run, item: MissingEndorsement, why: str) -> None:
    run.log.missing(_CHAIN, item, why=why)


def _verify_chain(run: Run, chain: PckChain, origin: str) -> None:
    """Verify a PCK chain and take it."""

    def verify() -> ChosenPck:
        pck = verify_pck_chain(chain, run.anchors, run.keys)
        use = certificates_use(
            EndorsementKind.INTEL_PCK_CHAIN,
            origin,
            [certificate for _, certificate in pck.certificates],
            f"PCK certificate, FMSPC {chain.platform.fmspc.hex()}",
        )
        return ChosenPck(pck=pck, use=use)

    # (5) Root, CA and leaf lead to an anchor. QVL 4.1.2.4.1 to 4.1.2.4.4.
    try:
        chosen = run.memory.verified.get(("chain", run.trust, chain.ders, origin), verify)
    except RatsTlsError as error:
        raise run.log.failed(_CHAIN, error) from error
    anchor = chosen.pck.anchor
    run.log.passed(_CHAIN, f"anchor {anchor.name} ({anchor.kind.value})")
    run.chosen = chosen

    # (6) Validity of the three certificates, both ways; QVL 4.1.2.4.1 looks at notAfter only.
    try:
        for role, certificate in chosen.pck.certificates:
            require_in_date(certificate, run.now, role=role)
    except RatsTlsError as error:
        raise run.log.failed(_DATES, error) from error
    run.log.passed(_DATES, run.now_text)
    run.in_date = True


def _attestation_key(run: Run, point: bytes) -> PublicKey:
    try:
        return run.memory.keys.get((run.trust, point), lambda: run.crypto.load_ec_point(KeyAlgorithm.EC_P256, point))
    except DecodeError as error:
        raise SignatureError(f"attestation key: {error.message}") from error


def _verify_qe_report(run: Run, chain: PckChain) -> None:
    """Verify the QE report's signature by the chain's PCK. Raises SignatureError, CertificateChainError."""
    data = run.evidence.quote.signature_data

    def verify() -> bool:
        key = load_p256(chain.leaf.spki, run.keys, "PCK certificate")
        _verify_raw(key, data.qe_report_signature, data.qe_report, "QE report")
        return True

    key = (
        "qe_report",
        run.trust,
        chain.leaf.spki,
        data.qe_report,
        data.qe_report_signature,
        data.qe_auth_data,
        data.attestation_key,
    )
    run.memory.verified.get(key, verify)


def _pool_chains(run: Run) -> tuple[tuple[PckChain, str], ...]:
    """PCK chains at hand that can be read, with their origin; this side's first."""
    found: list[tuple[PckChain, str]] = []
    for item in run.pool.of_kind(EndorsementKind.INTEL_PCK_CHAIN):
        ders = (item.data, *item.issuer_chain)
        try:
            chain = run.memory.decoded.get(("chain", ders), partial(PckChain.from_ders, ders))
        except DecodeError:
            continue  # counts as absent
        found.append((chain, item.origin.value))
    return tuple(found)


def _verify_raw(key: PublicKey, signature: bytes, data: bytes, what: str) -> None:
    """Verify r‖s, big-endian. Raises SignatureError."""
    try:
        key.verify_ecdsa(
            SignatureAlgorithm.ECDSA_SHA256,
            int.from_bytes(signature[:32], "big"),
            int.from_bytes(signature[32:], "big"),
            data,
        )
    except SignatureError as error:
        raise SignatureError(f"{what}: {error.message}") from error
