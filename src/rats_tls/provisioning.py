"""Endorsements ahead of need: what files and stores hold, verified by itself, and kept."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from rats_tls import registry
from rats_tls.core.anchors import AnchorKind, TrustAnchor, shown_fingerprint
from rats_tls.core.checks import time_text
from rats_tls.core.endorsements import Endorsement, EndorsementKind, MissingEndorsement
from rats_tls.core.errors import ConfigurationError, DecodeError, EndorsementMissingError, RatsTlsError, RolledBackError
from rats_tls.core.floors import NO_FLOORS, Floors
from rats_tls.core.limits import DEFAULT_BUNDLE_LIMITS
from rats_tls.core.refusals import ExitCode
from rats_tls.core.verification import VerifiedEndorsement
from rats_tls.endorsements.bundle import CHANNELS
from rats_tls.endorsements.bundle_form import BundleItem
from rats_tls.endorsements.bundle_source import Carried, described, read_carried
from rats_tls.endorsements.service import EndorsementService
from rats_tls.endorsements.store import EndorsementStore, StoredEndorsement
from rats_tls.files import named_as_evidence
from rats_tls.formats.hygon.hsk_cek import is_half, joined
from rats_tls.verifiers.endorsements import VendorEndorsementsVerifier
from rats_tls.verifiers.vendor_roots import VENDOR_ROOTS

_WORST_FIRST = (ExitCode.NOT_AUTHENTIC, ExitCode.MALFORMED, ExitCode.ENDORSEMENTS)


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemToVerify:
    """An Endorsement that has yet to be verified.

    Attributes:
        where: the file or store that it is from.
        endorsement: the item.
        named: keys that others gave it; what they say counts only where its content does not say it all
            (`EndorsementKind.is_named_by_request`).
        channel: update channel that its file or source says; None of those that do not say.
    """

    where: str
    endorsement: Endorsement
    named: tuple[MissingEndorsement, ...] = ()
    channel: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifiedItem:
    """An Endorsement after its verification. One of `verified` and `error` is None.

    Attributes:
        source: what was verified.
        verified: when it is authentic, in date, not revoked, not rolled back.
        error: why it is not.
    """

    source: ItemToVerify
    verified: VerifiedEndorsement | None = None
    error: RatsTlsError | None = None

    @property
    def keys(self) -> tuple[MissingEndorsement, ...]:
        """What it is found by; none of what is not good."""
        if self.verified is None:
            return ()
        named = self.source.named if self.verified.item.kind.is_named_by_request else ()
        return tuple(dict.fromkeys((*self.verified.keys, *named)))

    @property
    def carried(self) -> BundleItem | None:
        """It as a bundle has it; None of what is not good."""
        if self.verified is None:
            return None
        return BundleItem(
            endorsement=self.verified.item,
            keys=self.keys,
            issued=self.verified.use.issued,
            expires=self.verified.use.expires,
            anchor=self.verified.anchor.name,
        )

    @property
    def described(self) -> BundleItem | None:
        """What it says of itself, good or not; None of what is malformed."""
        try:
            return self.carried or described(self.source.endorsement)
        except RatsTlsError:
            return None


def anchors_with(trust_anchors: Iterable[TrustAnchor]) -> tuple[TrustAnchor, ...]:
    """Give the vendors' pinned roots, and `trust_anchors` beside them."""
    return (*VENDOR_ROOTS, *trust_anchors)


def load_carried(path: Path) -> dict[str, Carried]:
    """Read a bundle or another file with Endorsements, or all that lie in a directory; gives what each file holds.

    Raises:
        ConfigurationError: one that cannot be read, or a directory without files; the message names it.
        DecodeError: one of no known form; likewise.
    """
    try:
        if not path.is_dir():
            return {str(path): _read(path)}
        with os.scandir(path) as entries:
            names = sorted(entry.path for entry in entries if not entry.name.startswith(".") and not entry.is_dir())
    except OSError as error:
        raise ConfigurationError(f"{path}: {error.strerror or error}") from error
    if not 0 < len(names) <= DEFAULT_BUNDLE_LIMITS.files:
        most = DEFAULT_BUNDLE_LIMITS.files
        raise ConfigurationError(f"{path}: got {len(names)} files, expected a store, or 1 to {most} files")
    return {name: _read(Path(name)) for name in names}


def _read(path: Path) -> Carried:
    try:
        return read_carried(path)
    except DecodeError as error:
        raise named_as_evidence(error, path) from error


def by_content(item: BundleItem) -> BundleItem:
    """Give an item with the keys and dates of its content, whatever a manifest says. Raises DecodeError: malformed."""
    said = described(item.endorsement)
    named = item.keys if item.endorsement.kind.is_named_by_request else ()
    keys = tuple(dict.fromkeys((*said.keys, *named)))
    return replace(said, keys=keys)


