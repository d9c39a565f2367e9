"""Comms: the ``comm`` package's manager, made to speak through the kernel's wire.

:func:`comms_installed` puts this kernel's comm class and manager into the ``comm`` package while the kernel lives.
Messages from the front end are served in the shell's loop (lane ``comm``), one after another, beside the cells;
messages to it go out on iopub with the parent header of the request whose context sends them.

What a callback prints belongs to the message that it serves: that is how front ends put it into an Output widget. Its
errors are shown where a person looks: in the cell that made the comm (or registered its target), unless an Output
widget collects what belongs to the message. A callback may be an async function: it becomes a background task. Tasks
and threads that a callback starts belong to that cell altogether: front ends forget a message once it is served.

A comm belongs to the shell whose code has made it or has last sent on it, and its messages are served in that shell's
loop: JupyterLab sends all messages of widgets to a subshell of its own making, but callbacks expect the thread that
their objects live in. As long as only the front end has spoken, its ``subshell_id`` counts. What belonged to a subshell
that is gone belongs to the main shell. (By observation of ipykernel 7.4, which loses the latter, and takes a comm for
its sender's once a callback has answered.)
"""

from __future__ import annotations

import inspect
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from functools import partial
from typing import TYPE_CHECKING, Any

from comm.base_comm import BaseComm, CommManager

from async_kernel.kernel.ipykernels_comms import functions_of_comm, speaks_for_ipykernel
from async_kernel.kernel.widgets import WIDGETS, widgets_supervised
from async_kernel.protocol.fields import field
from async_kernel.protocol.request import current_request
from async_kernel.shell.background.names import current_session

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from async_kernel.kernel.kernel import Kernel
    from async_kernel.kernel.shell_lane import ShellLane
    from async_kernel.protocol.request import Request
    from async_kernel.typing import Content

__all__ = ["comm_close", "comm_info", "comm_msg", "comm_open", "comms_installed"]

_maker: ContextVar[Request | None] = ContextVar("async_kernel_comm_maker", default=None)
"""While a callback of a comm runs: the cell that made the comm, which then has made what the callback makes, too."""


@contextmanager
def comms_installed(kernel: Kernel[Any]) -> Generator[KernelCommManager]:
    """While open, ``comm.create_comm`` makes comms of this kernel; leaving closes those that are still open."""
    manager = KernelCommManager(kernel)

    def create_comm(*args: Any, **kwargs: Any) -> BaseComm:
        return KernelComm(*args, manager=manager, **kwargs)

    def get_comm_manager() -> CommManager:
        return manager

    with functions_of_comm(create_comm=create_comm, get_comm_manager=get_comm_manager):
        try:
            with manager.patches:
                yield manager
        finally:
            for open_comm in list(manager.comms.values()):
                open_comm.close()


def _maker_now() -> Request | None:
    return _maker.get() or current_request.get()


class KernelComm(BaseComm):
    """A comm whose messages leave through the kernel's wire.

    Attributes:
        maker: the cell that has made it, or has registered its target.
        is_ours: whether code of the kernel's side has made it or sent on it.
        shell_id: the subshell of that code; None is the main shell.
    """

    def __init__(self, target_name: str = "comm", *args: Any, manager: KernelCommManager, **kwargs: Any) -> None:
        self._manager = manager
        self.maker: Request | None = _maker_now()
        self.is_ours: bool = False
        self.shell_id: str | None = None
        if target_name == WIDGETS:
            manager.begin_widgets()
        super().__init__(target_name, *args, **kwargs)

    def publish_msg(
        self,
        msg_type: str,
        data: Any = None,
        metadata: Any = None,
        buffers: Any = None,
        **keys: Any,
    ) -> None:
        """Send to the front end, as part of the request whose context this is."""
        self._manager.publish(self, msg_type, data, metadata, buffers, **keys)

    def on_msg(self, callback: Any) -> None:
        """Have ``callback(msg)`` called for each message; None: nothing. It may be an async function."""
        super().on_msg(self._supervised(callback))

    def on_close(self, callback: Any) -> None:
        """Have ``callback(msg)`` called when the front end closes it; None: nothing. It may be an async function."""
        super().on_close(self._supervised(callback))

    def _supervised(self, callback: Any) -> Any:
        if callback is None:
            return None

        def call(msg: Any) -> Any:
            return self._manager.supervise(callback, callback(msg))

        return call


def _note_capture(request: Request, data: dict[str, Any] | None) -> None:
    """Output widgets tell the front end, by their ``msg_id``, whose output it is to put into them."""
    state = (data or {}).get("state", {})
    if "msg_id" in state:
        request.captured = state["msg_id"] == request.msg_id


