"""Evidence outside a channel: set apart from what is bound inside, and never what others choose."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest

from rats_tls.attesters.null import NullAttester
from rats_tls.collecting import collect, insecure_collect
from rats_tls.core.binding import certificate_report_data, collect_report_data
from rats_tls.core.errors import BindingError, CollectionError, ConfigurationError, DecodeError, NoInstanceError
from rats_tls.core.evidence import TeeType
from support.judged import appraise, appraiser
from support.sides import ALL_SIMULATED, SGX, attester, policy_for
from support.simulated import NOW


@pytest.mark.parametrize("name", [*ALL_SIMULATED, "simulated_csv"])
def test_what_is_bound(name: str) -> None:
    made = attester(name)
    collected = collect(made, b"a nonce")
    expected = hashlib.sha512(b"rats-tls collect/1" + b"a nonce").digest()
    assert collect_report_data(b"a nonce") == expected
    judging = appraiser(made.endorsements, policy_for(name))
    result = judging.appraise_evidence(collected.evidence, now=NOW, expected_report_data=expected)
    assert result.verdict == "accepted"
    for other in (collect_report_data(b""), collect_report_data(b"a nonce\0"), hashlib.sha512(b"a nonce").digest()):
        with pytest.raises(BindingError):
            judging.appraise_evidence(collected.evidence, now=NOW, expected_report_data=other)


def test_it_is_never_what_binds_a_certificate() -> None:
    """Whatever the data: half of what binds a certificate is zeros."""
    for data in (b"", b"\0", bytes(64), certificate_report_data(b"claims")):
        assert collect_report_data(data)[32:] != bytes(32)


def test_raw_bytes_by_a_name_that_says_so(caplog: pytest.LogCaptureFixture) -> None:
    """Each use is a warning; what is set apart is none."""
    made = attester(SGX)
    collect(made, b"x")
    assert "INSECURE" not in caplog.text
    evidence = insecure_collect(made, bytes(range(64))).evidence
    assert appraise(evidence, made.endorsements, policy_for(SGX), report_data=bytes(range(64))).verdict == "accepted"
    assert f"INSECURE: attester {SGX} is given raw report_data" in caplog.text
    with pytest.raises(CollectionError, match="got 63 bytes, expected 64"):
        insecure_collect(made, bytes(63))


def test_evidence_without_report_data_is_for_nobodys_data() -> None:
    made = attester("simulated_sev")
    for call in (lambda: collect(made, b"x"), lambda: insecure_collect(made, bytes(64))):
        with pytest.raises(ConfigurationError, match="attester simulated_sev: its Evidence carries no report_data"):
            call()
    assert collect(made).evidence.data


def test_arguments_of_another_kind() -> None:
    made = attester(SGX)
    calls: list[tuple[Any, str]] = [
        (lambda: collect("auto", b"x"), "attester: got str, expected an Attester"),  # type: ignore[arg-type]
        (lambda: collect(made, "x"), "data: got str, expected bytes"),  # type: ignore[arg-type]
        (lambda: collect(made, None), "data: got NoneType, expected bytes"),  # type: ignore[arg-type]
        (lambda: insecure_collect(None, bytes(64)), "attester: got NoneType"),  # type: ignore[arg-type]
        (lambda: insecure_collect(made, "x" * 64), "report_data: got str"),  # type: ignore[arg-type]
    ]
    for call, said in calls:
        with pytest.raises(ConfigurationError, match=said):
            call()


def test_no_evidence_is_none() -> None:
    with pytest.raises(NoInstanceError, match="attester null: collects no Evidence"):
        collect(NullAttester(), b"x")


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (DecodeError("Report", "size", 4, "wrong"), "attester broken: Report.size at 0x4: wrong"),
        (KeyError("x"), "attester broken failed: KeyError: 'x'"),
        (CollectionError("the device is gone"), "the device is gone"),
    ],
)
def test_whatever_an_attester_does_is_our_error(error: Exception, said: str) -> None:
    class Broken:
        name = "broken"
        tee_type = TeeType.SEV_SNP

        def collect(self, _: bytes) -> Any:
            raise error

    with pytest.raises(CollectionError) as caught:
        collect(Broken())
    assert caught.value.message == said
