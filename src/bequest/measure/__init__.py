"""Metrics, the transfer matrix, intervals and the gate; numpy only."""
