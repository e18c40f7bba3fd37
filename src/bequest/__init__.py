"""bequest — move what models know, and prove what moved."""

__version__ = "0.1.0"
