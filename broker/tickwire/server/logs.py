"""One event, one line, as text or JSON, whatever the values hold. Only `tickwire serve` configures where they go."""

from __future__ import annotations

import json
import logging
import math
import re
import sys
from datetime import UTC, datetime
from typing import Any, TextIO

_AMBIGUOUS = re.compile(r"""[ "=\\]""")
_FACTS = "facts"
_LEVELS = {"WARNING": "WARN"}  # so that events start in one column


class Logger:
    """Events with facts, over the standard library's logging: `log.info("peer left", peer=7, reason="...")`."""

    def __init__(self, name: str) -> None:
        self._logger = logging.getLogger(name)

    def debug(self, event: str, /, **facts: Any) -> None:
        self._log(logging.DEBUG, event, facts)

    def info(self, event: str, /, **facts: Any) -> None:
        self._log(logging.INFO, event, facts)

    def warning(self, event: str, /, **facts: Any) -> None:
        self._log(logging.WARNING, event, facts)

    def error(self, event: str, /, **facts: Any) -> None:
        """An error; within an `except` its traceback comes along."""
        self._log(logging.ERROR, event, facts, exc_info=sys.exc_info()[0] is not None)

    def _log(self, level: int, event: str, facts: dict[str, Any], exc_info: bool = False) -> None:
        if self._logger.isEnabledFor(level):
            self._logger.log(level, "%s", event, exc_info=exc_info, extra={_FACTS: facts}, stacklevel=3)


def logger(name: str) -> Logger:
    return Logger(name)


def configure(level: str = "info", format: str = "text", stream: TextIO | None = None) -> None:
    """Send all logging of the process to the stream (standard error), a line each. For commands; not for embedding."""
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonFormatter() if format == "json" else TextFormatter())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)


class TextFormatter(logging.Formatter):
    """`2026-11-23T10:00:00.123Z INFO  listening url=ws://127.0.0.1:8765/ws`"""

    def format(self, record: logging.LogRecord) -> str:
        facts = "".join(f" {_text(key)}={_text(value)}" for key, value in _facts(self, record).items())
        level = _LEVELS.get(record.levelname, record.levelname)
        return f"{_time(record)} {level:<5} {_escaped(record.getMessage())}{facts}"


class JsonFormatter(logging.Formatter):
    """One JSON object a line: time, level, logger, event, then the facts."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": _time(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": record.getMessage(),
        }
        for key, value in _facts(self, record).items():
            line[f"{key}_" if key in line else key] = value if _is_json(value) else _shown(value)
        return json.dumps(line)


def _facts(formatter: logging.Formatter, record: logging.LogRecord) -> dict[str, Any]:
    facts = dict(getattr(record, _FACTS, {}))
    if record.exc_info and record.exc_info[0]:
        facts["traceback"] = formatter.formatException(record.exc_info)
    return facts


def _time(record: logging.LogRecord) -> str:
    moment = datetime.fromtimestamp(record.created, UTC)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z"


def _text(value: Any) -> str:
    """The value as it stands, or quoted as JSON where it could be taken for something else."""
    shown = _shown(value)
    clear = shown and shown.isprintable() and not _AMBIGUOUS.search(shown)
    return shown if clear else _quoted(shown)


def _escaped(event: str) -> str:
    """The event; spaces and quotes stay, all that could break or forge a line does not."""
    return event if event.isprintable() else _quoted(event)[1:-1]


def _quoted(text: str) -> str:
    # ASCII only: U+2028 and bidirectional controls start or reorder lines in some viewers.
    return json.dumps(text)


def _is_json(value: Any) -> bool:
    return value is None or isinstance(value, (str, int)) or (isinstance(value, float) and math.isfinite(value))


def _shown(value: Any) -> str:
    """str(value), also of an object whose own code fails: a log line must not end what it reports."""
    try:
        return str(value)
    except Exception as error:
        return f"<{type(value).__name__}: {type(error).__name__}>"
