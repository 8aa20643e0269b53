"""What Verifiers remember (rule of trust 12, attack 4.3): never another verdict than one from nothing."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields, replace
from datetime import timedelta
from itertools import combinations
from typing import Any

import pytest

from rats_tls import registry
from rats_tls.core.anchors import AnchorKind
from rats_tls.core.claims import TcbStatus
from rats_tls.core.endorsements import EndorsementKind, Endorsements, Origin
from rats_tls.core.errors import (
    CertificateChainError,
    ExpiredError,
    RatsTlsError,
)
from rats_tls.core.limits import Limits
from rats_tls.crypto_wrappers.openssl import OpensslCryptoWrapper, OpensslPublicKey
from rats_tls.policy import ANY
from rats_tls.simulation.intel_levels import QE_LEVELS, TCB_LEVELS
from rats_tls.simulation.vendor_state import SignedItem
from rats_tls.simulation.world import SimulatedWorld
from rats_tls.verifiers import intel_collateral
from rats_tls.verifiers.bounded_cache import BoundedCache
from rats_tls.verifiers.vendor_roots import VENDOR_ROOTS
from support.judged import REPORT_DATA, appraise, appraiser, collected
from support.sides import ALL_SIMULATED, SGX, SNP, TDX, policy_for
from support.simulated import NOW, world

EVERY_TEE = pytest.mark.parametrize("name", ALL_SIMULATED)
SECOND = timedelta(seconds=1)
ANY_AGE: dict[str, Any] = {"max_evidence_age": ANY}


# --- what a Verifier remembers ---------------------------------------------------------------------------------------
@contextmanager
def counted(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[bytes]]:
    """Count signature verifications and loading of keys; gives what each was about."""
    seen: list[bytes] = []
    verify, load = OpensslPublicKey.verify, OpensslCryptoWrapper.load_ec_point

    def verify_and_count(self: Any, algorithm: Any, signature: bytes, data: bytes) -> None:
        seen.append(data)
        verify(self, algorithm, signature, data)

    def load_and_count(self: Any, algorithm: Any, point: bytes) -> OpensslPublicKey:
        seen.append(point)
        return load(self, algorithm, point)

    with monkeypatch.context() as patch:
        patch.setattr(OpensslPublicKey, "verify", verify_and_count)
        patch.setattr(OpensslCryptoWrapper, "load_ec_point", load_and_count)
        yield seen


class OtherWrapper(OpensslCryptoWrapper):
    """A crypto wrapper that works the same and is another."""

    def __init__(self, name: str, version: str) -> None:
        self.name = name
        self._version = version

    @property
    def version(self) -> str:
        return self._version


INTEL_STATES: tuple[dict[str, Any], ...] = (
    {},
    {"pce_svn": 5},
    {"sgx_type": 2},
    {"sgx_components": (1,) * 16},
    {"certificate_authority": "processor"},
    {"fmspc": b"SIM\0\0\1"},
    {"qe_status": TcbStatus.OUT_OF_DATE},
    {"qe_isv_svn": 0},
    {"qe_levels": tuple(replace(level, isv_svn=level.isv_svn + 1) for level in QE_LEVELS)},
    {"tcb_levels": TCB_LEVELS[1:]},
    {"tcb_status": TcbStatus.OUT_OF_DATE},
    {"tcb_evaluation_data_number": 17},
    {"revoked": {SignedItem.INTEL_PCK}},
)
TDX_STATES: tuple[dict[str, Any], ...] = (
    {"module_status": TcbStatus.OUT_OF_DATE},
    {"module_version": 0},
    {"mr_signer_seam": b"\1" * 48},
    {"seam_attributes": 1},
    {"relaunch_advised": True},
)
SNP_STATES: tuple[dict[str, Any], ...] = (
    {},
    {"product": "Genoa"},
    {"product": "Turin"},
    {"key_type": "VLEK"},
    {"report_version": 2},
    {"out_of_date": True},
    {"mask_chip_id": True},
    {"revoked": {SignedItem.AMD_SIGNER}},
    {"forged": {SignedItem.AMD_VEK}},
    {"forged": {SignedItem.AMD_SIGNER}},
)


class TestVerifiers:
    @EVERY_TEE
    @pytest.mark.parametrize("other", ["name", "version", "kind", "more"])
    def test_nothing_is_taken_over_from_other_anchors_or_crypto_wrappers(
        self, name: str, other: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        evidence, endorsements = collected(name)
        shared = registry.verifiers(policy_for(name).tee_types)
        own = OpensslCryptoWrapper()
        anchors = world().trust_anchors
        changes: dict[str, dict[str, Any]] = {
            "name": {"crypto": OtherWrapper("other", own.version)},
            "version": {"crypto": OtherWrapper(own.name, "another")},
            "kind": {"anchors": tuple(replace(anchor, kind=AnchorKind.USER) for anchor in anchors)},
            "more": {"anchors": (*anchors, *VENDOR_ROOTS)},
        }
        policy = policy_for(name)
        with counted(monkeypatch) as cold:
            first = appraise(evidence, endorsements, policy, verifiers=shared)
        with counted(monkeypatch) as warm:
            assert appraise(evidence, endorsements, policy, verifiers=shared) == first
        assert len(warm) == 1  # the Evidence's own signature
        with counted(monkeypatch) as changed:
            appraise(evidence, endorsements, policy, verifiers=shared, **changes[other])
        assert changed == cold

    @pytest.mark.parametrize("name", [SGX, TDX])
    def test_a_qe_report_never_lends_another_platform_its_standing(self, name: str) -> None:
        """Platform A's quote with the PCK chain of platform B, after both were verified, and the other way round."""
        policy = policy_for(name)
        shared = registry.verifiers(policy.tee_types)
        decode = shared[next(iter(policy.tee_types))].decode
        # One world has one platform, so the other one is of another world, and both vendors' roots are trusted.
        other_world = SimulatedWorld(clock=lambda: NOW)
        anchors = (*world().trust_anchors, *other_world.trust_anchors)
        a, a_items = collected(name)
        made = other_world.attester(name).collect(REPORT_DATA)
        b, both = made.evidence, a_items.with_items(made.endorsements)
        for evidence in (a, b):
            assert appraise(evidence, both, policy, verifiers=shared, anchors=anchors).verdict == "accepted"
        quotes = [decode(evidence).structure.quote for evidence in (a, b)]  # type: ignore[attr-defined]
        parts = [field.name for field in fields(quotes[0].signature_data)]
        for own, other in (quotes, quotes[::-1]):
            for part in parts:
                value = getattr(other.signature_data, part)
                mixed = replace(own.signature_data, **{part: value}).to_bytes(version=own.header.version)
                data = own.signed + len(mixed).to_bytes(4, "little") + mixed
                if value == getattr(own.signature_data, part):
                    continue
                with pytest.raises(RatsTlsError) as caught:
                    appraise(replace(a, data=data), both, policy, verifiers=shared, anchors=anchors)
                assert caught.value.refusal.label == "evidence_signature", part

    @EVERY_TEE
    def test_nothing_that_one_root_vouches_for_serves_under_another(self, name: str) -> None:
        """Two vendors with the same names and different keys, both trusted, before one Verifier."""
        policy = policy_for(name)
        shared = registry.verifiers(policy.tee_types)
        other_world = SimulatedWorld(clock=lambda: NOW)
        a, a_items = collected(name)
        made = other_world.attester(name).collect(REPORT_DATA)
        # AMD's anchors are made with the first report of their product.
        anchors = (*world().trust_anchors, *other_world.trust_anchors)
        settings: dict[str, Any] = {"verifiers": shared, "anchors": anchors}
        assert appraise(a, a_items, policy, **settings).verdict == "accepted"
        assert appraise(made.evidence, Endorsements(made.endorsements), policy, **settings).verdict == "accepted"
        # No verdict rests on AMD's root certificate: the anchor stands for it.
        kinds = [own.kind for own in made.endorsements if own.kind is not EndorsementKind.AMD_ROOT]
        for count in range(1, len(kinds) + 1):
            for changed in combinations(kinds, count):
                pool = [a_items.of_kind(own.kind)[0] if own.kind in changed else own for own in made.endorsements]
                with pytest.raises(RatsTlsError) as caught:
                    appraise(made.evidence, Endorsements(tuple(pool)), policy, **settings)
                assert caught.value.refusal.label in {"certificate_chain", "endorsements_missing"}, changed

    @pytest.mark.parametrize(
        ("name", "states"),
        [
            (SGX, INTEL_STATES),
            (TDX, (*INTEL_STATES, *TDX_STATES)),
            (SNP, SNP_STATES),
        ],
    )
    def test_warm_and_cold_come_to_the_same(self, name: str, states: tuple[dict[str, Any], ...]) -> None:
        """Platforms and documents that differ in one thing each, before one Verifier and before a fresh one."""
        shared = registry.verifier(name.removeprefix("simulated_"))
        cases = [collected(name, **state) for state in states]
        everything = Endorsements().with_items(item for _, items in cases for item in items)
        pools = [(evidence, pool) for evidence, own in cases for pool in (own, everything)]
        seen = set()
        for evidence, pool in (*pools, *pools[::-1]):
            outcomes = []
            for verifier in (shared, registry.verifier(shared.name)):
                found = verifier.verify(
                    verifier.decode(evidence),
                    pool,
                    anchors=world().trust_anchors,
                    crypto=OpensslCryptoWrapper(),
                    now=NOW,
                )
                problems = [(problem.stage, problem.error.message, problem.missing) for problem in found.problems]
                outcomes.append((replace(found, problems=()), problems))
            assert outcomes[0] == outcomes[1]
            seen.add(repr(outcomes[0]))
        assert len(seen) >= len(states)

    @EVERY_TEE
    def test_each_endorsement_counts_when_warm(self, name: str) -> None:
        evidence, endorsements = collected(name)
        policy = policy_for(name)
        shared = registry.verifiers(policy.tee_types)
        assert appraise(evidence, endorsements, policy, verifiers=shared).verdict == "accepted"
        for item in endorsements:
            if item.kind is EndorsementKind.AMD_ROOT:
                continue  # the anchor stands for it
            others = [other for other in endorsements if other is not item]
            changes = [
                {"data": item.data[:-1] + bytes([item.data[-1] ^ 1])},
                *([{"signature": bytes(64)}] if item.signature else []),
                *([{"issuer_chain": item.issuer_chain[::-1]}, {"issuer_chain": ()}] if item.signature else []),
            ]
            for changed in ((), *((replace(item, **change),) for change in changes)):
                with pytest.raises(RatsTlsError):
                    appraise(evidence, Endorsements((*others, *changed)), policy, verifiers=shared)
        assert appraise(evidence, endorsements, policy, verifiers=shared).verdict == "accepted"

    @EVERY_TEE
    def test_dates_are_compared_on_every_use(self, name: str) -> None:
        evidence, endorsements = collected(name)
        policy = policy_for(name)
        shared = registry.verifiers(policy.tee_types)
        result = appraise(evidence, endorsements, policy, verifiers=shared)
        assert result.valid_from is not None
        assert result.valid_until is not None
        for now in (result.valid_from - SECOND, result.valid_until + SECOND):
            with pytest.raises(ExpiredError):
                appraise(evidence, endorsements, policy, verifiers=shared, now=now)
        assert appraise(evidence, endorsements, policy, verifiers=shared) == result

    @pytest.mark.parametrize("name", [SGX, TDX])
    def test_a_verdict_holds_no_longer_than_the_signer_of_its_documents(
        self, name: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        original = intel_collateral.verify_document
        begins, ends = NOW - SECOND, NOW + SECOND

        def shortlived(*given: Any) -> Any:
            signer, root = original(*given)
            return replace(signer, not_before=begins, not_after=ends), root

        monkeypatch.setattr(intel_collateral, "verify_document", shortlived)
        evidence, endorsements = collected(name)
        policy = policy_for(name)
        shared = registry.verifiers(policy.tee_types)
        result = appraise(evidence, endorsements, policy, verifiers=shared)
        assert (result.valid_from, result.valid_until) == (begins, ends)
        for now in (begins - SECOND, ends + SECOND):
            with pytest.raises(ExpiredError):
                appraise(evidence, endorsements, policy, verifiers=shared, now=now)

    def test_refusals_are_told_anew_each_time(self) -> None:
        """An error that is raised again would keep the checks of its first time, and grow with each."""
        evidence, endorsements = collected()
        forged = replace(endorsements.of_kind(EndorsementKind.INTEL_TCB_INFO)[0], signature=bytes(64))
        others = [item for item in endorsements if item.kind is not EndorsementKind.INTEL_TCB_INFO]
        judging = appraiser(Endorsements((*others, forged)))
        refused = []
        for now in (NOW, NOW + SECOND):
            with pytest.raises(CertificateChainError) as caught:
                judging.appraise_evidence(evidence, now=now, expected_report_data=REPORT_DATA)
            refused.append(caught.value)
        assert refused[0] is not refused[1]
        dates = [next(check.got for check in error.checks if check.id == "intel.pck_dates") for error in refused]
        assert dates[0] != dates[1]

    def test_what_peers_send_is_bounded_in_bytes(self) -> None:
        """Unverified chains, lists and documents of peers, each as large as a message may be."""
        limits = Limits(cached_vendor_bytes=200_000)
        evidence, endorsements = collected()
        shared = {tee: type(made)(limits) for tee, made in registry.verifiers(policy_for(SGX).tee_types).items()}
        snp = type(registry.verifier("sev_snp"))(limits)  # type: ignore[call-arg]
        for number in range(12):
            padding = b" " * (60_000 + number)
            peers = [
                replace(item, origin=Origin.PEER, data=item.data + padding)
                for item in endorsements
                if item.kind in {EndorsementKind.INTEL_TCB_INFO, EndorsementKind.INTEL_QE_IDENTITY}
            ]
            appraise(evidence, endorsements.with_items(peers), verifiers=shared)
        (verifier,) = shared.values()
        memories = (verifier._memory, snp._memory)  # type: ignore[attr-defined]
        for memory in memories:
            for name in type(memory).__slots__:
                cache = getattr(memory, name)
                assert cache._most_bytes == 200_000
                assert cache._bytes <= 200_000
        assert memories[0].documents._bytes > 60_000


class TestBoundedCache:
    def test_oldest_use_goes_first_by_number_and_by_bytes(self) -> None:
        cache = BoundedCache(3, most_bytes=100)
        made: list[object] = []

        def get(key: object) -> object:
            return cache.get(key, lambda: made.append(key) or key)  # type: ignore[func-returns-value,arg-type]

        for key in ("a", "b", "c", "a", "d"):
            get(key)
        assert made == ["a", "b", "c", "d"]
        get("b")
        assert made[-1] == "b"
        get(("x", (b"1" * 60, b"2" * 30)))
        get(("y", b"3" * 20))
        assert (len(cache), cache._bytes) == (1, 20)
        get(("z", b"4" * 101))
        assert (len(cache), cache._bytes) == (0, 0)

    def test_an_exception_is_not_remembered(self) -> None:
        cache = BoundedCache(3)
        with pytest.raises(ZeroDivisionError):
            cache.get("k", lambda: 1 // 0)
        assert cache.get("k", lambda: 5) == 5

    def test_nobody_waits(self) -> None:
        cache = BoundedCache(3)
        assert cache.get("k", lambda: 1) == 1
        cache._lock.acquire()
        assert cache.get("k", lambda: 2) == 2
        cache._lock.release()
        assert cache.get("k", lambda: 3) == 1

    def test_threads(self) -> None:
        cache = BoundedCache(5, most_bytes=500)
        wrong: list[object] = []

        def work(seed: int) -> None:
            for number in range(3000):
                key = bytes([(number * seed) % 11]) * 60
                if cache.get(key, lambda key=key: key) != key:  # type: ignore[misc]
                    wrong.append(key)

        threads = [threading.Thread(target=work, args=(seed,)) for seed in (1, 2, 3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert wrong == []
        assert len(cache) <= 5
        assert cache._bytes == 60 * len(cache) <= 500
