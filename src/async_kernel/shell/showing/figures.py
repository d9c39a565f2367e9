"""Figures of matplotlib belong to the cell that made them, also when several cells run at once.

pyplot keeps one table of figures in a process, the last one being the current one, and the inline backend shows and
closes all that are in it when a cell ends. Cells that follow one another want it so: a figure that stays open (in a
window, or with ``close_figures = False``) is there in the next cell. But a cell that ends would take along the figures
of one that still runs. So, while :func:`figures_of_cells` is open and once matplotlib is used, the table that pyplot
finds depends on the context:

- cells in the queue of a shell or a subshell share one;
- a concurrent cell has its own, and so have the callbacks of a comm if inline figures are closed after each cell;
- what a cell has left running after its end has its own: its figures never appear in a later cell. Those of a
  background task are shown, in the cell that started it, when it ends.

Nothing here imports matplotlib.
"""

from __future__ import annotations

import sys
from collections import OrderedDict
from contextlib import ExitStack, contextmanager
from functools import update_wrapper
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from async_kernel.protocol.request import Request, current_request

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator

__all__ = ["figures_of_cells", "show_left", "watch_figures"]

_HELPERS = "matplotlib._pylab_helpers"
_INLINE = "matplotlib_inline.backend_inline"


class _Figures:
    """The figures of one table, and what the inline backend remembers of them."""

    def __init__(self) -> None:
        self.figs: OrderedDict[Any, Any] = OrderedDict()
        self.to_draw: list[Any] = []
        self.draw_called = False


class _Tables:
    """All tables."""

    def __init__(self) -> None:
        self.of_shells: dict[str | None, _Figures] = {None: _Figures()}
        self.of_requests: WeakKeyDictionary[Request, _Figures] = WeakKeyDictionary()

    def current(self) -> _Figures:
        key = _owner()
        if isinstance(key, Request):
            found = self.of_requests.get(key)
            return found if found is not None else self.of_requests.setdefault(key, _Figures())
        return self.of_shells.setdefault(key, _Figures())


def _owner() -> Request | str | None:
    request = current_request.get()
    if request is None:
        return None
    if request.msg_type == "execute_request":
        return request if request.beside or request.ended else request.subshell_id
    return request if _closed_after_each() else None


def _closed_after_each() -> bool:
    backend: Any = sys.modules.get(_INLINE)
    return backend is not None and bool(backend.InlineBackend.instance().close_figures)


class _Table:
    """Stands for the OrderedDict of the context."""

    def __init__(self, tables: _Tables) -> None:
        self._tables = tables

    def __getattr__(self, name: str) -> Any:
        return getattr(self._tables.current().figs, name)

    def __len__(self) -> int:
        return len(self._tables.current().figs)

    def __iter__(self) -> Iterator[Any]:
        return iter(self._tables.current().figs)

    def __reversed__(self) -> Iterator[Any]:
        return reversed(self._tables.current().figs)

    def __contains__(self, number: object) -> bool:
        return number in self._tables.current().figs

    def __getitem__(self, number: Any) -> Any:
        return self._tables.current().figs[number]

    def __setitem__(self, number: Any, manager: Any) -> None:
        self._tables.current().figs[number] = manager

    def __delitem__(self, number: Any) -> None:
        del self._tables.current().figs[number]


class _Show:
    """The inline backend's ``show``, whose attributes are what it has still to show: per context, too."""

    def __init__(self, show: Callable[..., object], tables: _Tables) -> None:
        update_wrapper(self, show)
        self._show, self._tables = show, tables

    def __call__(self, *args: Any, **kwargs: Any) -> object:
        return self._show(*args, **kwargs)

    @property
    def _to_draw(self) -> list[Any]:
        return self._tables.current().to_draw

    @_to_draw.setter
    def _to_draw(self, figures: list[Any]) -> None:
        self._tables.current().to_draw = figures

    @property
    def _draw_called(self) -> bool:
        return self._tables.current().draw_called

    @_draw_called.setter
    def _draw_called(self, called: bool) -> None:
        self._tables.current().draw_called = called


_open: tuple[ExitStack, _Tables] | None = None


@contextmanager
def figures_of_cells() -> Generator[None]:
    """While open, figures belong to cells; see the module."""
    global _open
    with ExitStack() as stack:
        _open = stack, _Tables()
        watch_figures()
        try:
            yield
        finally:
            _open = None


def watch_figures() -> None:
    """Take over what matplotlib has loaded meanwhile; to be called when a backend has been chosen."""
    if _open is None:
        return
    stack, tables = _open
    registry: Any = getattr(sys.modules.get(_HELPERS), "Gcf", None)
    if registry is not None and not isinstance(registry.figs, _Table):
        tables.of_shells[None].figs = registry.figs
        stack.callback(setattr, registry, "figs", registry.figs)
        registry.figs = _Table(tables)
    backend: Any = sys.modules.get(_INLINE)
    if backend is not None and not isinstance(backend.show, _Show):
        stack.callback(setattr, backend, "show", backend.show)
        backend.show = _Show(backend.show, tables)


def show_left() -> None:
    """A background task has ended, in this context: show its inline figures, if its cell cannot any more."""
    if _open is None:
        return
    request = _owner()
    if isinstance(request, Request) and request in _open[1].of_requests:
        backend: Any = sys.modules.get(_INLINE)
        if backend is not None:
            backend.flush_figures()
