"""tls_wrappers."""
