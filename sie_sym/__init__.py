"""Symbolic derivations for sequence single-index models (arXiv:2506.02651)."""
