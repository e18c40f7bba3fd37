"""From names to live models and tasks."""
