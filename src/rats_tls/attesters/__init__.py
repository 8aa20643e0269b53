"""attesters."""
