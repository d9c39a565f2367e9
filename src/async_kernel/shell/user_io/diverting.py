"""Giving what one context writes to another stream, while all others write where they always do.

``sys.stdout`` or ``sys.stderr`` is replaced as long as anybody diverts it, by an object that looks at the context; then
the stream from before is put back. ``contextlib.redirect_stdout`` takes the text of every task and thread instead.
"""

from __future__ import annotations

import sys
import threading
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Generator

    from async_kernel.typing import StreamName

__all__ = ["diverted"]

_targets: ContextVar[dict[str, Any]] = ContextVar("async_kernel_diverted", default={})  # noqa: B039 -- never changed
_lock = threading.Lock()
_users = {"stdout": 0, "stderr": 0}


@contextmanager
def diverted(name: StreamName, target: Any) -> Generator[None]:
    """While open, what this context, and contexts made from it, write to the stream is written to ``target``.

    Args:
        name: of the stream in :mod:`sys`.
        target: has ``write(text)``; everything else that is asked of the stream is asked of it, too.
    """
    with _lock:
        _users[name] += 1
        if _users[name] == 1:
            setattr(sys, name, _Diversion(name, getattr(sys, name)))
    token = _targets.set({**_targets.get(), name: target})
    try:
        yield
    finally:
        _targets.reset(token)
        with _lock:
            _users[name] -= 1
            stream = getattr(sys, name)
            if _users[name] == 0 and isinstance(stream, _Diversion):
                setattr(sys, name, stream.original)


class _Diversion:
    """Stands in for a stream: what a diverting context writes goes to its target, all else to the original."""

    def __init__(self, name: str, original: Any) -> None:
        self._name = name
        self.original = original

    def __getattr__(self, name: str) -> Any:
        return getattr(_targets.get().get(self._name, self.original), name)

    def write(self, text: str) -> int:
        return _targets.get().get(self._name, self.original).write(text)
