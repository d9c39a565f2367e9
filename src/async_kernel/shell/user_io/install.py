"""Putting the user's streams and readers in place, and the originals back."""

from __future__ import annotations

import builtins
import getpass
import sys
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any, TextIO

from async_kernel.protocol.request import current_request
from async_kernel.shell.user_io import reading
from async_kernel.shell.user_io.streams import CellStream
from async_kernel.shell.user_io.threads import threads_inherit_cells

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from async_kernel.protocol.wire import Wire
    from async_kernel.typing import Header

__all__ = ["user_io"]


@contextmanager
def user_io(
    wire: Wire,
    *,
    fallback: Callable[[], Header | None] | None = None,
    fds: tuple[int, int] | None = None,
    echo: tuple[TextIO, TextIO] | None = None,
) -> Generator[None]:
    """Replace stdout, stderr, input and getpass by ones that serve cells, while open.

    Args:
        wire: where they go.
        fallback: the parent of output written outside every cell. None (embedded): it goes where it always went.
        fds: the descriptors behind stdout and stderr, when the kernel reads what is written to them.
        echo: streams that get all output once more.
    """
    embedded = fallback is None
    with ExitStack() as stack:
        for index, name in enumerate(("stdout", "stderr")):
            stream = CellStream(
                "stdout" if name == "stdout" else "stderr",
                wire,
                getattr(sys, name),
                fallback=fallback,
                fd=fds[index] if fds else None,
                echo=echo[index] if echo else None,
            )
            stack.enter_context(_replaced(sys, name, stream))
        stack.enter_context(_replaced(builtins, "input", _input_for(builtins.input, embedded=embedded)))
        stack.enter_context(_replaced(getpass, "getpass", _getpass_for(getpass.getpass, embedded=embedded)))
        stack.enter_context(threads_inherit_cells())
        reading.set_wire(wire)
        stack.callback(reading.set_wire, None)
        yield


@contextmanager
def _replaced(owner: Any, name: str, value: object) -> Generator[None]:
    """Set ``owner.name``, and put the very object back whatever user code has put there meanwhile."""
    original = getattr(owner, name)
    setattr(owner, name, value)
    try:
        yield
    finally:
        setattr(owner, name, original)


def _input_for(original: Callable[..., str], *, embedded: bool) -> Callable[..., str]:
    def input(prompt: object = "", /) -> str:
        """Read a line from the client of this cell; EOFError when the user ends the input."""
        if embedded and current_request.get() is None:
            return original(prompt)
        return reading.ask(prompt)

    return input


def _getpass_for(original: Callable[..., str], *, embedded: bool) -> Callable[..., str]:
    def getpass(prompt: str = "Password: ", stream: object = None, **kwargs: Any) -> str:
        """Read a password from the client of this cell, which does not show it."""
        if embedded and current_request.get() is None:
            return original(prompt, stream, **kwargs)
        return reading.ask(prompt, password=True)

    return getpass
