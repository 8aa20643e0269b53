"""Errors: the form of their messages, and what they carry."""

from __future__ import annotations

import pickle

import pytest

import rats_tls
from rats_tls.core import errors
from rats_tls.core.checks import Check, Mismatch, Stage, Verdict, shorten
from rats_tls.core.endorsements import EndorsementKind, MissingEndorsement
from rats_tls.core.errors import (
    AppraisalError,
    AuthenticityError,
    BindingError,
    ConnectionFailedError,
    DecodeError,
    EndorsementMissingError,
    HandshakeTimeoutError,
    InternalError,
    PeerRefusedError,
    RatsTlsError,
    SignatureError,
    TlsError,
)
from rats_tls.core.refusals import Refusal, WireCode


@pytest.mark.parametrize(
    ("field", "offset", "message"),
    [
        ("version", 0, "QuoteHeader.version at 0x0: got 9, expected 3"),
        ("version", 0x1B2, "QuoteHeader.version at 0x1b2: got 9, expected 3"),
        ("version", None, "QuoteHeader.version: got 9, expected 3"),
        ("", None, "QuoteHeader: got 9, expected 3"),
    ],
)
def test_a_decode_error_names_structure_field_and_offset(field: str, offset: int | None, message: str) -> None:
    error = DecodeError("QuoteHeader", field, offset, "got 9, expected 3")
    assert str(error) == error.message == message
    assert (error.structure, error.field, error.offset) == ("QuoteHeader", field, offset)
    assert error.problem == "got 9, expected 3"


def test_a_decode_error_survives_a_process_boundary() -> None:
    error = pickle.loads(pickle.dumps(DecodeError("A", "b", 3, "c")))
    assert isinstance(error, DecodeError)
    assert str(error) == "A.b at 0x3: c"


def test_the_refusal_of_an_error_can_be_told_apart_from_its_class() -> None:
    assert SignatureError("x").refusal is Refusal.EVIDENCE_SIGNATURE
    assert SignatureError("x", refusal=Refusal.CERTIFICATE_CHAIN).refusal is Refusal.CERTIFICATE_CHAIN
    assert SignatureError("x").checks == ()


def test_families() -> None:
    """What users catch."""
    assert issubclass(BindingError, AuthenticityError)
    assert issubclass(TlsError, ConnectionFailedError)
    assert issubclass(HandshakeTimeoutError, TimeoutError)
    assert not issubclass(InternalError, AuthenticityError)
    assert not issubclass(PeerRefusedError, AuthenticityError)


def test_every_error_has_a_public_name() -> None:
    defined = {
        item.__name__ for item in vars(errors).values() if isinstance(item, type) and issubclass(item, RatsTlsError)
    }
    public = {name for name in rats_tls.__all__ if name.endswith("Error")}
    assert public == defined
    assert all(getattr(rats_tls, name) is getattr(errors, name) for name in public)


def test_an_appraisal_error_carries_every_mismatch() -> None:
    mismatches = tuple(Mismatch(entry="e", field=field, got="1", expected="2") for field in ("a", "b"))
    missing = (MissingEndorsement(kind=EndorsementKind.INTEL_TCB_INFO, key=(("fmspc", "00906ed50000"),)),)
    error = AppraisalError("policy", mismatches=mismatches, missing=missing, not_done=("x.y",), authenticated=False)
    assert (error.mismatches, error.missing, error.not_done) == (mismatches, missing, ("x.y",))
    assert error.authenticated is False
    assert AppraisalError("policy", mismatches=mismatches).authenticated is True
    assert str(mismatches[0]) == "e.a: got 1, expected 2"


def test_a_missing_endorsement_says_what_to_look_it_up_by() -> None:
    item = MissingEndorsement(kind=EndorsementKind.AMD_VEK, key=(("product", "Milan"), ("hwid", "00ff")))
    assert str(item) == "amd-vek (product Milan, hwid 00ff)"
    assert str(MissingEndorsement(kind=EndorsementKind.AMD_CRL)) == "amd-crl"
    assert EndorsementMissingError("m", missing=(item,)).missing == (item,)


def test_what_peers_and_tls_said() -> None:
    assert PeerRefusedError("m", wire_code=WireCode.APPRAISAL).wire_code is WireCode.APPRAISAL
    assert PeerRefusedError("m").wire_code is None
    error = TlsError("m", peer_alert="unknown_ca", truncated=True)
    assert (error.peer_alert, error.truncated) == ("unknown_ca", True)
    assert (TlsError("m").peer_alert, TlsError("m").truncated) == (None, False)


def test_long_bytes_are_cut_with_their_length() -> None:
    assert shorten(bytes(32)) == "00" * 32
    assert shorten(bytes(33)) == "00" * 32 + "… (33 bytes)"
    assert shorten(b"\xab\xcd", 2) == "ab… (2 bytes)"


def test_stages_stand_in_the_order_of_judgement() -> None:
    assert [stage.name for stage in sorted(Stage)] == [
        "DECODE",
        "EVIDENCE_SIGNATURE",
        "KEY_BINDING",
        "VENDOR_CHAIN",
        "REVOCATION",
        "TCB",
        "FRESHNESS",
        "POLICY",
    ]
    assert Check(id="a", stage=Stage.TCB, source="b").verdict is Verdict.PASSED
