"""Continual learning: one task after another, in one model."""
