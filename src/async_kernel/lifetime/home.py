"""Where calls are at home: a loop, its nursery, and the children with threads and loops of their own that live in it.

A :class:`Home` is what :class:`~async_kernel.lifetime.caller.Caller` objects stand for. One that has no parent is
opened in a loop that somebody else runs; a child is a task of its parent's nursery, which owns the child's thread. At
most one is open in a thread; :data:`open_homes` knows them.
"""

from __future__ import annotations

import itertools
import logging
import threading
from contextlib import asynccontextmanager
from contextvars import Context, ContextVar
from typing import TYPE_CHECKING, Any

import anyio

from async_kernel.lifetime.calls import Call, CallNursery
from async_kernel.lifetime.loop_token import current_loop_token
from async_kernel.lifetime.owned_thread import run_loop_in_owned_thread
from async_kernel.lifetime.pending import Pending, PendingCancelled
from async_kernel.typing import Backend

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable

    from async_kernel.typing import CallerCreateOptions

__all__ = ["Home", "current_home", "open_homes"]


class Home:
    """What a Caller stands for: a name, a nursery for calls, and the children that live in it."""

    def __init__(self, options: CallerCreateOptions, parent: Home | None = None) -> None:
        backend = options.get("backend") or (parent.backend if parent else None)
        self.parent = parent
        self.name: str = options.get("name") or threading.current_thread().name
        self.backend = None if backend is None else Backend(backend)
        self.backend_options: dict[str, Any] | None = options.get("backend_options")
        self.protected: bool = options.get("protected", False)
        self.no_debug: bool = options.get("no_debug", False)
        inherited = parent.log if parent else logging.getLogger("async_kernel.lifetime")
        self.log: logging.Logger = options.get("log") or inherited
        self.nursery: CallNursery = CallNursery(self.name)
        self.children: dict[str, Home] = {}
        self.children_lock: threading.RLock = threading.RLock()
        self.stopped: Pending[None] = Pending()

    @asynccontextmanager
    async def open(self) -> AsyncGenerator[None]:
        """Run calls in this loop while inside."""
        token = current_loop_token()
        if open_homes.setdefault(token.thread_id, self) is not self:
            msg = f"this thread has a Caller already, {open_homes[token.thread_id].name!r}: Caller.current() finds it"
            raise RuntimeError(msg)
        self.backend = token.backend
        before = _here.set(self)
        try:
            async with self.nursery.open():
                yield
        finally:
            _here.reset(before)
            del open_homes[token.thread_id]

    def child(self, options: CallerCreateOptions) -> Home:
        """The child of that name, started if there is none."""
        backend = options.get("backend")
        with self.children_lock:
            name = options.get("name") or f"{self.name} {next(_numbers)}"
            child = self.children.get(name)
            if child is not None and not child.nursery.is_cancelled:
                if backend is not None and child.backend != backend:
                    msg = f"Caller {name!r} runs {child.backend}; name another for {backend}"
                    raise ValueError(msg)
                return child
            child = Home({**options, "name": name}, self)
            running: Pending[None] = Pending()
            # A context of its own: each call brings the one that it was made in.
            self.nursery.submit(Call(running, child.run_in_thread, Context()))
            self.children[name] = child
        running.add_done_callback(child.ended)
        return child

    def stop(self) -> None:
        """Cancel everything that lives here; from any thread."""
        self.nursery.cancel()
        if self.parent is None and self.nursery.token is None:  # never opened
            self.nursery.close(PendingCancelled("the caller was stopped before it was opened"))
            self.stopped.set_result(None)

    def within(self, call: Callable[[], Any]) -> Any:
        """Make a call that is at home here."""
        _here.set(self)
        return call()

    async def run_in_thread(self) -> None:
        """Be a child: own a thread with a loop until stopped."""

        async def main() -> None:
            async with self.open():
                await anyio.sleep_forever()

        await run_loop_in_owned_thread(
            main,
            name=self.name,
            backend=self.backend or current_loop_token().backend,
            backend_options=self.backend_options,
            no_debug=self.no_debug,
        )

    def ended(self, running: Pending[None]) -> None:
        """The child's thread has ended, or never began: nothing that waits for it may wait on."""
        error: BaseException | None = None
        try:
            error = running.exception()
        except PendingCancelled:
            error = None  # it was stopped with its parent
        self.nursery.close(error or PendingCancelled("the caller was stopped before the call began"))
        if self.parent is not None and self.parent.children.get(self.name) is self:
            del self.parent.children[self.name]
        if error is None:
            self.stopped.set_result(None)
        else:
            self.log.error("Caller %r failed.", self.name, exc_info=error)
            self.stopped.set_exception(error)


open_homes: dict[int, Home] = {}
_here: ContextVar[Home | None] = ContextVar("async_kernel_caller", default=None)
_numbers = itertools.count(1)


def current_home() -> Home:
    """The home that is open in this thread, else that whose call runs here.

    Raises:
        RuntimeError: if there is none.
    """
    home = open_homes.get(threading.get_ident()) or _here.get()
    if home is None:
        msg = "there is no Caller here: open one with `async with Caller() as caller:`"
        raise RuntimeError(msg)
    return home
