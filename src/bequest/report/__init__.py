"""Results for people: terminal tables, progress."""
