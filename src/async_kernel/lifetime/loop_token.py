"""A handle to a running loop that works from every thread and from signal handlers.

A :class:`LoopToken` owns nothing: it names a loop, like trio's token does, and lets others run a function in that
loop's thread. It may outlive the loop, and does not keep it alive. There is one per loop, so that
``current_loop_token() is token`` asks whether this is that loop; those made with an error sink are others.

Functions run one after another, in the order of the calls, between the steps of the loop's tasks; so they must be
short. They run in a context of their own that carries nothing of the caller's (no request, no cell): who wants the
caller's hands in ``context_for(backend).run``. Their result is dropped.

An exception of such a function is nobody's: no task waits for it. It goes to the error sink with which the token was
made. Tokens without one use what the loop has for such errors: the exception handler of an asyncio loop; for trio, that
has none and would end its whole run with an internal error, an ERROR record of the logger ``async_kernel.lifetime``.
The loop goes on. One exception to this: KeyboardInterrupt ends an asyncio loop as it does everywhere in asyncio.

Importable without trio and zmq.
"""

from __future__ import annotations

import logging
import threading
import weakref
from contextvars import Context, copy_context
from typing import TYPE_CHECKING, Any, Protocol

import sniffio

from async_kernel.typing import Backend

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from trio.lowlevel import RunVar

__all__ = ["LoopToken", "Wake", "context_for", "current_loop_token", "runs_here"]


class LoopToken(Protocol):
    """A handle to a running loop."""

    @property
    def backend(self) -> Backend:
        """The async library of the loop."""
        ...

    @property
    def thread_id(self) -> int:
        """:func:`threading.get_ident` of the loop's thread."""
        ...

    def call_soon(self, fn: Callable[..., object], /, *args: Any) -> bool:
        """Run ``fn(*args)`` in the loop's thread soon; from any thread, from signal handlers, and from the loop itself.

        Returns:
            False if the loop has ended and ``fn`` will not run. True says that the loop has taken it: trio then runs
            it for certain, asyncio unless it is closed before.
        """
        ...


def context_for(backend: Backend | None) -> Context:
    """A copy of the present context, for code that a loop of that backend will run; None: a thread without a loop.

    Contexts say which async library runs; a mere copy would go on saying what runs here.
    """
    context = copy_context()
    # trio says it of its thread instead, in every context
    context.run(sniffio.current_async_library_cvar.set, "asyncio" if backend is Backend.asyncio else None)
    return context


def current_loop_token(failed: Callable[[BaseException], object] | None = None) -> LoopToken:
    """The handle to the loop that runs here, in a task or in a callback of it.

    Args:
        failed: called in the loop with the exception of a function that :meth:`LoopToken.call_soon` ran. Without it,
            what the loop has for such errors (see the module).

    Raises:
        RuntimeError: if no loop runs in this thread.
    """
    try:
        library = sniffio.current_async_library()
    except sniffio.AsyncLibraryNotFoundError:
        library = "asyncio"  # perhaps in a callback: no task, but a loop
    if library == "trio":
        return _trio_token(failed)
    return _asyncio_token(failed)


def runs_here(token: LoopToken) -> bool:
    """Whether this code is part of a step of that loop, so that it may use what belongs to the loop directly.

    Being in its thread is not enough: a callback of a GUI that hosts the loop runs there between two steps, and goes
    through :meth:`LoopToken.call_soon` as other threads do. A signal handler cannot be told from the step that it
    interrupts; it always does so.
    """
    if token.thread_id != threading.get_ident():
        return False
    try:
        return sniffio.current_async_library() == token.backend
    except sniffio.AsyncLibraryNotFoundError:
        return False


