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
        event_log: largest event log that is decoded, with the padding behind it (1 MiB: firmware has no larger area).
        event_log_events: most events in one.
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
    event_log: int = 1_048_576
    event_log_events: int = 4096
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


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchLimits:
    """Limits on what a source of Endorsements may send and how long it may take.

    Attributes:
        json_document: largest answer with TCB info or a QE identity.
        revocation_list: largest revocation list, in whatever encoding it comes.
        certificate: largest answer with certificates.
        headers: most bytes of an answer besides its body: status, headers, framing.
        connect_seconds: TCP connection and TLS handshake, for each address of a host.
        total_seconds: one document, from the first connection on, with all attempts and the waits between them.
        attempts: most requests for one document.
        first_wait_seconds: wait before the second attempt; twice as long before each further one.
        longest_wait_seconds: longest Retry-After that is waited for; a longer one is handed on.
        retry_after_seconds: longest Retry-After that is believed.
        shared_wait_seconds: how long a thread waits for what another one is fetching, and after which no further
            request of one look-up is started.
    """

    json_document: int = 262_144
    revocation_list: int = 1_048_576
    certificate: int = 65_536
    headers: int = 65_536
    connect_seconds: float = 5.0
    total_seconds: float = 10.0
    attempts: int = 3
    first_wait_seconds: float = 0.5
    longest_wait_seconds: float = 5.0
    retry_after_seconds: float = 86_400.0
    shared_wait_seconds: float = 20.0


DEFAULT_FETCH_LIMITS = FetchLimits()


@dataclass(frozen=True, slots=True, kw_only=True)
class BundleLimits:
    """Limits on a bundle of Endorsements. Ample for 5,000 chips; more go into several.

    Attributes:
        archive: the file.
        members: most files in it.
        directory_entry: directory of the archive, for each file in it.
        manifest: the manifest, decompressed.
        member: any other file, decompressed: the largest document, and what its service puts around it.
        total: all files together, decompressed.
        keys: most keys of one item.
        files: most files in a directory of bundles.
    """

    archive: int = 33_554_432
    members: int = 16_384
    directory_entry: int = 256
    manifest: int = 8_388_608
    member: int = 1_052_672
    total: int = 67_108_864
    keys: int = 64
    files: int = 1024


DEFAULT_BUNDLE_LIMITS = BundleLimits()
