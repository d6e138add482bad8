"""The population loss of models without a closed form, from tables and from samples."""
