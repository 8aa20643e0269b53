"""What every SM2 back end keeps to. A new one joins in `choosing.BACK_ENDS`."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from asn1crypto.keys import PublicKeyInfo
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from hypothesis import given, settings
from hypothesis import strategies as st

from rats_tls.core.algorithms import KeyAlgorithm, SignatureAlgorithm
from rats_tls.core.errors import DecodeError, SignatureError, UnsupportedError
from rats_tls.crypto_wrappers.sm2 import choosing
from rats_tls.crypto_wrappers.sm2.back_end import BackEnd
from rats_tls.crypto_wrappers.sm2.curve import N, P
from rats_tls.crypto_wrappers.sm2.evp import EvpBackEnd
from rats_tls.crypto_wrappers.sm2.keys import Sm2PublicKey, load_key
from rats_tls.crypto_wrappers.sm2.signing import generate_private_key
from support.endurance import resident_bytes
from support.paths import vectors_required
from support.sm2 import BACK_ENDS, EXPECTED, UNUSABLE

SM2_SM3 = SignatureAlgorithm.SM2_SM3
USER_ID = b"HYGON-SSD-HRK"
DATA = b"signed data"
PRIVATE = generate_private_key()
MEGABYTE = 2**20

# GB/T 32918.5-2017, annex A: the private key of the published example.
KNOWN_PRIVATE = bytes.fromhex("3945208f7b2144b13f36e38ac6d39f95889393692860b51a42fb81ef4df7c5b8")

back_ends = pytest.mark.parametrize("back_end", BACK_ENDS.values(), ids=BACK_ENDS)
signers = pytest.mark.parametrize("signer", BACK_ENDS.values(), ids=[f"signed by {name}" for name in BACK_ENDS])
evp = pytest.mark.parametrize(
    "back_end", [found for found in BACK_ENDS.values() if isinstance(found, EvpBackEnd)], ids=lambda found: found.name
)


def key_of(back_end: BackEnd, private: bytes = PRIVATE, user_id: bytes = USER_ID) -> Sm2PublicKey:
    return load_key(back_end.public_point(private), user_id, back_end)


def test_all_are_here_where_completeness_is_asked_for() -> None:
    assert BACK_ENDS, UNUSABLE
    assert not vectors_required() or tuple(BACK_ENDS) == EXPECTED, UNUSABLE


@back_ends
class TestSignatures:
    def test_the_published_example(self, back_end: BackEnd) -> None:
        assert back_end.public_point(KNOWN_PRIVATE) == choosing.KNOWN_POINT
        key = load_key(choosing.KNOWN_POINT, choosing.KNOWN_USER_ID, back_end)
        key.verify_ecdsa(SM2_SM3, *choosing.KNOWN_SIGNATURE, choosing.KNOWN_DATA)
        for user_id in (b"1234567812345679", b"ALICE123@YAHOO.COM"):
            with pytest.raises(SignatureError):
                load_key(choosing.KNOWN_POINT, user_id, back_end).verify_ecdsa(
                    SM2_SM3, *choosing.KNOWN_SIGNATURE, choosing.KNOWN_DATA
                )

    @signers
    def test_what_one_signs_each_verifies(self, back_end: BackEnd, signer: BackEnd) -> None:
        for data in (DATA, b"", bytes(5000)):
            r, s = signer.sign(PRIVATE, USER_ID, data)
            key = key_of(back_end)
            key.verify_ecdsa(SM2_SM3, r, s, data)
            key.verify(SM2_SM3, encode_dss_signature(r, s), data)
            with pytest.raises(SignatureError):
                key.verify_ecdsa(SM2_SM3, r, s, data + b"\0")

    @signers
    def test_another_user_id_is_another_signature(self, back_end: BackEnd, signer: BackEnd) -> None:
        r, s = signer.sign(PRIVATE, USER_ID, DATA)
        for user_id in (USER_ID[:-1], USER_ID + b"\0", USER_ID[1:], b"H", b"HYGON-SSD-HSK", b"1234567812345678"):
            with pytest.raises(SignatureError):
                key_of(back_end, user_id=user_id).verify_ecdsa(SM2_SM3, r, s, DATA)

    def test_another_key(self, back_end: BackEnd) -> None:
        r, s = back_end.sign(PRIVATE, USER_ID, DATA)
        with pytest.raises(SignatureError):
            key_of(back_end, generate_private_key()).verify_ecdsa(SM2_SM3, r, s, DATA)

    def test_numbers_out_of_range(self, back_end: BackEnd) -> None:
        r, s = back_end.sign(PRIVATE, USER_ID, DATA)
        key = key_of(back_end)
        wrong = [(0, s), (r, 0), (0, 0), (N, s), (r, N), (r + N, s), (r, s + N), (-r, s), (r, -s), (r - N, s)]
        wrong += [(r, N - r), (2**256, s), (r, 2**256), (2**600 + r, s), (r, 2**600 + s), (s, r)]
        for attempt in wrong:
            with pytest.raises(SignatureError):
                key.verify_ecdsa(SM2_SM3, *attempt, DATA)
        key.verify_ecdsa(SM2_SM3, r, s, DATA)

    def test_der_in_another_form(self, back_end: BackEnd) -> None:
        key = key_of(back_end)
        while True:
            r, s = back_end.sign(PRIVATE, USER_ID, DATA)
            if r >> 255 and s >> 255:
                break
        der = encode_dss_signature(r, s)
        raw = r.to_bytes(32, "big") + s.to_bytes(32, "big")
        padded = b"\x02\x22\x00\x00" + raw[:32] + b"\x02\x21\x00" + raw[32:]
        negative = b"\x02\x20" + raw[:32] + b"\x02\x20" + raw[32:]
        for form in (
            *(der + b"\0", der[:-1], b"", raw, b"\x30\x81" + der[1:]),
            *(b"\x30" + bytes([len(numbers)]) + numbers for numbers in (padded, negative)),
        ):
            with pytest.raises(SignatureError):
                key.verify(SM2_SM3, form, DATA)

    def test_der_that_is_longer_than_any(self, back_end: BackEnd) -> None:
        """Parsers have no bound: a certificate's signature has as many bytes as its sender likes."""
        long = b"\x30\x83\x0f\x42\x44" + b"\x02\x83\x0f\x42\x3c" + b"\x01" + bytes(999_995) + b"\x02\x01\x01"
        with pytest.raises(SignatureError, match="expected 72 at most"):
            key_of(back_end).verify(SM2_SM3, long, DATA)

    @pytest.mark.parametrize("algorithm", [one for one in SignatureAlgorithm if one is not SM2_SM3])
    def test_other_algorithms(self, back_end: BackEnd, algorithm: SignatureAlgorithm) -> None:
        r, s = choosing.KNOWN_SIGNATURE
        key = load_key(choosing.KNOWN_POINT, choosing.KNOWN_USER_ID, back_end)
        with pytest.raises(SignatureError, match="does not fit an sm2 key"):
            key.verify_ecdsa(algorithm, r, s, choosing.KNOWN_DATA)
        with pytest.raises(SignatureError, match="does not fit an sm2 key"):
            key.verify(algorithm, encode_dss_signature(r, s), choosing.KNOWN_DATA)

    @settings(max_examples=20)
    @given(data=st.binary(max_size=100), user_id=st.binary(min_size=1, max_size=100))
    def test_any_bytes_by_anybody(self, back_end: BackEnd, data: bytes, user_id: bytes) -> None:
        signer = next(iter(BACK_ENDS.values()))
        r, s = signer.sign(PRIVATE, user_id, data)
        key_of(back_end, user_id=user_id).verify_ecdsa(SM2_SM3, r, s, data)


