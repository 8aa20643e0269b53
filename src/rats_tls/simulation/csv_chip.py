"""A simulated Hygon chip: CEK and PEK, and the firmware's reports of guests; and the vendor who certifies it."""

from __future__ import annotations

import hashlib
import os

from rats_tls.core.anchors import AnchorKind, TrustAnchor, Vendor
from rats_tls.core.endorsements import Endorsement, EndorsementKind, Endorsements
from rats_tls.crypto_wrappers.sm2.curve import spki_of
from rats_tls.simulation import csv_structure
from rats_tls.simulation.bytefields import sized, word
from rats_tls.simulation.csv_states import NODBG, CsvState
from rats_tls.simulation.csv_structure import HRK, PAGE, Signer
from rats_tls.simulation.vendor_state import HYGON_HEALTHY, HygonVendorState, SignedItem
from rats_tls.verifiers.bounded_cache import BoundedCache
from rats_tls.verifiers.chain import SIMULATED_ORGANIZATION

_R_OF_HSK, _R_OF_CEK = 576, 1052
_REMEMBERED = 16
_HSK_CEK_SIZE = 2916


class SimulatedHygon:
    """The simulated Hygon: HRK and HSK.

    Args:
        secret: what its keys derive from; new ones when left out.
    """

    def __init__(self, secret: bytes | None = None) -> None:
        secret = os.urandom(32) if secret is None else secret
        self._hrk = Signer.derived(secret, f"{SIMULATED_ORGANIZATION} HRK".encode())
        self._hsk = Signer.derived(secret, f"{SIMULATED_ORGANIZATION} HSK".encode())
        self._certified = BoundedCache(_REMEMBERED)
        self.root_certificate = csv_structure.root_certificate(self._hrk, HRK, self._hrk)

    @property
    def trust_anchor(self) -> TrustAnchor:
        """The anchor to give explicitly to whoever shall accept this vendor's Evidence."""
        return TrustAnchor(
            vendor=Vendor.HYGON,
            subject=self._hrk.user_id,
            spki=spki_of(self._hrk.point),
            kind=AnchorKind.SIMULATED,
            name=self._hrk.user_id.decode(),
            source="rats_tls.simulation",
        )

    def hsk(self, usage: int, state: HygonVendorState = HYGON_HEALTHY) -> bytes:
        """Give the certificate of the HSK (832 bytes)."""
        made: bytes = self._certified.get(
            ("hsk", usage), lambda: csv_structure.root_certificate(self._hsk, usage, self._hrk)
        )
        return csv_structure.forged(made, _R_OF_HSK) if SignedItem.HYGON_HSK in state.forged else made

    def certified(self, cek: Signer, usage: int, signed_by: int, state: HygonVendorState = HYGON_HEALTHY) -> bytes:
        """Give the certificate of a chip's CEK (2084 bytes)."""
        made: bytes = self._certified.get(
            ("cek", cek.private, usage, signed_by),
            lambda: csv_structure.key_certificate(cek, usage, self._hsk, signed_by, names_issuer=True),
        )
        return csv_structure.forged(made, _R_OF_CEK) if SignedItem.HYGON_CEK in state.forged else made


