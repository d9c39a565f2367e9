"""Keeping what a piece of code writes and displays: ``%%capture``.

``sys.stdout`` and ``sys.stderr`` are replaced while something is captured, but only writes from the capturing
context are kept: what other cells write meanwhile goes where it always goes. Displays and results are caught by
hooks of that context.
"""

from __future__ import annotations

import sys
import threading
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from io import StringIO
from typing import TYPE_CHECKING, Any

from IPython.utils.capture import CapturedIO

if TYPE_CHECKING:
    from collections.abc import Generator

    from async_kernel.shell.ipshell import IPShell

__all__ = ["captured"]

_targets: ContextVar[dict[str, StringIO]] = ContextVar("async_kernel_captured", default={})  # noqa: B039 -- never changed
_lock = threading.Lock()
_users = {"stdout": 0, "stderr": 0}


@contextmanager
def captured(
    shell: IPShell[Any], *, stdout: bool = True, stderr: bool = True, display: bool = True
) -> Generator[CapturedIO]:
    """Keep what this context writes and displays in the object that this gives, while open."""
    outputs: list[dict[str, Any]] = []
    streams = {name: StringIO() for name, wanted in (("stdout", stdout), ("stderr", stderr)) if wanted}
    with ExitStack() as stack:
        for name in streams:
            stack.enter_context(_diverted(name))
        token = _targets.set(_targets.get() | streams)
        stack.callback(_targets.reset, token)
        if display:
            stack.enter_context(_displays(shell, outputs))
        yield CapturedIO(streams.get("stdout"), streams.get("stderr"), outputs)


@contextmanager
def _displays(shell: IPShell[Any], outputs: list[dict[str, Any]]) -> Generator[None]:
    def keep(message: dict[str, Any]) -> None:
        content = message["content"]
        if message["msg_type"] == "clear_output":
            outputs.clear()
            return
        outputs.append(
            {
                "data": content["data"],
                "metadata": content["metadata"],
                "transient": content.get("transient"),
                "update": message["msg_type"] == "update_display_data",
            }
        )

    sources = (shell.displayhook, shell.display_pub)
    for source in sources:
        source.register_hook(keep)
    try:
        yield
    finally:
        for source in sources:
            source.unregister_hook(keep)


@contextmanager
def _diverted(name: str) -> Generator[None]:
    with _lock:
        _users[name] += 1
        if _users[name] == 1:
            setattr(sys, name, _Diversion(name, getattr(sys, name)))
    try:
        yield
    finally:
        with _lock:
            _users[name] -= 1
            stream = getattr(sys, name)
            if _users[name] == 0 and isinstance(stream, _Diversion):
                setattr(sys, name, stream.original)


class _Diversion:
    """Stands in for a stream: what a capturing context writes is kept, all else is the original's."""

    def __init__(self, name: str, original: Any) -> None:
        self._name = name
        self.original = original

    def __getattr__(self, name: str) -> Any:
        return getattr(_targets.get().get(self._name, self.original), name)

    def write(self, text: str) -> int:
        target: Any = _targets.get().get(self._name, self.original)
        return target.write(text)
