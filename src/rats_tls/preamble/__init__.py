"""The preamble: what two rats-tls peers say inside the channel before application data. `docs/protocol.md`."""