def require_channel(carried: dict[str, Carried], channel: str) -> None:
    """Require that no bundle is of another update channel. Raises ConfigurationError, which names the file."""
    for where, each in carried.items():
        if each.channel not in {None, channel}:
            raise ConfigurationError(
                f"{where}: update channel: got {each.channel}, expected {channel}: their documents are not to be mixed"
            )


def items_of(carried: dict[str, Carried]) -> tuple[ItemToVerify, ...]:
    """Give the items of files, each once, halves of one Endorsement joined.

    Raises:
        DecodeError: one without the other; the message names the file.
    """
    items = {
        item.endorsement.digest: ItemToVerify(
            where=where, endorsement=item.endorsement, named=item.keys, channel=each.channel
        )
        for where, each in reversed(carried.items())
        for item in reversed(each.items)
    }
    found = tuple(reversed(items.values()))
    halves = [item for item in found if is_half(item.endorsement)]
    if not halves:
        return found
    where = ", ".join(dict.fromkeys(half.where for half in halves))
    try:
        pairs = joined(half.endorsement for half in halves)
    except DecodeError as error:
        raise DecodeError(where, "", None, error.message) from error
    return (
        *(item for item in found if item not in halves),
        *(ItemToVerify(where=where, endorsement=pair) for pair in pairs),
    )


def named(items: Iterable[ItemToVerify], key: MissingEndorsement | None) -> tuple[ItemToVerify, ...]:
    """Give items with `key` for those of its kind that nobody has named."""
    return tuple(
        replace(item, named=(key,))
        if key is not None and item.endorsement.kind is key.kind and not item.named
        else item
        for item in items
    )


def items_of_store(entries: Iterable[StoredEndorsement], where: str) -> tuple[ItemToVerify, ...]:
    """Give the items of a store, each once, with all keys under which they are kept."""
    by_digest: dict[bytes, ItemToVerify] = {}
    for entry in entries:
        known = by_digest.get(entry.endorsement.digest)
        by_digest[entry.endorsement.digest] = ItemToVerify(
            where=where,
            endorsement=entry.endorsement,
            named=(*(known.named if known is not None else ()), entry.item),
        )
    return tuple(by_digest.values())


def verify_items(
    items: Sequence[ItemToVerify],
    *,
    anchors: Sequence[TrustAnchor],
    now: datetime,
    floors: Floors = NO_FLOORS,
    helpers: Iterable[Endorsement] = (),
) -> tuple[VerifiedItem, ...]:
    """Verify Endorsements by themselves, each with the help of the others.

    Args:
        items: what is verified.
        anchors: trust anchors.
        now: time of judgement.
        floors: what counts as rolled back.
        helpers: what is at hand besides: signers of VEK certificates, revocation lists.

    Returns:
        One outcome for each item, in their order.
    """
    verifier = VendorEndorsementsVerifier(anchors, registry.crypto_wrapper("openssl"))
    pool = [*(item.endorsement for item in items), *helpers]
    outcomes = verifier(pool, now=now, floors=floors)
    return tuple(
        VerifiedItem(source=item, verified=outcome)
        if isinstance(outcome, VerifiedEndorsement)
        else VerifiedItem(source=item, error=outcome.error)
        for item, outcome in zip(items, outcomes, strict=False)
    )


def verify_store(
    store: EndorsementStore, where: str, *, anchors: Sequence[TrustAnchor], now: datetime, with_floors: bool
) -> tuple[VerifiedItem, ...]:
    """Verify what a store holds, documents of each update channel under the floors of their own.

    Args:
        store: the store.
        where: what to call it.
        anchors: trust anchors.
        now: time of judgement.
        with_floors: whether what was seen before counts, which it does at the present time only.

    Raises:
        ConfigurationError: it cannot be read.
        ClockError: with floors, the clock is behind what vendors had signed when this side saw it.
    """
    entries = store.entries()
    outcomes: dict[bytes, VerifiedItem] = {}
    for channel in CHANNELS:
        floors = NO_FLOORS
        if with_floors:
            require_clock(store, channel, now)
            floors = floors_in(store, channel)
        items = items_of_store((entry for entry in entries if entry.channel in {"", channel}), where)
        for outcome in verify_items(items, anchors=anchors, now=now, floors=floors):
            outcomes.setdefault(outcome.source.endorsement.digest, outcome)
    return tuple(outcomes.values())


def require_clock(store: EndorsementStore, channel: str, now: datetime) -> None:
    """Require that the clock is not behind what vendors had signed when it was seen. Raises ClockError."""
    EndorsementService(store=store, channel=channel, refresh=False).require_clock(now)


