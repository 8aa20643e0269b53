"""This side's key, Evidence and certificate: when new ones are made, and when none can be."""

from __future__ import annotations

import gc
import logging
import os
import signal
import threading
import weakref
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_der_private_key

from rats_tls.certificates.registry import read_attested_certificate
from rats_tls.channel import Credentials
from rats_tls.core.algorithms import KeyAlgorithm
from rats_tls.core.binding import certificate_report_data
from rats_tls.core.errors import CollectionError, ConfigurationError, UnsupportedError
from rats_tls.core.evidence import Evidence, TeeType
from rats_tls.core.interfaces import Collected
from rats_tls.core.limits import Limits
from rats_tls.credentials import ROTATE_AFTER, CredentialSource
from support.channels import CRYPTO
from support.ratls_variants import endorsements
from support.sides import Clock
from support.simulated import NOW

MAX_AGE = 1000.0
SECOND = timedelta(seconds=1)


class Device:
    """An Attester whose Evidence is the report_data, and that fails when told to."""

    name = "device"
    tee_type = TeeType.SEV_SNP

    def __init__(self) -> None:
        self.error: Exception | None = None
        self.collections = 0
        self.before: Callable[[], None] = lambda: None

    def collect(self, report_data: bytes) -> Collected:
        self.collections += 1
        self.before()
        if self.error is not None:
            raise self.error
        return Collected(evidence=Evidence.of(TeeType.SEV_SNP, report_data))


def source(attester: Any, clock: Clock, **changes: Any) -> CredentialSource:
    settings: dict[str, Any] = {
        "key_algorithm": KeyAlgorithm.EC_P256,
        "custom_claims": {"role": b"server"},
        "max_evidence_age": MAX_AGE,
        "endorsements_in_certificate": False,
        "clock": clock,
        "limits": Limits(),
    }
    return CredentialSource(attester, CRYPTO, **{**settings, **changes})


def started(**changes: Any) -> tuple[CredentialSource, Device, Clock, Credentials]:
    device, clock = Device(), Clock()
    made = source(device, clock, **changes)
    return made, device, clock, made.current()


def key_of(credentials: Credentials) -> bytes:
    assert credentials.certificate is not None
    return read_attested_certificate(credentials.certificate).certificate.spki


# --- what is made -----------------------------------------------------------------------------------------------------
def test_evidence_binds_the_key_and_the_claims_of_its_certificate() -> None:
    _, _, _, credentials = started()
    assert credentials.certificate is not None
    attested = read_attested_certificate(credentials.certificate)
    assert credentials.evidence == attested.evidence
    assert attested.evidence is not None
    assert attested.evidence.data == certificate_report_data(attested.claims_buffer)
    assert (attested.issued_at, attested.custom_claims) == (NOW, {"role": b"server"})
    assert attested.pubkey_hash is not None
    assert attested.pubkey_hash[1] == CRYPTO.digest(attested.pubkey_hash[0], attested.certificate.spki)


def test_the_private_key_is_that_of_the_certificate() -> None:
    _, _, _, credentials = started()
    assert credentials.private_key is not None
    public = load_der_private_key(credentials.private_key, None).public_key()
    assert public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo) == key_of(credentials)


def test_a_certificate_is_in_date_for_as_long_as_it_may_be_used() -> None:
    _, _, _, credentials = started()
    assert credentials.certificate is not None
    certificate = x509.load_der_x509_certificate(credentials.certificate)
    assert certificate.not_valid_before_utc <= NOW
    assert certificate.not_valid_after_utc >= NOW + timedelta(seconds=MAX_AGE)


def test_without_an_attester_there_is_a_key_and_no_evidence() -> None:
    credentials = source(None, Clock()).current()
    assert credentials.certificate is not None
    assert credentials.evidence is None
    assert read_attested_certificate(credentials.certificate).evidence is None
    assert b"server" not in credentials.certificate


@pytest.mark.parametrize("inside", [False, True])
def test_endorsements_are_in_the_certificate_only_when_asked_for(
    inside: bool, caplog: pytest.LogCaptureFixture
) -> None:
    class IntelDevice(Device):
        def collect(self, report_data: bytes) -> Collected:
            return Collected(evidence=Evidence.of(TeeType.TDX_ECDSA, report_data), endorsements=endorsements())

    credentials = source(IntelDevice(), Clock(), endorsements_in_certificate=inside).current()
    assert credentials.endorsements == endorsements()
    assert credentials.certificate is not None
    assert (len(read_attested_certificate(credentials.certificate).endorsements) == 4) is inside
    warned = [record for record in caplog.records if record.levelno == logging.WARNING and "abort" in record.message]
    assert len(warned) == inside


def test_the_limit_on_certificates_is_that_of_the_source() -> None:
    with pytest.raises(ConfigurationError, match="at most 200 are made"):
        source(Device(), Clock(), limits=Limits(certificate_made=200)).current()


# --- rotation ---------------------------------------------------------------------------------------------------------
def test_everything_is_renewed_at_three_quarters_of_the_age() -> None:
    made, device, clock, first = started()
    assert ROTATE_AFTER == 0.75
    clock.now = NOW + timedelta(seconds=750) - SECOND
    assert made.current() is first
    clock.now = NOW + timedelta(seconds=750)
    second = made.current()
    assert device.collections == 2
    for part in ("certificate", "private_key", "evidence"):
        assert getattr(second, part) != getattr(first, part)
    assert key_of(second) != key_of(first)
    assert second.certificate is not None
    assert read_attested_certificate(second.certificate).issued_at == clock.now
    # The new ones have an age of their own.
    clock.now += timedelta(seconds=749)
    assert made.current() is second


