"""The PCK certificate and its SGX extension (Intel SGX PCK Certificate and CRL Profile Specification, 1.3.5)."""

from __future__ import annotations

from dataclasses import dataclass

from rats_tls.core.claims import IntelPlatform
from rats_tls.core.errors import DecodeError
from rats_tls.formats.der import (
    ENUMERATED,
    OBJECT_IDENTIFIER,
    Element,
    read_boolean,
    read_elements,
    read_octets,
    read_sequence,
    read_unsigned,
    require_tag,
)
from rats_tls.formats.x509 import Certificate

SGX_EXTENSION_OID = "1.2.840.113741.1.13.1"
_OID_CONTENT = bytes.fromhex("2a864886f84d010d01")  # content bytes of SGX_EXTENSION_OID
_COMPONENTS = 16
_STRUCTURE = "SgxExtension"

_PPID, _TCB, _PCE_ID, _FMSPC, _SGX_TYPE, _INSTANCE_ID, _CONFIGURATION = range(1, 8)
_REQUIRED = {_PPID: "ppid", _TCB: "tcb", _PCE_ID: "pceId", _FMSPC: "fmspc", _SGX_TYPE: "sgxType"}
_PLATFORM_ONLY = {_INSTANCE_ID: "platformInstanceId", _CONFIGURATION: "configuration"}
_PCE_SVN, _CPU_SVN = 17, 18
_DYNAMIC_PLATFORM, _CACHED_KEYS, _SMT_ENABLED = 1, 2, 3


def platform_from_extension(data: bytes) -> IntelPlatform:
    """Decode the value of the SGX extension of a PCK certificate.

    Args:
        data: extnValue bytes, a SEQUENCE of (object identifier, value).

    Raises:
        DecodeError: not DER, an identifier that is unknown, doubled or missing, a value of the wrong type or size.
    """
    (outer,) = _exactly_one(read_elements(data, _STRUCTURE))
    fields = _members(outer, (), {*_REQUIRED, *_PLATFORM_ONLY}, _STRUCTURE)
    for arc, name in _REQUIRED.items():
        if arc not in fields:
            raise DecodeError(_STRUCTURE, name, None, "missing")
    # A certificate of the Processor CA has neither of these two, one of the Platform CA has both.
    if (_INSTANCE_ID in fields) != (_CONFIGURATION in fields):
        absent = _PLATFORM_ONLY[_CONFIGURATION if _INSTANCE_ID in fields else _INSTANCE_ID]
        raise DecodeError(_STRUCTURE, absent, None, "missing although the other Platform CA member is there")

    tcb_structure = f"{_STRUCTURE}.tcb"
    tcb = _members(fields[_TCB], (_TCB,), set(range(1, 19)), tcb_structure)
    for arc in range(1, 19):
        if arc not in tcb:
            raise DecodeError(tcb_structure, f"2.{arc}", None, "missing")
    instance_id: bytes | None = None
    flags: dict[int, bool] = {}
    if _INSTANCE_ID in fields:
        instance_id = read_octets(fields[_INSTANCE_ID], f"{_STRUCTURE}.platformInstanceId", size=16)
        structure = f"{_STRUCTURE}.configuration"
        known = {_DYNAMIC_PLATFORM, _CACHED_KEYS, _SMT_ENABLED}
        members = _members(fields[_CONFIGURATION], (_CONFIGURATION,), known, structure)
        flags = {arc: read_boolean(value, structure) for arc, value in members.items()}
    return IntelPlatform(
        fmspc=read_octets(fields[_FMSPC], f"{_STRUCTURE}.fmspc", size=6),
        pce_id=read_octets(fields[_PCE_ID], f"{_STRUCTURE}.pceId", size=2),
        pce_svn=read_unsigned(tcb[_PCE_SVN], f"{tcb_structure}.pceSvn", maximum=0xFFFF),
        sgx_tcb_components=tuple(
            read_unsigned(tcb[arc], f"{tcb_structure}.component{arc}", maximum=0xFF)
            for arc in range(1, _COMPONENTS + 1)
        ),
        cpu_svn=read_octets(tcb[_CPU_SVN], f"{tcb_structure}.cpuSvn", size=16),
        ppid=read_octets(fields[_PPID], f"{_STRUCTURE}.ppid", size=16),
        sgx_type=read_unsigned(fields[_SGX_TYPE], f"{_STRUCTURE}.sgxType", maximum=0xFF, tag=ENUMERATED),
        platform_instance_id=instance_id,
        dynamic_platform=flags.get(_DYNAMIC_PLATFORM),
        cached_keys=flags.get(_CACHED_KEYS),
        smt_enabled=flags.get(_SMT_ENABLED),
    )


def _exactly_one(elements: tuple[Element, ...]) -> tuple[Element]:
    if len(elements) != 1:
        raise DecodeError(_STRUCTURE, "", 0, f"{len(elements)} elements, expected one SEQUENCE")
    return (elements[0],)


def _members(sequence: Element, path: tuple[int, ...], known: set[int], structure: str) -> dict[int, Element]:
    """Read a SEQUENCE of (identifier, value) whose identifiers are `path` and one arc out of `known`."""
    prefix = _OID_CONTENT + bytes(path)
    found: dict[int, Element] = {}
    for pair in read_sequence(sequence, structure):
        members = read_sequence(pair, structure, limit=2)
        if len(members) != 2:
            raise DecodeError(structure, "", pair.offset, f"{len(members)} members, expected identifier and value")
        identifier, value = members
        require_tag(identifier, OBJECT_IDENTIFIER, structure)
        content = identifier.content
        arc = content[-1] if content else 0
        if content[:-1] != prefix or arc & 0x80:
            raise DecodeError(structure, "", identifier.offset, f"unknown object identifier {content.hex()}")
        if arc not in known:
            raise DecodeError(structure, "", value.offset, f"unknown object identifier with last arc {arc}")
        if arc in found:
            raise DecodeError(structure, "", value.offset, f"object identifier with last arc {arc} occurs twice")
        found[arc] = value
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class PckChain:
    """A PCK certificate with the certificates that came with it. Untrusted until a Verifier has verified it.

    Attributes:
        leaf: the PCK certificate.
        platform: what its SGX extension says.
        issuers: certificates behind the leaf, in the order received: intermediate, then root.
        ders: DER of leaf and issuers.
    """

    leaf: Certificate
    platform: IntelPlatform
    issuers: tuple[Certificate, ...]
    ders: tuple[bytes, ...]

    @classmethod
    def from_ders(cls, ders: tuple[bytes, ...]) -> PckChain:
        """Decode a chain, leaf first.

        Raises:
            DecodeError: no certificate, one that cannot be read, or a leaf without a well-formed SGX extension.
        """
        if not ders:
            raise DecodeError("PckChain", "leaf", None, "missing")
        names = ("PckCertificate", "PckIntermediateCertificate", "PckRootCertificate")
        certificates = [
            Certificate.from_der(der, names[index] if index < len(names) else "PckChain")
            for index, der in enumerate(ders)
        ]
        leaf = certificates[0]
        extension = leaf.extensions.get(SGX_EXTENSION_OID)
        if extension is None:
            raise DecodeError("PckCertificate", SGX_EXTENSION_OID, None, "the SGX extension is missing")
        return cls(
            leaf=leaf,
            platform=platform_from_extension(extension.value),
            issuers=tuple(certificates[1:]),
            ders=ders,
        )
