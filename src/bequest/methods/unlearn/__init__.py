"""Methods that take knowledge out of a model."""
