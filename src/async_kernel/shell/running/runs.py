"""One run of code in the shell: what it is called, what it has shown and what its reply will carry.

Several cells may run at once in one shell, in tasks and in threads, so nothing of this is an attribute of the shell:
``current_run`` follows the context. Tasks and threads that a cell starts inherit it.
"""

from __future__ import annotations

from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Coroutine, Generator

    from async_kernel.typing import Content

__all__ = ["AwaitedMagic", "Run", "current_run", "may_wait", "waited_for"]


class Run:
    """A run of a piece of code.

    Attributes:
        number: the number that prompts show for it.
        result: what IPython's API returns for it, an ExecutionResult.
        silent: nothing is displayed, counted or remembered.
        store: whether it is remembered in the history and has taken its number.
        empty: there is nothing to run.
        may_await: False where synchronous code waits for it.
        source: the code after IPython's transformations; ``;`` at its end silences the result.
        shows_result: whether the value of the last expression is shown; None: as ``;`` says.
        error: the error fields of the reply, once an error was shown.
        payloads: what the reply asks the client to do.
    """

    __slots__ = (
        "empty",
        "error",
        "may_await",
        "number",
        "payloads",
        "result",
        "shows_result",
        "silent",
        "source",
        "store",
    )

    def __init__(
        self, *, number: int, result: Any, silent: bool = False, store: bool = False, empty: bool = False
    ) -> None:
        self.number: int = number
        self.result: Any = result
        self.silent: bool = silent
        self.store: bool = store
        self.empty: bool = empty
        self.may_await: bool = True
        self.source: str = ""
        self.shows_result: bool | None = None
        self.error: Content | None = None
        self.payloads: list[dict[str, Any]] = []


current_run: ContextVar[Run | None] = ContextVar("async_kernel_current_run", default=None)


_waited_in: ContextVar[object] = ContextVar("async_kernel_waited_in", default="nowhere")


@contextmanager
def waited_for() -> Generator[None]:
    """While a magic is called by code that awaits what it returns."""
    token = _waited_in.set(current_run.get())
    try:
        yield
    finally:
        _waited_in.reset(token)


def may_wait() -> bool:
    """Whether the code that calls a magic waits for it: an :class:`AwaitedMagic` may be returned."""
    return _waited_in.get() is current_run.get()


class AwaitedMagic:
    """What a magic returns whose own code awaits."""

    def __init__(self, coroutine: Coroutine[Any, Any, Any]) -> None:
        self._coroutine = coroutine

    def __await__(self) -> Generator[Any, Any, Any]:
        return self._coroutine.__await__()
