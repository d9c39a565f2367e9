"""Magics for running code beside cells, bounding it, seeing it and stopping it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import anyio
from IPython.core.error import UsageError

from async_kernel.protocol.errors import RequestError
from async_kernel.protocol.request import current_request
from async_kernel.protocol.times import seconds
from async_kernel.shell.background.tree_view import bundle, redrawn
from async_kernel.shell.ipython import Magics, cell_magic, display, line_cell_magic, line_magic, magics_class
from async_kernel.shell.running.concurrent import run_in_thread, start_task
from async_kernel.shell.running.evaluating import value_of
from async_kernel.shell.running.runs import AwaitedMagic
from async_kernel.typing import Backend

if TYPE_CHECKING:
    from async_kernel.shell.ipshell import IPShell

__all__ = ["ConcurrencyMagics"]

_LIVE_S = 0.5
"""Seconds between two pictures of %tasks --live: often enough to watch, too seldom to be noticed as load."""


@magics_class
class ConcurrencyMagics(Magics):
    """Tasks, threads, the other async library, deadlines."""

    shell: IPShell[Any]

    @line_cell_magic
    def task(self, line: str, cell: str | None = None) -> Any:
        """Run the cell, or the statement, as a background task: %%task, or %task STATEMENT.

        Returns at once. Its output appears in this cell; ``await`` the handle that it returns for the result. It lives
        until it is done, is cancelled (%cancel) or the kernel ends.
        """
        return start_task(self.shell, _code("task", line, cell))

    @line_cell_magic
    def thread(self, line: str, cell: str | None = None) -> Any:
        """Run the cell, or the statement, in a thread with a loop of its own, and wait: %%thread, or %thread STATEMENT.

        It may block; other cells, widgets and tasks go on meanwhile.
        """
        return self._in_thread("thread", _code("thread", line, cell), self._backend)

    @line_cell_magic
    def trio(self, line: str, cell: str | None = None) -> Any:
        """Run the cell, or the statement, on trio, and wait: %%trio, or %trio STATEMENT."""
        return self._on(Backend.trio, _code("trio", line, cell))

    @line_cell_magic
    def asyncio(self, line: str, cell: str | None = None) -> Any:
        """Run the cell, or the statement, on asyncio, and wait: %%asyncio, or %asyncio STATEMENT."""
        return self._on(Backend.asyncio, _code("asyncio", line, cell))

    @cell_magic
    def deadline(self, line: str, cell: str) -> Any:
        """Give the cell a deadline: %%deadline 5s (seconds, or such as 500ms, 2m), as its first line.

        When it has not ended by then, it is stopped with a TimeoutError, blocking or not.
        """
        try:
            seconds(line, what="the deadline")
        except RequestError as exc:
            raise UsageError(str(exc)) from None
        # The request's deadline was read from this line before the cell began (kernel.run_mode.timeout_of).
        return AwaitedMagic(value_of(self.shell, cell))

    @cell_magic
    def timeout(self, line: str, cell: str) -> Any:
        """Give the cell a deadline: another name of %%deadline."""
        return self.deadline(line, cell)

    @line_magic
    def cancel(self, line: str) -> None:
        """Cancel by id: %cancel ID [ID ...]: cells (their message or cell id), tasks (task-1), subshells.

        %tasks shows the ids.
        """
        ids = line.split()
        if not ids:
            msg = "%cancel wants an id; %tasks shows them."
            raise UsageError(msg)
        answer = self.shell.kernel.cancel_by_id(ids)
        for each in answer["cancelled"]:
            print(f"cancelled {each['kind']} {each['id']} ({each['state']})")
        if answer["unknown"]:
            msg = f"nothing runs here with the id {', '.join(answer['unknown'])}; %tasks shows the ids."
            raise UsageError(msg)

    @line_magic
    def tasks(self, line: str) -> Any:
        """Show what runs: cells, background tasks, threads and subshells, with their ids and where each one waits.

        Options:
          --live   go on updating, until the cell is interrupted or cancelled.
        """
        options = line.split()
        if unknown := [option for option in options if option != "--live"]:
            msg = f"%tasks has no option {unknown[0]!r}; it has --live."
            raise UsageError(msg)
        if not options:
            display(self._tree(), raw=True)
            return None
        request = current_request.get()
        in_notebook = request is not None and "cellId" in request.metadata
        return AwaitedMagic(self._keep_updating() if in_notebook else self._keep_drawing())

    def _tree(self) -> dict[str, str]:
        return bundle(self.shell.kernel.task_tree(stacks=True))

    async def _keep_updating(self) -> None:
        handle = display(self._tree(), raw=True, display_id=True)
        while True:
            await anyio.sleep(_LIVE_S)
            handle.update(self._tree(), raw=True)

    async def _keep_drawing(self) -> None:
        """For consoles, which know no updates of a display: each picture begins where the one before did."""
        drawn = 0
        while True:
            data = self._tree()
            text = data["text/plain"]
            data["text/plain"] = redrawn(text, over=drawn)
            drawn = text.count("\n") + 1
            display(data, raw=True)
            await anyio.sleep(_LIVE_S)
            self.shell.display_pub.clear_output(wait=True)  # for front ends that show HTML, and do not say which cell

    @property
    def _backend(self) -> Backend:
        return Backend(self.shell.kernel.backend)

    def _on(self, backend: Backend, code: str) -> AwaitedMagic:
        if backend == self._backend:
            return AwaitedMagic(value_of(self.shell, code))
        return self._in_thread(backend.value, code, backend)

    def _in_thread(self, name: str, code: str, backend: Backend) -> AwaitedMagic:
        return AwaitedMagic(run_in_thread(self.shell, code, backend=backend, name=f"%{name}"))


def _code(magic: str, line: str, cell: str | None) -> str:
    if cell is None:
        if not line.strip():
            msg = f"%{magic} wants a statement; %%{magic} as the first line runs the whole cell."
            raise UsageError(msg)
        return line
    if line.strip():
        msg = f"%%{magic} takes no arguments: {line.strip()!r}."
        raise UsageError(msg)
    return cell