def helpers_in(store: EndorsementStore, anchors: Sequence[TrustAnchor]) -> tuple[Endorsement, ...]:
    """Give what in a store helps to verify: signers and revocation lists. Raises ConfigurationError."""
    known = frozenset(anchor.fingerprint for anchor in anchors)
    return tuple(
        entry.endorsement
        for entry in store.entries()
        if entry.anchor in known
        and (entry.endorsement.kind is EndorsementKind.AMD_SIGNER or entry.endorsement.kind.is_revocation_list)
    )


def floors_in(store: EndorsementStore, channel: str) -> Floors:
    """Give what counts as rolled back for one update channel. Raises ConfigurationError: it cannot be read."""
    by_channel = store.floors()
    return by_channel.get("", NO_FLOORS).raised(by_channel.get(channel, NO_FLOORS).items())


def keep_items(
    store: EndorsementStore, items: Iterable[VerifiedItem], *, channel: str, now: datetime, whole: bool = False
) -> tuple[VerifiedItem, ...]:
    """Keep in a store what is good, all of it or nothing; gives the items again, those that are older not good.

    With `whole` nothing is kept where one is older.

    They raise floors under anchors of vendors: an operator stands behind them as a service does. Documents whose file
    does not say their update channel raise none: were `channel` the wrong one, all that are right would be rolled back.

    Raises:
        ConfigurationError: the store cannot be written; nothing was kept.
    """
    given = tuple(items)
    to_keep: list[StoredEndorsement] = []
    raising: list[StoredEndorsement] = []
    for item in given:
        verified = item.verified
        if verified is None:
            continue
        entries = [
            StoredEndorsement(
                anchor=verified.anchor.fingerprint,
                channel=channel if key.kind.has_channel else "",
                item=key,
                endorsement=verified.item,
                issued=verified.use.issued,
                expires=verified.use.expires,
                kept=now,
                number=verified.use.number,
            )
            for key in item.keys
        ]
        to_keep += entries
        says_channel = item.source.channel is not None or not verified.item.kind.has_channel
        if verified.anchor.kind is AnchorKind.VENDOR and says_channel:
            raising += entries
    kept = (
        {stored.endorsement.digest for stored in store.keep(to_keep, raises_floors=raising, whole=whole)}
        if to_keep
        else set()
    )
    return tuple(
        _nameless(item)
        if item.verified is not None and item.verified.item.kind.is_named_by_request and not item.keys
        else item
        if not item.keys or item.source.endorsement.digest in kept
        else _older(item)
        for item in given
    )


def _nameless(item: VerifiedItem) -> VerifiedItem:
    error = EndorsementMissingError(
        "nothing in it says which chip it is of, so nobody would find it: name the chip (--chip HYGON:SERIAL), or give "
        "the file itself (--endorsements-file)",
        missing=(),
    )
    return VerifiedItem(source=item.source, error=error)


def _older(item: VerifiedItem) -> VerifiedItem:
    if item.verified is None:
        return item
    use = item.verified.use
    error = RolledBackError(f"{use.description}, issued at {time_text(use.issued)}: a newer one is kept already")
    return VerifiedItem(source=item.source, error=error)


def exported(
    entries: Iterable[StoredEndorsement],
    *,
    anchors: Iterable[TrustAnchor],
    channel: str,
    now: datetime,
) -> tuple[BundleItem, ...]:
    """Give a store's entries as a bundle has them, each Endorsement once with all its keys; what has expired is not.

    Args:
        entries: of the store.
        anchors: those that are known, to name them.
        channel: update channel of Intel's documents; those of another are left out.
        now: the time.
    """
    names = {anchor.fingerprint: anchor.name for anchor in anchors}
    items: dict[bytes, BundleItem] = {}
    for entry in entries:
        if entry.channel not in {"", channel} or entry.expires <= now:
            continue
        digest = entry.endorsement.digest
        known = items[digest].keys if digest in items else ()
        items[digest] = BundleItem(
            endorsement=entry.endorsement,
            keys=tuple(dict.fromkeys((*known, entry.item))),
            issued=entry.issued,
            expires=entry.expires,
            anchor=names.get(entry.anchor) or shown_fingerprint(entry.anchor),
        )
    return tuple(items.values())


def exit_code(errors: Iterable[RatsTlsError]) -> ExitCode:
    """Give the exit code of several problems: what is not authentic before what is malformed, expired, rolled back."""
    codes = {error.refusal.exit_code for error in errors}
    if not codes:
        return ExitCode.OK
    return next((code for code in _WORST_FIRST if code in codes), max(codes))
