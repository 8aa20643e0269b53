"""Attested TLS: a TLS connection whose peer has proved what code it is, on what platform, in what state."""
