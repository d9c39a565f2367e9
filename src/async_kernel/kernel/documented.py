"""Names by which libraries and user code know a kernel: those of the documented interface, and those of ipykernel's.

Each only leads to what there is; nothing of the kernel itself uses them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from async_kernel.kernel.lifecycle import NO_SHUTDOWN
from async_kernel.protocol.errors import RequestError
from async_kernel.protocol.request import current_request
from async_kernel.shell.user_io import ask
from async_kernel.typing import Channel, NoValue

if TYPE_CHECKING:
    from collections.abc import Mapping

    from async_kernel.kernel.interrupts import Interrupts
    from async_kernel.kernel.subshells import Subshells
    from async_kernel.lifetime.caller import Caller
    from async_kernel.shell.base import BaseShell
    from async_kernel.typing import Content

__all__ = ["DocumentedNames"]


class DocumentedNames:
    """What others call; a mixin of the kernel."""

    if TYPE_CHECKING:
        shell: BaseShell[Any]
        subshells: Subshells
        interrupts: Interrupts
        accepts_shutdown: bool
        parent: Any

        def stop(self) -> None: ...  # noqa: D102 -- the kernel's

    @property
    def main_shell(self) -> BaseShell[Any]:
        """The main shell.

        Raises:
            RuntimeError: if the kernel has not started.
        """
        if not hasattr(self, "shell"):
            msg = "The kernel has no shell before it has started."
            raise RuntimeError(msg)
        return self.shell

    @property
    def callers(self) -> Mapping[Channel, Caller]:
        """The callers of the interface."""
        return self.parent.callers

    @property
    def caller(self) -> Caller:
        """The caller of the loop that cells run in."""
        return self.callers[Channel.shell]

    def get_shell(self, subshell_id: Any = NoValue) -> BaseShell[Any]:
        """The shell; it is one object for the main shell and all subshells, which share its namespace.

        Raises:
            RequestError: if there is no subshell of this id.
        """
        if subshell_id is not NoValue and subshell_id is not None and subshell_id not in self.subshells:
            msg = f"there is no subshell {subshell_id!r}"
            raise RequestError(msg)
        return self.main_shell

    def create_subshell(self) -> str:
        """Start a subshell and return its id."""
        return self.subshells.create()

    def do_interrupt(self) -> None:
        """Cut the cell of the main shell short; from any thread."""
        self.interrupts.interrupt()

    def raw_input(self, prompt: str = "") -> str:
        """Ask the client of the running cell for a line, as ``input`` does there."""
        return ask(str(prompt), password=False)

    def getpass(self, prompt: str = "", stream: object = None) -> str:
        """The same for a line that is not shown."""
        return ask(str(prompt), password=True)

    def do_complete(self, code: str, cursor_pos: int | None = None) -> Content:
        """The content of a complete_reply."""
        return self.main_shell.do_complete(code, len(code) if cursor_pos is None else cursor_pos)

    def do_inspect(
        self,
        code: str,
        cursor_pos: int | None = None,
        detail_level: int = 0,
        omit_sections: tuple[str, ...] = (),
    ) -> Content:
        """The content of an inspect_reply."""
        cursor_pos = len(code) if cursor_pos is None else cursor_pos
        return self.main_shell.do_inspect(code, cursor_pos, detail_level, omit_sections)

    def do_is_complete(self, code: str) -> Content:
        """The content of an is_complete_reply."""
        return self.main_shell.is_complete(code)

    def do_history(self, hist_access_type: str, **content: Any) -> Content:
        """The content of a history_reply; arguments are the fields of a history_request."""
        defaults: Content = {
            "raw": True,
            "output": False,
            "session": 0,
            "start": 0,
            "stop": None,
            "n": None,
            "pattern": None,
            "unique": False,
        }
        return self.main_shell.do_history(**(defaults | content | {"hist_access_type": hist_access_type}))

    def get_parent(self, channel: str | None = None) -> Mapping[str, Any]:
        """The message that is being served; outside, in a launched kernel, the last cell's. ipywidgets asks for it."""
        request = current_request.get()
        if request is not None:
            return request.as_job()["msg"]
        shell: Any = self.shell
        header = shell.fallback_parent() if hasattr(shell, "fallback_parent") else None
        return {} if header is None else {"header": header, "parent_header": {}, "metadata": {}, "content": {}}

    def do_shutdown(self, restart: bool) -> Content:
        """End the kernel, after the cell that says so. Notebooks do it to get a new one from who watches the kernel.

        Raises:
            RuntimeError: in a program that does not let its clients stop it.
        """
        if not self.accepts_shutdown:
            raise RuntimeError(NO_SHUTDOWN)
        request = current_request.get()
        if request is not None and request.msg_type == "execute_request" and not request.ended:
            self.shell.exit_now = True
        else:
            self.stop()
        return {"status": "ok", "restart": restart}
