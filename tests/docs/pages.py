"""The code in a page: fenced blocks, run from top to bottom as in `python -m asyncio`."""

from __future__ import annotations

import ast
import contextlib
import inspect
import io
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent.parent
_FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True, slots=True)
class Block:
    """A python block, and the output that the page says it has."""

    source: str
    output: str
    line: int


def blocks(page: Path) -> list[Block]:
    """The python blocks of a page. A `text` block that follows one is its output."""
    text = page.read_text(encoding="utf-8")
    fences = list(_FENCE.finditer(text))
    found = []
    for fence, following in zip(fences, [*fences[1:], None], strict=True):
        if fence[1] == "python":
            output = following[2] if following is not None and following[1] == "text" else ""
            found.append(Block(fence[2], output, text.count("\n", 0, fence.start()) + 2))
    return found


def marked(page: Path, mark: str) -> str:
    """The python block that stands after `<!-- test: mark -->`."""
    match = re.search(
        rf"^<!-- test: {mark} -->\n```python\n(.*?)^```$", page.read_text("utf-8"), re.MULTILINE | re.DOTALL
    )
    assert match is not None, f"{page.name} has no block marked {mark}"
    return match[1]


async def run(block: Block, page: Path, names: dict[str, Any]) -> str:
    """What a block prints; `names` are those that are known, and it adds its own."""
    source = "\n" * (block.line - 1) + block.source
    code = compile(source, str(page), "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        answer = eval(code, names)
        if inspect.isawaitable(answer):
            await answer
    return printed.getvalue()
