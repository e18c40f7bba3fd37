"""A new embedder takes over an old one's index."""
