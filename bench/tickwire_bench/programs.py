"""The programs in C: the load tool and the floors. They are compiled when they are first needed."""

from __future__ import annotations

import os
import shutil
import subprocess
from functools import cache
from pathlib import Path

from tickwire import __version__

SOURCES = Path(__file__).parent / "c"
FLAGS = ("-O2", "-std=c11", "-Wall", "-Wextra")
_CHECKOUT = Path(__file__).parents[1]


class CannotBuild(Exception):
    """Why there is no program, and what to do about it."""


def load() -> Path:
    """The load generator."""
    secured = ("-DTLS", "-lssl", "-lcrypto") if _has_openssl() else ()
    return _built("load", [SOURCES / "load.c", *sorted((SOURCES / "load").rglob("*.c"))], "-lz", *secured)


def floor(name: str) -> Path:
    """A server in C that does the system calls of a case, and nothing else: "fanout" or "durable"."""
    return _built(f"floor-{name}", [SOURCES / "floor" / f"{name}.c", SOURCES / "floor" / "websocket.c"])


def tied() -> Path:
    """What runs a command so that it ends with the process that started it (Linux)."""
    return _built("tied", [SOURCES / "tied.c"])


@cache
def _has_openssl() -> bool:
    """Whether its headers are there: without them the load generator speaks no TLS."""
    compiler = _compiler()
    if compiler is None:
        return False
    asked = subprocess.run([compiler, "-E", "-"], input=b"#include <openssl/ssl.h>\n", capture_output=True, check=False)
    return asked.returncode == 0


def _compiler() -> str | None:
    return shutil.which(os.environ.get("CC", "cc")) or shutil.which("gcc")


def _built(name: str, sources: list[Path], *libraries: str) -> Path:
    """Compile where a source is newer. Raises CannotBuild."""
    program = directory() / name
    headers = SOURCES.rglob("*.h")
    newest = max(source.stat().st_mtime for source in (*sources, *headers))
    if program.exists() and program.stat().st_mtime >= newest:
        return program
    compiler = _compiler()
    if compiler is None:
        raise CannotBuild(f"{name} is written in C, and there is no compiler: install gcc, or name another in CC")
    new = program.with_suffix(f".{os.getpid()}")  # two benches may build at once
    ended = subprocess.run(
        [compiler, *FLAGS, "-o", str(new), *map(str, sources), *libraries], capture_output=True, text=True, check=False
    )
    if ended.returncode:
        raise CannotBuild(f"{name} could not be compiled (it needs zlib's headers: zlib1g-dev):\n{ended.stderr}")
    new.replace(program)
    return program


def directory() -> Path:
    """Where they are built: in a checkout where its Makefile builds, else in the user's cache. Raises CannotBuild."""
    if (_CHECKOUT.parent / "pyproject.toml").exists():
        found = _CHECKOUT / "build"
    else:
        cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
        found = cache / "tickwire" / f"bench-{__version__}"
    try:
        found.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CannotBuild(
            f"{found} cannot be made, where the programs in C go: {error.strerror}; set XDG_CACHE_HOME"
        ) from None
    return found
