"""trio as a guest: its own guest mode, told what the host can do.

trio waits for sockets and timers in a thread of its own and has its next step called in the host's main loop.
"""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

import trio

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from async_kernel.event_loop.host import Host

__all__ = ["TrioGuest"]


class TrioGuest:
    """A trio run in steps. See :class:`~async_kernel.event_loop.host.Guest`.

    Args:
        host: in whose main loop the steps run.
        func: the main task.
        args: its arguments.
        options: for :func:`trio.lowlevel.start_guest_run`, as for :func:`trio.run`.
    """

    def __init__(
        self, host: Host, func: Callable[..., Awaitable[Any]], args: tuple[Any, ...], options: dict[str, Any]
    ) -> None:
        inspect.signature(trio.lowlevel.start_guest_run).bind_partial(**options)
        self._host = host
        self._func = func
        self._args = args
        self._options = options
        self._scope = trio.CancelScope()
        self._token: trio.lowlevel.TrioToken | None = None

    def start(self) -> None:
        """Start the run: its first steps here, up to where the main task begins, the others in the main loop."""
        trio.lowlevel.start_guest_run(
            self._main,
            run_sync_soon_threadsafe=self._host.run_sync_soon_threadsafe,
            run_sync_soon_not_threadsafe=self._host.run_sync_soon_not_threadsafe,
            done_callback=self._host.done_callback,
            **self._options,
        )
        self._token = trio.lowlevel.current_trio_token()

    async def _main(self) -> Any:
        with self._scope:
            return await self._func(*self._args)

    def cancel(self) -> None:
        """Cancel the main task."""
        if self._token is not None:
            try:
                self._token.run_sync_soon(self._scope.cancel)
            except trio.RunFinishedError:
                return

    def close(self) -> None:
        """Nothing: what trio had ended with the run."""
