"""Built-in models: one file, one model."""
