"""Calls into other loops and threads, for user code: a thin façade over a loop and its nursery.

``async with Caller() as caller:`` opens a nursery in this loop, and from then on any thread can have functions called
in it. Everything that a Caller starts is a child of that nursery: tasks, threads (:meth:`Caller.to_thread`), and
further Callers with a thread and a loop of their own (:meth:`Caller.get`). So when the context is left, or
:meth:`Caller.stop` is called, all of that is cancelled and has ended before anything goes on. A function that blocks
its thread cannot be cancelled; it is waited for.

A Caller object is a handle: those that stand for the same loop are equal. There is at most one open in a thread.

A call belongs to whoever made it: its result, its exception (of any kind, an interrupt that strikes in it included) and
its cancellation are in the Pending that the caller has got, and nowhere else.
"""

from __future__ import annotations

import inspect
import threading
from contextlib import asynccontextmanager
from contextvars import copy_context
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, ParamSpec, Self, TypeVar, Unpack, cast, overload

import anyio

from async_kernel.lifetime.calls import Call, DirectCall, current_pending
from async_kernel.lifetime.home import Home, current_home, open_homes
from async_kernel.lifetime.loop_token import current_loop_token
from async_kernel.lifetime.owned_thread import run_in_owned_thread, run_loop_in_owned_thread
from async_kernel.lifetime.pending import Pending
from async_kernel.typing import Backend

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable

    from async_kernel.typing import CallerCreateOptions

__all__ = ["Caller"]

P = ParamSpec("P")
T = TypeVar("T")

Modifier = Literal["CurrentThread", "MainThread", "NewThread", "manual"]


