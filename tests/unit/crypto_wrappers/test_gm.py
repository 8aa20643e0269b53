"""What is peculiar to the crypto wrapper `gm`, and SM2 certificates as the default wrapper judges them."""

from __future__ import annotations

import subprocess
from datetime import timedelta
from pathlib import Path

import gmalg
import pytest
from asn1crypto.keys import PrivateKeyInfo
from asn1crypto.x509 import Certificate as ParsedCertificate
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from rats_tls.certificates.binding import verify_peer_certificate
from rats_tls.certificates.tolerant import read_tolerantly
from rats_tls.core.algorithms import SM2_DEFAULT_USER_ID, KeyAlgorithm, SignatureAlgorithm
from rats_tls.core.errors import (
    CertificateChainError,
    ConfigurationError,
    DecodeError,
    InternalError,
    SignatureError,
    UnsupportedError,
)
from rats_tls.core.interfaces import CertificateRequest, CryptoWrapper
from rats_tls.crypto_wrappers import certificate_building
from rats_tls.crypto_wrappers.certificate_building import build_certificate
from rats_tls.crypto_wrappers.ecdsa_signatures import encode_signature
from rats_tls.crypto_wrappers.gm import GmCryptoWrapper
from rats_tls.crypto_wrappers.openssl import OpensslCryptoWrapper
from rats_tls.crypto_wrappers.sm2 import choosing
from rats_tls.crypto_wrappers.sm2.curve import N, spki_of
from rats_tls.crypto_wrappers.sm2.evp import EvpBackEnd
from rats_tls.crypto_wrappers.sm2.private_keys import Sm2PrivateKey
from rats_tls.formats.x509 import Certificate
from support.channels import NOW
from support.gm import GM, sm2_certificate, sm2_key
from support.sides import context
from support.sm2 import BACK_ENDS

SM2_SM3 = SignatureAlgorithm.SM2_SM3
EVP = tuple(back_end for back_end in BACK_ENDS.values() if isinstance(back_end, EvpBackEnd))
both = pytest.mark.parametrize("crypto", [GM, OpensslCryptoWrapper()], ids=lambda crypto: crypto.name)
evp = pytest.mark.parametrize("back_end", EVP, ids=lambda back_end: back_end.name)


@pytest.fixture
def only(monkeypatch: pytest.MonkeyPatch):
    """Leave these libraries for SM2."""

    def leave(*names: str) -> None:
        monkeypatch.setattr(choosing, "BACK_ENDS", names)
        monkeypatch.setattr(choosing, "_found", {})

    return leave


