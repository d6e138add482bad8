"""How text is read: lexemes, the whitelist of functions, and the builders of `parse` and `parse_latex`."""
