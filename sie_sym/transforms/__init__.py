"""The closed forms of the Weierstrass transform, one family of functions a file."""
