"""What a context makes of its policy for channels and appraisals."""

from __future__ import annotations

import socket
import threading
from pathlib import Path
from typing import Any

import pytest

from rats_tls.channel import AppraisalNeeded
from rats_tls.context import Context
from rats_tls.core.algorithms import HashAlgorithm
from rats_tls.core.binding import Binding
from rats_tls.core.errors import AppraisalError, ConfigurationError
from rats_tls.core.tls import TlsFacts
from rats_tls.crypto_wrappers.openssl import OpensslCryptoWrapper
from rats_tls.endorsements.service import EndorsementService
from rats_tls.policy import Policy
from support.appraisals import claims_of
from support.judged import collected, presented
from support.policies import pinning_entry
from support.sides import SGX, context

TLS = TlsFacts(version="TLSv1.3", cipher="TLS_AES_256_GCM_SHA384", group="x25519", hash=HashAlgorithm.SHA384)


def test_an_entry_that_lets_the_preamble_out_does_so_for_its_own_peers_alone() -> None:
    claims = claims_of(collected()[0].data)
    strict = pinning_entry(claims, name="strict")
    lax = pinning_entry(claims, name="lax", preamble="optional", mr_enclave=bytes(32))
    assert context(None, Policy.of(strict))._settings_for("client").preamble_required
    judging = context(None, Policy.of(strict, lax))
    assert not judging._settings_for("client").preamble_required
    certificate, endorsements = presented()

    def needed(*, preamble: bool) -> AppraisalNeeded:
        return AppraisalNeeded(
            certificate=certificate,
            binding=Binding.CERTIFICATE,
            endorsements=tuple(endorsements),
            preamble=preamble,
            facts=TLS,
        )

    assert judging.appraise(needed(preamble=True)).policy_entry == "strict"
    with pytest.raises(AppraisalError) as caught:
        judging.appraise(needed(preamble=False))
    found = {(mismatch.entry, mismatch.field) for mismatch in caught.value.mismatches}
    assert found == {("strict", "preamble"), ("lax", "mr_enclave")}


def test_tls12_is_refused_when_the_wrapper_cannot_do_it_safely() -> None:
    with pytest.raises(ConfigurationError, match=r"TLS 1\.2"):
        context(SGX, allow_tls12=True)


@pytest.mark.parametrize(
    ("setting", "value", "said"),
    [
        ("key_algorithm", "bogus", "got 'bogus', expected one of ec-p256, ec-p384, rsa-3072, ed25519, sm2$"),
        ("key_algorithm", "rsa", "got 'rsa', expected one of"),
        ("key_algorithm", None, "got 'None', expected one of"),
        ("tls", None, "got NoneType, expected a TlsWrapper, or the name of one: openssl, gnutls, "),
        ("tls", OpensslCryptoWrapper(), "got OpensslCryptoWrapper, expected a TlsWrapper"),
        ("crypto", 3, "got int, expected a CryptoWrapper, or the name of one: openssl, awslc, "),
    ],
)
def test_instances_and_algorithms_of_no_kind(setting: str, value: object, said: str) -> None:
    with pytest.raises(ConfigurationError, match=f"^{setting}: {said}"):
        Context(attester="null", **{setting: value})


def test_key_algorithms_by_name() -> None:
    Context(attester="null", key_algorithm="ec-p384").prepare(server_side=True)
    with pytest.raises(ConfigurationError, match="no sm2 keys"):
        Context(attester="null", key_algorithm="sm2")


def test_the_first_read_and_the_first_write_do_the_handshake() -> None:
    left, right = socket.socketpair()
    server, client = context(SGX).wrap_socket(left, server_side=True), context(None, SGX).wrap_socket(right)
    for end in (server, client):
        end.settimeout(20)
    thread = threading.Thread(target=server.sendall, args=(b"first",), daemon=True)
    thread.start()
    assert client.recv() == b"first"
    thread.join(20)
    assert client.peer is not None
    for end in (client, server):
        end.close()


@pytest.mark.parametrize(
    ("setting", "value", "expected"),
    [
        ("policy", "policy.toml", "policy: got str, expected a Policy"),
        ("attester", 3, "attester: got int, expected an Attester"),
        ("mutual", "yes", "mutual: got str, expected True, False or None"),
        ("confirm", True, "confirm: got bool, expected a function"),
        ("endorsements", "bundle.zip", "endorsements: got str, expected Endorsements"),
        ("application_protocols", "h2", "application_protocols: got str, expected a list of texts"),
        ("custom_claims", {"name": "text"}, "got str and str, expected a name and bytes"),
    ],
)
def test_a_setting_of_another_kind_is_an_error_at_once(setting: str, value: Any, expected: str) -> None:
    with pytest.raises(ConfigurationError, match=expected):
        Context(**{setting: value})


def test_parts_of_an_endorsement_service_too(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="store: got PosixPath, expected an EndorsementStore"):
        EndorsementService(store=tmp_path)  # type: ignore[arg-type]  # what a caller without types may do
    with pytest.raises(ConfigurationError, match="sources: got object, expected a list of sources"):
        EndorsementService(object())  # type: ignore[arg-type]  # likewise
