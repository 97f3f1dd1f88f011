"""`make fuzz`: coverage-guided, by atheris: `python -m fuzz TARGET` with options of libFuzzer behind it."""

from __future__ import annotations

import sys

import atheris

with atheris.instrument_imports(include=["tickwire"]):
    from fuzz.targets import TARGETS


def main() -> None:
    if len(sys.argv) < 2 or sys.argv[1] not in TARGETS:
        sys.exit(f"usage: python -m fuzz {'|'.join(TARGETS)} [-max_total_time=SECONDS] [-help=1]")
    target = TARGETS[sys.argv.pop(1)]
    atheris.Setup(sys.argv, target)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
