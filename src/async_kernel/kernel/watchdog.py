"""The watchdog: says so when code keeps the shell's loop to itself while others wait for it.

While there is something that a blocked loop would keep waiting (a concurrent cell, a comm message; in a program that
embeds the kernel every cell), the loop is asked to turn, from the loop that reads requests. If it has not done so
within ``BaseShell.watchdog`` seconds, one line goes to the stderr of whoever blocks it, with the place in their code.
When nothing is to be kept waiting any more, nothing is asked: an idle kernel sleeps.

The cell that blocks is known by its gate. What blocks outside every cell is a comm's callback, a background task or, in
an embedding, the program itself: the line then goes to the cell that waits.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import anyio

from async_kernel.kernel.blocked import owner_on_stack
from async_kernel.kernel.stacks import thread_stack
from async_kernel.kernel.task_tree import first_line
from async_kernel.lifetime.loop_token import current_loop_token
from async_kernel.shell.running.cell_files import place

if TYPE_CHECKING:
    from async_kernel.kernel.kernel import Kernel
    from async_kernel.protocol.request import Request
    from async_kernel.shell.cells.cell import Cell

__all__ = ["Watchdog"]

_ASKED = 4
"""How often the loop is asked within the watchdog's time: what blocks for longer than that and a quarter is noticed."""


class Watchdog:
    """Watches the main shell's loop.

    :meth:`arm` is for the thread that reads requests.

    Attributes:
        handled: the comm message that the shell's loop is serving.
        asked: when the loop was asked to turn, if it has not yet (:func:`time.monotonic`).
    """

    def __init__(self, kernel: Kernel[Any]) -> None:
        self._kernel = kernel
        self._watching = False
        self.handled: Request | None = None
        self.asked: float | None = None

    @property
    def watches_all_cells(self) -> bool:
        """Whether a plain cell of the main shell is watched, too."""
        return self._kernel.started and (self._kernel.embedded or self._kernel.shell.watch_main_cells)

    def arm(self) -> None:
        """There is something now that shall not be kept waiting."""
        kernel = self._kernel
        if not self._watching and kernel.started and kernel.shell.watchdog > 0:
            self._watching = True
            kernel.beside.start_soon(self._watch)

    async def _watch(self) -> None:
        lane, here = self._kernel.main, current_loop_token()
        try:
            while here.thread_id != lane.token.thread_id:
                patience = self._kernel.shell.watchdog
                turned = anyio.Event()
                self.asked = time.monotonic()
                if not lane.token.call_soon(here.call_soon, turned.set):
                    return
                with anyio.move_on_after(patience):
                    await turned.wait()
                if not turned.is_set():
                    self._report(patience)
                    await turned.wait()
                self.asked = None
                await anyio.sleep(patience / _ASKED)
                if not self._something_may_wait():
                    return
        finally:
            self._watching = False
            self.asked = None

    def _something_may_wait(self) -> bool:
        lane = self._kernel.main
        if self.watches_all_cells and (lane.cells or len(lane.queue)):
            return True
        return (
            bool(lane.coming)
            or self.handled is not None
            or any(cell is not lane.foreground for cell in list(lane.cells))
        )

    def _report(self, patience: float) -> None:
        lane = self._kernel.main
        cells = list(lane.cells)
        blocker = next((cell for cell in cells if cell.gate.inside_for > patience / 2), None)
        if blocker is not None and blocker is lane.foreground and not self.watches_all_cells:
            return
        others = len(cells) + len(lane.coming) + len(lane.queue) + len(lane.session.tasks) - (blocker is not None)
        others += len(lane.messages) + self._kernel.embedded
        if not others:
            return
        who, request = self._culprit(blocker, cells)
        where = next(reversed(thread_stack(lane)), None)
        at = f" at {place(where)}" if where is not None else ""
        waiting = f"{others} other task{'s' if others > 1 else ''}"
        text = (
            f"{who} has kept the event loop for more than {patience:g} s{at}, while {waiting} could not go on. "
            "Let it await, or move what blocks into a thread (`# thread`, %%thread, to_thread).\n"
        )
        if request is not None:
            self._kernel.wire.stream("stderr", text, parent=request.header)
        if request is None or self._kernel.embedded:
            self._kernel.log.warning("%s", text.strip())

    def _culprit(self, blocker: Cell | None, cells: list[Cell]) -> tuple[str, Request | None]:
        """What blocks the loop, in words, and the request in whose name that is said."""
        if blocker is not None:
            return f"The cell `{first_line(blocker.request)}`", blocker.request
        if self.handled is not None:
            return "A callback of a comm message", self.handled
        for task in list(self._kernel.main.session.tasks.values()):
            if task.gate.inside_for:
                return f"The background task {task.id} ({task.name})", task.request
        if (owner := owner_on_stack(self._kernel.main)) is not None:
            return f"A task of the cell `{first_line(owner)}`", owner
        waiting = [*self._kernel.main.queue.queued(), *(cell.request for cell in cells)]
        who = "The program around this kernel" if self._kernel.embedded else "A background task"
        return who, waiting[0] if waiting else None
