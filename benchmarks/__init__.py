"""Ourselves and our peers at the same tasks, in one run, as ratios: `python -m benchmarks`."""
