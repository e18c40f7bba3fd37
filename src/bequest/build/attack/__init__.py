"""The audit `sleek`: facts, prompts around them, a filter for leaks, a judge of replies."""
