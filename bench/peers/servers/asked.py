"""What the servers of this folder are asked: on the command line, and by who connects."""

from __future__ import annotations

import argparse
import resource
from urllib.parse import parse_qs, urlsplit

BACKLOG = 5_000


def arguments(program: str | None) -> argparse.Namespace:
    """`port` and `compress`. Also takes as many open files as the system allows: thousands of readers come."""
    parser = argparse.ArgumentParser(description=program)
    parser.add_argument("--port", type=int, default=0, help="0 picks one")
    parser.add_argument("--compress", action="store_true", help="permessage-deflate, as its documentation has it")
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return parser.parse_args()


def topics_of(path: str) -> list[int] | None:
    """The topics in the query of an upgrade, of which there is 0 by default; None for a publisher."""
    query = parse_qs(urlsplit(path).query)
    if "publish" in query:
        return None
    return [int(topic) for topic in query.get("topics", ["0"])[0].split(",")]