@pytest.mark.parametrize("back", [SECOND, timedelta(days=400)])
def test_a_clock_put_back_makes_new_ones(back: timedelta) -> None:
    """What was issued lies in the future then: peers would refuse it, and its age would begin anew."""
    made, device, clock, first = started()
    clock.now = NOW - back
    second = made.current()
    assert second is not first
    assert device.collections == 2
    assert second.certificate is not None
    assert read_attested_certificate(second.certificate).issued_at == clock.now


def test_forgotten_credentials_are_made_anew() -> None:
    made, device, _, first = started()
    made.forget()
    assert key_of(made.current()) != key_of(first)
    assert device.collections == 2


def test_threads_that_ask_at_once_get_the_same() -> None:
    device, clock = Device(), Clock()
    made = source(device, clock)
    together = threading.Barrier(4)
    found: list[Credentials] = []

    def ask() -> None:
        together.wait(10)
        found.append(made.current())

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert len(found) == 4
    assert len(set(map(id, found))) == device.collections == 1


# --- failures ---------------------------------------------------------------------------------------------------------
def test_evidence_in_date_is_used_while_it_cannot_be_renewed(caplog: pytest.LogCaptureFixture) -> None:
    made, device, clock, first = started()
    device.error = CollectionError("device is gone")
    for seconds in (750, 999):
        clock.now = NOW + timedelta(seconds=seconds)
        assert made.current() is first
    assert [record.message for record in caplog.records if "device is gone" in record.message]
    clock.now = NOW + timedelta(seconds=1000)
    with pytest.raises(CollectionError, match="device is gone"):
        made.current()
    device.error = None
    assert made.current() is not first


def test_evidence_of_the_future_is_not_used_when_it_cannot_be_renewed() -> None:
    made, device, clock, _ = started()
    device.error = CollectionError("device is gone")
    clock.now = NOW - SECOND
    with pytest.raises(CollectionError):
        made.current()


def test_an_attester_that_failed_is_asked_again_after_a_while() -> None:
    made, device, clock, first = started()
    device.error = CollectionError("busy")
    clock.now = NOW + timedelta(seconds=800)
    assert made.current() is first
    device.error = None
    clock.now = NOW + timedelta(seconds=819)
    assert made.current() is first
    assert device.collections == 2, "not for every connection"
    clock.now = NOW + timedelta(seconds=820)
    assert made.current() is not first
    assert device.collections == 3


def test_nobody_waits_for_a_renewal_by_another_thread() -> None:
    made, device, clock, first = started()
    clock.now = NOW + timedelta(seconds=800)
    begun, go_on = threading.Event(), threading.Event()
    collect = device.collect

    def slowly(report_data: bytes) -> object:
        begun.set()
        go_on.wait(20)
        return collect(report_data)

    device.collect = slowly  # type: ignore[method-assign]  # this once
    renewing = threading.Thread(target=made.current, daemon=True)
    renewing.start()
    assert begun.wait(20)
    assert made.current() is first
    go_on.set()
    renewing.join(20)
    assert made.current() is not first


def test_without_evidence_in_date_a_failure_is_an_error() -> None:
    device = Device()
    device.error = CollectionError("no such device")
    with pytest.raises(CollectionError, match="no such device"):
        source(device, Clock()).current()


@pytest.mark.parametrize("error", [OSError(5, "I/O error"), KeyError("quote"), ZeroDivisionError()])
def test_whatever_an_attester_raises_is_a_failure_to_collect(error: Exception) -> None:
    made, device, clock, first = started()
    device.error = error
    clock.now = NOW + timedelta(seconds=800)
    assert made.current() is first
    clock.now = NOW + timedelta(seconds=2000)
    with pytest.raises(CollectionError, match=f"attester device failed: {type(error).__name__}") as caught:
        made.current()
    assert caught.value.__cause__ is error


def test_other_errors_of_ours_are_failures_to_collect_too() -> None:
    made, device, clock, first = started()
    device.error = UnsupportedError("this TEE does not take report_data")
    clock.now = NOW + timedelta(seconds=800)
    assert made.current() is first
    clock.now = NOW + timedelta(seconds=1000)
    with pytest.raises(CollectionError, match="does not take report_data"):
        made.current()


# --- forks ------------------------------------------------------------------------------------------------------------
def in_a_child(answer: Callable[[], bytes]) -> bytes:
    """Fork, and give what the child answers."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        signal.alarm(20)  # ends it should it wait for what only the parent has
        try:
            os.write(write, answer())
        finally:
            os._exit(0)
    os.close(write)
    with os.fdopen(read, "rb") as file:
        answered = file.read()
    os.waitpid(child, 0)
    return answered


def test_a_child_makes_its_own_and_the_parent_keeps_its_own() -> None:
    made, device, _, first = started()
    childs_key = in_a_child(lambda: key_of(made.current()))
    assert childs_key not in (b"", key_of(first))
    assert made.current() is first
    assert device.collections == 1


def test_a_fork_while_another_thread_collects_does_not_lock_the_child() -> None:
    made, device, clock, _ = started()
    collecting, go_on = threading.Event(), threading.Event()

    def wait() -> None:
        collecting.set()
        go_on.wait(20)

    device.before = wait
    clock.now = NOW + timedelta(seconds=800)
    thread = threading.Thread(target=made.current)
    thread.start()
    assert collecting.wait(10)

    def answer() -> bytes:
        device.before = lambda: None
        return key_of(made.current())

    try:
        assert in_a_child(answer) != b""
    finally:
        go_on.set()
        thread.join(10)


def test_sources_are_not_kept_alive_by_the_hook_of_forks() -> None:
    made = weakref.ref(source(None, Clock()))
    gc.collect()
    assert made() is None
