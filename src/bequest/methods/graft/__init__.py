"""Methods that move a change of weights from one model into another of the same origin."""
