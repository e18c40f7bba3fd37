"""Adaptation: a target with few labels learns from a source of another kind."""
