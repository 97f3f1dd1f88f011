"""The list of what was revoked: a file with a token's id on each line, or `sub:` and a subject."""

from __future__ import annotations

from pathlib import Path

from ..configuration.setting import SettingsError


class Revoked:
    """The file of the settings, read when it has changed. `entries` are its lines and what was added here."""

    def __init__(self, path: str) -> None:
        self._path = Path(path).expanduser() if path else None
        self._seen: tuple[int, int, int] | None = None
        self._in_file: frozenset[str] = frozenset()
        self._added: set[str] = set()
        self.entries: frozenset[str] = frozenset()

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
            raise SettingsError(f"cannot read what was revoked in {str(self._path)!r}: {why}") from None
        self._seen = seen
        self._in_file = frozenset(entry for line in lines if (entry := line.split("#")[0].strip()))
        self.entries = self._in_file | self._added
        return True
