"""Methods that choose what a model says while it is asked."""
