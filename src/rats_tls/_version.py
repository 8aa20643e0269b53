"""The package's version."""

__version__ = "0.1.0"
RELEASED = "2026-11-25"
"""Day of the release (UTC): no clock that is right is behind it."""
