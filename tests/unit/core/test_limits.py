"""Limits: each is finite, and those that peers and other pages rely on have their values."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, asdict

import pytest

from rats_tls.core.limits import DEFAULT_FETCH_LIMITS, DEFAULT_LIMITS, Limits


def test_every_limit_is_positive_and_finite() -> None:
    for name, value in (asdict(DEFAULT_LIMITS) | asdict(DEFAULT_FETCH_LIMITS)).items():
        assert 0 < value < 2**24, name


def test_values_that_others_rely_on() -> None:
    assert DEFAULT_LIMITS.certificate_made == 61_440
    assert DEFAULT_LIMITS.certificate_read == 65_536
    assert DEFAULT_LIMITS.handshake_seconds == 30.0
    assert DEFAULT_LIMITS.clock_skew_seconds == 300.0


def test_what_is_made_can_be_read_and_sent() -> None:
    assert DEFAULT_LIMITS.certificate_made <= DEFAULT_LIMITS.certificate_read
    assert DEFAULT_LIMITS.preamble_message <= DEFAULT_LIMITS.preamble_total < DEFAULT_LIMITS.undelivered
    assert DEFAULT_LIMITS.preamble_message < 2**24  # a frame's length has 24 bits


def test_what_is_fetched_can_be_kept_and_takes_less_than_a_handshake() -> None:
    assert DEFAULT_FETCH_LIMITS.json_document <= DEFAULT_LIMITS.endorsement_document
    assert DEFAULT_FETCH_LIMITS.revocation_list <= DEFAULT_LIMITS.endorsement_document
    assert DEFAULT_FETCH_LIMITS.connect_seconds <= DEFAULT_FETCH_LIMITS.total_seconds
    assert DEFAULT_FETCH_LIMITS.longest_wait_seconds < DEFAULT_FETCH_LIMITS.total_seconds
    assert DEFAULT_FETCH_LIMITS.shared_wait_seconds < DEFAULT_LIMITS.handshake_seconds


def test_limits_do_not_change_under_a_connection() -> None:
    with pytest.raises(FrozenInstanceError):
        DEFAULT_LIMITS.evidence = 1
    assert Limits(evidence=5).evidence == 5
    assert DEFAULT_LIMITS.evidence == 65_536
