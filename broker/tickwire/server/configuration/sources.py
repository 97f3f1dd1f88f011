"""Where settings come from: a TOML file and the environment. A name that is none is told, and what was meant."""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from .setting import PREFIX, Setting, SettingsError

_OTHER_VARIABLES = {
    "TICKWIRE_URL", "TICKWIRE_TOKEN", "TICKWIRE_CONFIG", "TICKWIRE_TLS_CA", "TICKWIRE_TLS_CERT", "TICKWIRE_TLS_KEY"
}  # fmt: skip


def from_file(file: Path, names: Iterable[str]) -> dict[str, Any]:
    """What a file sets. Raises SettingsError for what is no TOML, or has another name."""
    try:
        table = tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsError(f"cannot read the settings file {str(file)!r}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"the settings file {str(file)!r} is not TOML: {error}") from None
    check_names(table, names, f"{file} has")
    return table


def from_environment(environ: Mapping[str, str], settings: Mapping[str, Setting]) -> dict[str, tuple[str, str]]:
    """What the environment sets, and by which variable; an empty one sets nothing. Raises SettingsError."""
    variables = {described.variable: name for name, described in settings.items()}
    given: dict[str, tuple[str, str]] = {}
    for variable, value in environ.items():
        if variable in variables:
            if value:
                given[variables[variable]] = (variable, value)
        elif variable.startswith(PREFIX) and variable not in _OTHER_VARIABLES:
            _suspect(variable, settings)
    return given


def check_names(given: Iterable[str], names: Iterable[str], where: str) -> None:
    """Raises SettingsError for the first that is no setting."""
    for name in given:
        if name not in names:
            hint = f"; did you mean {close}?" if (close := _meant(name, names)) else _LISTED
            raise SettingsError(f"{where} {name!r}, which is no setting{hint}")


def _suspect(variable: str, settings: Iterable[str]) -> None:
    """Variables of others may start like ours; only what looks like a setting mistyped is an error."""
    if close := _meant(variable.removeprefix(PREFIX).lower(), settings):
        meant = f"; did you mean {PREFIX}{close.upper()}?"
        raise SettingsError(f"the environment has {variable}, which is no setting{meant}")


def _meant(name: str, names: Iterable[str]) -> str:
    return next(iter(difflib.get_close_matches(name, names, n=1, cutoff=0.75)), "")


_LISTED = "; `tickwire serve --help` lists them"
