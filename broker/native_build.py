"""Makes the C library of `tickwire.native` when Tickwire is installed, or a wheel of it is made: a hook of hatchling.

Without a compiler, or with TICKWIRE_NATIVE=0, there is none: Tickwire then does the same in Python.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

FLAGS = ("-O2", "-std=c11", "-Wall", "-Wextra", "-shared", "-fPIC", "-pthread")


class NativeBuildHook(BuildHookInterface):  # type: ignore[misc]
    """The file that pyproject.toml names must have one such class."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        native = Path(self.root, "broker", "tickwire", "native")
        if make(sorted(native.glob("*.c")), native / "native.so") and version == "standard":
            platform = sysconfig.get_platform().replace("-", "_").replace(".", "_")
            build_data.update(pure_python=False, tag=f"py3-none-{platform}")


def make(sources: list[Path], library: Path) -> bool:
    """Compile, where that can be done. The library comes in one piece: others may be loading the one before."""
    library.unlink(missing_ok=True)
    compiler = shutil.which(os.environ.get("CC", "cc")) or shutil.which("gcc")
    if os.environ.get("TICKWIRE_NATIVE") == "0" or compiler is None:
        return False
    new = library.with_suffix(".new")
    command = [compiler, *FLAGS, "-o", str(new), *map(str, sources)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        print(f"tickwire: without its C library, which could not be made:\n{done.stderr}", file=sys.stderr)
        return False
    new.replace(library)
    return True
