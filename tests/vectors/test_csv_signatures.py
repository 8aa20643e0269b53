"""The signatures of a real Hygon chain, by every SM2 back end; no Verifier is asked."""

from __future__ import annotations

import pytest

from rats_tls.core.algorithms import SignatureAlgorithm
from rats_tls.core.errors import SignatureError
from rats_tls.crypto_wrappers.sm2.back_end import BackEnd
from rats_tls.crypto_wrappers.sm2.keys import load_key
from support.sm2 import BACK_ENDS, csv_signatures

SM2_SM3 = SignatureAlgorithm.SM2_SM3

back_ends = pytest.mark.parametrize("back_end", BACK_ENDS.values(), ids=BACK_ENDS)


@back_ends
def test_from_the_root_to_the_report(back_end: BackEnd) -> None:
    signatures = csv_signatures()
    assert [signature.user_id for signature in signatures] == [
        *(b"HYGON-SSD-HRK", b"HYGON-SSD-HRK", b"HYGON-SSD-HSK", b"HYGON-SSD-CEK", b"HYGON-SSD-PEK")
    ]
    for signature in signatures:
        key = load_key(signature.point, signature.user_id, back_end)
        key.verify_ecdsa(SM2_SM3, signature.r, signature.s, signature.signed)
        last = bytes([signature.signed[-1] ^ 1])
        for data in (signature.signed[:-1], signature.signed + b"\0", signature.signed[:-1] + last):
            with pytest.raises(SignatureError):
                key.verify_ecdsa(SM2_SM3, signature.r, signature.s, data)


@back_ends
def test_each_by_its_own_signer_alone(back_end: BackEnd) -> None:
    for signature in csv_signatures():
        for user_id in (b"1234567812345678", signature.user_id[:-1], signature.user_id + bytes(254 - 13)):
            with pytest.raises(SignatureError):
                load_key(signature.point, user_id, back_end).verify_ecdsa(
                    SM2_SM3, signature.r, signature.s, signature.signed
                )
        for other in csv_signatures():
            if other.signer != signature.signer:
                with pytest.raises(SignatureError):
                    load_key(other.point, signature.user_id, back_end).verify_ecdsa(
                        SM2_SM3, signature.r, signature.s, signature.signed
                    )
