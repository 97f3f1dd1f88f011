from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

Mount = Callable[..., Path]


@pytest.fixture
def mount(tmp_path: Path) -> Iterator[Mount]:
    """Mounts small disks of their own under the test's directory. Only root may."""
    mounted: list[Path] = []

    def mount(size: str, options: str = "rw") -> Path:
        path = tmp_path / f"disk-{len(mounted)}"
        path.mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size},{options}", "tmpfs", str(path)], check=True)
        mounted.append(path)
        return path

    yield mount
    for path in mounted:
        subprocess.run(["umount", "-l", str(path)], check=True)


@pytest.fixture
def read_only(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A directory that cannot be written: root would not be kept out by its mode, and gets a read-only disk."""
    if os.geteuid() == 0:
        return request.getfixturevalue("mount")("1m", "ro")
    path = tmp_path / "read-only"
    path.mkdir(mode=0o500)
    return path
