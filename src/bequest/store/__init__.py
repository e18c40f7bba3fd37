"""Where files are written: run folders, journal, checkpoints, caches."""
