"""The interface over ZMQ: five sockets in an I/O loop of their own, and a connection file that says where they are.

The I/O loop is opened first and closed last: requests are read, and those about the kernel itself answered, while the
shell still starts; what cells wrote until their end still leaves.
"""

from __future__ import annotations

import importlib
import os
import stat
import sys
import threading
from contextlib import ExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import anyio
import trio
import zmq
from traitlets import Bool, CaselessStrEnum, CFloat

from async_kernel.channels.captured_fds import captured_fds
from async_kernel.channels.io_loop import IOLoop, IOSettings
from async_kernel.channels.reception import Arrivals
from async_kernel.channels.terminal import Terminal
from async_kernel.common import Fixed
from async_kernel.interface import early
from async_kernel.interface.base import BaseInterface, T_shell_co
from async_kernel.interface.connection import ConnectionFileMixin, make_runtime_dir, runtime_dir, says
from async_kernel.interface.process import end_children, leave_threads, signals_handled, watch_parent, watch_signals
from async_kernel.kernel.leftovers import what_will_not_end
from async_kernel.lifetime.late_import import descriptor_kept
from async_kernel.platforms.c_stdout import flush_c_stdout
from async_kernel.platforms.ipc import TRANSPORTS
from async_kernel.platforms.terminals import PIPES_CAN_BE_WAITED_FOR
from async_kernel.shell.user_io import user_io
from async_kernel.transport.codec import Codec
from async_kernel.transport.connection import BindError, CurveError, CurveKeys, Ports, is_loopback
from async_kernel.transport.connection_file import (
    ConnectionFile,
    ConnectionFileError,
    read_connection_file,
    write_connection_file,
)
from async_kernel.transport.plain_session import PlainSession

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Generator

    from anyio.abc import TaskGroup, TaskStatus

    from async_kernel.channels.captured_fds import CapturedFds
    from async_kernel.interface.session import AsyncSession
    from async_kernel.protocol.request import Request
    from async_kernel.protocol.wire import Wire
    from async_kernel.shell.cells.interrupts import SigintCounts
    from async_kernel.typing import Header

__all__ = ["AsyncSession", "ZMQInterface"]