class KernelCommManager(CommManager):
    """The comms of a kernel: serves what the front end sends, and shows the errors of callbacks.

    Args:
        kernel: whose they are.
    """

    def __init__(self, kernel: Kernel[Any]) -> None:
        super().__init__()
        self.kernel = kernel
        self.patches: ExitStack[bool | None] = ExitStack()
        self._has_widgets = False
        self._target_makers: dict[str, Request | None] = {}

    def register_target(self, target_name: str, f: Any) -> None:
        """Have ``f(comm, msg)`` called when the front end opens a comm of that name; it may be an async function."""
        super().register_target(target_name, f)
        self._target_makers[target_name] = _maker_now()

    def register_comm(self, comm: BaseComm) -> str:
        """A comm is opened; one of a class that is not the kernel's gets what those have."""
        if not isinstance(comm, KernelComm):
            other: Any = comm
            other.maker, other.is_ours, other.shell_id = _maker_now(), False, None
            if speaks_for_ipykernel(comm):
                other.publish_msg = partial(self.publish, comm)
        return super().register_comm(comm)

    def publish(
        self, comm: Any, msg_type: str, data: Any = None, metadata: Any = None, buffers: Any = None, **keys: Any
    ) -> None:
        """Send a message of a comm to the front end, as part of the request whose context this is."""
        request = current_request.get()
        comm.is_ours, comm.shell_id = True, None if request is None else request.shell_id
        if request is not None and comm.target_name == WIDGETS:
            _note_capture(request, data)
        self.kernel.wire.publish(
            msg_type,
            {"data": {} if data is None else data, "comm_id": comm.comm_id, **keys},
            parent=None if request is None else request.header,
            metadata=metadata or {},
            buffers=buffers or (),
            topic=f"comm-{comm.comm_id}".encode(),
        )

    def shell_of(self, request: Request) -> ShellLane:
        """Where a message of a front end is to be served; in the thread that reads requests.

        Raises:
            RequestError: if that is what its header says, and there is no such subshell.
        """
        kernel = self.kernel
        comm_id = request.content.get("comm_id")
        found: Any = self.comms.get(comm_id) if isinstance(comm_id, str) else None
        if found is not None and found.is_ours:
            request.shell_id = found.shell_id if found.shell_id in kernel.subshells else None
        return kernel.main if request.shell_id is None else kernel.subshells.get(request.shell_id)

    def begin_widgets(self) -> None:
        """The first widget is there: let it have callbacks that are async functions."""
        if not self._has_widgets:
            self._has_widgets = True
            self.patches.enter_context(widgets_supervised(self.supervise))

    def supervise(self, callback: Callable[..., object], result: Any) -> Any:
        """What a callback returned; if that is a coroutine, it is run as a background task."""
        if not inspect.iscoroutine(result):
            return result
        session = current_session.get() or self.kernel.main.session

        async def run() -> None:
            await result

        session.nursery.start_callback(run, getattr(callback, "__qualname__", repr(callback)))
        return None

    # -- messages from the front end, with the package's signatures ------------------------------------------------

    def comm_open(self, stream: Any, ident: Any, msg: Any) -> None:
        """Call the target, and close the comm if there is none or if it fails."""
        target_name: str = msg["content"]["target_name"]
        maker = self._target_makers.get(target_name)
        target: Any = self.targets.get(target_name)
        opened = KernelComm(target_name, comm_id=msg["content"]["comm_id"], primary=False, manager=self)
        opened.maker = maker
        self.register_comm(opened)
        if target is None:
            self.kernel.log.warning("A client opened a comm of unknown target %r; it was closed.", target_name)
            opened.close()
        elif not self._call(maker, lambda: self.supervise(target, target(opened, msg))):
            opened.close()

    def comm_msg(self, stream: Any, ident: Any, msg: Any) -> None:
        """Call what was registered with ``on_msg``."""
        found = self._find(msg)
        if found is not None:
            self._call(found.maker, lambda: found.handle_msg(msg))

    def comm_close(self, stream: Any, ident: Any, msg: Any) -> None:
        """Forget the comm, and call what was registered with ``on_close``."""
        found = self._find(msg)
        if found is not None:
            found._closed = True  # noqa: SLF001 -- as the package's own manager does  # pyright: ignore[reportPrivateUsage]
            del self.comms[found.comm_id]
            self._call(found.maker, lambda: found.handle_close(msg))

    def _find(self, msg: Any) -> KernelComm | None:
        comm_id = msg["content"]["comm_id"]
        found: Any = self.comms.get(comm_id)
        if found is None:
            self.kernel.log.warning("A client sent a message for a comm that is not open: %s", comm_id)
        return found

    def _call(self, maker: Request | None, call: Callable[[], object]) -> bool:
        """Call user code for the message that is being served; False if it failed."""
        request = current_request.get()
        if request is not None:
            request.maker = maker
        token = _maker.set(maker)
        try:
            call()
        except Exception as exc:  # noqa: BLE001 -- the user's; shown
            self.kernel.show_error(exc, request)
            return False
        finally:
            _maker.reset(token)
        return True


def _as_message(request: Request) -> dict[str, Any]:
    field(request, "comm_id", str)
    return dict(request.as_job()["msg"])


def comm_open(kernel: Kernel[Any], request: Request) -> None:
    """A front end opens a comm."""
    field(request, "target_name", str)
    kernel.comm_manager.comm_open(None, None, _as_message(request))


def comm_msg(kernel: Kernel[Any], request: Request) -> None:
    """A front end sends on a comm."""
    kernel.comm_manager.comm_msg(None, None, _as_message(request))


def comm_close(kernel: Kernel[Any], request: Request) -> None:
    """A front end closes a comm."""
    kernel.comm_manager.comm_close(None, None, _as_message(request))


def comm_info(kernel: Kernel[Any], request: Request) -> Content:
    """comm_info_request: the open comms, all or those of one target."""
    target = field(request, "target_name", str, default=None)
    comms = {
        comm_id: {"target_name": each.target_name}
        for comm_id, each in list(kernel.comm_manager.comms.items())
        if target is None or each.target_name == target
    }
    return {"status": "ok", "comms": comms}
