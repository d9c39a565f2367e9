"""One run of code in the shell: what it is called, what it has shown and what its reply will carry.

Several cells may run at once in one shell, in tasks and in threads, so nothing of this is an attribute of the shell:
``current_run`` follows the context. Tasks and threads that a cell starts inherit it.
"""

from __future__ import annotations

from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from async_kernel.typing import Content

__all__ = ["Run", "current_run"]


@dataclass(slots=True, eq=False, kw_only=True)
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
        error: the error fields of the reply, once an error was shown.
        payloads: what the reply asks the client to do.
    """

    number: int
    result: Any
    silent: bool = False
    store: bool = False
    empty: bool = False
    may_await: bool = True
    source: str = ""
    error: Content | None = None
    payloads: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])


current_run: ContextVar[Run | None] = ContextVar("async_kernel_current_run", default=None)
