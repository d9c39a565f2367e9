"""Where questions about code wait and are answered, also while a cell blocks.

Two lanes, each with a thread: ``completer`` for those that may take long (complete, inspect: the completer reads
other people's modules), and ``helper`` for those that a console waits for before it goes on (is_complete, history,
usage). In a browser there are no threads: there, they are answered when the loop turns.

A completion that its client has asked for anew before it was begun is answered as aborted: people type faster than
completers think. Once a client asks what only people at a keyboard ask for, the completer is warmed up behind what
waits: its first answer would take a second or more, and several while a cell computes. The same is done a while after
the first cell that may ask a person something. Programs that only run cells, such as nbclient, never pay for that: it
takes 28 MB.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Literal

import anyio

from async_kernel.kernel.helper import HelperLane
from async_kernel.platforms.threads import HAVE_THREADS
from async_kernel.protocol.errors import RequestError
from async_kernel.shell.cells.lane import Lane
from async_kernel.typing import MsgType

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from async_kernel.kernel.kernel import Kernel
    from async_kernel.protocol.request import Request

__all__ = ["QuestionLane", "Questions"]

QuestionLane = Literal["helper", "completer"]

_ASKED_BY_PEOPLE = (MsgType.history_request, MsgType.is_complete_request, MsgType.comm_info_request)
"""What front ends ask when they open, or a line is entered; those that only run a notebook do not."""


WARM_AFTER_S = 1.0
"""Seconds after the first such cell: a program that sends it and ends the kernel shall not wait for the completer."""


def _may_ask(request: Request) -> bool:
    """Whether it is a cell that a person may answer, who will also press Tab."""
    return request.msg_type == MsgType.execute_request and request.content.get("allow_stdin") is True


class Questions:
    """The lanes of questions.

    Args:
        kernel: which they are about.
        serve_now: answers a request in the thread that calls.
        serve_in_loop: the same in the shell's loop.
    """

    def __init__(
        self,
        kernel: Kernel[Any],
        serve_now: Callable[[Request], None],
        serve_in_loop: Callable[[Request], Awaitable[None]],
    ) -> None:
        self._kernel = kernel
        self._latest: dict[str, Request] = {}
        self._warmed = False
        self.lanes: dict[QuestionLane, HelperLane | Lane]
        if not HAVE_THREADS:
            lane = Lane("helper", serve_in_loop)
            self.lanes = {"helper": lane, "completer": lane}
        else:
            self.lanes = {name: HelperLane(serve_now, name) for name in ("helper", "completer")}

    def runners(self) -> list[Callable[..., Any]]:
        """The tasks that serve the lanes."""
        return [lane.run for lane in dict.fromkeys(self.lanes.values())]

    def note(self, request: Request) -> None:
        """See every request that arrives, in order; in the thread that read it."""
        if request.msg_type == MsgType.complete_request:
            self._latest[request.header["session"]] = request
        elif not self._warmed and (request.msg_type in _ASKED_BY_PEOPLE or _may_ask(request)):
            self._warmed = True
            completer = self.lanes["completer"]
            if isinstance(completer, HelperLane):
                if request.msg_type in _ASKED_BY_PEOPLE:
                    completer.call_soon(partial(self._warm_up, completer))
                else:
                    self._kernel.beside.start_soon(self._warm_up_later, completer)

    async def _warm_up_later(self, completer: HelperLane) -> None:
        await anyio.sleep(WARM_AFTER_S)
        completer.call_soon(partial(self._warm_up, completer))

    def call_soon(self, fn: Callable[[], object]) -> None:
        """Call ``fn``, which must not raise, in the thread that completes, after what waits there; any thread.

        Raises:
            RequestError: if there are no threads.
        """
        completer = self.lanes["completer"]
        if not isinstance(completer, HelperLane):
            msg = "there are no threads here"
            raise RequestError(msg)
        completer.call_soon(fn)

    def is_superseded(self, request: Request) -> bool:
        """Whether its client has asked for another completion since; asked once, when its turn has come."""
        session = request.header["session"]
        if self._latest.get(session) is not request:
            return True
        del self._latest[session]
        return False

    def _warm_up(self, completer: HelperLane) -> None:
        """In the completer's thread: requests may arrive before there is a shell, but none is served then."""
        try:
            for step in self._kernel.shell.warm_up():
                if completer.stopping:
                    break
                step()
        except Exception:
            self._kernel.log.debug("The completer could not be warmed up", exc_info=True)
