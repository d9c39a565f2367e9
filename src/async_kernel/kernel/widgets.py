"""ipywidgets with async functions as callbacks: ``observe``, ``on_click`` and its like, ``interact``.

ipywidgets and traitlets call callbacks and drop what they return, so an async function would do nothing but leave a
warning. While :func:`widgets_supervised` is open, what such a callback returns is supervised as a background task;
other callbacks are registered as they are. ``interact`` of an async function collects in its Output widget what the
call prints while it runs; a call that is not done when the next one begins is cancelled.

An Output widget swallows whatever leaves its ``with`` block, after it has shown it. Here it does so with errors only:
an interrupt, or a cell's cancellation, goes on to the cell.

Opened with the first widget: ipywidgets is never imported here before the user has.
"""

from __future__ import annotations

import inspect
from contextlib import contextmanager
from functools import wraps
from importlib import import_module
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import anyio

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    Supervise = Callable[[Callable[..., object], object], object]

__all__ = ["WIDGETS", "widgets_supervised"]

WIDGETS = "jupyter.widget"
"""The comm target of widgets, by the Jupyter widgets' messaging protocol."""


class _Supervised:
    """An async callback; equal to the function itself, so that it can be unregistered by that."""

    def __init__(self, fn: Callable[..., Any], supervise: Supervise) -> None:
        self.fn = fn
        self._supervise = supervise

    def __call__(self, *args: Any, **kwargs: Any) -> object:
        return self._supervise(self.fn, self.fn(*args, **kwargs))

    def __eq__(self, other: object) -> bool:
        return self.fn == (other.fn if isinstance(other, _Supervised) else other)

    def __hash__(self) -> int:
        return hash(self.fn)


def _is_async(fn: Any) -> bool:
    return inspect.iscoroutinefunction(fn) or inspect.iscoroutinefunction(getattr(fn, "__call__", None))  # noqa: B004


@contextmanager
def widgets_supervised(supervise: Supervise) -> Generator[None]:
    """While open, callbacks of widgets may be async functions; nothing happens if comms are used without ipywidgets.

    Args:
        supervise: given a callback and what it returned, runs that as a background task if it is a coroutine.
    """
    try:
        widget: Any = import_module("ipywidgets.widgets.widget")
        interaction: Any = import_module("ipywidgets.widgets.interaction")
    except ImportError:
        yield
        return
    dispatcher, interactive = widget.CallbackDispatcher, interaction.interactive
    output = interaction.Output
    leave = output.__exit__
    register, add, update = dispatcher.register_callback, widget.Widget._add_notifiers, interactive.update  # noqa: SLF001
    calls: WeakKeyDictionary[Any, anyio.CancelScope] = WeakKeyDictionary()

    def supervised(fn: Any) -> Any:
        return _Supervised(fn, supervise) if _is_async(fn) else fn

    @wraps(register)
    def register_callback(self: Any, callback: Any, remove: bool = False) -> None:
        register(self, supervised(callback), remove=remove)

    @wraps(add)
    def add_notifiers(self: Any, handler: Any, name: Any, type: Any) -> None:
        add(self, supervised(handler), name, type)

    @wraps(update)
    def update_interactive(self: Any, *args: Any) -> None:
        if not _is_async(self.f):
            update(self, *args)
            return
        if self in calls:
            calls[self].cancel()
        calls[self] = scope = anyio.CancelScope()
        supervise(self.f, _interact(self, scope, interaction))

    @wraps(leave)
    def leave_output(self: Any, etype: type[BaseException] | None, evalue: Any, tb: Any) -> bool | None:
        if etype is not None and not issubclass(etype, Exception):
            etype = evalue = tb = None
        return leave(self, etype, evalue, tb)

    output.__exit__ = leave_output
    dispatcher.register_callback = register_callback
    widget.Widget._add_notifiers = add_notifiers  # noqa: SLF001 -- where every way to observe goes through
    interactive.update = update_interactive
    try:
        yield
    finally:
        dispatcher.register_callback, interactive.update, output.__exit__ = register, update, leave
        del widget.Widget._add_notifiers  # noqa: SLF001 -- traitlets' own is there again


async def _interact(self: Any, scope: anyio.CancelScope, interaction: Any) -> None:
    """What ``interactive.update`` does, for an async function."""
    self.kwargs = {each._kwarg: each.get_interact_value() for each in self.kwargs_widgets}  # noqa: SLF001 -- theirs
    with self.out, scope:
        if self.clear_output:
            interaction.clear_output(wait=True)
        self.result = await self.f(**self.kwargs)
        interaction.show_inline_matplotlib_plots()
        if self.auto_display and self.result is not None:
            interaction.display(self.result)
