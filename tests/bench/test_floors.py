"""The floors do what they are compared for: every frame is repeated, or is in the file before it is acknowledged."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tickwire.core.limits import Limits
from tickwire.wire.encode import encode
from tickwire.wire.limits import VERSION
from tickwire.wire.messages import Welcome
from tickwire_client import connect

BENCH = Path(__file__).parents[2] / "bench" / "tickwire_bench" / "c"
STRICT = ["gcc", "-std=c11", "-O2", "-Wall", "-Wextra", "-Werror"]


def build(directory: Path, name: str, *sources: Path) -> Path:
    subprocess.run([*STRICT, "-o", directory / name, *sources, "-lz"], check=True, timeout=60)
    return directory / name


@contextmanager
def listening(*command: object) -> Iterator[int]:
    with subprocess.Popen([str(part) for part in command], stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield int(process.stdout.readline().rpartition(":")[2].removesuffix("/ws\n"))
        finally:
            process.kill()


async def test_what_the_durable_floor_acknowledged_is_in_its_file(tmp_path: Path) -> None:
    floor = build(tmp_path, "durable", BENCH / "floor" / "durable.c", BENCH / "floor" / "websocket.c")
    welcome = encode(Welcome(VERSION, 1, 1, Limits().for_welcome(), {"ack": "disk"})).hex()
    wanted = [f"payload {number} ".encode() * number for number in range(1, 200)]

    with listening(floor, tmp_path / "frames", welcome) as port:
        async with connect(f"ws://127.0.0.1:{port}", compress=False) as client:
            await client.publish("prices.A", payload=b"a single one")
            async with client.batch() as batch:
                batch.extend("prices.B", payloads=wanted)

    stored = (tmp_path / "frames").read_bytes()
    assert all(payload in stored for payload in [b"a single one", *wanted])


@pytest.mark.parametrize("in_flight", [1, 64])
def test_the_floor_of_a_fan_out_repeats_every_message_to_every_reader(tmp_path: Path, in_flight: int) -> None:
    floor = build(tmp_path, "fanout", BENCH / "floor" / "fanout.c", BENCH / "floor" / "websocket.c")
    load = build(tmp_path, "load", BENCH / "load.c", *(BENCH / "load").rglob("*.c"))

    with listening(floor) as port:
        options = ["--mode", "raw", "--readers", 20, "--in-flight", in_flight, "--duration", 0.3, "--json"]
        command = [str(part) for part in (load, "--port", port, *options)]
        ended = subprocess.run(command, capture_output=True, text=True, timeout=30)

    assert ended.returncode == 0, ended.stderr
    assert json.loads(ended.stdout)["deliveries_per_s"] > 0
