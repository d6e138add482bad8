"""What `phase_diagram` stands on: landscapes affine in a parameter, their rim, the minima of the disk."""
