"""Tables of the store on disk, and the queries that need more than one of their columns explained."""

from __future__ import annotations

from rats_tls.core.endorsements import EndorsementKind

VERSION = 2
TABLES = (
    """
CREATE TABLE IF NOT EXISTS items (
    anchor  BLOB NOT NULL,     -- fingerprint of the trust anchor, 32 bytes
    channel TEXT NOT NULL,     -- update channel of Intel's documents; empty for what is the same in all
    lookup  TEXT NOT NULL,     -- kind and key, as they are printed
    digest  BLOB NOT NULL,     -- SHA-256 of the Endorsement
    key     BLOB NOT NULL,     -- CBOR: [[name, value], ...]
    kind    TEXT NOT NULL,
    data    BLOB NOT NULL,
    proof   BLOB NOT NULL,     -- CBOR: [signature, [certificates]]
    number  TEXT NOT NULL,     -- tcbEvaluationDataNumber or cRLNumber, which has up to 20 bytes: decimal digits
    issued  INTEGER NOT NULL,  -- Unix seconds, as the item itself says
    expires INTEGER NOT NULL,
    kept    INTEGER NOT NULL,
    PRIMARY KEY (anchor, channel, lookup, digest)
) WITHOUT ROWID
""",
    """
CREATE TABLE IF NOT EXISTS floors (
    anchor  BLOB NOT NULL,
    channel TEXT NOT NULL,
    lookup  TEXT NOT NULL,
    number  TEXT NOT NULL,
    issued  INTEGER NOT NULL,
    PRIMARY KEY (anchor, channel, lookup)
) WITHOUT ROWID
""",
    """
CREATE TABLE IF NOT EXISTS uses (
    anchor  BLOB NOT NULL,
    channel TEXT NOT NULL,
    lookup  TEXT NOT NULL,
    used    INTEGER NOT NULL,  -- Unix seconds, to the day or so
    PRIMARY KEY (anchor, channel, lookup)
) WITHOUT ROWID
""",
)
SELECT = "SELECT anchor, channel, digest, kind, key, data, proof, number, issued, expires, kept FROM items"

OF_ONE_PLATFORM = tuple(sorted(kind.value for kind in EndorsementKind if kind.is_of_one_platform))
_IS_OF_ONE_PLATFORM = f"IN ({', '.join('?' for _ in OF_ONE_PLATFORM)})"
FIRST_TO_GO = f"""
SELECT i.anchor, i.channel, i.lookup, i.digest, LENGTH(i.data) + LENGTH(i.proof)
FROM items i LEFT JOIN uses u ON u.anchor = i.anchor AND u.channel = i.channel AND u.lookup = i.lookup
ORDER BY i.kind NOT {_IS_OF_ONE_PLATFORM},
    CASE WHEN i.kind {_IS_OF_ONE_PLATFORM} THEN MAX(i.kept, IFNULL(u.used, 0)) ELSE i.expires END
"""  # noqa: S608  # question marks
FORGET_USES = """
DELETE FROM uses WHERE NOT EXISTS (
    SELECT 1 FROM items i WHERE i.anchor = uses.anchor AND i.channel = uses.channel AND i.lookup = uses.lookup
)
"""
