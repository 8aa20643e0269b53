"""Quotes judged by Intel's own library, after they were verified here, with or without its enclave (QvE)."""