class ZMQInterface(BaseInterface[T_shell_co], ConnectionFileMixin):
    """A kernel that Jupyter clients reach through ZMQ sockets."""

    transport: CaselessStrEnum[Any] = CaselessStrEnum(list(TRANSPORTS), default_value="tcp").tag(config=True)
    "How clients connect: tcp, or ipc (sockets in a folder that only this user can read)."
    stalled_client: CFloat[float, Any] = CFloat(60.0).tag(config=True)
    "Seconds after which a client that takes no output is dropped, instead of holding up the cells that print."
    encrypt: Bool[bool, bool | int] = Bool(False).tag(config=True)
    "Let in only clients that have the CURVE keys, which are made at start if the connection file has none."

    aliases: ClassVar[Any] = {
        **BaseInterface.aliases,
        ("f", "connection_file"): "ZMQInterface.connection_file",
        "host": "ZMQInterface.host",
        "host_options": "ZMQInterface.host_options",
        "backend_options": "ZMQInterface.backend_options",
        "backend": "ZMQInterface.backend",
        "ip": "ZMQInterface.ip",
        "hb": "ZMQInterface.hb_port",
        "shell": "ZMQInterface.shell_port",
        "iopub": "ZMQInterface.iopub_port",
        "stdin": "ZMQInterface.stdin_port",
        "control": "ZMQInterface.control_port",
        "transport": "ZMQInterface.transport",
    }
    flags: ClassVar[Any] = {
        **BaseInterface.flags,
        "encrypt": (
            {"ZMQInterface": {"encrypt": True}},
            "Encrypt what is said with clients (CURVE); the keys are in the connection file.",
        ),
    }

    io: IOLoop
    _early: Arrivals | None = None
    _zmq_context: Fixed[ZMQInterface[Any], zmq.Context[zmq.Socket[bytes]]] = Fixed(
        lambda made: made["owner"]._make_context()  # noqa: SLF001
    )
    """The one context, of all sockets; made when it is first looked at, ended with the interface.

    Sockets that are left open in it are closed then.
    """

    def _make_context(self) -> zmq.Context[zmq.Socket[bytes]]:
        return self._early.context if self._early is not None else zmq.Context()

    def _release(self, failure: BaseException | None = None) -> None:
        context = vars(self).get("_zmq_context")
        if context is not None and not context.closed:  # looked at, and no I/O loop has run that would have ended it
            context.destroy(linger=0)
        super()._release(failure)

    @property
    def summary(self) -> str:
        """What was started and where clients find it, in one line."""
        return f"{super().summary} connection_file={self.connection_file!r}"

    def print_help(self, classes: bool = False) -> None:
        """Print what the command line takes; ``classes`` says every trait of every class too."""
        if classes:
            importlib.import_module("async_kernel.interface.session")  # its options belong there
        super().print_help(classes)

    # -- launching ---------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Run until stopped; blocking. What cannot be opened is a line on stderr and exit code 1."""
        try:
            super().start()
            if threading.current_thread() is threading.main_thread():
                leave_threads(self.closing.threads_s, self.log)
        except BaseExceptionGroup as group:
            startup, rest = group.split((BindError, ConnectionFileError, CurveError))
            if startup is None or rest is not None:
                raise
            self._refuse_to_start(startup.exceptions[0])
        except (BindError, ConnectionFileError, CurveError) as exc:
            self._refuse_to_start(exc)

    def _refuse_to_start(self, exc: BaseException) -> None:
        """One line for the person who started it, and exit code 1."""
        sys.stderr.write(f"{self.name}: {exc}\n")
        self.exit(1)

    # -- life --------------------------------------------------------------------------------------------------

    @asynccontextmanager
    async def carrier(self, channels: TaskGroup) -> AsyncGenerator[Wire]:
        """Open the sockets in an I/O loop, and write where they are; close them last."""
        self._load_connection_file()
        self._kernel_ended = trio.Event()
        ended = anyio.Event()
        with ExitStack() as stack:
            captured = stack.enter_context(self._captured_fds()) if self._launched else None
            settings = self._io_settings()
            self._early = early.take(settings, self.serving_session)
            if self._early is not None and isinstance(self._early.codec.session, PlainSession):
                self._plain = self._early.codec.session  # clients know it by now
            context = self._zmq_context  # that of the early sockets, if there are some
            arrivals, self._early = self._early or Arrivals(Codec(self.serving_session), context), None
            self.io = io = IOLoop(
                settings,
                arrivals.codec,
                self._submit,
                self.log,
                captured=captured,
                current_parent=self._last_parent,
                terminal=self._terminal,
                echo=not self.quiet,
                arrivals=arrivals,
            )
            self.kernel.connect(io, backend=self.backend, barrier=io.barrier, spawn=io.start_soon)
            self.kernel.embedded = not self._launched
            self.kernel.accepts_shutdown = self._launched or self.allow_shutdown
            self.kernel.carrier_drop_counts = lambda: io.drop_counts()._asdict()
            if captured is not None:
                self.kernel.flush_output = flush_c_stdout
            io.greet("status", {"execution_state": "starting"})
            await channels.start(self._run_io, io, ended)
            try:
                self.kernel.ports = io.ports.as_connection_info()
                self._open_process(io, stack)  # first: a signal must not end the process with the file left there
                self._write_connection_file(io, stack)
                self._bound = True
                yield io
            finally:
                with anyio.CancelScope(shield=True):
                    io.token.call_soon(self._kernel_ended.set)
                    self.kernel.closing_replies()
                    if self._launched:
                        end_children(self.closing.children_s, self.log)
                    io.close()
                    await ended.wait()

    async def _run_io(self, io: IOLoop, ended: anyio.Event, *, task_status: TaskStatus[Ports]) -> None:
        """The I/O loop ends when it is closed, after the kernel: the root's cancellation does not reach it before."""
        try:
            with anyio.CancelScope(shield=True):
                await io.run(task_status=task_status)
        finally:
            ended.set()

    # -- where the sockets are -------------------------------------------------------------------------------

    def _load_connection_file(self) -> None:
        """Take addresses and keys from the connection file if there is one already."""
        path = self._connection_path()
        if path is not None and path.exists():
            self.load_connection_info(read_connection_file(path))

    def _connection_path(self) -> Path | None:
        """Where the connection file is, or will be; a bare name that does not exist here is in the runtime folder."""
        if not self.connection_file:
            return None
        path = Path(self.connection_file).expanduser()
        if path.name == self.connection_file and not path.exists():
            path = runtime_dir() / path
        return path.absolute()

    def _write_connection_file(self, io: IOLoop, stack: ExitStack) -> None:
        """Write where we really are, unless the file says so already; it is removed if we made it."""
        path = self._connection_path() or runtime_dir() / f"kernel-{os.getpid()}.json"
        ports = io.ports.as_connection_info()
        for name, port in ports.items():
            setattr(self, name, port)
        self.ip = io.ip
        self.connection_file = str(path)
        info: dict[str, Any] = {**self.get_connection_info(session=False), "kernel_name": self.name}
        if path.exists() and says(read_connection_file(path), info):
            return
        if path.parent == runtime_dir():
            make_runtime_dir(path.parent)
        self._written = write_connection_file(path, info)
        stack.callback(self._remove_connection_file)

    _written: ConnectionFile | None = None

    def _remove_connection_file(self) -> None:
        if self._written is not None:
            self._written.remove()

    def _io_settings(self) -> IOSettings:
        curve = self._curve_keys()
        self._warn_of_open_doors(encrypted=curve is not None)
        return IOSettings(
            transport="ipc" if self.transport == "ipc" else "tcp",
            ip=self._address(),
            ports=Ports(self.hb_port, self.shell_port, self.iopub_port, self.stdin_port, self.control_port),
            curve=curve,
            stalled_client_s=self.stalled_client,
        )

    def _address(self) -> str:
        """What to listen at. For ipc, nobody else may look into the folder of the sockets; empty: a folder is made."""
        if self.transport == "ipc" and self.ip == self._ip_default():
            folder = Path(self.ip).absolute().parent
            if not folder.is_dir() or stat.S_IMODE(folder.stat().st_mode) & 0o077:
                return ""
        return self.ip

    def _curve_keys(self) -> CurveKeys | None:
        """The keys that the connection file or the program gave, or new ones if encryption was asked for."""
        public, secret = self.curve_publickey, self.curve_secretkey
        if bool(public) != bool(secret):
            msg = "half of a CURVE key pair was given; both curve_publickey and curve_secretkey are needed, or none"
            raise ConnectionFileError(msg)
        if public and secret:
            return CurveKeys(public, secret)
        if not self.encrypt:
            return None
        path = self._connection_path()
        if path is not None and path.exists():
            msg = (
                f"encryption was asked for, and the connection file {path} of the program that starts this kernel has "
                "no keys, so that it could not connect; have it make them (KernelManager.transport_encryption)"
            )
            raise ConnectionFileError(msg)
        keys = CurveKeys.new()
        self.curve_publickey, self.curve_secretkey = keys.public, keys.secret
        return keys

    def _warn_of_open_doors(self, *, encrypted: bool) -> None:
        if self.transport == "tcp" and not encrypted and not is_loopback(self.ip):
            self.log.warning(
                "Other machines can read all that is said with this kernel, as it listens at %s without encryption: "
                "use --encrypt, or CURVE keys in the connection file.",
                self.ip or "every address",
            )
        if not self.serving_session.key:
            self.log.warning("Messages are not signed, as the key is empty: whoever reaches a port can run code.")

    # -- requests, signals, the end ----------------------------------------------------------------------------

    def _submit(self, request: Request) -> None:
        self.kernel.submit(request)

    def _open_process(self, io: IOLoop, stack: ExitStack) -> None:
        """Take what a kernel needs of its process, to be given back when the interface closes."""
        if self._launched or self.handle_sigint:
            signals = stack.enter_context(signals_handled(self._on_sigint, stopping=self._launched))
            self.kernel.interrupts_by_signal = threading.current_thread() is threading.main_thread()
            if signals is not None:
                io.start_soon(watch_signals, signals, self.stop, self._turn, self.kernel.interrupts.insist_on_sigint)
        if not self._launched:
            return
        stack.enter_context(descriptor_kept())
        parent = os.environ.get("JPY_PARENT_PID", "")
        if parent.isdigit() and int(parent) > 1:
            io.start_soon(watch_parent, int(parent), self.stop, self.log)

    @contextmanager
    def _captured_fds(self) -> Generator[CapturedFds | None]:
        """Read what is written to descriptors 1 and 2, and let the log go on writing to the terminal itself.

        Where they cannot be read so, what is written to them goes to the terminal; what Python prints is not.
        """
        with ExitStack() as stack:
            fds = stack.enter_context(captured_fds()) if PIPES_CAN_BE_WAITED_FOR else None
            self._terminal = terminal = Terminal((1, 2) if fds is None else fds.originals)
            stack.callback(terminal.close)
            handlers: list[Any] = self.log.handlers
            for handler in handlers:
                if getattr(handler, "stream", None) is sys.stderr:
                    stack.callback(handler.setStream, handler.stream)
                    handler.setStream(terminal.stream(1))
            if not self.quiet:
                self._echo = terminal.stream(0, patient=True), terminal.stream(1, patient=True)
            yield fds

    @contextmanager
    def user_io(self, wire: Wire) -> Generator[None]:
        """Put the user's streams in place; a launched kernel has all output, and echoes it if it is not quiet."""
        if not self._launched:
            with super().user_io(wire):
                yield
            return
        with user_io(wire, fallback=self._last_parent, fds=(1, 2), echo=self._echo):
            yield

    _terminal: Terminal | None = None
    _echo: tuple[Any, Any] | None = None

    def _last_parent(self) -> Header | None:
        return self.kernel.last_parent()

    def _on_sigint(self, frame: Any, counts: SigintCounts) -> None:
        self.kernel.interrupts.on_sigint(frame, counts)

    def _turn(self) -> None:
        """Let the shell's loop turn, so that Python's signal handlers run."""
        if self._token is not None:
            self._token.call_soon(_turn)

    def closing_begins(self) -> None:
        """Read no more requests, cut cells short, and see that they end."""
        if not hasattr(self, "io"):
            return
        self.io.stop_reading()
        self.io.start_soon(self._enforce_grace)
        self.kernel.interrupts.cut_all()

    async def _enforce_grace(self) -> None:
        """In the I/O loop: the kernel gets its grace; then its own process ends, and an embedded one is told on."""
        with trio.move_on_after(self.closing.grace_s):
            await self._kernel_ended.wait()
            return
        if not self._launched:
            self.log.warning(
                "The kernel has not ended within %g s: waiting for user code that does not stop: %s.",
                self.closing.grace_s,
                what_will_not_end(self.kernel),
            )
            return
        self.log.error(
            "User code did not stop within %g s: ending the process in the middle of %s.",
            self.closing.grace_s,
            what_will_not_end(self.kernel),
        )
        self.kernel.closing_replies()
        self.io.last_act = self._end_process
        self.io.close()

    def _end_process(self) -> None:
        """The last resort, when all messages are out: user code keeps a thread that cannot be ended otherwise."""
        self._remove_connection_file()
        end_children(self.closing.children_s, self.log)
        if self._terminal is not None:
            self._terminal.close()
        os._exit(1)


def __getattr__(name: str) -> Any:
    if name == "AsyncSession":  # it imports jupyter_client
        from async_kernel.interface.session import AsyncSession  # noqa: PLC0415

        return AsyncSession
    msg = f"module {__name__!r} has no attribute {name!r}"
    raise AttributeError(msg)


def _turn() -> None:
    """Be Python code: a loop written in C, such as uvloop's, handles signals only while it runs some."""