class _TrioToken:
    backend = Backend.trio

    def __init__(self, failed: Callable[[BaseException], object] | None) -> None:
        import trio  # noqa: PLC0415 -- a browser has none

        self._run_sync_soon = trio.lowlevel.current_trio_token().run_sync_soon
        self._finished = trio.RunFinishedError
        self._failed = failed or _log_error
        self.thread_id = threading.get_ident()

    def call_soon(self, fn: Callable[..., object], /, *args: Any) -> bool:
        try:
            self._run_sync_soon(self._call, fn, args)
        except self._finished:
            return False
        return True

    def _call(self, fn: Callable[..., object], args: tuple[Any, ...]) -> None:
        try:
            fn(*args)
        except BaseException as exc:  # noqa: BLE001 -- trio has interrupts off here, so it is fn's own; handed to its sink
            self._failed(exc)

    def __repr__(self) -> str:
        return f"<LoopToken trio in thread {self.thread_id}>"


class _AsyncioToken:
    backend = Backend.asyncio

    def __init__(self, loop: asyncio.AbstractEventLoop, failed: Callable[[BaseException], object] | None) -> None:
        self._loop = weakref.ref(loop)
        self._failed = failed or self._tell_loop
        self.thread_id = threading.get_ident()

    def call_soon(self, fn: Callable[..., object], /, *args: Any) -> bool:
        loop = self._loop()
        if loop is None:
            return False
        try:
            loop.call_soon_threadsafe(self._call, fn, args, context=_bare.copy())
        except RuntimeError:  # it is closed
            return False
        return True

    def _call(self, fn: Callable[..., object], args: tuple[Any, ...]) -> None:
        try:
            fn(*args)
        except KeyboardInterrupt:
            raise
        except BaseException as exc:  # noqa: BLE001 -- handed to its sink
            self._failed(exc)

    def _tell_loop(self, exc: BaseException) -> None:
        loop = self._loop()
        if loop is not None:
            loop.call_exception_handler({"message": _MESSAGE, "exception": exc})

    def __repr__(self) -> str:
        return f"<LoopToken asyncio in thread {self.thread_id}>"


_MESSAGE = "A function that was handed to the loop from outside failed."
_log = logging.getLogger("async_kernel.lifetime")
_bare = Context()
_bare.run(sniffio.current_async_library_cvar.set, "asyncio")  # anyio works in callbacks, too
_asyncio_tokens: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, LoopToken] = weakref.WeakKeyDictionary()
_trio_tokens: RunVar[LoopToken] | None = None


def _log_error(exc: BaseException) -> None:
    _log.error(_MESSAGE, exc_info=exc)


def _trio_token(failed: Callable[[BaseException], object] | None) -> LoopToken:
    global _trio_tokens
    if failed is not None:
        return _TrioToken(failed)
    if _trio_tokens is None:
        from trio.lowlevel import RunVar  # noqa: PLC0415 -- a browser has none

        _trio_tokens = RunVar("async_kernel_loop_token")
    try:
        return _trio_tokens.get()
    except LookupError:
        token = _TrioToken(None)
        _trio_tokens.set(token)
        return token


def _asyncio_token(failed: Callable[[BaseException], object] | None) -> LoopToken:
    import asyncio  # noqa: PLC0415 -- only where it runs

    loop = asyncio.get_running_loop()
    if failed is not None:
        return _AsyncioToken(loop, failed)
    token = _asyncio_tokens.get(loop)
    if token is None:
        token = _asyncio_tokens[loop] = _AsyncioToken(loop, None)
    return token


class Wake:
    """Tells a loop that there is something to do: many calls before it gets to it are one.

    After every :meth:`set`, ``fn`` runs at least once, from its beginning; and at most once for all that were made
    while one waits. So ``fn`` must look for all the work there is.

    Args:
        token: of the loop.
        fn: run in the loop's thread.
    """

    __slots__ = ("_fn", "_token", "_waits")

    def __init__(self, token: LoopToken, fn: Callable[[], object]) -> None:
        self._token = token
        self._fn = fn
        self._waits = False

    def set(self) -> None:
        """Have ``fn`` run soon; from any thread and from signal handlers. Nothing if the loop has ended."""
        if self._waits:
            return
        try:
            self._waits = True
            self._token.call_soon(self._run)
        except BaseException:
            # An interrupt struck here, perhaps before the call was made: others have already relied on it.
            self._token.call_soon(self._run)
            raise

    def _run(self) -> None:
        if self._waits:  # two threads at once have called twice
            self._waits = False  # before fn looks: what comes from here on is the next wake
            self._fn()
