"""Verifiers: one module for each TEE type, beside what a vendor's TEEs share. Imported by name, never from here."""
