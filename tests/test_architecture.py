"""The house keeps its directions: server -> store -> core -> fanout -> wire <- tickwire_client."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SOURCES = {"tickwire": ROOT / "broker", "tickwire_client": ROOT / "clients" / "python"}

# What each room may import besides itself and `tickwire`, the package alone, which has the version and imports nothing.
BELOW: dict[str, set[str]] = {
    "tickwire": set(),
    "tickwire.native": set(),  # what is in C, and who loads it
    "tickwire.wire": {"tickwire.native"},
    "tickwire.fanout": {"tickwire.native", "tickwire.wire"},
    "tickwire.core": {"tickwire.wire", "tickwire.fanout"},
    "tickwire.store": {"tickwire.native", "tickwire.wire", "tickwire.fanout", "tickwire.core"},
    "tickwire.server": {"tickwire.wire", "tickwire.fanout", "tickwire.core", "tickwire.store"},
    "tickwire_client": {"tickwire.wire", "tickwire.intake"},
    "tickwire.intake": {"tickwire.native", "tickwire.wire"},  # what the shells of both have in common
    "tickwire.__main__": {"tickwire.server"},  # the door of the command
}
BELOW["tickwire.server"] |= {"tickwire.intake", "tickwire_client"}
EVENT_LOOPS = {"asyncio", "aiohttp", "uvloop"}
# The SDK's session is sans-IO, so that other languages can mirror it; only its shell knows an event loop.
SHELL_FILES = ("batch", "brake", "client", "connection", "consumer", "deadlines", "history", "link", "loop_thread")
SHELL_FILES += ("reading", "subscription", "sync", "sync_consumer", "sync_reading", "sync_subscription")
SDK_SHELL = {f"tickwire_client.{name}" for name in SHELL_FILES}


def modules() -> Iterator[tuple[str, Path]]:
    for package, source in SOURCES.items():
        for path in sorted((source / package).rglob("*.py")):
            parts = path.relative_to(source).with_suffix("").parts
            yield ".".join(parts[:-1] if parts[-1] == "__init__" else parts), path


MODULES = dict(modules())


def room_of(module: str) -> str:
    """`tickwire.core.engine` stands in `tickwire.core`; the SDK is one room."""
    parts = module.split(".")
    return ".".join(parts[:2]) if parts[0] == "tickwire" else parts[0]


def imports_of(module: str, path: Path) -> set[str]:
    """Every module that one imports, wherever it says so: also in functions and under TYPE_CHECKING."""
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            found.update(_origins(node, package))
    return found


def _origins(node: ast.ImportFrom, package: str) -> set[str]:
    """The modules of a `from ... import`: a name that is itself a module of ours counts as that module."""
    if node.level:
        parts = package.split(".")
        base = ".".join(parts[: len(parts) - node.level + 1])
        origin = f"{base}.{node.module}" if node.module else base
    else:
        origin = node.module or ""
    names = {f"{origin}.{alias.name}" for alias in node.names}
    return {name if name in MODULES else origin for name in names}


def test_the_modules_were_found() -> None:
    assert {"tickwire.wire.decode", "tickwire", "tickwire_client"} <= MODULES.keys()
    assert {room_of(module) for module in MODULES} <= BELOW.keys()


@pytest.mark.parametrize("module", MODULES)
def test_a_room_imports_only_from_itself_and_from_what_stands_below(module: str) -> None:
    room = room_of(module)
    ours = {name for name in imports_of(module, MODULES[module]) if name.split(".")[0] in SOURCES}

    assert {name for name in ours if room_of(name) not in BELOW[room] | {room, "tickwire"}} == set()


def test_the_bench_stands_on_top_of_the_house_and_only_its_command_reaches_up_to_it() -> None:
    reaching = {
        name for name, path in MODULES.items() if any("tickwire_bench" in each for each in imports_of(name, path))
    }

    assert reaching == {"tickwire.server.cli.bench"}


@pytest.mark.parametrize("module", MODULES)
def test_only_the_shells_know_an_event_loop(module: str) -> None:
    if room_of(module) in ("tickwire.server", "tickwire.intake") or module in SDK_SHELL:
        return

    assert imports_roots(module) & EVENT_LOOPS == set()


def test_the_sdks_session_stands_on_none_of_its_shell() -> None:
    beneath, waiting = set[str](), ["tickwire_client.session"]
    while waiting:
        module = waiting.pop()
        if module not in beneath:
            beneath.add(module)
            waiting += [name for name in imports_of(module, MODULES[module]) if room_of(name) == "tickwire_client"]

    assert beneath & SDK_SHELL == set()


@pytest.mark.parametrize("module", [module for module in MODULES if room_of(module) == "tickwire.wire"])
def test_the_wire_needs_nothing_but_the_standard_library_and_msgpack(module: str) -> None:
    assert imports_roots(module) - {"tickwire", "msgpack"} <= sys.stdlib_module_names


@pytest.mark.parametrize("room", ["tickwire.wire", "tickwire.fanout", "tickwire.core"])
def test_a_room_without_io_leaves_every_event_loop_unloaded(room: str) -> None:
    inside = [module for module in MODULES if room_of(module) == room]
    program = f"import sys, {', '.join(inside)}; print(*({EVENT_LOOPS!r} & sys.modules.keys()))"

    loaded = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=30
    ).stdout.split()

    assert inside != []
    assert loaded == []


def test_the_servers_public_surface_is_a_broker_its_settings_and_who_may_come_in() -> None:
    import tickwire.server

    assert tickwire.server.__all__ == ["Broker", "Identity", "Settings", "Unauthorized"]
    assert all(hasattr(tickwire.server, name) for name in tickwire.server.__all__)


@pytest.mark.parametrize("module", MODULES)
def test_every_public_module_introduces_itself(module: str) -> None:
    if any(part.startswith("_") for part in module.split(".")):
        return

    assert ast.get_docstring(ast.parse(MODULES[module].read_text(encoding="utf-8")))


def imports_roots(module: str) -> set[str]:
    return {name.split(".")[0] for name in imports_of(module, MODULES[module])}