@back_ends
class TestKeys:
    def test_points(self, back_end: BackEnd) -> None:
        point = back_end.public_point(PRIVATE)
        x, y = point[:32], point[32:]
        off_curve = x + (int.from_bytes(y, "big") ^ 1).to_bytes(32, "big")
        for wrong in (off_curve, y + x, bytes(64), b"\xff" * 64, point[:-1], point + b"\0", b"", b"\x04" + point):
            with pytest.raises(DecodeError):
                load_key(wrong, USER_ID, back_end)

    def test_coordinates_that_are_not_reduced(self, back_end: BackEnd) -> None:
        """x + p is the same point to who reduces it: one key would have two encodings, and two digests."""
        x, y = 1, bytes.fromhex("9f7a091433a81e3f218f405f792355bf2aa98b5ffa95982f03870800065279a3")
        load_key(x.to_bytes(32, "big") + y, USER_ID, back_end)
        with pytest.raises(DecodeError):
            load_key((x + P).to_bytes(32, "big") + y, USER_ID, back_end)

    def test_user_ids(self, back_end: BackEnd) -> None:
        """Hygon's have at most 254 bytes."""
        for size in (1, 254, 4095):
            r, s = back_end.sign(PRIVATE, b"i" * size, DATA)
            key_of(back_end, user_id=b"i" * size).verify_ecdsa(SM2_SM3, r, s, DATA)
        for size in (0, 8191, 8192, 65536):
            with pytest.raises(DecodeError, match="expected 1 to 8190"):
                key_of(back_end, user_id=b"i" * size)
        if back_end.name == "gmalg":
            with pytest.raises(UnsupportedError, match="at most 4095"):
                key_of(back_end, user_id=b"i" * 4096)
        else:
            r, s = back_end.sign(PRIVATE, b"i" * 8190, DATA)
            key_of(back_end, user_id=b"i" * 8190).verify_ecdsa(SM2_SM3, r, s, DATA)

    def test_what_a_key_says_of_itself(self, back_end: BackEnd) -> None:
        key = key_of(back_end)
        assert key.algorithm is KeyAlgorithm.SM2
        assert key.library == f"{back_end.name} ({back_end.version})"
        assert any(character.isdigit() for character in key.library)
        read = PublicKeyInfo.load(key.spki, strict=True)
        assert read["algorithm"]["algorithm"].native == "ec"
        assert read["algorithm"]["parameters"].chosen.dotted == "1.2.156.10197.1.301"
        assert read["public_key"].contents == b"\0\x04" + back_end.public_point(PRIVATE)
        assert read.dump(force=True) == key.spki