class TestKeys:
    @evp
    def test_they_are_made_anew_and_in_range(self, back_end: EvpBackEnd) -> None:
        made = {back_end.generate_private_key() for _ in range(50)}
        assert len(made) == 50
        assert all(len(private) == 32 and 0 < int.from_bytes(private, "big") < N for private in made)

    @evp
    def test_a_library_that_makes_none(self, back_end: EvpBackEnd, monkeypatch: pytest.MonkeyPatch) -> None:
        class Failing:
            def __getattr__(self, name: str) -> object:
                return (lambda _: 0) if name == "EC_KEY_generate_key" else getattr(library, name)

        library = back_end._library
        monkeypatch.setattr(back_end, "_library", Failing())
        with pytest.raises(InternalError, match="no key"):
            back_end.generate_private_key()

    @evp
    def test_another_library_verifies(self, back_end: EvpBackEnd) -> None:
        key = Sm2PrivateKey(back_end.generate_private_key(), back_end)
        r, s = decode_dss_signature(key.sign(SM2_SM3, b"data"))
        other = gmalg.SM2(uid=SM2_DEFAULT_USER_ID, pk=b"\x04" + key.public_key.spki[-64:])
        assert other.verify(b"data", r.to_bytes(32, "big"), s.to_bytes(32, "big"))

    def test_pkcs8_is_what_openssl_reads(self, tmp_path: Path) -> None:
        key = sm2_key()
        read = PrivateKeyInfo.load(key.pkcs8(), strict=True)
        assert read["private_key_algorithm"]["algorithm"].native == "ec"
        assert read["private_key_algorithm"]["parameters"].chosen.dotted == "1.2.156.10197.1.301"
        assert read.dump(force=True) == key.pkcs8()
        (tmp_path / "key").write_bytes(key.pkcs8())
        command = ["openssl", "pkey", "-inform", "DER", "-in", "key", "-pubout", "-outform", "DER", "-check"]
        ran = subprocess.run(command, cwd=tmp_path, capture_output=True, timeout=20, check=True)
        assert ran.stdout.endswith(key.public_key.spki)

    @pytest.mark.parametrize("private", [bytes(32), (N - 1).to_bytes(32, "big"), N.to_bytes(32, "big"), b"\1"])
    def test_numbers_that_are_no_keys(self, private: bytes) -> None:
        with pytest.raises(ConfigurationError, match="SM2 private key"):
            Sm2PrivateKey(private, choosing.key_maker())

    def test_it_signs_with_its_own_algorithm_only(self) -> None:
        for algorithm in set(SignatureAlgorithm) - {SM2_SM3}:
            with pytest.raises(ConfigurationError, match="does not fit an sm2 key"):
                sm2_key().sign(algorithm, b"")

    def test_what_it_leaves_to_openssl(self) -> None:
        made = GM.generate_key(KeyAlgorithm.EC_P256)
        signature = made.sign(SignatureAlgorithm.ECDSA_SHA256, b"data")
        GM.load_public_key(made.public_key.spki).verify(SignatureAlgorithm.ECDSA_SHA256, signature, b"data")
        assert GM.version.startswith(f"SM2: {sm2_key().public_key.library}; else cryptography ")  # type: ignore[attr-defined]
        assert KeyAlgorithm.EC_P256 in GM.capabilities.certificates

    @both
    def test_public_keys(self, crypto: CryptoWrapper) -> None:
        spki = sm2_key().public_key.spki
        key = crypto.load_public_key(spki)
        assert (key.algorithm, key.spki) == (KeyAlgorithm.SM2, spki)
        key.verify(SM2_SM3, sm2_key().sign(SM2_SM3, b"data"), b"data")
        with pytest.raises(SignatureError):
            key.verify(SM2_SM3, sm2_key().sign(SM2_SM3, b"data"), b"other")
        for wrong in (spki[:-1], spki + b"\0", spki[:-1] + bytes([spki[-1] ^ 1]), spki_of(bytes(64)), spki_of(b"")):
            with pytest.raises(DecodeError):
                crypto.load_public_key(wrong)
        compressed = b"\x30\x39" + spki[2:21] + b"\x03\x22\0\x02" + spki[-64:-32]
        with pytest.raises((UnsupportedError, DecodeError)):
            crypto.load_public_key(compressed)


class TestWithoutALibraryInConstantTime:
    def test_no_keys_are_made(self, only) -> None:
        only("gmalg")
        with pytest.raises(UnsupportedError, match=r"gmalg.*install OpenSSL 3 or rats-tls\[tongsuo\]"):
            GM.generate_key(KeyAlgorithm.SM2)
        able = GM.capabilities
        assert KeyAlgorithm.SM2 not in able.generates | able.certificates
        assert KeyAlgorithm.SM2 in able.verifies
        assert "SM2: gmalg (gmalg " in GM.version

    def test_but_it_verifies(self, only) -> None:
        signature, spki = sm2_key().sign(SM2_SM3, b"data"), sm2_key().public_key.spki
        only("gmalg")
        GM.load_public_key(spki).verify(SM2_SM3, signature, b"data")

    def test_without_any(self, only) -> None:
        only()
        with pytest.raises(UnsupportedError, match="no library for SM2: install"):
            GM.generate_key(KeyAlgorithm.SM2)
        with pytest.raises(UnsupportedError, match="no library for SM2: install"):
            GM.load_public_key(spki_of(choosing.KNOWN_POINT))
        able = GM.capabilities
        assert KeyAlgorithm.SM2 not in able.generates | able.certificates | able.verifies
        assert GM.version.startswith("SM2: no library; ")

    def test_the_reason_of_the_better_ones_is_told(self, only, monkeypatch: pytest.MonkeyPatch) -> None:
        only("nothing", "gmalg")
        with pytest.raises(UnsupportedError, match="nothing: "):
            GM.generate_key(KeyAlgorithm.SM2)


