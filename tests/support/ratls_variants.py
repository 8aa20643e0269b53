"""Every certificate variant that was put to a C rats-tls, made over a simulated TDX quote that binds it.

`docs/certificate-format.md` says what a reader must do with each; the C reader's own answers are known from running it.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

import cbor2
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from rats_tls.core.endorsements import Endorsement
from rats_tls.formats.intel.collateral import endorsements_to_fields
from support.simulated import NOW, world

EVIDENCE_OID = x509.ObjectIdentifier("2.23.133.5.4.9")
ENDORSEMENTS_OID = x509.ObjectIdentifier("2.23.133.5.4.2")
GARBAGE = bytes(range(256))

_KEY_USAGES = (
    "digital_signature",
    "content_commitment",
    "key_encipherment",
    "data_encipherment",
    "key_agreement",
    "key_cert_sign",
    "crl_sign",
    "encipher_only",
    "decipher_only",
)

Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey


@functools.cache
def endorsements() -> tuple[Endorsement, ...]:
    """Endorsements that judge the simulated quotes."""
    return tuple(world().attester("simulated_tdx_ecdsa").endorsements)


def quote(report_data: bytes, **state: object) -> bytes:
    """A simulated TDX quote."""
    return world().attester("simulated_tdx_ecdsa", **state).collect(report_data).evidence.data


@functools.cache
def key(kind: str) -> Key:
    """A key of `kind`, made once."""
    makers: dict[str, Callable[[], Key]] = {
        "p256": lambda: ec.generate_private_key(ec.SECP256R1()),
        "other": lambda: ec.generate_private_key(ec.SECP256R1()),
        "p384": lambda: ec.generate_private_key(ec.SECP384R1()),
        "rsa2048": lambda: rsa.generate_private_key(65537, 2048),
        "ed25519": ed25519.Ed25519PrivateKey.generate,
    }
    return makers[kind]()


def name(common_name: str = "RATS-TLS") -> x509.Name:
    return x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Inclavare Containers"),
            x509.NameAttribute(NameOID.COMMON_NAME, common_name),
        ]
    )


def pubkey_hash(spki: bytes, algorithm: str = "sha256", hash_id: int | bytes = 1) -> bytes:
    head = hash_id if isinstance(hash_id, bytes) else cbor2.dumps(hash_id)
    return b"\x82" + head + cbor2.dumps(hashlib.new(algorithm, spki).digest())


def claims_map(pairs: list[tuple[bytes, bytes]], head: int = 0xA0) -> bytes:
    return bytes([head + len(pairs)]) + b"".join(a + b for a, b in pairs)


@dataclass(frozen=True)
class Variant:
    """How one certificate differs from a good one; every function gets what the good one would hold."""

    key: str = "p256"
    signer: str | None = None
    subject: x509.Name = field(default_factory=name)
    issuer: x509.Name | None = None
    serial: int = 1
    begin: datetime = NOW - timedelta(hours=1)
    end: datetime = NOW + timedelta(days=365)
    identifiers: bool = True
    ca: bool = False
    usage: tuple[str, ...] = ()
    purposes: tuple[x509.ObjectIdentifier, ...] = ()
    critical: bool = False
    unknown: bool | None = None
    unknown_oid: str = "1.3.6.1.4.1.99999.7"
    hash_entry: Callable[[bytes], bytes] = pubkey_hash
    pairs: Callable[[list[tuple[bytes, bytes]]], list[tuple[bytes, bytes]]] = lambda pairs: pairs
    claims: Callable[[list[tuple[bytes, bytes]]], bytes] = claims_map
    report_data: Callable[[bytes], bytes] = lambda right: right
    quote: Callable[[bytes], bytes] = quote
    item: Callable[[bytes, bytes], bytes] = lambda evidence, claims: cbor2.dumps(
        cbor2.CBORTag(60000, [evidence, claims])
    )
    behind_claims: bytes = b""
    evidence: bool = True
    endorsements: bytes | None = None
    broken_signature: bool = False


def make(variant: Variant) -> bytes:
    """Make the certificate."""
    own = key(variant.key)
    public = own.public_key()
    spki = public.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    pairs = [
        (cbor2.dumps("pubkey-hash"), cbor2.dumps(variant.hash_entry(spki))),
        (cbor2.dumps("key_0"), cbor2.dumps(b"value_0\0")),
    ]
    claims = variant.claims(variant.pairs(pairs)) + variant.behind_claims
    report_data = variant.report_data(hashlib.sha256(claims).digest().ljust(64, b"\0"))
    builder = (
        x509.CertificateBuilder()
        .subject_name(variant.subject)
        .issuer_name(variant.issuer or variant.subject)
        .public_key(public)
        .serial_number(variant.serial)
        .not_valid_before(variant.begin)
        .not_valid_after(variant.end)
        .add_extension(x509.BasicConstraints(variant.ca, None), critical=False)
    )
    if variant.identifiers:
        identifier = x509.SubjectKeyIdentifier.from_public_key(public)
        builder = builder.add_extension(identifier, critical=False).add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier), critical=False
        )
    if variant.usage:
        builder = builder.add_extension(
            x509.KeyUsage(**{usage: usage in variant.usage for usage in _KEY_USAGES}), critical=True
        )
    if variant.purposes:
        builder = builder.add_extension(x509.ExtendedKeyUsage(variant.purposes), critical=False)
    if variant.evidence:
        value = variant.item(variant.quote(report_data), claims)
        builder = builder.add_extension(x509.UnrecognizedExtension(EVIDENCE_OID, value), critical=variant.critical)
    if variant.endorsements is not None:
        builder = builder.add_extension(
            x509.UnrecognizedExtension(ENDORSEMENTS_OID, variant.endorsements), critical=False
        )
    if variant.unknown is not None:
        builder = builder.add_extension(
            x509.UnrecognizedExtension(x509.ObjectIdentifier(variant.unknown_oid), b"\x05\0"),
            critical=variant.unknown,
        )
    signer = key(variant.signer or variant.key)
    digest = None if isinstance(signer, ed25519.Ed25519PrivateKey) else hashes.SHA256()
    der = builder.sign(signer, digest).public_bytes(serialization.Encoding.DER)
    if variant.broken_signature:
        der = der[:-1] + bytes([der[-1] ^ 1])
    return der


def endorsements_extension(version: bytes) -> bytes:
    fields = endorsements_to_fields(endorsements())
    return b"\xd9\xea\x60" + bytes([0x81 + len(fields)]) + version + b"".join(map(cbor2.dumps, fields))


def tagged(tag: int) -> Callable[[bytes, bytes], bytes]:
    return lambda evidence, claims: cbor2.dumps(cbor2.CBORTag(tag, [evidence, claims]))


def padded_to(size: int) -> Callable[[bytes], bytes]:
    return lambda report_data: quote(report_data).ljust(size, b"\0")


GOOD = Variant()
OTHER_CLAIM = cbor2.dumps("nonce")


def variants() -> dict[str, Variant]:
    """Give every variant by its name in the C reader's list."""
    v5 = functools.partial(quote, quote_version=5)
    bad_hash = cbor2.dumps(pubkey_hash(b"another key"))
    pubkey = cbor2.dumps("pubkey-hash")
    return {
        "good": GOOD,
        "good_256byte_trailing_garbage_everywhere": replace(
            GOOD,
            hash_entry=lambda spki: pubkey_hash(spki) + GARBAGE,
            behind_claims=GARBAGE,
            item=lambda evidence, claims: cbor2.dumps(cbor2.CBORTag(60000, [evidence, claims])) + GARBAGE,
        ),
        "subject_other_serial_random": replace(GOOD, subject=name("anyone"), serial=x509.random_serial_number()),
        "evidence_ext_critical": replace(GOOD, critical=True),
        "unknown_critical_ext": replace(GOOD, unknown=True),
        "unknown_noncritical_ext": replace(GOOD, unknown=False),
        "expired": replace(GOOD, begin=NOW - timedelta(days=2), end=NOW - timedelta(days=1)),
        "not_yet_valid": replace(GOOD, begin=NOW + timedelta(days=1)),
        "bad_self_signature": replace(GOOD, broken_signature=True),
        "signed_by_other_key_same_names": replace(GOOD, signer="other"),
        "issuer_differs": replace(GOOD, issuer=name("another")),
        "no_ski_aki": replace(GOOD, identifiers=False),
        "keyusage_digsig_critical": replace(GOOD, usage=("digital_signature",)),
        "keyusage_digsig_certsign": replace(GOOD, usage=("digital_signature", "key_cert_sign")),
        "eku_clientauth_only": replace(GOOD, purposes=(ExtendedKeyUsageOID.CLIENT_AUTH,)),
        "ca_true": replace(GOOD, ca=True),
        "p384_key_sha256hash": replace(GOOD, key="p384"),
        "p384_key_sha384hash": replace(GOOD, key="p384", hash_entry=lambda spki: pubkey_hash(spki, "sha384", 7)),
        "rsa2048_key": replace(GOOD, key="rsa2048"),
        "ed25519_key": replace(GOOD, key="ed25519"),
        "hash_alg_512": replace(GOOD, hash_entry=lambda spki: pubkey_hash(spki, "sha512", 8)),
        "hash_alg_id_0": replace(GOOD, hash_entry=lambda spki: pubkey_hash(spki, hash_id=0)),
        "hash_alg_id_10_sha3": replace(GOOD, hash_entry=lambda spki: pubkey_hash(spki, "sha3_256", 10)),
        "hash_alg_id_as_uint16_encoding": replace(
            GOOD, hash_entry=lambda spki: pubkey_hash(spki, hash_id=b"\x19\x00\x01")
        ),
        "hash_entry_3_elements": replace(
            GOOD, hash_entry=lambda spki: b"\x83" + pubkey_hash(spki)[1:] + cbor2.dumps(b"more")
        ),
        "pubkey_hash_wrong": replace(GOOD, hash_entry=lambda _: pubkey_hash(b"another key")),
        "report_data_wrong": replace(GOOD, report_data=lambda right: bytes([right[0] ^ 1]) + right[1:]),
        "report_data_tail_nonzero": replace(GOOD, report_data=lambda right: right[:63] + b"\x01"),
        "claim_nonce_bytes": replace(GOOD, pairs=lambda pairs: [*pairs, (OTHER_CLAIM, cbor2.dumps(bytes(32)))]),
        "claim_text_value": replace(GOOD, pairs=lambda pairs: [*pairs, (cbor2.dumps("key_1"), cbor2.dumps("a text"))]),
        "claim_int_key": replace(GOOD, pairs=lambda pairs: [*pairs, (cbor2.dumps(7), cbor2.dumps(b"x"))]),
        "claims_no_pubkey_hash": replace(GOOD, pairs=lambda pairs: pairs[1:]),
        "claims_duplicate_pubkey_hash_last_bad": replace(GOOD, pairs=lambda pairs: [*pairs, (pubkey, bad_hash)]),
        "claims_duplicate_pubkey_hash_last_good": replace(GOOD, pairs=lambda pairs: [(pubkey, bad_hash), *pairs]),
        "array_3_elements": replace(
            GOOD,
            item=lambda evidence, claims: cbor2.dumps(cbor2.CBORTag(60000, [evidence, claims, b"more"])),
        ),
        "array_indefinite": replace(
            GOOD,
            item=lambda evidence, claims: b"\xd9\xea\x60\x9f" + cbor2.dumps(evidence) + cbor2.dumps(claims) + b"\xff",
        ),
        "claims_map_indefinite": replace(
            GOOD, claims=lambda pairs: b"\xbf" + b"".join(a + b for a, b in pairs) + b"\xff"
        ),
        "untagged_array": replace(GOOD, item=lambda evidence, claims: cbor2.dumps([evidence, claims])),
        "tag_60001": replace(GOOD, item=tagged(60001)),
        "tag_61000_unassigned_in_range": replace(GOOD, item=tagged(61000)),
        "tag_5_out_of_range": replace(GOOD, item=lambda evidence, claims: b"\xc5" + cbor2.dumps([evidence, claims])),
        "octet_string_wrapped": replace(
            GOOD, item=lambda evidence, claims: _octet_string(tagged(60000)(evidence, claims))
        ),
        "no_evidence": replace(GOOD, evidence=False),
        "evidence_8208_bytes": replace(GOOD, quote=padded_to(8208)),
        "evidence_8209_bytes": replace(GOOD, quote=padded_to(8209)),
        "tdx_quote_v5": replace(GOOD, quote=v5),
        "endorsement_garbage": replace(GOOD, endorsements=GARBAGE),
        "endorsement_ok_shape": replace(GOOD, endorsements=endorsements_extension(b"\x1a\0\0\0\x03")),
        "endorsement_version_minimal_int": replace(GOOD, endorsements=endorsements_extension(b"\x03")),
        "endorsement_no_evidence": replace(
            GOOD, evidence=False, endorsements=endorsements_extension(b"\x1a\0\0\0\x03")
        ),
        "extra_chain_cert": GOOD,
        "leaf_signed_by_ca_in_chain": replace(GOOD, issuer=name("a CA in the chain"), signer="other"),
    }


def _octet_string(content: bytes) -> bytes:
    return b"\x04\x82" + len(content).to_bytes(2, "big") + content
