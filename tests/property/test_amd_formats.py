"""AMD's formats: any bytes give a value or our error, and what the simulation's own encoders write is what is read."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rats_tls.core.claims import SnpTcb
from rats_tls.core.endorsements import Endorsement, EndorsementKind, Origin
from rats_tls.core.errors import ConfigurationError, DecodeError, RatsTlsError
from rats_tls.core.evidence import Evidence, TeeType
from rats_tls.formats.amd.bundle import endorsements_from_file
from rats_tls.formats.amd.certificate_table import endorsements_from_table, endorsements_to_table
from rats_tls.formats.amd.pem import split_pem
from rats_tls.formats.amd.report import REPORT_SIZE, SIGNED_SIZE, AttestationReport
from rats_tls.formats.amd.tcb import decode_tcb_version
from rats_tls.formats.amd.vek import VekCertificate, VekExtensions
from rats_tls.formats.rsa import rsa_modulus_bits
from rats_tls.formats.x509 import Extension
from rats_tls.simulation import amd_report, pki
from rats_tls.simulation.states import PRODUCTS, Product, SnpState
from rats_tls.verifiers.sev_snp import SevSnpVerifier
from support.mutations import mutated
from support.simulated import REPORT_DATA, world

KINDS = (EndorsementKind.AMD_SIGNER, EndorsementKind.AMD_ROOT, EndorsementKind.AMD_CRL)
OID = "1.3.6.1.4.1.3704.1"


@functools.cache
def reports() -> tuple[bytes, ...]:
    """Reports of every version, made of states alone: their signature is none."""
    states = [SnpState(report_version=version, product=product) for version in (2, 3, 4, 5) for product in PRODUCTS]
    return tuple(
        amd_report.report_body(state, chip_id=bytes(range(64)), report_data=REPORT_DATA)
        + amd_report.signature_field(1, 2)
        for state in states
    )


@functools.cache
def endorsements() -> tuple[Endorsement, ...]:
    return tuple(
        item
        for key_type in ("VCEK", "VLEK")
        for item in world().attester("simulated_sev_snp", key_type=key_type).endorsements
    )


@functools.cache
def ders() -> tuple[bytes, ...]:
    return tuple(item.data for item in endorsements())


@functools.cache
def veks() -> tuple[bytes, ...]:
    return tuple(item.data for item in endorsements() if item.kind is EndorsementKind.AMD_VEK)


@functools.cache
def files() -> tuple[bytes, ...]:
    certificates = [item.data for item in endorsements() if item.kind is not EndorsementKind.AMD_CRL]
    return (*ders(), endorsements_to_table(endorsements()), pki.to_pem(certificates))


DECODERS: dict[str, tuple[Callable[[bytes], object], Callable[[], tuple[bytes, ...]]]] = {
    "report": (AttestationReport.from_bytes, reports),
    "evidence": (lambda data: SevSnpVerifier().decode(Evidence.of(TeeType.SEV_SNP, data)), reports),
    "VEK certificate": (VekCertificate.from_der, veks),
    "table": (endorsements_from_table, files),
    "file": (endorsements_from_file, files),
    "PEM": (lambda data: split_pem(data, "Pem"), files),
    "modulus": (rsa_modulus_bits, ders),
}
NAMES = pytest.mark.parametrize("name", DECODERS)


@NAMES
@given(data=st.binary(max_size=400) | st.binary(min_size=REPORT_SIZE, max_size=REPORT_SIZE))
def test_any_bytes(name: str, data: bytes) -> None:
    decode, _ = DECODERS[name]
    with contextlib.suppress(RatsTlsError):
        decode(data)


@NAMES
@given(data=st.data())
def test_changed_originals(name: str, data: st.DataObject) -> None:
    decode, originals = DECODERS[name]
    with contextlib.suppress(RatsTlsError):
        decode(data.draw(mutated(originals)))


# --- the report -------------------------------------------------------------------------------------------------------
components = st.integers(0, 255)


def tcbs(product: Product) -> st.SearchStrategy[SnpTcb]:
    fmc = components if product == "Turin" else st.none()
    return st.builds(SnpTcb, fmc=fmc, bootloader=components, tee=components, snp=components, microcode=components)


def octets(size: int) -> st.SearchStrategy[bytes]:
    return st.binary(min_size=size, max_size=size)


def words(bits: int) -> st.SearchStrategy[int]:
    return st.integers(0, (1 << bits) - 1)


@st.composite
def states(draw: st.DrawFn) -> SnpState:
    product = draw(st.sampled_from(PRODUCTS))
    version = st.tuples(components, components, components)
    fields = {name: tcbs(product) for name in ("current_tcb", "reported_tcb", "committed_tcb", "launch_tcb")}
    fields |= {"current_version": version, "committed_version": version}
    fields |= {"guest_svn": words(32), "vmpl": words(32), "policy": words(64), "platform_info": words(64)}
    fields |= {"family_id": octets(16), "image_id": octets(16), "measurement": octets(48), "host_data": octets(32)}
    fields |= {"id_key_digest": octets(48), "author_key_digest": octets(48), "report_id": octets(32)}
    fields |= {"report_version": st.sampled_from((2, 3, 4, 5)), "author_key_enabled": st.booleans()}
    fields |= {"launch_mit_vector": words(64), "current_mit_vector": words(64), "report_id_ma": octets(32)}
    return SnpState(product=product, **{name: draw(strategy) for name, strategy in fields.items()})


SAME_NAME = (
    "guest_svn", "policy", "family_id", "image_id", "vmpl", "platform_info", "measurement", "host_data",
    "id_key_digest", "author_key_digest", "report_id", "report_id_ma", "current_version", "committed_version",
    "author_key_enabled",
)  # fmt: skip


@given(states(), octets(64), octets(64), words(384), words(384), st.binary(max_size=20))
def test_a_report_is_read_as_it_is_written(
    state: SnpState, chip_id: bytes, report_data: bytes, r: int, s: int, behind: bytes
) -> None:
    signed = amd_report.report_body(state, chip_id=chip_id, report_data=report_data)
    report = AttestationReport.from_bytes(signed + amd_report.signature_field(r, s) + behind)
    assert (report.signed, report.r, report.s, report.trailing) == (signed, r, s, len(behind))
    assert (report.version, report.chip_id, report.report_data) == (state.report_version, chip_id, report_data)
    assert {name: getattr(report, name) for name in SAME_NAME} == {name: getattr(state, name) for name in SAME_NAME}
    for name in ("current_tcb", "reported_tcb", "committed_tcb", "launch_tcb"):
        assert decode_tcb_version(getattr(report, name), state.product, name) == getattr(state, name)
    vectors = (state.launch_mit_vector, state.current_mit_vector) if state.report_version == 5 else (None, None)
    assert (report.launch_mit_vector, report.current_mit_vector) == vectors
    assert report.product == (state.product if state.report_version >= 3 else None)


@given(mutated(reports, most=2))
def test_what_is_decoded_is_what_the_signature_covers(data: bytes) -> None:
    with contextlib.suppress(RatsTlsError):
        report = AttestationReport.from_bytes(data)
        assert report.signed == data[:SIGNED_SIZE]
        assert report.trailing == len(data) - REPORT_SIZE


@given(octets(8), st.sampled_from((*PRODUCTS, "Venice")))
def test_every_tcb_version_has_one_writing(data: bytes, product: str) -> None:
    layout: Product = "Turin" if product == "Venice" else product  # type: ignore[assignment]  # of the same family
    try:
        tcb = decode_tcb_version(data, product, "current_tcb")
    except DecodeError:
        # Only reserved bytes can be wrong.
        assert any(data[4:7] if layout == "Turin" else data[2:6])
        return
    assert amd_report.tcb_version(layout, tcb) == data


# --- the certificate table --------------------------------------------------------------------------------------------
documents = st.binary(min_size=1, max_size=200).filter(lambda data: b"-----BEGIN" not in data)
tables = st.lists(
    st.builds(Endorsement, kind=st.sampled_from(KINDS), data=documents, origin=st.sampled_from(list(Origin))),
    max_size=16,
)


@given(tables, st.sampled_from(list(Origin)), st.integers(0, 40))
def test_a_table_is_read_as_it_is_written(items: list[Endorsement], origin: Origin, padding: int) -> None:
    found = endorsements_from_table(endorsements_to_table(items) + bytes(padding), origin=origin)
    assert [(item.kind, item.data) for item in found] == [(item.kind, item.data) for item in items]
    assert {item.origin for item in found} <= {origin}


@given(tables.filter(bool), st.data())
def test_every_truncation_of_a_table_is_refused(items: list[Endorsement], data: st.DataObject) -> None:
    table = endorsements_to_table(items)
    with pytest.raises(DecodeError):
        endorsements_from_table(table[: data.draw(st.integers(0, len(table) - 1))])


@given(st.integers(17, 40))
def test_no_table_is_written_that_is_not_read(count: int) -> None:
    item = Endorsement(kind=EndorsementKind.AMD_CRL, data=b"x")
    with pytest.raises(ConfigurationError, match=f"got {count} items"):
        endorsements_to_table([item] * count)


# --- VEK extensions ---------------------------------------------------------------------------------------------------
ARCS = ("1", "2", "3.1", "3.2", "3.3", "3.4", "3.5", "3.6", "3.7", "3.8", "3.9", "4", "5")
GOOD = {
    "1": b"\x02\x01\x00", "2": b"\x16\x08Milan-B0", **{f"3.{arc}": b"\x02\x01\x07" for arc in range(1, 9)},
    "4": bytes(range(64)),
}  # fmt: skip


@given(st.dictionaries(st.sampled_from(ARCS), st.binary(max_size=80), max_size=6))
def test_any_extensions_give_a_value_or_our_error(changed: dict[str, bytes]) -> None:
    extensions = {f"{OID}.{arc}": Extension(False, value) for arc, value in (GOOD | changed).items()}
    try:
        found = VekExtensions.from_extensions(extensions)
    except DecodeError as error:
        assert error.structure.startswith("VekCertificate")  # noqa: PT017  # a value would do as well
        return
    assert found.hwid is None or len(found.hwid) in (8, 64)
    assert all(0 <= spl <= 255 for spl in found.reserved_spls)


@given(components, st.sampled_from(ARCS[2:11]))
def test_every_security_version_is_read(svn: int, arc: str) -> None:
    value = b"\x02\x02\x00" + bytes((svn,)) if svn > 127 else b"\x02\x01" + bytes((svn,))
    extensions = {f"{OID}.{at}": Extension(False, data) for at, data in (GOOD | {arc: value}).items()}
    found = VekExtensions.from_extensions(extensions)
    tcb = found.tcb
    spls = (tcb.bootloader, tcb.tee, tcb.snp, *found.reserved_spls, tcb.microcode, tcb.fmc)
    expected = [7] * 8 + [None]
    expected[ARCS.index(arc) - 2] = svn
    assert list(spls) == expected
