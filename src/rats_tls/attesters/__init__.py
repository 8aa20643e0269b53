"""Attesters: each obtains Evidence from one TEE."""
