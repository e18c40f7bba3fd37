"""`python -m bequest.cli`."""

from bequest.cli import main

main()
