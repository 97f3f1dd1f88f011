"""The list of what was revoked: a file with a token's id on each line, or `sub:` and a subject."""

from __future__ import annotations

import re
from pathlib import Path

from .. import logs
from ..configuration.setting import SettingsError

_COMMENT = re.compile(r"(?:^|\s)#")
log = logs.logger("tickwire.door")


class Revoked:
    """The file of the settings, read when it has changed. `entries` are its lines and what was added here."""

    def __init__(self, path: str) -> None:
        self._path = Path(path).expanduser() if path else None
        self._seen: tuple[int, int, int] | None = None
        self._in_file: frozenset[str] = frozenset()
        self._added: set[str] = set()
        self.entries: frozenset[str] = frozenset()

    def at(self, path: str) -> Revoked:
        """The same with another file, if it is one."""
        if (Path(path).expanduser() if path else None) == self._path:
            return self
        other = Revoked(path)
        other._added, other.entries = self._added, frozenset(self._added)
        return other

    def add(self, *, subject: str | None = None, token: str | None = None) -> None:
        """Revoke for as long as this process lives."""
        self._added |= {f"sub:{subject}"} if subject is not None else set()
        self._added |= {token} if token is not None else set()
        self.entries = self._in_file | self._added

    def look(self) -> bool:
        """Whether there is something new. Raises SettingsError where the file cannot be read; what was in it counts."""
        if self._path is None:
            return False
        try:
            status = self._path.stat()
            seen = (status.st_mtime_ns, status.st_size, status.st_ino)
            if seen == self._seen:
                return False
            lines = self._path.read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            why = getattr(error, "strerror", None) or "it is not UTF-8"
            why += "; an empty file revokes nothing" if isinstance(error, FileNotFoundError) else ""
            raise SettingsError(f"cannot read what was revoked in {str(self._path)!r}: {why}") from None
        self._seen = seen
        self._in_file = frozenset(entry for line in lines if (entry := _entry(line)))
        log.info("read what was revoked", path=str(self._path), entries=len(self._in_file))
        self.entries = self._in_file | self._added
        return True


def _entry(line: str) -> str:
    """What a line revokes, if anything. A comment begins with a `#` that stands first, or behind a space."""
    line = _COMMENT.split(line, 1)[0].strip()
    if line.startswith("eyJ") and line.count(".") == 2:
        log.warning(
            "a line of what was revoked is a whole token, which revokes nothing: it must be the token's id (jti)"
        )
        return ""
    kind, colon, subject = line.partition(":")
    return f"sub:{subject.strip()}" if colon and kind.lower() == "sub" else line
