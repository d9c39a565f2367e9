"""A terminal with a program in it: what a user would type, and what the user would see on the screen."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Self

import pexpect
import psutil
import pyte

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

LINES, COLUMNS = 40, 100
PATIENCE = 60.0
"""Seconds until something is on the screen."""


class Terminal:
    """Runs a program in a pseudo-terminal and keeps its screen, with some lines that have scrolled away."""

    def __init__(self, command: Sequence[str], *, env: Mapping[str, str], folder: Path) -> None:
        self._screen = pyte.HistoryScreen(COLUMNS, LINES, history=1000, ratio=0.1)
        self._stream = pyte.ByteStream(self._screen)
        # prompt_toolkit would ask the terminal where the cursor is, which this one does not answer.
        environment = {**os.environ, **env, "TERM": "xterm", "PROMPT_TOOLKIT_NO_CPR": "1"}
        self._child = pexpect.spawn(
            command[0],
            list(command[1:]),
            env=environment,
            cwd=str(folder),
            dimensions=(LINES, COLUMNS),
            timeout=PATIENCE,
        )
        self._mark = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """End it and all that it started."""
        if self._child.isalive():
            left = [psutil.Process(self._child.pid), *psutil.Process(self._child.pid).children(recursive=True)]
            for process in left:
                process.kill()
        self._child.close(force=True)

    @property
    def children(self) -> list[psutil.Process]:
        return psutil.Process(self._child.pid).children(recursive=True)

    def _lines(self) -> list[str]:
        history = ["".join(line[x].data for x in range(COLUMNS)) for line in self._screen.history.top]
        return [line.rstrip() for line in (*history, *self._screen.display)]

    @property
    def text(self) -> str:
        """All lines that have been seen, and those on the screen."""
        return "\n".join(self._lines()).rstrip()

    @property
    def new(self) -> str:
        """What is below the line where :meth:`type` was last used."""
        return "\n".join(self._lines()[self._mark :]).rstrip()

    def _read(self) -> None:
        try:
            self._stream.feed(self._child.read_nonblocking(65536, timeout=0.1))
        except pexpect.TIMEOUT:
            return

    def see(self, text: str, *, timeout: float = PATIENCE) -> str:
        """Wait until ``text`` is below the last input; all that is there.

        Raises:
            AssertionError: when the time is over, or the program has ended; says what is on the screen.
        """
        deadline = time.monotonic() + timeout
        while text not in self.new:
            assert time.monotonic() < deadline, f"waited {timeout} s to see {text!r} in\n{self.text}"
            try:
                self._read()
            except pexpect.EOF:
                assert text in self.new, f"the program ended without {text!r}:\n{self.text}"
        return self.new

    def keys(self, keys: str) -> None:
        """Press keys."""
        self._child.send(keys)

    def type(self, line: str, *, see: str) -> str:
        """Type a line and Enter, and wait until ``see`` is below it."""
        self._mark = len(self._screen.history.top) + self._screen.cursor.y
        self.keys(line)
        self.see(line.splitlines()[-1][-40:])
        self._mark = len(self._screen.history.top) + self._screen.cursor.y
        self.keys("\r")
        return self.see(see)

    def ended(self) -> int | None:
        """Wait for its end; the exit code."""
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            try:
                self._read()
            except pexpect.EOF:
                self._child.wait()
                return self._child.exitstatus
        msg = f"the program still runs:\n{self.text}"
        raise AssertionError(msg)
