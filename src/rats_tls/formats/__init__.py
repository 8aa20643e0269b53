"""Vendor bytes to frozen dataclasses and back. No I/O, clock or randomness; nothing here is a judgement."""
