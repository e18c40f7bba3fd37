"""Built-in tasks: one file, one task."""
