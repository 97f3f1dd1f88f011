"""`python -m tickwire`, and the command `tickwire`."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command line. Ctrl-C may come while it is still being loaded."""
    try:
        from tickwire.server.cli import main as command
    except KeyboardInterrupt:
        sys.exit(130)
    command()


if __name__ == "__main__":
    main()
