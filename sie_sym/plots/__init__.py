"""The figures that `plot` frames: surfaces, phases, dynamics."""
