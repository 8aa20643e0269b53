"""What is listed, and the same as metrics."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from rats_tls.core.anchors import AnchorKind, TrustAnchor, Vendor
from rats_tls.core.endorsements import Endorsement, EndorsementKind, MissingEndorsement
from rats_tls.endorsements.listing import Listed, listed, listed_items
from rats_tls.endorsements.metrics import MOST_CERTIFICATES, openmetrics
from rats_tls.endorsements.refresh import Freshness
from rats_tls.endorsements.store import StoredEndorsement
from support.bundles import SNP, bundle_of
from support.pcs import one

START = datetime(2026, 1, 1, tzinfo=UTC)
ANCHOR = TrustAnchor(
    vendor=Vendor.AMD, subject=b"subject", spki=b"key", kind=AnchorKind.VENDOR, name="ARK-Milan", source="a test"
)
CRL = MissingEndorsement(kind=EndorsementKind.AMD_CRL, key=(("product", "Milan"), ("type", "VCEK")))
STORED = StoredEndorsement(
    anchor=ANCHOR.fingerprint,
    item=CRL,
    endorsement=Endorsement(kind=CRL.kind, data=b"list"),
    issued=START,
    expires=START + timedelta(days=40),
    kept=START,
)
OTHER = replace(
    STORED,
    anchor=bytes.fromhex("ab" * 32),
    channel="early",
    item=MissingEndorsement(kind=EndorsementKind.INTEL_QE_IDENTITY, key=(("id", "QE"),)),
    expires=START + timedelta(days=30),
)


def test_what_expires_first_comes_first() -> None:
    first, second = listed([STORED, OTHER], [ANCHOR])
    assert (first.item, first.channel, first.anchor, first.anchor_kind) == (OTHER.item, "early", "ab" * 8, None)
    assert (second.item, second.anchor, second.anchor_kind) == (CRL, "ARK-Milan", AnchorKind.VENDOR)
    assert second.failures is None


def test_the_last_quarter_is_told() -> None:
    (line,) = listed([STORED])
    assert not line.is_ending(START + timedelta(days=30))
    assert line.is_ending(START + timedelta(days=30, seconds=1))
    assert line.is_ending(START + timedelta(days=41))


def test_items_have_a_line_for_each_key() -> None:
    items = bundle_of(one(SNP, EndorsementKind.AMD_CRL), one(SNP, EndorsementKind.AMD_ROOT)).items
    lines = listed_items(items, "early")
    assert [line.item.kind.value for line in lines] == ["amd-crl", "amd-crl", "amd-root"]
    assert {line.channel for line in lines} == {""}


def test_metrics() -> None:
    freshness = Freshness(stored=STORED, due=START, failures=3, why="down")
    text = openmetrics([freshness, OTHER], [ANCHOR])
    labels = 'kind="amd-crl",key="product Milan, type VCEK",channel="",anchor="ARK-Milan",anchor_kind="vendor"'
    lines = text.splitlines()
    assert f"rats_tls_endorsement_expiry_timestamp_seconds{{{labels}}} {int(STORED.expires.timestamp())}" in lines
    assert f"rats_tls_endorsement_issue_timestamp_seconds{{{labels}}} {int(START.timestamp())}" in lines
    assert [line for line in lines if line.startswith("rats_tls_endorsement_refresh_failures{")] == [
        f"rats_tls_endorsement_refresh_failures{{{labels}}} 3"
    ]
    assert text.endswith("# EOF\n")
    assert text.count("# TYPE") == 3
    family = ""
    for line in lines[:-1]:
        if line.startswith("# TYPE"):
            family = line.split()[2]
        assert line.startswith((f"# TYPE {family} gauge", f"# UNIT {family} seconds", f"# HELP {family} ", family))


def test_no_metrics() -> None:
    assert openmetrics([]) == "# EOF\n"
    assert "refresh_failures" not in openmetrics([STORED])


def test_labels_are_escaped() -> None:
    key = MissingEndorsement(kind=CRL.kind, key=(("na\\me", 'va"lue\n'),))
    line = Listed(item=key, issued=START, expires=START, anchor='ARK "x"\\')
    text = openmetrics([line])
    assert r'key="na\\me va\"lue\\n"' in text
    assert r'anchor="ARK \"x\"\\"' in text
    assert re.fullmatch(r"[ -~\n]+", text)


def expiry_series(text: str) -> list[str]:
    return [line for line in text.splitlines() if line.startswith("rats_tls_endorsement_expiry")]


def chip(number: int, *, without_product: bool = False) -> StoredEndorsement:
    product = () if without_product else (("product", "Milan"),)
    item = MissingEndorsement(kind=EndorsementKind.AMD_VEK, key=(*product, ("type", "VCEK"), ("hwid", f"{number:04x}")))
    certificate = Endorsement(kind=item.kind, data=str(number).encode())
    return replace(STORED, item=item, endorsement=certificate, expires=START + timedelta(days=2000, seconds=number))


def test_a_certificate_that_several_keys_find_has_one_series() -> None:
    """A VCEK is also looked up for reports that name no product."""
    both = (chip(1, without_product=True), chip(1), chip(2))
    for entries in (both, both[::-1]):
        series = expiry_series(openmetrics(entries, [ANCHOR]))
        assert len(series) == 2
        assert all('key="product Milan, type VCEK' in line for line in series)
    vlek = replace(STORED, item=MissingEndorsement(kind=CRL.kind, key=(("product", "Milan"), ("type", "VLEK"))))
    assert len(expiry_series(openmetrics([STORED, vlek]))) == 2  # each of them is refreshed for itself


def test_how_many_certificates_have_series_is_bounded() -> None:
    text = openmetrics([*(chip(number) for number in range(1200)), replace(STORED, expires=START + timedelta(9999))])
    series = expiry_series(text)
    assert len(series) == MOST_CERTIFICATES + 1
    assert "hwid 0000" in series[0]
    assert 'kind="amd-crl"' in series[-1]


def test_labels_occur_once() -> None:
    """Two files may hold an item of one key: the one that expires first counts."""
    later = replace(STORED, expires=STORED.expires + timedelta(days=1))
    text = openmetrics([later, STORED])
    (line,) = [line for line in text.splitlines() if line.startswith("rats_tls_endorsement_expiry")]
    assert line.endswith(f" {int(STORED.expires.timestamp())}")
