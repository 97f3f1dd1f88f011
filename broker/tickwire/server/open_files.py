"""The limit on open files: a connection is one, and the usual soft limit of 1,024 is far below what a broker holds."""

from __future__ import annotations

_RESERVE = 64  # for files, the listening socket, and those who are turned away


def raise_open_files() -> int:
    """Raise the soft limit of this process, and of those it starts, to the hard one; what it is then."""
    try:
        import resource
    except ImportError:  # not on Windows, which has no such limit
        return 1 << 20
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 1 << 20 if hard == resource.RLIM_INFINITY else hard
    if soft != resource.RLIM_INFINITY and soft < wanted:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
            return wanted
        except (ValueError, OSError):  # some systems have a lower limit of their own
            return soft
    return wanted


def most_connections() -> int:
    """How many connections there can be, so that there are descriptors left for all else; 0 where that is not known."""
    try:
        import resource
    except ImportError:  # Windows has no such limit
        return 0
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return max(1, limit - max(_RESERVE, limit // 16)) if 0 < limit < resource.RLIM_INFINITY else 0