@back_ends
def test_threads_share_a_key(back_end: BackEnd) -> None:
    good, bad = back_end.sign(PRIVATE, USER_ID, DATA), back_end.sign(PRIVATE, USER_ID, b"other data")
    key = key_of(back_end)

    def refused(number: int) -> bool:
        try:
            key.verify_ecdsa(SM2_SM3, *(bad if number % 3 == 0 else good), DATA)
        except SignatureError:
            return True
        return False

    with ThreadPoolExecutor(8) as threads:
        outcomes = list(threads.map(refused, range(200)))
    assert outcomes == [number % 3 == 0 for number in range(200)]


@evp
class TestLibraries:
    def test_nothing_is_kept_of_keys_and_signatures(self, back_end: EvpBackEnd) -> None:
        r, s = back_end.sign(PRIVATE, USER_ID, DATA)
        point = back_end.public_point(PRIVATE)

        def work(times: int) -> None:
            for _ in range(times):
                key = load_key(point, USER_ID, back_end)
                key.verify_ecdsa(SM2_SM3, r, s, DATA)
                with pytest.raises(SignatureError):
                    key.verify_ecdsa(SM2_SM3, r, s, b"other")
                for _ in range(5):
                    back_end.public_point(PRIVATE)

        work(300)
        before = resident_bytes()
        work(1500)
        assert resident_bytes() - before < MEGABYTE / 2

    def test_the_queue_of_errors_is_left_empty(self, back_end: EvpBackEnd) -> None:
        library = back_end._library
        key = key_of(back_end)
        r, s = back_end.sign(PRIVATE, USER_ID, DATA)
        for signature in ((r, s), (s, r)):
            assert library.EC_GROUP_new_by_curve_name(1) == back_end._ffi.NULL  # leaves an error
            if signature == (r, s):
                key.verify_ecdsa(SM2_SM3, *signature, DATA)
            else:
                with pytest.raises(SignatureError, match=r"does not verify$"):
                    key.verify_ecdsa(SM2_SM3, *signature, DATA)
            assert library.ERR_get_error() == 0
        with pytest.raises(DecodeError, match=back_end.name):
            back_end.load(bytes(64), USER_ID)
        assert library.ERR_get_error() == 0
        # What only the library refuses: the reason is its own.
        with pytest.raises(SignatureError, match=rf"does not verify \({back_end.name}: error:"):
            back_end.load(back_end.public_point(PRIVATE), bytes(8191))(r, s, DATA)
        assert library.ERR_get_error() == 0
