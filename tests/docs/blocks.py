"""The code blocks of Markdown files.

A comment before a block says how it is run: ``<!-- example: cell -->`` in a kernel, ``<!-- example: trio -->`` or
``asyncio`` in one of that backend only, ``<!-- example: fails ENAME -->`` in a kernel and with that error,
``<!-- example: none -->`` not at all, ``<!-- example: file NAME -->`` is written to a file, for other examples to
import, ``<!-- example: farther BACKEND -->`` in a kernel by tests/ecosystem/test_farther.py. Other Python blocks are
programs; one that prints a connection file gets a client.
"""

from __future__ import annotations

import re
from textwrap import dedent
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_BLOCK = re.compile(
    r"(?:^ *<!-- example: (?P<how>\w+)(?: (?P<name>\S+))? -->\n)?"
    r"^(?P<indent> *)```(?P<language>\w+)[^\n]*\n(?P<code>.*?)^(?P=indent)```$",
    re.MULTILINE | re.DOTALL,
)


class Block(NamedTuple):
    """A block of code, where it stands, and how it is to be run."""

    file: str
    line: int
    language: str
    how: str
    code: str
    name: str = ""

    @property
    def serves(self) -> bool:
        """Whether it waits for a client."""
        return "jupyter console --existing" in self.code and self.how == "program"

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


def blocks(root: Path, *patterns: str) -> Iterator[Block]:
    """The blocks of all files that match one of the patterns, in order."""
    for pattern in patterns:
        for file in sorted(root.glob(pattern)):
            yield from blocks_of(file.read_text("utf-8"), str(file.relative_to(root)))


def blocks_of(text: str, file: str = "") -> Iterator[Block]:
    """The blocks of a text."""
    for found in _BLOCK.finditer(text):
        line = text.count("\n", 0, found.start("code"))
        code = dedent(found["code"])  # in a tab it is indented
        yield Block(file, line, found["language"], found["how"] or "program", code, found["name"] or "")
