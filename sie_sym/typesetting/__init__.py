"""How `latex` writes each result."""
