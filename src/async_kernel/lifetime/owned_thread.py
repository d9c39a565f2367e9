"""Threads that belong to a task: the only place that makes one.

The task that awaits one of these functions owns the thread: it waits for the thread's end whatever happens, and joins
it. What the thread raises is raised in the task. When the task is cancelled the thread is asked to end, the task goes
on waiting (shielded, for a thread cannot be left), and then the cancellation goes on. So a thread is a task like any
other, and lives in a nursery by ``nursery.start_soon(partial(run_in_owned_thread, ...))``.

Order at the end: the thread's function has returned, its outcome is stored, the loop is told (the thread's last act),
the task joins the thread (microseconds), the task returns.

The thread has a copy of the task's context variables, unless another context is given. It is no daemon.
"""

from __future__ import annotations

import sys
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar, cast

import anyio
import outcome

from async_kernel.lifetime.loop_token import context_for, current_loop_token

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Generator, Mapping
    from contextvars import Context

    from async_kernel.typing import Backend

__all__ = ["run_in_owned_thread", "run_loop_in_owned_thread"]

T = TypeVar("T")


async def run_in_owned_thread(
    fn: Callable[[], T],
    *,
    name: str,
    cancel: Callable[[], object],
    context: Context | None = None,
    no_debug: bool = False,
) -> T:
    """Run ``fn()`` in a new thread and wait for its end. Under trio and asyncio.

    Args:
        fn: what the thread does.
        name: of the thread.
        cancel: asks ``fn`` to return soon. Called in the loop, at most once, when this is cancelled; possibly before
            ``fn`` has begun or when it has returned.
        context: what ``fn`` runs in, entered by nobody else; None: a copy of the task's.
        no_debug: mark the thread so that debuggers (pydevd) pass it by: a thread of the kernel, not of the user.

    Returns:
        what ``fn`` returned.

    Raises:
        BaseException: what ``fn`` raised, also when this was cancelled meanwhile.
        RuntimeError: if the system gives no thread.
    """
    token = current_loop_token()
    ended = anyio.Event()
    outcomes: list[outcome.Outcome[T]] = []  # the outcome leaves it when it is unwrapped: no cycle with the traceback
    if context is None:
        context = context_for(None)

    def work() -> None:
        try:
            with traced:
                outcomes.append(outcome.capture(context.run, fn))
        finally:
            token.call_soon(ended.set)

    traced = _Traced()

    thread = threading.Thread(target=work, name=name, daemon=False)
    if no_debug:
        # pydevd looks for these: the first keeps it from stopping the thread, the second from showing it.
        thread.pydev_do_not_trace = True  # pyright: ignore[reportAttributeAccessIssue]
        thread.is_pydev_daemon_thread = True  # pyright: ignore[reportAttributeAccessIssue]
    with traced.held_back():
        thread.start()
    try:
        await ended.wait()
    except BaseException:
        try:
            cancel()
        finally:
            await _end_of(ended)
            thread.join()
        if isinstance(outcomes[0], outcome.Error):
            outcomes.pop().unwrap()  # a failure while it was ending must not be lost
        raise
    thread.join()
    return outcomes.pop().unwrap()


class _Traced:
    """The trace and profile functions of new threads, set where their errors do no harm.

    ``threading`` sets them before the thread's first function is called, and one that fails there ends the thread
    before it has begun: nobody would learn of its end. Here they are set inside, after one call has tried them (Python
    takes a function that fails out of use).
    """

    def __init__(self) -> None:
        self._functions: tuple[Any, Any] = (threading.gettrace(), threading.getprofile())
        self._begun = threading.Event()

    @contextmanager
    def held_back(self) -> Generator[None]:
        """Start the thread in this."""
        if self._functions == (None, None):
            yield
            return
        threading.settrace(cast("Any", None))
        threading.setprofile(None)
        try:
            yield
            self._begun.wait()  # as short as the start itself
        finally:
            trace, profile = self._functions
            threading.settrace(trace)
            threading.setprofile(profile)

    def __enter__(self) -> None:
        """Trace from here, in the new thread."""
        self._begun.set()
        for install, function in zip((sys.settrace, sys.setprofile), self._functions, strict=True):
            if function is not None:
                try:
                    install(function)
                    _be_called()
                except BaseException:  # noqa: BLE001 -- user code; it is not in use any more
                    install(None)

    def __exit__(self, *_: object) -> None:
        if self._functions != (None, None):
            sys.settrace(None)
            sys.setprofile(None)


def _be_called() -> None:
    """Show a trace function a call."""


async def _end_of(ended: anyio.Event) -> None:
    """Wait whatever comes."""
    while not ended.is_set():
        try:
            with anyio.CancelScope(shield=True):
                await ended.wait()
        except anyio.get_cancelled_exc_class():
            continue  # asyncio's Task.cancel() reaches into shields; this is being cancelled already


async def run_loop_in_owned_thread(
    main: Callable[[], Awaitable[T]],
    *,
    name: str,
    backend: Backend,
    backend_options: Mapping[str, Any] | None = None,
    context: Context | None = None,
    no_debug: bool = False,
) -> T:
    """Run ``main()`` in a loop of its own in a new thread and wait for the loop's end.

    When this is cancelled, a scope around ``main()`` is cancelled in there.

    Args:
        main: called and awaited in the new loop.
        backend: the async library of the new loop, whatever the present one.
        backend_options: as for :func:`anyio.run`: for asyncio, ``{"use_uvloop": True}`` makes it uvloop's.
        name: of the thread.
        context: what the loop runs in, entered by nobody else; None: a copy of the task's.
        no_debug: as for :func:`run_in_owned_thread`.

    Raises:
        BaseException: what ``main`` raised, also when this was cancelled meanwhile.
        LookupError: if the async library is not installed.
        RuntimeError: if the system gives no thread.
    """
    scopes: list[Callable[[], object]] = []
    cancelled = False

    def cancel() -> None:
        nonlocal cancelled
        cancelled = True
        for cancel_scope in scopes:
            cancel_scope()

    async def root() -> T | None:
        inside = current_loop_token()
        with anyio.CancelScope() as scope:
            scopes.append(lambda: inside.call_soon(scope.cancel))
            if cancelled:  # looked at after the scope can be found: one of the two sees the other
                scope.cancel()
            return await main()
        return None  # cancelled, and so is the task that waits

    def work() -> T | None:
        return anyio.run(root, backend=str(backend), backend_options=dict(backend_options or {}))

    return cast("T", await run_in_owned_thread(work, name=name, cancel=cancel, context=context, no_debug=no_debug))
