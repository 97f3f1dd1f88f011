"""docs/settings.md, as the settings describe themselves: `python -m tickwire.server.configuration.settings_page`."""

from __future__ import annotations

from .setting import BYTES, Setting
from .settings import SETTINGS


def as_markdown() -> str:
    """docs/settings.md."""
    lines = [_INTRODUCTION]
    for group in dict.fromkeys(described.group for described in SETTINGS.values()):
        lines += [f"## {group}", "", "| setting | flag | default | allowed | what it is |", "|---|---|--:|---|---|"]
        lines += [_row(described) for described in SETTINGS.values() if described.group == group]
        lines.append("")
    return "\n".join(lines)


def _row(it: Setting) -> str:
    flag = f"{it.flag}, --no-{it.flag[2:]}" if isinstance(it.default, bool) else it.flag
    unit = f" {it.unit}" if isinstance(it.default, int) and it.unit not in ("", BYTES) else ""
    default = it.show(it.default) + unit or "none"
    return f"| `{it.name}` | `{flag}` | {default} | {it.allowed()} | {it.help} |"


_INTRODUCTION = """# Settings

Every setting can be given in three ways; the first that is there wins: a flag of `tickwire serve`, a variable of the
environment (`TICKWIRE_` and the name in capitals: `TICKWIRE_RETAIN_BYTES`), a line in the TOML file that
`--config FILE` or the variable `TICKWIRE_CONFIG` names. In Python: `Settings(retain_bytes="8 MiB")`, or
`Settings.load("tickwire.toml")`.

```toml
host = "0.0.0.0"
retain_bytes = "8 MiB"
retain_seconds = 300
```

Sizes are bytes, or a number with `KiB`, `MiB`, `GiB`, `TiB`, `kB`, `MB`, `GB` or `TB`. Durations are seconds, or a
number with `ms`, `s`, `m`, `h` or `d`. What is misspelt or out of bounds is refused with a sentence.

## Some topics differently

Tables of the file, or `Settings(topics=[{"pattern": "prices.>", "durable": False}])`. The first whose pattern matches
a topic is for it; what it does not say, the settings below do.

```toml
[[topics]]
pattern = "prices.>"
durable = false             # stays in memory, though the broker has a disk
retain_seconds = "5m"

[[topics]]
pattern = "orders.*"
retain_bytes = "20 GiB"
retain_seconds = "30d"
```

| key | allowed | what it is |
|---|---|---|
| `pattern` | a topic, or one with `*` and `>` | The topics that the table is for. |
| `durable` | true or false | Whether they are kept on disk, where the broker has one. Default: true. |
| `retain_messages` | an integer from 0 | Messages kept of each of them; 0 is no bound. |
| `retain_bytes` | a size from 0 | History kept of each of them; on disk, 0 is no bound. |
| `retain_seconds` | a duration from 0 | Age up to which history is kept; on disk, 0 is no bound. |

Retention drops whole sections, what was published together, so it may keep a little more than is asked. A topic that
is on disk stays there: `durable = false` is for those that are made later.
"""


if __name__ == "__main__":
    print(as_markdown(), end="")