class SimulatedHygonChip:
    """A chip with one identity.

    Args:
        vendor: who certifies it.
        secret: stands for the fuses: keys and serial number derive from it; a new chip when left out.
    """

    def __init__(self, vendor: SimulatedHygon, secret: bytes | None = None) -> None:
        self.vendor = vendor
        secret = os.urandom(32) if secret is None else secret
        self._cek = Signer.derived(secret, f"{SIMULATED_ORGANIZATION} CEK".encode())
        self._pek = Signer.derived(secret, f"{SIMULATED_ORGANIZATION} PEK".encode())
        self._other = Signer.derived(secret, b"another key")
        self.serial = "SIM" + hashlib.sha256(b"serial" + secret).hexdigest()[:10].upper()
        self._certified = BoundedCache(_REMEMBERED)

    def chain(self, state: CsvState | None = None, vendor_state: HygonVendorState = HYGON_HEALTHY) -> Endorsement:
        """Give HSK and CEK, as the vendor's service does."""
        state = state or CsvState()
        return Endorsement(
            kind=EndorsementKind.HYGON_CEK_CHAIN,
            data=self.vendor.certified(self._cek, state.cek_usage, state.cek_signed_by, vendor_state),
            issuer_chain=(self.vendor.hsk(state.hsk_usage, vendor_state),),
        )

    def endorsements(self, state: CsvState, vendor_state: HygonVendorState = HYGON_HEALTHY) -> Endorsements:
        """Give what judges Evidence of a guest in `state`: nothing where it is in the Evidence."""
        if state.certificates != "beside" or EndorsementKind.HYGON_CEK_CHAIN in vendor_state.missing:
            return Endorsements()
        return Endorsements((self.chain(state, vendor_state),))

    def evidence(self, state: CsvState, report_data: bytes, vendor_state: HygonVendorState = HYGON_HEALTHY) -> bytes:
        """Make the Evidence of a guest in `state` (4096 or 7016 bytes).

        Raises:
            ValueError: a field has another size.
        """
        page = (self._page_v1 if state.report_version == 1 else self._page)(state, report_data)
        if state.certificates == "beside" or EndorsementKind.HYGON_CEK_CHAIN in vendor_state.missing:
            return page
        chain = self.chain(state, vendor_state)
        certificates, size = chain.issuer_chain[0] + chain.data, word(_HSK_CEK_SIZE, 4)
        return page + (certificates + size if state.certificates == "rats-tls" else size + certificates)

    def _page_v1(self, state: CsvState, report_data: bytes) -> bytes:
        mask = sized("anonce", state.anonce, 4)
        signed = csv_structure.masked(_head(state, report_data), mask)
        words = csv_structure.masked(word(state.sig_usage, 4) + word(state.sig_algo, 4), mask)
        tail = csv_structure.masked(self._identity(state), mask) + _reserved(state)
        body = signed + words + mask + self._signature(state, signed) + tail
        return (body + csv_structure.mac(state.mnonce, tail)).ljust(PAGE, b"\0")

    def _page(self, state: CsvState, report_data: bytes) -> bytes:
        words = word(state.sig_usage, 4) + word(state.sig_algo, 4) + word(state.build, 4) + word(state.rtmr_version, 2)
        registers = b"".join(sized(f"rtmr{n}", getattr(state, f"rtmr{n}"), 32) for n in range(5))
        signed = (_head(state, report_data) + words + bytes(14) + registers).ljust(0x3C0, b"\0")
        signed += sized("host_data", state.host_data, 64) if state.report_version == 3 else bytes(64)
        tail = self._identity(state) + _reserved(state)
        body = signed + self._signature(state, signed) + tail
        return (body + csv_structure.mac(state.mnonce, tail)).ljust(PAGE, b"\0")

    def _identity(self, state: CsvState) -> bytes:
        pek: bytes = self._certified.get(
            ("pek", state.pek_usage, state.pek_signed_by),
            lambda: csv_structure.key_certificate(
                self._pek, state.pek_usage, self._cek, state.pek_signed_by, names_issuer=False
            ),
        )
        return pek + csv_structure.serial_field(self.serial if state.serial is None else state.serial)

    def _signature(self, state: CsvState, signed: bytes) -> bytes:
        signer = self._other if state.another_pek else self._pek
        if state.wrong_user_id:
            signer = Signer(signer.private, b"another user")
        return signer.signature(signed)


def _head(state: CsvState, report_data: bytes) -> bytes:
    """Encode what all versions begin with (180 bytes)."""
    return b"".join(
        (
            sized("user_pubkey_digest", state.user_pubkey_digest, 32),
            sized("vm_id", state.vm_id, 16),
            sized("vm_version", state.vm_version, 16),
            sized("report_data", report_data, 64),
            sized("mnonce", state.mnonce, 16),
            sized("measurement", state.measurement, 32),
            word(state.policy & ~(NODBG if state.debug else 0), 4),
        )
    )


def _reserved(state: CsvState) -> bytes:
    """Give what real reports have before the MAC: bytes without a meaning."""
    return hashlib.sha256(state.mnonce).digest()
