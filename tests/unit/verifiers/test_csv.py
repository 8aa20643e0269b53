"""The Verifier of CSV reports: its checks in order, what is missing, its memory, its registers and their log."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest

from rats_tls.core.anchors import AnchorKind
from rats_tls.core.checks import Stage, Verdict
from rats_tls.core.claims import CsvClaims
from rats_tls.core.endorsements import Endorsement, EndorsementKind, Endorsements, Origin
from rats_tls.core.errors import ConfigurationError, DecodeError, UnsupportedError
from rats_tls.core.evidence import Evidence, TeeType
from rats_tls.core.limits import Limits
from rats_tls.core.verification import DecodedEvidence, Verification
from rats_tls.crypto_wrappers.openssl import OpensslCryptoWrapper
from rats_tls.formats.hygon.certificates import RootCertificate
from rats_tls.simulation import csv_structure
from rats_tls.verifiers.csv import CsvVerifier
from rats_tls.verifiers.hygon_chain import anchor_of_root
from support.event_logs import SM3, Logged, log, specification
from support.hygon import under_another_mask
from support.hygon_links import Links, chip, named, vendor, with_word
from support.intel import CRYPTO
from support.judged import REPORT_DATA, collected
from support.sides import CSV, SGX
from support.simulated import NOW, world

ANCHOR = vendor().trust_anchor


def verify(
    evidence: Evidence, *items: Endorsement, verifier: CsvVerifier | None = None, **changes: Any
) -> Verification:
    verifier = verifier or CsvVerifier()
    settings = {"anchors": (ANCHOR, *world().trust_anchors), "crypto": CRYPTO, "now": NOW, **changes}
    return verifier.verify(verifier.decode(evidence), Endorsements(items), **settings)


def failed(verification: Verification) -> list[str]:
    return [check.id for check in verification.checks if check.verdict is Verdict.FAILED]


# --- what it decodes --------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("version", [1, 2, 3])
def test_claims_are_those_of_the_report(version: int) -> None:
    evidence, _ = collected(CSV, report_version=version)
    decoded = CsvVerifier().decode(evidence)
    claims = decoded.claims
    assert isinstance(claims, CsvClaims)
    assert (claims.tee_type, claims.report_version, claims.hardware_ids) == (TeeType.CSV, version, None)
    assert decoded.report_data == claims.report_data == REPORT_DATA
    assert bool(decoded.unproved_unbound) is (version == 1)
    assert not claims.debug


def test_other_evidence_is_refused() -> None:
    with pytest.raises(UnsupportedError, match=r"verifier csv: got application/vnd\.rats-tls\.sgx-ecdsa, expected"):
        CsvVerifier().decode(collected(SGX)[0])


def test_more_than_is_read() -> None:
    evidence, _ = collected(CSV)
    with pytest.raises(DecodeError, match="7016 bytes, at most 7015 are read"):
        CsvVerifier(Limits(evidence=7015)).decode(evidence)


def test_what_was_decoded_by_another_is_a_defect() -> None:
    decoded = CsvVerifier().decode(collected(CSV)[0])
    other = DecodedEvidence(claims=decoded.claims, report_data=b"", structure=None)
    with pytest.raises(TypeError, match="not a decoded report"):
        CsvVerifier().verify(other, Endorsements(), anchors=(), crypto=CRYPTO, now=NOW)


# --- its checks -------------------------------------------------------------------------------------------------------
def test_checks_in_their_order() -> None:
    verification = verify(Links().evidence(), Links().chain())
    assert verification.problems == ()
    assert [(check.id, check.stage, check.verdict) for check in verification.checks] == [
        ("csv.report", Stage.DECODE, Verdict.PASSED),
        ("csv.signer", Stage.EVIDENCE_SIGNATURE, Verdict.PASSED),
        ("csv.report_signature", Stage.EVIDENCE_SIGNATURE, Verdict.PASSED),
        ("csv.unsigned_fields", Stage.EVIDENCE_SIGNATURE, Verdict.NOT_CHECKED),
        ("hygon.pek", Stage.VENDOR_CHAIN, Verdict.PASSED),
        ("hygon.chain", Stage.VENDOR_CHAIN, Verdict.PASSED),
        ("hygon.not_revoked", Stage.REVOCATION, Verdict.NOT_CHECKED),
    ]
    assert verification.anchor == ANCHOR
    assert (verification.valid_from, verification.valid_until) == (None, None)


def test_a_missing_chain_comes_after_all_that_needs_none() -> None:
    verification = verify(Links().evidence())
    (problem,) = verification.problems
    assert problem.missing is not None
    assert problem.missing.kind is EndorsementKind.HYGON_CEK_CHAIN
    assert dict(problem.missing.key) == {"chip": chip().serial}
    passed = {check.id for check in verification.checks if check.verdict is Verdict.PASSED}
    assert passed == {"csv.report", "csv.signer", "csv.report_signature", "hygon.pek"}
    assert "hygon.not_revoked" in {check.id for check in verification.checks}
    assert (verification.anchor, verification.endorsements_used) == (None, ())
    assert verification.claims.hardware_ids is None
    for bad, expected in (({"another_pek": True}, "csv.report_signature"), ({"sig_algo": 5}, "csv.signer")):
        evidence, _ = collected(CSV, certificates="beside", **bad)
        assert failed(verify(evidence)) == [expected]
        assert all(problem.missing is None for problem in verify(evidence).problems)


def test_without_an_anchor_of_hygons_nothing_is_looked_up() -> None:
    verification = verify(Links().evidence(), anchors=(world().intel.trust_anchor,))
    assert failed(verification) == ["hygon.pek"]
    assert [problem.missing for problem in verification.problems] == [None]


def test_an_anchor_that_no_key_can_be_of_locks_out_none() -> None:
    """A key that is no SM2 key, or a point that is not on the curve."""
    for spki in (world().intel.trust_anchor.spki, ANCHOR.spki[:-1] + bytes((ANCHOR.spki[-1] ^ 1,))):
        anchors = (replace(ANCHOR, spki=spki), ANCHOR)
        assert verify(Links().evidence(), Links().chain(), anchors=anchors).anchor == ANCHOR
        alone = verify(Links().evidence(), Links().chain(), anchors=anchors[:1])
        assert failed(alone) == ["hygon.chain"]


def test_no_library_for_sm2(monkeypatch: pytest.MonkeyPatch) -> None:
    def none(*_: object) -> None:
        raise UnsupportedError("SM2: no library")

    crypto = OpensslCryptoWrapper()
    monkeypatch.setattr(crypto, "load_sm2_point", none, raising=False)
    verification = verify(Links().evidence(), Links().chain(), crypto=crypto)
    (problem,) = verification.problems
    assert isinstance(problem.error, UnsupportedError)
    assert failed(verification) == ["csv.report_signature"]


# --- what it remembers ------------------------------------------------------------------------------------------------
@contextmanager
def counted(monkeypatch: pytest.MonkeyPatch, crypto: Any = CRYPTO) -> Iterator[list[bytes]]:
    """Record what SM2 signatures are verified over."""
    seen: list[bytes] = []
    load = type(crypto).load_sm2_point

    class Counting:
        def __init__(self, key: Any) -> None:
            self._key, self.library = key, key.library

        def verify_ecdsa(self, algorithm: Any, r: int, s: int, data: bytes) -> None:
            seen.append(data)
            self._key.verify_ecdsa(algorithm, r, s, data)

    with monkeypatch.context() as patch:
        patch.setattr(type(crypto), "load_sm2_point", lambda self, *key: Counting(load(self, *key)))
        yield seen


class OtherWrapper(OpensslCryptoWrapper):
    """A crypto wrapper that works the same and is another."""

    name = "other"


def signed(evidence: Evidence, chain: Endorsement) -> dict[str, bytes]:
    report = CsvVerifier().decode(evidence).structure.evidence.report  # type: ignore[attr-defined]
    hsk = RootCertificate.from_bytes(chain.issuer_chain[0])
    return {"report": report.signed, "pek": report.pek.signed, "hsk": hsk.signed, "cek": chain.data[:1044]}


def test_the_signature_of_a_report_is_verified_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    evidence, chain, verifier = Links().evidence(), Links().chain(), CsvVerifier()
    parts = signed(evidence, chain)
    with counted(monkeypatch) as seen:
        first = verify(evidence, chain, verifier=verifier)
        assert sorted(seen) == sorted(parts.values())
        seen.clear()
        assert verify(evidence, chain, verifier=verifier) == first
        assert seen == [parts["report"]]
    broken = replace(evidence, data=evidence.data[:0x400] + bytes(32) + evidence.data[0x420:])
    assert failed(verify(broken, chain, verifier=verifier)) == ["csv.report_signature"]


@pytest.mark.parametrize(
    "changes",
    [
        {"crypto": OtherWrapper()},
        {"anchors": (replace(ANCHOR, kind=AnchorKind.USER),)},
        {"anchors": (ANCHOR, vendor("another vendor").trust_anchor)},
    ],
    ids=["crypto", "kind", "more anchors"],
)
def test_nothing_is_taken_over_from_other_anchors_or_crypto(
    changes: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    evidence, chain, verifier = Links().evidence(), Links().chain(), CsvVerifier()
    with counted(monkeypatch) as seen:
        assert verify(evidence, chain, verifier=verifier).problems == ()
        seen.clear()
        verification = verify(evidence, chain, verifier=verifier, **changes)
    assert verification.problems == ()
    assert set(seen) == set(signed(evidence, chain).values())


class KnowsNoPoint(OpensslCryptoWrapper):
    """A crypto wrapper of any name and version to which no point is a key."""

    def __init__(self, name: str, version: str) -> None:
        self.name, self._version = name, version

    @property
    def version(self) -> str:
        return self._version

    def load_sm2_point(self, point: bytes, user_id: bytes) -> Any:
        raise DecodeError("Point", "", None, f"{len(point)} and {len(user_id)} bytes that are no key here")


@pytest.mark.parametrize(("name", "version"), [("other", CRYPTO.version), (CRYPTO.name, "another")])
def test_keys_are_those_of_their_crypto_wrapper(name: str, version: str) -> None:
    evidence, chain, verifier = Links().evidence(), Links().chain(), CsvVerifier()
    assert verify(evidence, chain, verifier=verifier).problems == ()
    other = verify(evidence, chain, verifier=verifier, crypto=KnowsNoPoint(name, version))
    assert failed(other) == ["csv.report_signature"]


def test_keys_of_one_point_differ_by_user_id() -> None:
    verifier, chain = CsvVerifier(), Links().chain()
    assert verify(Links().evidence(), chain, verifier=verifier).problems == ()
    other = Links(pek_key=named(chip()._pek, b"another user"))
    assert failed(verify(other.evidence(), chain, verifier=verifier)) == ["csv.report_signature"]


def test_what_one_root_vouched_for_is_nothing_under_another() -> None:
    evidence, chain, verifier = Links().evidence(), Links().chain(), CsvVerifier()
    assert verify(evidence, chain, verifier=verifier).problems == ()
    other = verify(evidence, chain, verifier=verifier, anchors=(vendor("another vendor").trust_anchor,))
    assert failed(other) == ["hygon.chain"]
    assert verify(evidence, chain, verifier=verifier).anchor == ANCHOR


def test_another_hsk_or_cek_is_verified_anew() -> None:
    evidence, chain, verifier = Links().evidence(), Links().chain(), CsvVerifier()
    assert verify(evidence, chain, verifier=verifier).problems == ()
    another_hsk = Links(hrk=vendor("another vendor")._hrk).chain()
    assert (another_hsk.issuer_chain[0][:576], another_hsk.data[:1044]) != (chain.issuer_chain[0], chain.data)
    for bad in (
        replace(chain, issuer_chain=another_hsk.issuer_chain),
        replace(chain, issuer_chain=(vendor().root_certificate,)),
        replace(chain, data=with_word(chain.data, 1052, 1)),
        replace(chain, issuer_chain=()),
        replace(chain, issuer_chain=chain.issuer_chain * 2),
    ):
        for _ in range(2):
            verification = verify(evidence, bad, verifier=verifier)
            assert failed(verification) == ["hygon.chain"]
            assert verification.problems[0].missing is None
    assert verify(evidence, chain, verifier=verifier).problems == ()


def test_a_pek_of_another_cek_is_not_remembered_as_signed() -> None:
    verifier, chain = CsvVerifier(), Links().chain()
    assert verify(Links().evidence(), chain, verifier=verifier).problems == ()
    for bad in (Links(cek=chip("another chip")._cek), Links(cek=named(chip()._cek, b"another user"))):
        verification = verify(bad.evidence(), chain, verifier=verifier)
        assert verification.problems[0].missing is not None
    assert verify(Links().evidence(), chain, verifier=verifier).problems == ()


def test_memory_is_bounded_and_changes_no_verdict() -> None:
    small = CsvVerifier(Limits(cached_vendor_items=1))
    chain = Links().chain()
    others = [chip(f"chip {number}").chain() for number in range(4)]
    for _ in range(2):
        verification = verify(Links().evidence(), *others, chain, verifier=small)
        assert verification.problems == ()
    memory = small._memory
    assert {len(cache) for cache in (memory.decoded, memory.keys, memory.outcomes, memory.verified)} == {1}


# --- whose certificates are at hand -----------------------------------------------------------------------------------
def test_the_same_certificates_count_once_and_this_sides_come_first() -> None:
    chain = Links().chain()
    page = Links().evidence().data
    inside = Evidence.of(TeeType.CSV, page + chain.issuer_chain[0] + chain.data + (2916).to_bytes(4, "little"))
    peer = replace(chain, origin=Origin.PEER)
    for items, origin in (((), "evidence"), ((peer,), "evidence"), ((peer, chain), "local")):
        assert [used.origin for used in verify(inside, *items).endorsements_used] == [origin]


# --- anchors that users name ------------------------------------------------------------------------------------------
def test_an_anchor_of_a_root_certificate() -> None:
    root = RootCertificate.from_bytes(vendor().root_certificate)
    anchor = anchor_of_root(root, CRYPTO)
    assert (anchor.subject, anchor.spki, anchor.kind) == (ANCHOR.subject, ANCHOR.spki, AnchorKind.SIMULATED)
    signer = named(vendor()._hrk, b"my root")
    own = RootCertificate.from_bytes(csv_structure.root_certificate(signer, 0, signer))
    assert anchor_of_root(own, CRYPTO).kind is AnchorKind.USER


@pytest.mark.parametrize(
    ("made", "says"),
    [
        (lambda root: csv_structure.root_certificate(root, 0x13, root), "HRK key usage: got 0x13, expected 0x0"),
        (lambda root: csv_structure.root_certificate(root, 0, vendor()._hsk), "HRK signature by itself"),
        (lambda root: with_word(csv_structure.root_certificate(root, 0, root), 64, 2), "HRK key: got curve 2"),
    ],
    ids=["usage", "signature", "curve"],
)
def test_what_is_no_root(made: Any, says: str) -> None:
    root = RootCertificate.from_bytes(made(vendor()._hrk))
    with pytest.raises(ConfigurationError, match="trust anchor rats-tls simulation HRK: ") as caught:
        anchor_of_root(root, CRYPTO)
    assert says in caught.value.message


# --- registers and their log ------------------------------------------------------------------------------------------
SPEC = specification(((SM3, 32),))


@pytest.mark.parametrize("version", [2, 3])
def test_a_log_that_replays(version: int) -> None:
    evidence, items = collected(CSV, event_log=True, report_version=version)
    verification = verify(evidence, *items)
    assert verification.problems == ()
    claims = verification.claims
    assert isinstance(claims, CsvClaims)
    assert claims.events
    said = {check.id: check.verdict for check in verification.checks if check.id.startswith("event_log.")}
    assert said == {
        "event_log.rtmr0": Verdict.NOT_CHECKED,
        **{f"event_log.rtmr{number}": Verdict.PASSED for number in range(1, 5)},
    }


@pytest.mark.parametrize("version", [2, 3])
@pytest.mark.parametrize("register", ["rtmr1", "rtmr2", "rtmr3"])
def test_a_log_of_another_boot(version: int, register: str) -> None:
    evidence, items = collected(CSV, event_log=True, report_version=version, **{register: bytes([1] * 32)})
    assert failed(verify(evidence, *items)) == [f"event_log.{register}"]


@pytest.mark.parametrize("index", [0, 5])
def test_events_of_a_register_that_is_not_there(index: int) -> None:
    evidence, items = collected(CSV)
    event = Logged(index=index, digests=((SM3, bytes(32)),))
    verification = verify(replace(evidence, event_log=log(event, head=SPEC)), *items)
    assert failed(verification) == ["event_log.registers"]
    assert verification.problems[0].error.refusal.label == "event_log"


def test_version_1_has_no_registers_that_a_log_could_replay_to() -> None:
    evidence, items = collected(CSV, report_version=1)
    event = Logged(index=1, digests=((SM3, bytes(32)),))
    verification = verify(replace(evidence, event_log=log(event, head=SPEC)), *items)
    assert failed(verification) == ["event_log.registers"]
    assert verification.problems[0].error.refusal.label == "event_log"
    empty = verify(replace(evidence, event_log=SPEC), *items)
    assert empty.problems == ()
    assert empty.claims.events is None  # type: ignore[union-attr]
    assert "event_log.registers" in {c.id for c in empty.checks if c.verdict is Verdict.NOT_CHECKED}


def test_a_log_beside_a_report_that_nobody_signed_is_not_replayed() -> None:
    evidence, items = collected(CSV, event_log=True, another_pek=True)
    verification = verify(evidence, *items)
    assert failed(verification) == ["csv.report_signature"]
    assert not any(check.id.startswith("event_log.") for check in verification.checks)


def test_a_mask_of_zeros_changes_nothing() -> None:
    evidence, items = collected(CSV, report_version=1)
    assert under_another_mask(evidence.data, bytes(4)) == evidence.data
    assert verify(evidence, *items).problems == ()


# --- which error is told ----------------------------------------------------------------------------------------------
def test_the_error_of_this_peks_chain_is_told_before_others() -> None:
    chain = Links().chain()
    malformed = replace(chain, data=b"\1")
    of_another = Links(cek_key=chip("another chip")._cek).chain()
    forged = Links(hrk=vendor("another vendor")._hrk).chain()
    inside = of_another.issuer_chain[0] + of_another.data + (2916).to_bytes(4, "little")
    evidence = Evidence.of(TeeType.CSV, Links().evidence().data + inside)
    for items, says in (((malformed, forged), "HSK signature by"), ((malformed,), "PEK signature by the CEK")):
        (problem,) = verify(evidence, *items).problems
        assert says in problem.error.message


def test_certificates_that_came_twice_are_verified_once(monkeypatch: pytest.MonkeyPatch) -> None:
    forged = Links(hrk=vendor("another vendor")._hrk).chain()
    hsk = RootCertificate.from_bytes(forged.issuer_chain[0])
    with counted(monkeypatch) as seen:
        verification = verify(Links().evidence(), forged, replace(forged, origin=Origin.PEER), anchors=(ANCHOR,))
    assert failed(verification) == ["hygon.chain"]
    assert seen.count(hsk.signed) == 1


def test_a_root_is_an_anchor_where_no_library_could_verify_anything_under_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def none(*_: object) -> None:
        raise UnsupportedError("SM2: no library")

    crypto = OpensslCryptoWrapper()
    monkeypatch.setattr(crypto, "load_sm2_point", none, raising=False)
    assert anchor_of_root(RootCertificate.from_bytes(vendor().root_certificate), crypto).spki == ANCHOR.spki
