"""Event logs: what was measured into the registers of a TEE."""
