"""`python -m bequest`."""

from bequest.cli import main

main()
