"""Hygon's formats."""
