"""A result that comes once, from any thread, to whoever waits for it: in any loop, in any thread.

Nobody owns a Pending, and nothing happens in it: somebody completes it (:meth:`Pending.set_result`,
:meth:`Pending.set_exception`, :meth:`Pending.cancel`; the first one counts, later ones change nothing), others look at
it or wait. Whoever gives up waiting, because of a timeout or because its task was cancelled, is simply gone: the
Pending and the other waiters never notice. Only :meth:`Pending.cancel` cancels.

Every method may be called from any thread, from any task and from signal handlers, also while its own thread is in the
middle of another method of the same Pending. So there is no lock; two containers whose operations are atomic decide.
The first item of ``_outcomes`` is the outcome. Whoever takes a callback out of ``_callbacks`` calls it, once it is
done.
"""

from __future__ import annotations

import logging
from collections import deque
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar, overload

import anyio
import anyio.lowlevel

from async_kernel.lifetime.outcomes import Cancellation, Failure, Outcome, PendingCancelled, PendingNotDone, Value
from async_kernel.lifetime.waiting import until_done, until_done_sync

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from contextvars import Context

__all__ = ["Pending", "PendingCancelled", "PendingNotDone"]

T = TypeVar("T")


class Pending(Generic[T]):
    """A result that comes once.

    ``await pending`` waits for it in any loop, and :meth:`wait_sync` in any thread.

    Args:
        context: that the work runs in, for whoever wants to know.
        **metadata: what its maker wants to remember with it.

    Attributes:
        context: as given.
        metadata: as given, a dict of its own.
    """

    __slots__ = ("__weakref__", "_callbacks", "_canceller", "_outcomes", "_request", "context", "metadata")

    def __init__(self, context: Context | None = None, /, **metadata: Any) -> None:
        self.context: Context | None = context
        self.metadata: dict[str, Any] = metadata
        self._outcomes: list[Outcome] = []
        self._callbacks: deque[Callable[[Pending[T]], object]] = deque()
        self._canceller: Callable[[str | None], object] | None = None
        self._request: str | None = None

    def __repr__(self) -> str:
        match self._outcomes[:1]:
            case [Value(value)]:
                state = f"result={value!r}"
            case [Failure(error, _)]:
                state = f"exception={error!r}"
            case [Cancellation(message, _)]:
                state = f"cancelled {message!r}"
            case _:
                state = "pending" if self._request is None else f"being cancelled {self._request!r}"
        metadata = "".join(f" {name}={value!r}" for name, value in self.metadata.items())
        return f"<Pending{metadata} {state}>"

    # -- completing ------------------------------------------------------------------------------------------

    def set_result(self, value: T, /) -> bool:
        """Complete it with a value.

        Returns:
            whether this completed it; False if it was done before.
        """
        return self._end(Value(value))

    def set_exception(self, exc: BaseException, /) -> bool:
        """Complete it with an exception, which waiters raise; a :class:`PendingCancelled` completes it as cancelled.

        Returns:
            whether this completed it; False if it was done before.
        """
        if isinstance(exc, PendingCancelled):
            return self._end(Cancellation(str(exc) if self._request is None else self._request, exc.__cause__))
        return self._end(Failure(exc, exc.__traceback__))

    def cancel(self, msg: str | None = None) -> bool:
        """Cancel it: waiters raise :class:`PendingCancelled` with ``msg``.

        With a canceller (:meth:`set_canceller`), that is called, and this is cancelled but not done until whoever does
        the work completes it. However the work ends then, its result is dropped.

        Returns:
            whether it is cancelled, by this call or before; False if it was done otherwise.
        """
        if self._outcomes or self._request is not None:
            return self.cancelled()
        canceller = self._canceller
        if canceller is not None:
            self._request = msg or ""
        else:
            self._complete(Cancellation(msg or ""))
            canceller, self._canceller = self._canceller, None  # set meanwhile
        if canceller is not None and self.cancelled():
            canceller(msg)
        return self.cancelled()

    def set_canceller(self, fn: Callable[[str | None], object] | None, /) -> None:
        """Say how the work that this is the result of is cancelled; None takes it back.

        Args:
            fn: called with the message by :meth:`cancel`, in the thread that cancels; at once if it is cancelled
                already. It may happen to be called twice when both come at the same moment.
        """
        self._canceller = fn  # first, so that a cancel() which comes now finds it
        if self._outcomes or self._request is not None:
            self._canceller = None
            if fn is not None and self.cancelled():
                fn(self._message())

    async def cancel_wait(
        self,
        *,
        timeout: float | None = None,  # noqa: ASYNC109 -- the documented name
        shield: bool = False,
        msg: str | None = None,
    ) -> None:
        """Cancel it and wait until it is done.

        Args:
            timeout: seconds to wait at most; None: without end.
            shield: whether to wait on if this task is cancelled.
            msg: the reason.

        Raises:
            TimeoutError: if it is not done in time.
        """
        self.cancel(msg)
        await self.wait(timeout=timeout, shield=shield, result=False)

    def _end(self, outcome: Outcome) -> bool:
        """The work has ended, in whatever way."""
        completed = self._complete(outcome)
        self._canceller = None
        return completed

    def _complete(self, outcome: Outcome) -> bool:
        if self._outcomes:
            return False
        if self._request is not None and not isinstance(outcome, Cancellation):
            outcome = Cancellation(self._request, outcome.error if isinstance(outcome, Failure) else None)
        self._outcomes.append(outcome)
        if self._outcomes[0] is not outcome:
            del self._outcomes[1:]
            return False
        self._call_back()
        return True

    # -- looking ---------------------------------------------------------------------------------------------

    def done(self) -> bool:
        """Whether it has a result, an exception, or was cancelled."""
        return bool(self._outcomes)

    def cancelled(self) -> bool:
        """Whether it was cancelled; it may not be done yet (:meth:`cancel`)."""
        if self._outcomes:
            return isinstance(self._outcomes[0], Cancellation)
        return self._request is not None

    def result(self) -> T:
        """The result.

        Raises:
            BaseException: what it was completed with.
            PendingCancelled: if it was cancelled.
            PendingNotDone: if it is not done.
        """
        outcome = self._outcome()
        if isinstance(outcome, Value):
            return outcome.value
        try:
            # The traceback begins anew for each waiter instead of growing.
            raise outcome.error.with_traceback(outcome.traceback)
        finally:
            del self, outcome  # no cycle through this frame

    def exception(self) -> BaseException | None:
        """The exception that it was completed with; None if it has a result.

        Raises:
            PendingCancelled: if it was cancelled.
            PendingNotDone: if it is not done.
        """
        outcome = self._outcome()
        return outcome.error if isinstance(outcome, Failure) else None

    def _outcome(self) -> Value | Failure:
        outcome = self._outcomes[0] if self._outcomes else None
        if outcome is None:
            msg = "this Pending is not done yet"
            raise PendingNotDone(msg)
        if isinstance(outcome, Cancellation):
            raise PendingCancelled(*((outcome.message,) if outcome.message else ())) from outcome.cause
        return outcome

    def _message(self) -> str | None:
        outcome = self._outcomes[0] if self._outcomes else None
        return (outcome.message if isinstance(outcome, Cancellation) else self._request) or None

    # -- callbacks -------------------------------------------------------------------------------------------

    def add_done_callback(self, fn: Callable[[Pending[T]], object], /) -> None:
        """Have ``fn(self)`` called when it is done: at once if it is, otherwise in the thread that completes it.

        Callbacks are called in the order in which they were added. What they raise is logged
        (``async_kernel.lifetime``, ERROR). Should it be completed by another thread at this very moment, either thread
        calls.
        """
        if self._outcomes:
            self._call(fn)
            return
        self._callbacks.append(fn)
        if self._outcomes:
            self._call_back()

    def remove_done_callback(self, fn: Callable[[Pending[T]], object], /) -> int:
        """Take a callback back, as often as it was added.

        Returns:
            how often it was there.
        """
        removed = 0
        while True:
            try:
                self._callbacks.remove(fn)
            except ValueError:
                return removed
            removed += 1

    def _call_back(self) -> None:
        try:
            while self._callbacks:
                try:
                    fn = self._callbacks.popleft()
                except IndexError:  # another thread has taken it
                    return
                self._call(fn)
        except BaseException:
            self._call_back()  # an interrupt in one must not leave the other waiters asleep
            raise

    def _call(self, fn: Callable[[Pending[T]], object]) -> None:
        try:
            fn(self)
        except Exception:  # noqa: BLE001 -- it is neither the completer's nor a waiter's
            _log.exception("A callback of %r failed.", self)

    # -- waiting ---------------------------------------------------------------------------------------------

    def __await__(self) -> Generator[Any, Any, T]:
        return self.wait().__await__()

    @overload
    async def wait(
        self,
        *,
        timeout: float | None = None,  # noqa: ASYNC109 -- the documented name
        protect: bool = False,
        result: Literal[True] = True,
        shield: bool = False,
    ) -> T: ...
    @overload
    async def wait(
        self,
        *,
        timeout: float | None = None,  # noqa: ASYNC109 -- the documented name
        protect: bool = False,
        result: bool,
        shield: bool = False,
    ) -> T | None: ...
    async def wait(
        self,
        *,
        timeout: float | None = None,  # noqa: ASYNC109 -- the documented name
        protect: bool = False,
        result: bool = True,
        shield: bool = False,
    ) -> T | None:
        """Wait until it is done, in any loop. Giving up changes nothing for anybody else.

        Args:
            timeout: seconds to wait at most; None: without end.
            protect: accepted for those who write it; a waiter that gives up never cancels what it waited for.
            result: return the result or raise the exception; if False, return None when it is done, however.
            shield: wait on if this task is cancelled.

        Raises:
            BaseException: what it was completed with.
            PendingCancelled: if it was cancelled.
            TimeoutError: if it is not done in time.
        """
        try:
            with anyio.move_on_after(timeout, shield=shield):
                if self._outcomes:
                    await anyio.lowlevel.checkpoint()
                else:
                    await until_done(self)
            if not self._outcomes:
                raise self._timeout(timeout)
            return self.result() if result else None
        finally:
            del self  # no cycle through this frame

    @overload
    def wait_sync(self, *, timeout: float | None = None, protect: bool = False, result: Literal[True] = True) -> T: ...
    @overload
    def wait_sync(self, *, timeout: float | None = None, protect: bool = False, result: bool) -> T | None: ...
    def wait_sync(self, *, timeout: float | None = None, protect: bool = False, result: bool = True) -> T | None:
        """Wait until it is done, blocking this thread (and the loop in it, if there is one).

        A signal handler that raises ends the wait in the main thread at once (on POSIX; Windows delivers signals to
        Python code when the wait is over). As with every blocking call in CPython, a signal that strikes in the few
        microseconds in which the wait begins is noticed with the next signal, or when the wait is over.

        Args:
            timeout: seconds to wait at most; None: without end.
            protect: accepted for those who write it; a waiter that gives up never cancels what it waited for.
            result: return the result or raise the exception; if False, return None when it is done, however.

        Raises:
            BaseException: what it was completed with.
            PendingCancelled: if it was cancelled.
            TimeoutError: if it is not done in time.
        """
        try:
            if not self._outcomes:
                until_done_sync(self, timeout)
            if not self._outcomes:
                raise self._timeout(timeout)
            return self.result() if result else None
        finally:
            del self  # no cycle through this frame

    def _timeout(self, seconds: float | None) -> TimeoutError:
        return TimeoutError(f"{self!r} was not done in {seconds:g} s")


_log = logging.getLogger("async_kernel.lifetime")
