"""Which of the Endorsements at hand fit a platform: authentic copies, best first.

A pool holds documents of many platforms, from this side and from the peer. Whatever is wrong with one copy, it never
stands in the way of another; but a copy below the pool's floors, and a peer's copy that is older than an authentic one
of this side, is a rollback and does not count. When no copy is good, a bad one of this side is an error, a bad one of
the peer counts as absent (so that it can still be fetched). Nothing here looks at a clock.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Hashable, Iterable, Sequence
from copy import copy as copy_of
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Generic, TypeVar

from rats_tls.core import lookup_keys
from rats_tls.core.algorithms import SignatureAlgorithm
from rats_tls.core.anchors import TrustAnchor
from rats_tls.core.endorsements import Endorsement, EndorsementKind, Endorsements, MissingEndorsement, Origin
from rats_tls.core.errors import (
    CertificateChainError,
    DecodeError,
    ExpiredError,
    RatsTlsError,
    RevokedError,
    RolledBackError,
    SignatureError,
)
from rats_tls.core.verification import EndorsementUse
from rats_tls.formats.intel.qe_identity import QeIdentity
from rats_tls.formats.intel.tcb_info import TcbInfo
from rats_tls.formats.x509 import Certificate, RevocationList
from rats_tls.verifiers.bounded_cache import BoundedCache
from rats_tls.verifiers.chain import malformed_endorsement, require_in_date
from rats_tls.verifiers.intel_chain import VerifiedPck, verify_revocation_list, verify_tcb_signer
from rats_tls.verifiers.known_keys import KeyLoader
from rats_tls.verifiers.uses import date_error, list_use, validity

T = TypeVar("T", TcbInfo, QeIdentity, RevocationList)
D = TypeVar("D", TcbInfo, QeIdentity)


@dataclass(frozen=True, slots=True, kw_only=True)
class Copy(Generic[T]):
    """An authentic copy of a document or list.

    Attributes:
        item: the Endorsement.
        value: what it says.
        signers: role and certificate of the TCB signer and its root; none for lists.
        newness: orders copies; the higher, the newer.
        use: what a result says of it, with its dates: issueDate or thisUpdate, nextUpdate.
        rolled_back: that it is below its floor, or None.
        validity: these dates, for people.
    """

    item: Endorsement
    value: T
    signers: tuple[tuple[str, Certificate], ...]
    newness: tuple[int, datetime]
    use: EndorsementUse
    rolled_back: RolledBackError | None = None
    validity: str = field(init=False, compare=False)
    _in_date: tuple[datetime, datetime] = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "validity", validity(self.use))
        starts = [self.use.issued, *(certificate.not_before for _, certificate in self.signers)]
        ends = [self.use.expires, *(certificate.not_after for _, certificate in self.signers)]
        object.__setattr__(self, "_in_date", (max(starts), min(ends)))

    def date_error(self, now: datetime, name: str) -> ExpiredError | None:
        """Say what is wrong with its dates at `now`, or None."""
        start, end = self._in_date
        if start <= now < end:
            return None
        try:
            for role, certificate in self.signers:
                require_in_date(certificate, now, role=role)
        except ExpiredError as error:
            return error
        return date_error(self.use, now, name)

    def expired(self, now: datetime) -> EndorsementUse | None:
        """Give it where nothing is wrong with it but that it has expired, and it is this side's; else None.

        A signing certificate that has expired is another matter: no document outlives its signer.
        """
        try:
            for role, certificate in self.signers:
                require_in_date(certificate, now, role=role)
        except ExpiredError:
            return None
        has_expired = self.use.issued <= now and self.use.expires <= now
        return self.use if has_expired and self.item.origin is Origin.LOCAL else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Copies(Generic[T]):
    """Copies of one document.

    Attributes:
        good: authentic ones, newest first, this side's before an equally new one of the peer.
        error: what is wrong with a copy of this side, the first one; or that a signer is revoked.
        notes: what is wrong with copies of the peer.
    """

    good: tuple[Copy[T], ...]
    error: RatsTlsError | None
    notes: tuple[str, ...]

    def choose(self, now: datetime, name: str) -> tuple[Copy[T] | None, RatsTlsError | None]:
        """Choose the newest copy that is in date.

        Returns:
            The copy and None; or, when none is in date, the best one of this side with what is wrong with it; or None
            and the error, if any, of the copies that are not good.
        """
        own = self._own()
        for copy in self.good:
            if copy.rolled_back is not None or _yields(copy, own, now, name):
                continue
            if copy.date_error(now, name) is None:
                return copy, None
        if own is not None:
            return own, own.date_error(now, name)
        rolled_back = next(
            (copy.rolled_back for copy in self.good if copy.rolled_back and copy.item.origin is Origin.LOCAL), None
        )
        return None, _of_its_own(self.error or rolled_back)

    def _own(self) -> Copy[T] | None:
        return next((copy for copy in self.good if copy.item.origin is Origin.LOCAL and copy.rolled_back is None), None)

    def why_none(self, now: datetime, name: str) -> str:
        """Say why the copies that are there do not count."""
        notes = list(self.notes)
        for copy in self.good:
            error = copy.rolled_back or copy.date_error(now, name)
            if error is not None:
                notes.append(f"peer's copy: {error.message}")
        return "; ".join(notes)


def _yields(copy: Copy[T], own: Copy[T] | None, now: datetime, name: str) -> bool:
    """Whether a peer's copy stands back for the newest one of this side.

    It does where it is older in number or date; and while that one is in date, also where a document belongs to another
    TCB recovery: which of them counts, and from when, is the choice of this side's update channel.
    """
    if own is None or copy.item.origin is not Origin.PEER:
        return False
    if copy.newness[0] < own.newness[0] or copy.use.issued < own.use.issued <= now:
        return True
    another_recovery = not copy.item.kind.is_revocation_list and copy.newness[0] != own.newness[0]
    return another_recovery and own.date_error(now, name) is None


@dataclass(frozen=True, slots=True, kw_only=True)
class Collateral:
    """All copies that fit one platform.

    Attributes:
        tcb_info: TCB info for the platform.
        qe_identity: identity of the TEE's quoting enclave.
        root_crl: lists of the root CA.
        pck_crl: lists of the Platform or Processor CA.
        revoked_by_root: serial numbers on any authentic list of the root CA, in date or not.
        revoked_by_ca: the same of the other CA.
    """

    tcb_info: Copies[TcbInfo]
    qe_identity: Copies[QeIdentity]
    root_crl: Copies[RevocationList]
    pck_crl: Copies[RevocationList]
    revoked_by_root: frozenset[int]
    revoked_by_ca: frozenset[int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Selector:
    """Selects the authentic copies that fit one platform.

    Attributes:
        pck: the platform's verified chain.
        keys: loads keys.
        trust: anchors and crypto wrapper, part of every cache key.
        memory: remembers each item by its bytes, so that an unknown one beside known ones costs only itself.
    """

    pck: VerifiedPck
    keys: KeyLoader
    trust: Hashable
    memory: BoundedCache

    def select(self, pool: Endorsements, *, tcb_info_id: str, qe_identity_id: str) -> Collateral:
        """Select from `pool`.

        Args:
            pool: Endorsements of any platforms.
            tcb_info_id: "SGX" or "TDX".
            qe_identity_id: "QE" or "TD_QE".
        """
        platform = self.pck.chain.platform

        def fits_tcb_info(value: TcbInfo) -> bool:
            # QVL 4.1.2.4.9 and 4.1.2.4.10: made for this TEE, this FMSPC and this PCE id. TDX needs version 3: version
            # 2 has no id and is SGX's.
            return (value.id, value.fmspc, value.pce_id) == (tcb_info_id, platform.fmspc, platform.pce_id)

        def fits_qe_identity(value: QeIdentity) -> bool:
            return value.id == qe_identity_id  # QVL 4.1.2.4.14

        # QVL 4.1.2.3: the root CA's list is the root's, the PCK list that of the CA which issued the PCK certificate.
        root_crl = self._lists(pool, lookup_keys.root_crl(self.pck.root.subject.common_name), self.pck.root)
        pck_crl = self._lists(pool, lookup_keys.pck_crl(self.pck.ca), self.pck.intermediate)
        revoked = _serials(root_crl)
        return Collateral(
            tcb_info=self._documents(pool, EndorsementKind.INTEL_TCB_INFO, TcbInfo.from_json, fits_tcb_info, revoked),
            qe_identity=self._documents(
                pool, EndorsementKind.INTEL_QE_IDENTITY, QeIdentity.from_json, fits_qe_identity, revoked
            ),
            root_crl=root_crl,
            pck_crl=pck_crl,
            revoked_by_root=revoked,
            revoked_by_ca=_serials(pck_crl),
        )

    def _documents(
        self,
        pool: Endorsements,
        kind: EndorsementKind,
        read: Callable[[bytes], D],
        fits: Callable[[D], bool],
        revoked: frozenset[int],
    ) -> Copies[D]:
        def authenticate(item: Endorsement) -> Copy[D] | None:
            value = self.memory.get(("document", item.kind, item.data), lambda: read(item.data))
            if not fits(value):
                return None
            key = ("signer", self.trust, self.pck.chain.ders, item.data, item.signature, item.issuer_chain)
            signer, root = self.memory.get(key, lambda: self._verify_document(item))
            if signer.serial in revoked:
                raise RevokedError(f"TCB signing certificate {signer.serial:x} is on the root CA's revocation list")
            use = document_use(item, value)
            return Copy(
                item=item,
                value=value,
                signers=(("TCB signing certificate", signer), ("root certificate", root)),
                # A copy of an older TCB recovery never beats one of a newer, whenever it was issued.
                newness=(use.number, use.issued),
                use=use,
                rolled_back=use.rolled_back(pool.floors, self.pck.anchor),
            )

        return _authentic(pool.of_kind(kind), authenticate)

    def _verify_document(self, item: Endorsement) -> tuple[Certificate, Certificate]:
        certificates = [self._certificate(der) for der in item.issuer_chain[:3]]
        return verify_document(item, certificates, self.pck.anchor, self.keys)

    def _certificate(self, der: bytes) -> Certificate:
        root = self.pck.root  # the same one, as a rule
        read = partial(Certificate.from_der, der, "TcbSigningChain")
        return root if der == root.der else self.memory.get(("certificate", der), read)

    def _lists(self, pool: Endorsements, key: MissingEndorsement, issuer: Certificate) -> Copies[RevocationList]:
        def verify(crl: RevocationList) -> bool:
            verify_revocation_list(crl, issuer, self.keys)
            return True

        def authenticate(item: Endorsement) -> Copy[RevocationList] | None:
            crl = self.memory.get(("list", item.data), lambda: RevocationList.from_der(item.data))
            if crl.issuer.der != issuer.subject.der:
                return None
            self.memory.get(("list issuer", self.trust, self.pck.chain.ders, item.data), lambda: verify(crl))
            use = list_use(item, crl, key)
            return Copy(
                item=item,
                value=crl,
                signers=(),
                newness=(use.number, use.issued),
                use=use,
                rolled_back=use.rolled_back(pool.floors, self.pck.anchor),
            )

        return _authentic(pool.of_kind(key.kind), authenticate)


def verify_document(
    item: Endorsement, certificates: Sequence[Certificate], anchor: TrustAnchor, keys: KeyLoader
) -> tuple[Certificate, Certificate]:
    """Verify chain and signature of TCB info or identity; give signing certificate and root (QVL 4.1.2.2).

    Args:
        item: the document.
        certificates: its issuer chain, read.
        anchor: to which the chain has to lead.
        keys: loads keys.

    Raises:
        CertificateChainError: a signature does not verify, or the chain does not lead to `anchor`.
    """
    key = verify_tcb_signer(certificates, anchor, keys)
    if len(item.signature) != 64:
        raise CertificateChainError(f"{item.kind.value} signature: got {len(item.signature)} bytes, expected 64")
    try:
        key.verify_ecdsa(
            SignatureAlgorithm.ECDSA_SHA256,
            int.from_bytes(item.signature[:32], "big"),
            int.from_bytes(item.signature[32:], "big"),
            item.data,
        )
    except SignatureError as error:
        raise CertificateChainError(f"{item.kind.value} signature by its TCB signer: {error.message}") from error
    signer, root = certificates
    return signer, root


def _authentic(items: Iterable[Endorsement], authenticate: Callable[[Endorsement], Copy[T] | None]) -> Copies[T]:
    good: list[Copy[T]] = []
    error: RatsTlsError | None = None
    notes: list[str] = []
    for item in items:
        try:
            copy = authenticate(item)
        except RevokedError as problem:
            error = error or problem
            notes.append(problem.message)
        except RatsTlsError as problem:
            if item.origin is Origin.PEER:
                notes.append(f"peer's copy: {problem.message}")
            else:
                refusal = malformed_endorsement(problem) if isinstance(problem, DecodeError) else problem
                error = error or refusal
                notes.append(problem.message)
        else:
            if copy is not None:
                good.append(copy)
    # `items` has this side's first, and sorting keeps that order among equally new ones.
    good.sort(key=lambda copy: copy.newness, reverse=True)
    return Copies(good=tuple(good), error=error, notes=tuple(notes))


def _of_its_own(error: RatsTlsError | None) -> RatsTlsError | None:
    """Give an error that belongs to one appraisal, which adds its checks and raises it; this one is remembered."""
    if error is None:
        return None
    own = copy_of(error)
    own.__cause__ = error.__cause__
    return own


def _serials(copies: Copies[RevocationList]) -> frozenset[int]:
    return frozenset(serial for copy in copies.good for serial in copy.value.revoked)


def document_use(item: Endorsement, value: TcbInfo | QeIdentity) -> EndorsementUse:
    """Give what a result says of TCB info or a QE identity."""
    if isinstance(value, TcbInfo):
        key = lookup_keys.tcb_info(value.id, value.fmspc, value.pce_id)
    else:
        key = lookup_keys.qe_identity(value.id)
    return EndorsementUse(
        kind=item.kind,
        sha256=hashlib.sha256(item.data).digest(),
        origin=item.origin.value,
        issued=value.issue_date,
        expires=value.next_update,
        description=value.title,
        key=key,
        number=value.tcb_evaluation_data_number,
        item=item.digest,
    )