class TestCertificates:
    def test_another_library_verifies(self) -> None:
        read = ParsedCertificate.load(sm2_certificate(), strict=True)
        assert read["signature_algorithm"]["algorithm"].dotted == "1.2.156.10197.1.501"
        assert read["signature_algorithm"].dump() == bytes.fromhex("300a06082a811ccf55018375")  # no parameters
        assert read["tbs_certificate"]["signature"].dump() == read["signature_algorithm"].dump()
        r, s = decode_dss_signature(read["signature_value"].native)
        key = gmalg.SM2(uid=SM2_DEFAULT_USER_ID, pk=b"\x04" + sm2_key().public_key.spki[-64:])
        assert key.verify(read["tbs_certificate"].dump(), r.to_bytes(32, "big"), s.to_bytes(32, "big"))

    def test_openssl_verifies(self, tmp_path: Path) -> None:
        read = Certificate.from_der(sm2_certificate())
        for name, data in (("tbs", read.tbs), ("signature", read.signature), ("key", read.spki)):
            (tmp_path / name).write_bytes(data)
        for user_id, good in ((SM2_DEFAULT_USER_ID.decode(), True), ("another", False)):
            command = ["openssl", "pkeyutl", "-verify", "-pubin", "-inkey", "key", "-keyform", "DER", "-rawin"]
            command += ["-digest", "sm3", "-in", "tbs", "-sigfile", "signature", "-pkeyopt", f"distid:{user_id}"]
            ran = subprocess.run(command, cwd=tmp_path, check=False, capture_output=True, timeout=20)
            assert (ran.returncode == 0) is good, ran.stderr

    def test_keys_of_other_wrappers(self) -> None:
        class Foreign:
            algorithm = KeyAlgorithm.SM2

        with pytest.raises(ConfigurationError, match="crypto wrapper gm: the key was made by another"):
            GM.self_signed_certificate(Foreign(), None)  # type: ignore[arg-type]
        with pytest.raises(ConfigurationError, match="crypto wrapper openssl: the key was made by another"):
            OpensslCryptoWrapper().self_signed_certificate(sm2_key(), None)  # type: ignore[arg-type]

    def test_without_asn1crypto(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(certificate_building, "find_spec", lambda _: None)
        able = GmCryptoWrapper().capabilities
        assert KeyAlgorithm.SM2 in able.generates
        assert KeyAlgorithm.SM2 not in able.certificates
        with pytest.raises(
            ConfigurationError, match=r"gm makes no certificates for sm2 keys: pip install 'rats-tls\[gm\]';"
        ):
            context("null", tls="tongsuo", crypto="gm", key_algorithm=KeyAlgorithm.SM2)

    @both
    def test_a_peer_is_judged_by_its_own_signature(self, crypto: CryptoWrapper) -> None:
        der = sm2_certificate()
        good = Certificate.from_der(der)
        assert good.signature_algorithm is SM2_SM3
        tolerant = read_tolerantly(der, DecodeError("Certificate", "", None, "for a reason"))
        assert tolerant.signature_algorithm is SM2_SM3
        for read in (good, tolerant):
            verify_peer_certificate(read, crypto, now=NOW, clock_skew_seconds=0)
        changed = bytearray(der)
        changed[der.index(b"ZZZZ")] ^= 1
        for wrong in (bytes(changed), _signed_as(b"another user id")):
            with pytest.raises(CertificateChainError, match="self-signature"):
                verify_peer_certificate(Certificate.from_der(wrong), crypto, now=NOW, clock_skew_seconds=0)

    def test_a_peer_without_a_library_for_it(self, only) -> None:
        read = Certificate.from_der(sm2_certificate())
        only()
        with pytest.raises(UnsupportedError, match="no library for SM2: install"):
            verify_peer_certificate(read, OpensslCryptoWrapper(), now=NOW, clock_skew_seconds=0)


def _signed_as(user_id: bytes) -> bytes:
    """A certificate whose signer has another user id than the default one."""
    maker = choosing.key_maker()
    private = maker.generate_private_key()

    def sign(_: SignatureAlgorithm, data: bytes) -> bytes:
        return encode_signature(KeyAlgorithm.SM2, *maker.sign(private, user_id, data))

    day = timedelta(days=1)
    request = CertificateRequest(organization="O", common_name="N", serial=1, not_before=NOW - day, not_after=NOW + day)
    return build_certificate(request, spki_of(maker.public_point(private)), KeyAlgorithm.SM2, sign, wrapper="gm")
