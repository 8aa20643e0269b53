"""Measurements, as ratios to what is comparable, from interleaved runs. `make bench` runs them all."""
