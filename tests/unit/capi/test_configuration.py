"""What `init` takes and refuses."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from rats_tls import capi
from rats_tls.capi import (
    CertAlgorithm,
    CoreCode,
    CoreError,
    CryptoWrapperCode,
    CryptoWrapperError,
    EnclaveAttesterCode,
    EnclaveAttesterError,
    Flags,
    LogLevel,
    QuoteSgxEcdsa,
    QuoteSgxEpid,
)
from rats_tls.core.algorithms import KeyAlgorithm
from rats_tls.core.errors import UnsupportedError
from rats_tls.core.evidence import TeeType
from rats_tls.core.refusals import Refusal
from rats_tls.crypto_wrappers.openssl import OpensslCryptoWrapper
from rats_tls.policy import Policy
from support.capi import CLIENT, MUTUAL_CLIENT, MUTUAL_SERVER, SERVER, handle
from support.policies import null_policy
from support.sides import SGX, SNP, TDX, policy_for


@pytest.fixture
def level() -> Iterator[logging.Logger]:
    logger = logging.getLogger("rats_tls")
    before = logger.level
    yield logger
    logger.setLevel(before)


def test_numbers_are_those_of_the_c_api() -> None:
    assert {flag.name: int(flag) for flag in Flags} == {
        "MUTUAL": 1,
        "SERVER": 2,
        "PROVIDE_ENDORSEMENTS": 4,
        "ATTESTER_ENFORCED": 1 << 32,
        "VERIFIER_ENFORCED": 1 << 33,
    }
    assert [int(level) for level in LogLevel] == [0, 1, 2, 3, 4, 5]
    assert {algorithm.name: int(algorithm) for algorithm in CertAlgorithm} == {
        "RSA_3072": 0,
        "ECC_256": 1,
        "DEFAULT": 3,
    }
    assert (capi.API_VERSION_DEFAULT, capi.API_VERSION_MAX) == (1, 1)


# --- policies -----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(("flags", "attests"), [(CLIENT, None), (MUTUAL_CLIENT, SGX), (MUTUAL_SERVER, SGX)])
@pytest.mark.parametrize("verifier", ["", "sgx_ecdsa", "nullverifier"])
def test_whoever_judges_needs_a_policy(flags: Flags, attests: str | None, verifier: str) -> None:
    with pytest.raises(CoreError, match="policy: this side judges its peer") as caught:
        handle(flags, attests, None, verifier_type=verifier)
    assert caught.value.code is CoreCode.INVALID
    assert caught.value.number == -2
    handle(flags, attests, SNP)


def test_a_server_that_judges_nobody_takes_no_policy_and_no_verifier() -> None:
    assert handle(SERVER, SGX) is not None
    assert handle(SERVER, SGX, verifier_type="nullverifier") is not None
    with pytest.raises(CoreError, match="judges nobody"):
        handle(SERVER, SGX, SNP)
    with pytest.raises(CoreError, match=r"verifier_type: got sgx_ecdsa.*judges nobody"):
        handle(SERVER, SGX, verifier_type="sgx_ecdsa")


def test_something_else_than_a_policy() -> None:
    with pytest.raises(CoreError, match="expected a Policy"):
        handle(CLIENT, options={"policy": "sgx_ecdsa"}, verifier_type="sgx_ecdsa")


# --- verifiers ----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("name", ["tdx_ecdsa", "sev_snp", "null", "nullverifier"])
def test_a_verifier_that_no_entry_asks_for(name: str) -> None:
    with pytest.raises(CoreError, match=rf"verifier_type: got {name.replace('verifier', '')}: policy: no entry for"):
        handle(CLIENT, None, SGX, verifier_type=name)


def test_an_enforced_verifier_leaves_the_other_entries_out() -> None:
    policy = Policy.of(
        *(replace(entry, name=name) for name in (SGX, SNP) for entry in policy_for(name).entries),
    )

    def judged(flags: Flags, name: str) -> frozenset[TeeType]:
        made = handle(flags, None, policy, verifier_type=name)
        counting = made._context._policy
        assert counting is not None
        return counting.tee_types

    both = {TeeType.SGX_ECDSA, TeeType.SEV_SNP}
    assert judged(CLIENT, "sev_snp") == both
    assert judged(CLIENT, "") == both
    assert judged(CLIENT | Flags.VERIFIER_ENFORCED, "sev_snp") == {TeeType.SEV_SNP}


@pytest.mark.parametrize("flag", [Flags.ATTESTER_ENFORCED, Flags.VERIFIER_ENFORCED])
def test_what_is_enforced_must_be_named(flag: Flags) -> None:
    with pytest.raises(CoreError, match=rf"{flag.name}, and no"):
        handle(MUTUAL_CLIENT | flag, SGX, SNP)


def test_null_is_accepted_only_where_the_policy_names_it() -> None:
    assert handle(CLIENT, None, null_policy(), verifier_type="nullverifier") is not None


# --- names --------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("prefix", ["null", "nullattester"])
def test_a_server_without_evidence(prefix: str) -> None:
    made = handle(SERVER, attester_type=prefix)
    credentials = made._context.collect_credentials()
    assert credentials.certificate is not None
    assert credentials.evidence is None


@pytest.mark.parametrize("name", ["null", "nulltls"])
def test_no_tls(name: str) -> None:
    assert handle(CLIENT, None, SGX, tls_type=name)._context._tls.name == "null"
    with pytest.raises(CoreError, match="bindings"):
        handle(CLIENT, None, policy_for(SGX, bindings="certificate"), tls_type=name)


@pytest.mark.parametrize("name", ["null", "nullcrypto"])
def test_no_crypto(name: str) -> None:
    for made in (lambda: handle(CLIENT, None, SGX, crypto_type=name), lambda: handle(SERVER, SGX, crypto_type=name)):
        with pytest.raises(CoreError, match=r"crypto wrapper null (verifies nothing|makes no ec-p256 keys)") as caught:
            made()
        assert caught.value.code is CoreCode.INVALID


def test_a_crypto_wrapper_that_makes_no_key_after_all(monkeypatch: pytest.MonkeyPatch) -> None:
    def none(_self: object, algorithm: KeyAlgorithm) -> None:
        raise UnsupportedError(f"makes no {algorithm.value} keys")

    monkeypatch.setattr(OpensslCryptoWrapper, "generate_key", none)
    with pytest.raises(CryptoWrapperError, match="makes no ec-p256 keys") as caught:
        handle(SERVER, SGX)
    assert caught.value.code is CryptoWrapperCode.UNSUPPORTED_ALGO


@pytest.mark.parametrize("kind", ["attester_type", "verifier_type", "tls_type", "crypto_type"])
@pytest.mark.parametrize("name", ["nobody_has_this", "nullattesters"])
def test_an_instance_that_is_not_there(kind: str, name: str) -> None:
    with pytest.raises(CoreError, match=f"{name}.*not known") as caught:
        handle(MUTUAL_SERVER, None, SGX, **{"attester_type": "null", kind: name})
    assert caught.value.code is CoreCode.NOT_REGISTERED
    assert caught.value.refusal is Refusal.NO_INSTANCE


def test_a_verifier_that_lacks_what_it_needs_is_not_replaced() -> None:
    with pytest.raises(CoreError, match="sgx_ecdsa_qve: QvE answers with a local report") as caught:
        handle(MUTUAL_SERVER, None, SGX, attester_type="null", verifier_type="sgx_ecdsa_qve")
    assert caught.value.code is CoreCode.NOT_REGISTERED


def test_no_attester_named_is_never_the_null_attester() -> None:
    with pytest.raises(CoreError, match="attester auto: no TEE") as caught:
        handle(SERVER)
    assert caught.value.code is CoreCode.NOT_REGISTERED


def test_an_attester_that_is_given_is_the_one_that_is_named() -> None:
    assert handle(SERVER, SGX, attester_type=SGX) is not None
    with pytest.raises(CoreError, match=f"attester_type: got {TDX}"):
        handle(SERVER, SGX, attester_type=TDX)


def test_a_client_that_is_not_mutual_collects_nothing() -> None:
    made = handle(CLIENT, SGX, SNP)
    assert made._context._attester is None


class Broken:
    name = SGX
    tee_type = TeeType.SGX_ECDSA

    def collect(self, report_data: bytes) -> Any:
        raise OSError("no device")


@pytest.mark.parametrize(("flags", "judges"), [(SERVER, None), (MUTUAL_CLIENT, SNP)])
def test_evidence_is_collected_at_once(flags: Flags, judges: str | None) -> None:
    with pytest.raises(EnclaveAttesterError, match="no device") as caught:
        handle(flags, None, judges, options={"attester": Broken()})
    assert caught.value.code is EnclaveAttesterCode.INVALID


# --- other fields -------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("fields", "complaint", "code"),
    [
        ({"api_version": 2}, "api_version: got 2", CoreCode.INVALID),
        ({"api_version": -1}, "api_version: got -1", CoreCode.INVALID),
        ({"flags": Flags(8)}, "unknown bits 0x8", CoreCode.INVALID),
        ({"flags": 1 << 34}, "unknown bits 0x400000000", CoreCode.INVALID),
        ({"log_level": 6}, "log_level: got 6", CoreCode.INVALID),
        ({"cert_algo": 2}, "cert_algo: got 2", CoreCode.UNSUPPORTED_CERT_ALGO),
        ({"quote_sgx_ecdsa": QuoteSgxEcdsa(valid=True, cert_type=1)}, "cert_type: got 1", CoreCode.INVALID),
        ({"quote_sgx_epid": QuoteSgxEpid(valid=True, spid=bytes(16))}, "EPID", CoreCode.NOT_REGISTERED),
        ({"attester_type": "sgx_epid"}, "sgx_epid: SGX EPID", CoreCode.NOT_REGISTERED),
        ({"verifier_type": "sgx_epid"}, "sgx_epid: SGX EPID", CoreCode.NOT_REGISTERED),
        ({"custom_claims": {"pubkey-hash": b""}}, "pubkey-hash", CoreCode.INVALID),
    ],
)
def test_values_that_there_are_not(fields: dict[str, Any], complaint: str, code: CoreCode) -> None:
    given = {"flags": MUTUAL_CLIENT, **fields}
    with pytest.raises(CoreError, match=complaint) as caught:
        handle(given.pop("flags"), SGX, SNP, **given)
    assert caught.value.code is code


def test_values_that_are_not_valid_are_not_looked_at() -> None:
    unset = {"quote_sgx_ecdsa": QuoteSgxEcdsa(cert_type=1), "quote_sgx_epid": QuoteSgxEpid(linkable=True)}
    assert handle(CLIENT, None, SGX, api_version=0, **unset) is not None


@pytest.mark.parametrize(
    ("given", "python"),
    [
        *((LogLevel.DEBUG, logging.DEBUG), (LogLevel.INFO, logging.INFO), (LogLevel.WARN, logging.WARNING)),
        *((LogLevel.ERROR, logging.ERROR), (LogLevel.FATAL, logging.CRITICAL), (LogLevel.NONE, logging.CRITICAL + 1)),
    ],
)
def test_log_levels(level: logging.Logger, given: LogLevel, python: int) -> None:
    handle(CLIENT, None, SGX)
    assert level.level == logging.NOTSET, "left alone"
    handle(CLIENT, None, SGX, log_level=given)
    assert level.level == python


@pytest.mark.parametrize(
    ("algorithm", "name"),
    [(CertAlgorithm.RSA_3072, "rsa-3072"), (CertAlgorithm.ECC_256, "ec-p256"), (CertAlgorithm.DEFAULT, "ec-p256")],
)
def test_certificate_algorithms(algorithm: CertAlgorithm, name: str) -> None:
    assert handle(SERVER, SGX, cert_algo=algorithm)._context._credentials._key_algorithm.value == name


@pytest.mark.parametrize("provides", [False, True])
def test_endorsements_are_provided_when_asked_for(provides: bool) -> None:
    flags = Flags.SERVER | (Flags.PROVIDE_ENDORSEMENTS if provides else Flags(0))
    assert handle(flags, SGX)._context._provide_endorsements is provides
