"""``nursery``, ``session`` and ``cell``: what user code says for the things around it.

They are looked up in the context, so that the same name is that of the main shell in its cells, of a subshell in its,
and of a thread's loop in a cell that runs there. Cells find them in their namespace, where the user may shadow them;
``from async_kernel.shell import nursery, session, cell`` always has them.
"""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from async_kernel.shell.cells.cell import current_cell

if TYPE_CHECKING:
    from async_kernel.shell.background.session import Session

__all__ = ["cell", "current_session", "nursery", "session"]

current_session: ContextVar[Session | None] = ContextVar("async_kernel_current_session", default=None)


class _Name:
    """Stands for whatever it means where it is used."""

    def __init__(self, name: str, what: str) -> None:
        object.__setattr__(self, "_name", name)
        object.__setattr__(self, "__doc__", what)

    def _thing(self) -> Any:
        raise NotImplementedError

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or name in ("_ipython_display_", "_repr_mimebundle_"):
            raise AttributeError(name)
        return getattr(self._thing(), name)

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(self._thing(), name, value)

    def __dir__(self) -> list[str]:
        return dir(self._thing())

    def __repr__(self) -> str:
        try:
            return repr(self._thing())
        except RuntimeError as exc:
            return f"<{self._name}: {exc}>"


class _SessionName(_Name):
    def _thing(self) -> Any:
        session = current_session.get()
        if session is None:
            msg = f"{self._name} is there in cells of a kernel and in what they start"
            raise RuntimeError(msg)
        return session


class _NurseryName(_SessionName):
    def _thing(self) -> Any:
        return super()._thing().nursery


class _CellName(_Name):
    def _thing(self) -> Any:
        running = current_cell.get()
        if running is None:
            msg = "cell is there while a cell runs, and not in background tasks"
            raise RuntimeError(msg)
        return running


nursery: Any = _NurseryName("nursery", "Starts background tasks: nursery.start_soon(fn, *args).")
session: Any = _SessionName("session", "The background tasks of this shell: tasks, errors, on_error, enter, exit.")
cell: Any = _CellName("cell", "The cell that runs: nursery, request, state, elapsed.")
