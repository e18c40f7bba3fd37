"""Models and texts that are fetched by name and kept in a cache."""
