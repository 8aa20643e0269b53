"""Libraries of the system that a TLS wrapper and a crypto wrapper both use: how each is found and opened."""
