"""The vendors' real evidence by every crypto wrapper: the one that is given verifies it, and no other."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pytest

from rats_tls.core.algorithms import KeyAlgorithm, SignatureAlgorithm
from rats_tls.core.claims import TcbStatus
from rats_tls.core.endorsements import Endorsements
from rats_tls.core.errors import SignatureError
from rats_tls.core.evidence import Evidence
from rats_tls.core.interfaces import CryptoWrapper
from rats_tls.core.results import AttestationResult
from rats_tls.crypto_wrappers.openssl import OpensslPrivateKey, OpensslPublicKey
from support import amd, intel
from support.appraisals import claims_of, make_appraiser
from support.crypto import key_of, with_keys
from support.policies import default_policy


@dataclass(frozen=True, kw_only=True)
class Judged:
    """Evidence, and what it is accepted with.

    Attributes:
        policy: what of it a default policy does not accept.
        flips: offsets of a signed byte and of one of the signature.
    """

    evidence: Evidence
    endorsements: Endorsements
    now: datetime
    policy: dict[str, Any]
    flips: tuple[int, int]

    def appraise(self, crypto: CryptoWrapper, *, flip: int | None = None) -> AttestationResult:
        data = bytearray(self.evidence.data)
        if flip is not None:
            data[flip] ^= 1
        evidence = Evidence(media_type=self.evidence.media_type, data=bytes(data))
        policy = default_policy(claims_of(self.evidence.data), **self.policy)
        return make_appraiser(policy, self.endorsements, crypto=crypto).appraise_evidence(evidence, now=self.now)


def sgx() -> Judged:
    vector = intel.load(intel.PHALA_SGX)
    policy = {
        "tcb_statuses": TcbStatus.CONFIGURATION_AND_SW_HARDENING_NEEDED,
        "advisories": ("INTEL-SA-00289", "INTEL-SA-00615"),
    }
    # Header 48, report body 384 with report_data at 320, length of the signature data 4.
    return Judged(
        evidence=vector.evidence,
        endorsements=vector.endorsements,
        now=vector.now,
        policy=policy,
        flips=(48 + 320, 48 + 384 + 4 + 40),
    )


def tdx() -> Judged:
    vector = intel.load(intel.PHALA_TDX)
    # Header 48, TD report body 584 with report_data at 520, length of the signature data 4.
    return Judged(
        evidence=vector.evidence,
        endorsements=vector.endorsements,
        now=vector.now,
        policy={},
        flips=(48 + 520, 48 + 584 + 4 + 40),
    )


def sev_snp() -> Judged:
    vector = amd.load(amd.TRUSTEE_MILAN)
    policy = {
        "products": "Milan",
        "min_report_version": 2,
        "revocation": "not-checked",
        "allow_provisional_firmware": True,
    }
    # REPORT_DATA at 0x50, SIGNATURE at 0x2a0.
    return Judged(
        evidence=vector.evidence,
        endorsements=vector.endorsements,
        now=vector.now,
        policy=policy,
        flips=(0x50, 0x2A0 + 8),
    )


EVIDENCE = {
    KeyAlgorithm.EC_P256: (sgx, tdx),
    KeyAlgorithm.EC_P384: (sev_snp,),
}
"""By the key that its own signature is verified with."""


@with_keys("verifies", *EVIDENCE)
def test_accepted_and_named(crypto: CryptoWrapper, algorithm: KeyAlgorithm) -> None:
    for make in EVIDENCE[algorithm]:
        result = make().appraise(crypto)
        assert result.verdict == "accepted"
        assert result.crypto == f"{crypto.name} ({crypto.version})"


@with_keys("verifies", *EVIDENCE)
def test_a_flipped_byte_is_refused(crypto: CryptoWrapper, algorithm: KeyAlgorithm) -> None:
    for make in EVIDENCE[algorithm]:
        judged = make()
        for flip in judged.flips:
            with pytest.raises(SignatureError):
                judged.appraise(crypto, flip=flip)


@with_keys("generates", *EVIDENCE)
def test_no_other_wrapper_verifies_for_it(
    crypto: CryptoWrapper, algorithm: KeyAlgorithm, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One whose keys are the default library's leaves their signatures to that as well, and says so in its version."""
    by_default: set[SignatureAlgorithm] = set()
    verify = OpensslPublicKey.verify

    def noted(key: OpensslPublicKey, scheme: SignatureAlgorithm, signature: bytes, data: bytes) -> None:
        by_default.add(scheme)
        verify(key, scheme, signature, data)

    monkeypatch.setattr(OpensslPublicKey, "verify", noted)
    for make in EVIDENCE[algorithm]:
        make().appraise(crypto)
    ecdsa = {scheme for scheme in by_default if scheme.value.startswith("ecdsa-")}
    assert bool(ecdsa) is isinstance(key_of(crypto, algorithm), OpensslPrivateKey)
