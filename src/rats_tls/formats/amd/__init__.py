"""AMD's formats: attestation report, TCB version, VEK certificates, certificate table, loose files."""
