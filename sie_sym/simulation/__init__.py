"""SGD from the model alone, never from the closed form: fields, draws, chains, checkpoints."""