class Caller(anyio.AsyncContextManagerMixin):
    """A loop that functions can be called in, from any thread.

    >>> async with Caller() as caller:  # doctest: +SKIP
    ...     print(await caller.to_thread(sum, range(1000)))

    Args:
        modifier: which loop it stands for. ``CurrentThread``: that of this thread's open Caller; if there is none, the
            loop in which it is opened by ``async with``. ``manual``: always one to be opened. ``MainThread``: that of
            the main thread's open Caller. ``NewThread``: a new child of :meth:`current`.
        **options: of a new Caller; ignored by ``MainThread``, and by ``CurrentThread`` when that is open.

    Raises:
        RuntimeError: for ``MainThread`` and ``NewThread``, if there is no Caller open that is needed.
    """

    def __init__(self, modifier: Modifier = "CurrentThread", /, **options: Unpack[CallerCreateOptions]) -> None:
        here: Home | None = None
        if modifier == "CurrentThread":
            here = open_homes.get(threading.get_ident())
        elif modifier == "MainThread":
            here = open_homes.get(threading.main_thread().ident or 0)
            if here is None:
                msg = "the main thread has no open Caller"
                raise RuntimeError(msg)
        elif modifier == "NewThread":
            here = current_home().child(options)
        elif modifier != "manual":
            msg = f"{modifier!r} is none of CurrentThread, MainThread, NewThread, manual"
            raise ValueError(msg)
        self._home = here or Home(options)
        self._mine = here is None

    @classmethod
    def _of(cls, home: Home) -> Self:
        caller = cls("manual")
        caller._home, caller._mine = home, False
        return caller

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Caller) and other._home is self._home

    def __hash__(self) -> int:
        return hash(self._home)

    def __repr__(self) -> str:
        nursery = self._home.nursery
        state = "running" if self.running else "stopped" if nursery.is_cancelled or nursery.is_closed else "not running"
        return f"<Caller {self.name!r} {self.backend or 'of no backend yet'} {state}>"

    @asynccontextmanager
    async def __asynccontextmanager__(self) -> AsyncGenerator[Self]:
        if not self._mine:
            msg = f"{self!r} is open already: it is not opened again, but used"
            raise RuntimeError(msg)
        if self._home.nursery.is_closed:
            msg = f"{self!r} cannot be opened again"
            raise RuntimeError(msg)
        try:
            async with self._home.open():
                yield self
        finally:
            if self._home.nursery.is_closed:
                self._home.stopped.set_result(None)

    # -- which is where --------------------------------------------------------------------------------------

    @classmethod
    def id_current(cls) -> int:
        """The :attr:`id` of this thread: :func:`threading.get_ident`."""
        return threading.get_ident()

    @classmethod
    def current(cls) -> Self:
        """The Caller that is open in this thread; in a thread without one, that which started what runs here.

        Raises:
            RuntimeError: if there is none.
        """
        return cls._of(current_home())

    @classmethod
    def get_existing(cls, ident: int | None = None) -> Self | None:
        """The Caller that is open in the thread ``ident`` (this thread, if None); None if there is none."""
        home = open_homes.get(threading.get_ident() if ident is None else ident)
        return None if home is None else cls._of(home)

    @classmethod
    def all_callers(cls) -> list[Self]:
        """Those that are open in this process, in the order in which they were opened."""
        return [cls._of(home) for home in list(open_homes.values())]

    @classmethod
    def current_pending(cls) -> Pending[Any] | None:
        """The Pending of the call that this code runs in; None outside of calls."""
        return current_pending.get()

    @property
    def name(self) -> str:
        """Its name, which is also that of a child's thread."""
        return self._home.name

    @property
    def id(self) -> int | None:
        """:func:`threading.get_ident` of its loop's thread; None before it is open."""
        token = self._home.nursery.token
        return None if token is None else token.thread_id

    @property
    def backend(self) -> Backend | None:
        """The async library of its loop; None if it is not known yet."""
        return self._home.backend

    @property
    def protected(self) -> bool:
        """Whether it stops only by force, or with its parent."""
        return self._home.protected

    @property
    def running(self) -> bool:
        """Whether calls run in it now; those to a child that is starting wait."""
        return self._home.nursery.is_open

    @property
    def parent(self) -> Caller | None:
        """Whose child it is."""
        return None if self._home.parent is None else Caller._of(self._home.parent)

    @property
    def children(self) -> list[Caller]:
        """Its children that have not ended."""
        return [Caller._of(home) for home in list(self._home.children.values())]

    @property
    def stopped(self) -> Pending[None]:
        """Done when everything that it started has ended, and a child's thread too.

        It has the exception of a loop that could not be run.
        """
        return self._home.stopped

    # -- calls -----------------------------------------------------------------------------------------------

    @overload
    def call_soon(self, fn: Callable[P, Awaitable[T]], /, *args: P.args, **kwargs: P.kwargs) -> Pending[T]: ...
    @overload
    def call_soon(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Pending[T]: ...
    def call_soon(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Pending[Any]:
        """Call ``fn`` in its loop, as a task that has a copy of the context of this call; from any thread.

        Args:
            fn: a function, or one whose result is to be awaited there.
            *args: of the call.
            **kwargs: of the call.

        Returns:
            what it returns; cancelling it cancels the task.

        Raises:
            RuntimeError: if the Caller is stopped.
        """
        return self._call(fn, partial(fn, *args, **kwargs))

    @overload
    def call_later(
        self, delay: float, fn: Callable[P, Awaitable[T]], /, *args: P.args, **kwargs: P.kwargs
    ) -> Pending[T]: ...
    @overload
    def call_later(self, delay: float, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Pending[T]: ...
    def call_later(self, delay: float, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Pending[Any]:
        """As :meth:`call_soon`, after ``delay`` seconds."""
        return self._call(fn, partial(fn, *args, **kwargs), delay=delay)

    def call_direct(self, fn: Callable[P, object], /, *args: P.args, **kwargs: P.kwargs) -> None:
        """Call ``fn`` between the steps of its loop's tasks, with the context of this call; from any thread.

        For what is short and concerns nobody else: what it raises is logged. Direct calls run in their order.

        Raises:
            RuntimeError: if the Caller is stopped.
        """
        self._home.nursery.submit(DirectCall(partial(fn, *args, **kwargs), copy_context(), self._home.log))

    @overload
    def to_thread(self, fn: Callable[P, Awaitable[T]], /, *args: P.args, **kwargs: P.kwargs) -> Pending[T]: ...
    @overload
    def to_thread(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Pending[T]: ...
    def to_thread(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Pending[Any]:
        """Call ``fn`` in a new thread, which ends with the call; from any thread.

        An async function gets a loop of its own there, of the backend of this Caller, and can be cancelled. Cancelling
        another makes the Pending cancelled, but it is done only when the function has returned.

        Raises:
            RuntimeError: if the Caller is stopped.
        """
        call, name = partial(fn, *args, **kwargs), f"{self.name}: {getattr(fn, '__qualname__', fn)}"
        return self._call(fn, partial(_in_thread, call, name, is_async=_is_async(fn)))

    @overload
    def call_using_backend(
        self, backend: Backend | str, fn: Callable[P, Awaitable[T]], /, *args: P.args, **kwargs: P.kwargs
    ) -> Pending[T]: ...
    @overload
    def call_using_backend(
        self, backend: Backend | str, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs
    ) -> Pending[T]: ...
    def call_using_backend(
        self, backend: Backend | str, fn: Callable[..., Any], /, *args: Any, **kwargs: Any
    ) -> Pending[Any]:
        """Call ``fn`` in a loop of that backend: this one if it fits, otherwise a child kept for it.

        Raises:
            RuntimeError: if the Caller is stopped.
            ValueError: if there is no such backend.
        """
        backend = Backend(backend)
        home = (
            self._home
            if self.backend is backend
            else self._home.child({"name": f"{self.name} {backend}", "backend": backend})
        )
        return Caller._of(home).call_soon(fn, *args, **kwargs)

    def get(self, **options: Unpack[CallerCreateOptions]) -> Caller:
        """A child: a Caller with a thread and a loop of its own, found by its ``name``, or else started.

        It may be used at once; calls wait until its loop runs.

        Raises:
            RuntimeError: if this Caller is stopped.
            ValueError: if the child of that name runs another backend, or there is no such backend.
        """
        return Caller._of(self._home.child(options))

    def stop(self, *, force: bool = False) -> Pending[None]:
        """Cancel everything that it started, and end it; from any thread. Who is inside ``async with`` leaves it.

        Args:
            force: also if it is protected.

        Returns:
            :attr:`stopped`.

        Raises:
            RuntimeError: if it is protected.
        """
        home = self._home
        if home.protected and not force:
            msg = f"{self!r} is protected: it stops with what it belongs to, or by force"
            raise RuntimeError(msg)
        home.stop()
        return home.stopped

    def _call(self, fn: Callable[..., Any], call: Callable[[], Any], *, delay: float = 0.0) -> Pending[Any]:
        context = copy_context()
        pending: Pending[Any] = Pending(context, func=fn, caller=self)
        self._home.nursery.submit(Call(pending, partial(self._home.within, call), context, delay=delay))
        return pending


def _is_async(fn: object) -> bool:
    while isinstance(fn, partial):
        fn = cast("partial[Any]", fn).func
    return inspect.iscoroutinefunction(fn) or inspect.iscoroutinefunction(getattr(fn, "__call__", None))  # noqa: B004


async def _in_thread(call: Callable[[], Any], name: str, *, is_async: bool) -> Any:
    if is_async:
        return await run_loop_in_owned_thread(call, name=name, backend=current_loop_token().backend)
    return await run_in_owned_thread(call, name=name, cancel=lambda: None)
