"""Who signs Intel's Endorsements and reports, how statuses converge, and what is not judged.

Numbers (3.1, 3.3, 3.11, 3.16, 3.17) are those of docs/attacks.md.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from rats_tls.core.claims import TcbStatus
from rats_tls.core.endorsements import Endorsement, EndorsementKind, Endorsements
from rats_tls.core.errors import (
    AppraisalError,
    CertificateChainError,
    EndorsementMissingError,
    RatsTlsError,
    RevokedError,
    SignatureError,
    UnsupportedError,
)
from rats_tls.policy import Mode, Policy
from rats_tls.simulation import pki
from rats_tls.simulation.vendor_state import SignedItem
from rats_tls.simulation.world import SimulatedWorld
from support.judged import REPORT_DATA, appraise, appraiser, collected, judge
from support.ratls_variants import make, variants
from support.sides import SGX, TDX, context, echo, policy_for, served
from support.simulated import NOW, world

BOTH = pytest.mark.parametrize("name", [SGX, TDX])
INFO, IDENTITY = EndorsementKind.INTEL_TCB_INFO, EndorsementKind.INTEL_QE_IDENTITY
S = TcbStatus


def judged_with(name: str, kind: EndorsementKind, change: Callable[[Endorsement], Endorsement]) -> Any:
    """Judge healthy Evidence with one document changed."""
    evidence, endorsements = collected(name)
    (own,) = endorsements.of_kind(kind)
    others = [item for item in endorsements if item is not own]
    return appraise(evidence, Endorsements((*others, change(own))), policy_for(name))


# --- 3.1 who signed ---------------------------------------------------------------------------------------------------
@BOTH
@pytest.mark.parametrize("kind", [INFO, IDENTITY])
def test_3_1_a_document_is_signed_by_a_tcb_signer_under_the_root(name: str, kind: EndorsementKind) -> None:
    """The signatures of others are right; they are just not the signer's."""
    other = SimulatedWorld(clock=lambda: NOW).intel
    signer, root = collected(name)[1].of_kind(kind)[0].issuer_chain
    forged_signer, forged_root = other._tcb_signing(NOW, _healthy()), other.root_certificate
    another_ca = world().intel._intermediate("platform", NOW, _healthy())

    def by(key: ec.EllipticCurvePrivateKey, *chain: bytes) -> Callable[[Endorsement], Endorsement]:
        return lambda own: replace(own, signature=pki.sign_raw(key, own.data), issuer_chain=chain)

    assert judged_with(name, kind, by(world().intel.keys.tcb_signing, signer, root)).verdict == "accepted"
    for change, message in (
        (by(other.keys.tcb_signing, signer, root), "signature by its TCB signer"),
        (by(other.keys.tcb_signing, forged_signer, root), "TCB signing certificate signature"),
        (by(other.keys.tcb_signing, forged_signer, forged_root), "not a trust anchor"),
        (by(world().intel.keys.platform, another_ca, root), "TCB signing certificate common name"),
    ):
        with pytest.raises(CertificateChainError, match=message):
            judged_with(name, kind, change)


def _healthy() -> Any:
    return world().attester(SGX)._vendor_state  # type: ignore[attr-defined]  # a simulated SGX attester has one


@BOTH
def test_3_1_a_signer_that_was_revoked_signs_nothing_that_counts(name: str) -> None:
    evidence, endorsements = collected(name, revoked={SignedItem.INTEL_TCB_SIGNING})
    with pytest.raises(RevokedError, match="TCB signing certificate"):
        appraise(evidence, endorsements, policy_for(name))


@BOTH
def test_3_1_the_quoting_enclaves_report_binds_the_attestation_key_and_is_signed_by_the_platform(name: str) -> None:
    """Else anyone's key could stand behind a genuine quoting enclave's report."""
    stolen = ec.generate_private_key(ec.SECP256R1())
    for changes, message in (
        ({"attestation_key": stolen}, "QE report report_data"),
        ({"auth": bytes(32)}, "QE report report_data"),
        ({"report_signature": bytes(63) + b"\1"}, "QE report"),
    ):
        peer: Any = world().attester(name)
        peer._enclave = replace(peer._enclave, **changes)
        made = peer.collect(REPORT_DATA)
        with pytest.raises(SignatureError, match=message):
            appraise(made.evidence, Endorsements(made.endorsements), policy_for(name))


# --- 3.3 --------------------------------------------------------------------------------------------------------------
def test_3_3_no_tcb_info_of_version_2_is_for_tdx_whatever_it_calls_itself() -> None:
    def older(own: Endorsement) -> Endorsement:
        document = json.loads(own.data)
        document["version"] = 2
        for level in document["tcbLevels"]:
            components = level["tcb"].pop("sgxtcbcomponents")
            level["tcb"] |= {f"sgxtcbcomp{n:02}svn": part["svn"] for n, part in enumerate(components, 1)}
        data = json.dumps(document).encode()
        return replace(own, data=data, signature=world().intel._sign(data))

    with pytest.raises(EndorsementMissingError) as caught:
        judged_with(TDX, INFO, older)
    assert [item.kind for item in caught.value.missing] == [INFO]


