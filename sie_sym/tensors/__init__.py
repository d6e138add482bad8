"""Symmetric tensors and their maximum on the sphere, with proof: what `gain` stands on."""
