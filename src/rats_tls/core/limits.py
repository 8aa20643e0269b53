"""Every limit on size, depth, count and time, in one place. Sizes are bytes, times are seconds."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Limits on what a peer may send and how long it may take.

    Attributes:
        certificate_made: largest certificate this side makes (60 KiB: every TLS library here carries it).
        certificate_read: largest certificate that is read from a peer (64 KiB).
        evidence: largest Evidence that is decoded.
        cbor_depth: nesting of CBOR containers.
        custom_claims: most custom claims in a claims-buffer.
        preamble_message: largest payload of one preamble message (16 MiB would fit u24; nothing real is near).
        preamble_total: all preamble messages of one peer together.
        undelivered: wire bytes taken from a peer and not yet delivered, above which no more are asked for.
        peer_endorsements: most Endorsement items taken from one peer.
        endorsement_document: largest TCB info, identity or revocation list.
        certificate_chain: most certificates in one vendor chain.
        handshake_seconds: TLS handshake, preamble and appraisal together.
        close_seconds: waiting for the peer's close_notify.
        clock_skew_seconds: how far in the future an `issued-at` or notBefore made by a peer may lie.
        cached_appraisals: remembered results in one context.
        cached_vendor_items: remembered chains, lists, documents in one verifier.
        cached_vendor_bytes: bytes of certificates, lists and documents in each memory of one verifier.
    """

    certificate_made: int = 61_440
    certificate_read: int = 65_536
    evidence: int = 65_536
    cbor_depth: int = 8
    custom_claims: int = 64
    preamble_message: int = 262_144
    preamble_total: int = 524_288
    undelivered: int = 1_048_576
    peer_endorsements: int = 16
    endorsement_document: int = 1_048_576
    certificate_chain: int = 8
    handshake_seconds: float = 30.0
    close_seconds: float = 5.0
    clock_skew_seconds: float = 300.0
    cached_appraisals: int = 1024
    cached_vendor_items: int = 256
    cached_vendor_bytes: int = 8_388_608


DEFAULT_LIMITS = Limits()
