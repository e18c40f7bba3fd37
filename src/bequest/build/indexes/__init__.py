"""Places where a user keeps vectors."""
