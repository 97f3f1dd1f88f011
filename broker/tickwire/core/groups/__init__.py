"""Consumer groups: topics are dealt to the members, each message to one of them, until it is settled."""

from .groups import Groups

__all__ = ["Groups"]