# --- 3.11 how statuses converge ---------------------------------------------------------------------------------------
PLATFORM = (S.UP_TO_DATE, S.SW_HARDENING_NEEDED, S.CONFIGURATION_NEEDED, S.CONFIGURATION_AND_SW_HARDENING_NEEDED)
CONFIGURE = S.OUT_OF_DATE_CONFIGURATION_NEEDED
WITH_A_PART_OUT_OF_DATE = {
    **dict(zip(PLATFORM, (S.OUT_OF_DATE, S.OUT_OF_DATE, CONFIGURE, CONFIGURE), strict=True)),
    **{status: status for status in (S.OUT_OF_DATE, CONFIGURE, S.REVOKED)},
}
ADVISED, ADVISED_CONFIGURE = S.TD_RELAUNCH_ADVISED, S.TD_RELAUNCH_ADVISED_CONFIGURATION_NEEDED
RELAUNCH = {
    **dict(zip(PLATFORM, (ADVISED, ADVISED, ADVISED_CONFIGURE, ADVISED_CONFIGURE), strict=True)),
    **{status: status for status in (S.OUT_OF_DATE, CONFIGURE, S.REVOKED)},
}


def status_of(name: str, **state: Any) -> TcbStatus:
    evidence, endorsements = collected(name, **state)
    try:
        claims: Any = appraise(evidence, endorsements, policy_for(name)).claims
    except AppraisalError as error:
        claims = error.claims
    status: TcbStatus = claims.tcb.status
    return status


@pytest.mark.parametrize("status", WITH_A_PART_OUT_OF_DATE)
def test_3_11_a_module_or_quoting_enclave_makes_the_whole_no_better_than_itself(status: TcbStatus) -> None:
    for name, part in ((TDX, "module_status"), (TDX, "qe_status"), (SGX, "qe_status")):
        assert status_of(name, tcb_status=status, **{part: S.UP_TO_DATE}) is status
        assert status_of(name, tcb_status=status, **{part: S.OUT_OF_DATE}) is WITH_A_PART_OUT_OF_DATE[status]
        assert status_of(name, tcb_status=status, **{part: S.REVOKED}) is S.REVOKED


@pytest.mark.parametrize("status", RELAUNCH)
def test_3_11_a_relaunch_helps_where_platform_and_quoting_enclave_are_not_out_of_date(status: TcbStatus) -> None:
    assert status_of(TDX, relaunch_advised=True, tcb_status=status) is RELAUNCH[status]


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        ({"qe_status": S.OUT_OF_DATE}, S.OUT_OF_DATE),
        ({"qe_status": S.REVOKED}, S.REVOKED),
        ({"tee_tcb_svn2": bytes((5, 1, 3, *(0,) * 13))}, S.OUT_OF_DATE),  # the module now is out of date too
        ({"tee_tcb_svn2": bytes((6, 1, 2, *(0,) * 13))}, S.OUT_OF_DATE),  # microcode below the newest level
        ({"tee_tcb_svn2": bytes((6, 1, 3, *(0,) * 13))}, ADVISED),
        ({"tee_tcb_svn2": bytes((6, 3, 3, *(0,) * 13))}, ADVISED),  # another major version
    ],
)
def test_3_11_a_relaunch_helps_only_under_a_module_that_is_up_to_date_now(
    state: dict[str, Any], expected: TcbStatus
) -> None:
    assert status_of(TDX, relaunch_advised=True, **state) is expected


# --- 3.16, 3.17 -------------------------------------------------------------------------------------------------------
def test_3_16_reports_by_their_tag_are_not_judged() -> None:
    with pytest.raises(UnsupportedError, match="local, it cannot be verified remotely"):
        judge(appraiser(None, policy_for(TDX)), make(variants()["tag_60001"]))


def test_3_17_what_relaxes_is_switched_by_code_alone_and_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    """The mode of a policy, which may lie in a file, opens nothing by itself."""
    entries = policy_for(SGX, mr_enclave=bytes(32)).entries
    report_only = Policy.of(*entries, mode=Mode.REPORT_ONLY)
    for switch in (False, True):
        caplog.clear()
        client = context(None, report_only, insecure_report_only=switch)
        try:
            with served(context(SGX), echo) as (address, _), client.connect(address, timeout=20) as connection:
                assert connection.peer is not None
                assert connection.peer.verdict == "refused (report-only)"
        except RatsTlsError:
            assert not switch
        else:
            assert switch
        warnings = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
        insecure = [text for text in warnings if text.startswith("INSECURE: report-only")]
        assert len(insecure) == (2 if switch else 0)  # for the context, and for the connection
