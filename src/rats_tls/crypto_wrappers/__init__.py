"""Crypto wrappers: keys, certificates, hashes, signatures, each over one library."""
