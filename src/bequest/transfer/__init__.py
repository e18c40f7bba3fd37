"""The workbench methods work on: fit, remember, streams of batches."""
