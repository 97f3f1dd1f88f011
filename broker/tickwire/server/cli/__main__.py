"""`python -m tickwire.server.cli` is the command `tickwire`."""

from . import main

main()
