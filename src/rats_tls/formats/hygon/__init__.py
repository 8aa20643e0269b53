"""Hygon's formats: certificates, attestation reports, Evidence made of both."""
