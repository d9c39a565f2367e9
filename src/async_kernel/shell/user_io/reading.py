r"""``input()``, ``getpass()`` and ``await ainput()`` for user code.

The question goes to the client whose cell asks. The synchronous form blocks its thread until the answer is there; an
interrupt of the cell ends the wait at once. Control-D arrives as ``\x04`` and is EOFError.
"""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING

from async_kernel.lifetime.pending import Pending
from async_kernel.protocol.request import current_request
from async_kernel.shell.cells.cell import current_cell

if TYPE_CHECKING:
    from async_kernel.protocol.request import Request
    from async_kernel.protocol.wire import Wire

__all__ = ["ainput", "ask", "set_wire"]

_EOF = "\x04"
_wire: Wire | None = None


def set_wire(wire: Wire | None) -> None:
    """Say where questions go; None: to nobody."""
    global _wire
    _wire = wire


def ask(prompt: object = "", *, password: bool = False) -> str:
    """Ask the client of the running cell for a line, blocking this thread.

    Raises:
        StdinNotImplementedError: if the client does not take questions (``allow_stdin`` false) or there is no cell.
        EOFError: if the user ended the input, or the cell was stopped and has been told so.
        KeyboardInterrupt: if the cell was stopped meanwhile.
    """
    request, wire = _who()
    answer: Pending[str] = Pending()
    cell = current_cell.get()
    with cell.waiting(answer.set_exception) if cell is not None else nullcontext():
        if not answer.done():  # the cell was not cut short
            wire.ask_input(request, str(prompt), answer, password=password)
        try:
            return _value(answer.wait_sync())
        finally:
            answer.cancel("the question was withdrawn")


async def ainput(prompt: object = "", *, password: bool = False) -> str:
    """Ask the client of the running cell for a line, while other tasks go on. Raises what :func:`ask` does."""
    request, wire = _who()
    answer: Pending[str] = Pending()
    wire.ask_input(request, str(prompt), answer, password=password)
    try:
        return _value(await answer)
    finally:
        answer.cancel("the question was withdrawn")


def _value(text: str) -> str:
    if text == _EOF:
        raise EOFError
    return text


def _who() -> tuple[Request, Wire]:
    request = current_request.get()
    if request is None or _wire is None:
        _refuse("input() was called outside a cell: there is no client to ask.")
    elif not request.content.get("allow_stdin", False):
        _refuse("input() was called, but this frontend does not support input requests.")
    return request, _wire  # pyright: ignore[reportReturnType] -- _refuse never returns


def _refuse(message: str) -> None:
    try:
        from IPython.core.error import StdinNotImplementedError  # noqa: PLC0415 -- a shell may do without IPython
    except ImportError:
        raise RuntimeError(message) from None
    raise StdinNotImplementedError(message)
