"""What runs in the threads that are debugged.

Most of it is called in a stopped frame, by an expression that debugpy evaluates there. :func:`end_step` is called
between cells. debugpy has nothing for it, so it asks pydevd, which is what debugpy keeps in its cellar.
"""

from __future__ import annotations

import secrets
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from async_kernel.protocol.errors import RequestError
from async_kernel.shell.showing.json_ready import mime_ready
from async_kernel.slot import slot

if TYPE_CHECKING:
    from collections.abc import Generator

__all__ = ["CALL", "bundle_of_name", "end_step", "expected", "put_bundle", "put_global"]

Bundle = dict[str, Any]

CALL: Final = f"__import__('sys').modules[{__name__!r}]"
"""An expression for this module that needs no name of the frame."""

_expected: dict[str, list[Bundle]] = {}


@contextmanager
def expected() -> Generator[tuple[str, list[Bundle]]]:
    """A token for a result, and the list where it will be."""
    token = secrets.token_hex(8)
    _expected[token] = []
    try:
        yield token, _expected[token]
    finally:
        del _expected[token]


def put_bundle(token: str, value: object) -> None:
    """Leave what a notebook would show of a value."""
    if (results := _expected.get(token)) is not None:
        results.append(_bundle(_shell(), value))


def put_global(name: str, value: object) -> None:
    """Give the user's namespace a variable."""
    _shell().user_ns[name] = value


def bundle_of_name(shell: Any, name: str) -> Bundle:
    """What a notebook would show of a variable of the user's namespace.

    Raises:
        RequestError: if there is none of this name.
    """
    try:
        value = shell.user_ns[name]
    except KeyError:
        msg = f"there is no variable {name}"
        raise RequestError(msg) from None
    return _bundle(shell, value)


def end_step() -> None:
    """End a step beyond the last line of a cell; in the cell's thread.

    pydevd takes it for a step to whatever runs next in this thread: the next cell, or a line of a background task. A
    step that is under way in a frame, such as over an ``await`` of a background task, goes on.
    """
    info: Any = getattr(threading.current_thread(), "additional_info", None)
    if info is None or info.pydev_step_cmd == _NO_STEP or info.pydev_step_stop is not None:
        return
    info.pydev_original_step_cmd = info.pydev_step_cmd = _NO_STEP
    info.update_stepping_info()


_NO_STEP: Final = -1
"""pydevd's sign for none."""


def _bundle(shell: Any, value: object) -> Bundle:
    data, metadata = shell.display_formatter.format(value)
    return {"data": mime_ready(data), "metadata": metadata}


def _shell() -> Any:
    interface: Any = slot.get()
    return interface.kernel.shell
