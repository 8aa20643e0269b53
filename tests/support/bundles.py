"""Bundles of simulated Endorsements, good ones and such as nobody should read."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from rats_tls.core.anchors import TrustAnchor
from rats_tls.core.endorsements import Endorsement
from rats_tls.endorsements.bundle import MANIFEST, Bundle, bundle_to_bytes
from rats_tls.endorsements.bundle_form import BundleItem
from rats_tls.endorsements.bundle_source import described
from support.pcs import simulated
from support.simulated import NOW, world

SGX, TDX, SNP = "simulated_sgx_ecdsa", "simulated_tdx_ecdsa", "simulated_sev_snp"
Files = list[tuple[str, bytes]]


def anchors() -> tuple[TrustAnchor, ...]:
    """Give the roots of the simulated vendors, AMD's too, which is made when it is first asked for."""
    world().amd("Milan")
    return tuple(world().trust_anchors)


def bundle_of(*items: Endorsement, channel: str = "standard") -> Bundle:
    """Make a bundle of these items, or of those of a simulated TDX platform."""
    return Bundle(
        made=NOW,
        channel=channel,
        items=tuple(described(item) for item in items or simulated(TDX)),
    )


def small_bundle() -> bytes:
    """Give a bundle with the revocation list of a root and a QE identity."""
    return bundle_to_bytes(bundle_of(*(item for item in simulated(TDX) if "tcb" not in item.kind.value)))


def files_of(data: bytes) -> Files:
    """Give the members of an archive, in their order."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return [(name, archive.read(name)) for name in archive.namelist()]


def archive_of(files: Iterable[tuple[str, bytes]], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    """Write members, whatever they are called."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", method) as archive:
        for name, content in files:
            archive.writestr(zipfile.ZipInfo(name), content, method)
    return stream.getvalue()


def with_files(data: bytes, change: Callable[[Files], None]) -> bytes:
    """Give an archive with its members changed."""
    files = files_of(data)
    change(files)
    return archive_of(files)


def with_manifest(data: bytes, change: Callable[[dict[str, Any]], None]) -> bytes:
    """Give a bundle with its manifest changed."""
    files = files_of(data)
    manifest = json.loads(files[0][1])
    change(manifest)
    files[0] = (MANIFEST, json.dumps(manifest).encode())
    return archive_of(files)


def with_item(bundle: Bundle, number: int, item: BundleItem) -> Bundle:
    """Give a bundle with another item in the place of one."""
    items = [*bundle.items]
    items[number] = item
    return Bundle(made=bundle.made, channel=bundle.channel, items=tuple(items))


def write(path: Path, bundle: Bundle) -> Path:
    """Write a bundle into a file."""
    path.write_bytes(bundle_to_bytes(bundle))
    return path
