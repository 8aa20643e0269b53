"""X.509 certificates that carry Evidence: one module per format, one registry."""
