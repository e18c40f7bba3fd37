"""One file, one method; folders are families."""
