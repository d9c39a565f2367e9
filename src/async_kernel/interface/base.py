"""The interface: the root of a kernel's life, and the one place where options come in.

``async with Interface() as interface:`` opens everything inside one cancel scope, the root; :meth:`BaseInterface.stop`
cancels that scope and nothing else does. Leaving the context closes in order: requests are no longer read, cells are
cut short and waited for, what they wrote and the last replies leave, the carrier (sockets) closes.
:meth:`BaseInterface.launch_instance` is the same in a process of its own.

Subclasses say how messages are carried (:meth:`BaseInterface.carrier`) and what is to be run before the first request
(:meth:`BaseInterface.prepare`).
"""

from __future__ import annotations

import sys
from contextlib import ExitStack, asynccontextmanager, contextmanager, nullcontext
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Self, TypeVar

import anyio
from traitlets import Bool, CFloat, TraitType, Type, Unicode, default
from traitlets.config import Application
from traitlets.utils.importstring import import_item

from async_kernel.arguments import without_leftovers
from async_kernel.common import Fixed
from async_kernel.interface import garbage
from async_kernel.interface.callers import InterfaceCallers
from async_kernel.interface.config_files import ReadsConfigFiles
from async_kernel.interface.messages import Publication, extract_header, make_message, make_publication
from async_kernel.interface.options import StrictCommandLine
from async_kernel.interface.own_loop import OwnLoop, StoppedEarlyError
from async_kernel.interface.settings import ClosingSettings
from async_kernel.interface.surroundings import default_backend, make_run_settings, path_restored, set_default_env
from async_kernel.interface.traits import ChoiceEnum, DictValueLiteralEval
from async_kernel.lifetime.caller import Caller
from async_kernel.lifetime.loop_token import current_loop_token
from async_kernel.lifetime.pending import Pending
from async_kernel.slot import HasInterface, configurable_classes, slot
from async_kernel.typing import Backend, Channel, Hosts, NoValue, NoValueType

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Generator, Mapping, Sequence

    from anyio.abc import TaskGroup

    from async_kernel.kernel import Kernel
    from async_kernel.lifetime.loop_token import LoopToken
    from async_kernel.protocol.wire import Wire
    from async_kernel.typing import Content, Header, Message, RunSettings

__all__ = ["BaseInterface", "DictValueLiteralEval", "HasInterface", "extract_header"]

_TRAITLETS_OWN = frozenset({"config", "log", "parent"})
"""Keywords that traitlets' own classes take care of."""

T_shell_co = TypeVar("T_shell_co", covariant=True)


class BaseInterface(OwnLoop, ReadsConfigFiles, StrictCommandLine, anyio.AsyncContextManagerMixin, Generic[T_shell_co]):
    """One kernel and everything that keeps it alive. At most one exists in a process at a time.

    Args:
        argv: the command line. Not given: no arguments; None: ``sys.argv``; a list: that list.
        kernel_class: what serves requests.
        shell_class: what runs code.
        user_ns: the very dict that cells shall use as their namespace.
        **kwargs: traits.

    Raises:
        TraitError: if a trait does not take its value.
        TypeError: if there is no such trait.
        RuntimeError: if the process has an interface already.
    """

    classes = configurable_classes
    name: str | Unicode[str, str | bytes] = Unicode("async").tag(config=True)
    "The name of the kernel, as in its kernelspec."
    host: TraitType[Any, Any] = ChoiceEnum(Hosts, default_value=None, allow_none=True).tag(config=True)
    "The GUI main loop to run as host: tk, qt, or custom with the host option host_class."
    host_options: DictValueLiteralEval = DictValueLiteralEval(allow_none=True).tag(config=True)
    "Options for the host as key=value, e.g. module=PyQt6 or host_class=package.module.Class."
    backend: ChoiceEnum = ChoiceEnum(Backend, default_value=Backend.trio).tag(config=True)
    "The async library that cells run on: trio or asyncio."
    backend_options: DictValueLiteralEval = DictValueLiteralEval(allow_none=True).tag(config=True)
    "Options for the async library as key=value, e.g. use_uvloop=True."
    interface_class: Type[Any, Any] = Type("async_kernel.interface.base.BaseInterface", klass=Application).tag(
        config=True
    )
    "The class of interface to start, by its dotted name; the command starts an IPApp if it is not told otherwise."
    kernel_class: Type[Any, Any] = Type("async_kernel.kernel.Kernel").tag(config=True)
    "The class that serves requests, by its dotted name."
    shell_class: Type[Any, Any] = Type(klass="async_kernel.shell.base.BaseShell").tag(config=True)
    "The class that runs code, by its dotted name; not given: async_kernel.shell.ipshell.IPShell."
    quiet: Bool[bool, bool | int] = Bool(True).tag(config=True)
    "Whether output goes to clients only; --no-quiet writes it to the terminal too."
    launcher: Unicode[str, str | bytes] = Unicode("").tag(config=True)
    "The function that starts the kernel, by its dotted name (read by the command line)."
    grace: CFloat[float, Any] = CFloat(5.0).tag(config=True)
    "Seconds that cells get to end when the kernel stops."
    allow_shutdown: Bool[bool, bool | int] = Bool(True).tag(config=True)
    "Whether a client's shutdown request stops the interface; an embedding program may refuse it."
    handle_sigint: Bool[bool, bool | int] = Bool(False).tag(config=True)
    "Whether an embedded kernel installs its SIGINT handler, so that cells blocked in C code can be interrupted."

    extra_config_file: Any = Unicode("").tag(config=True)
    "A configuration file to read after all others; the command line wins over it, too."
    raise_config_file_errors: Bool[bool, bool | int] = Bool(True)

    aliases: ClassVar[Any] = {
        **Application.aliases,
        ("name", "n"): "BaseInterface.name",
        "config": "BaseInterface.extra_config_file",
        "launcher": "BaseInterface.launcher",
        "timeout": "BaseShell.timeout",
        "kernel_class": "BaseInterface.kernel_class",
        "shell_class": "BaseInterface.shell_class",
        "help_links": "Kernel.help_links",
        "supported_features": "Kernel.supported_features",
        "interface_class": "BaseInterface.interface_class",
    }
    flags: ClassVar[Any] = {
        **Application.flags,
        "quiet": ({"BaseInterface": {"quiet": True}}, "Send output to clients only."),
        "no-quiet": ({"BaseInterface": {"quiet": False}}, "Write output to the terminal too."),
    }

    last_interrupt_frame: Any = None
    _zmq_context: Any = None
    """The context of the sockets; an interface without sockets has none."""
    kernel: Fixed[BaseInterface[Any], Kernel[Any]] = Fixed(lambda made: made["owner"]._make_kernel())  # noqa: SLF001
    """What serves requests; made when it is first looked at."""
    callers: Fixed[BaseInterface[Any], InterfaceCallers] = Fixed(InterfaceCallers)
    """By channel, shell or control: loops that functions can be called in, once the interface is entered."""

    def __init__(
        self,
        argv: Sequence[str] | NoValueType | None = NoValue,
        /,
        *,
        kernel_class: Any = None,
        shell_class: Any = None,
        user_ns: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        # Set here, as IPython exits for a wrong value that it meets itself.
        traits = {name: kwargs.pop(name) for name in self.traits() if name in kwargs and name not in _TRAITLETS_OWN}
        if unknown := sorted(kwargs.keys() - _TRAITLETS_OWN):
            msg = f"{type(self).__name__} has no option {unknown[0]!r}"
            raise TypeError(msg)
        super().__init__(**kwargs)
        for name, value in traits.items():
            setattr(self, name, value)
        if kernel_class:
            self.kernel_class = kernel_class
        if shell_class:
            self.shell_class = shell_class
        self._given_user_ns = user_ns
        self._environ = ExitStack()
        self._root: anyio.CancelScope | None = None
        self._token: LoopToken | None = None
        self._before_started: list[Publication] = []
        self.wire: Wire | None = None
        self.started: Pending[None] = Pending()
        self.stopping: Pending[None] = Pending()
        self.stopped: Pending[None] = Pending()
        self.initialize(argv)

    # -- options ---------------------------------------------------------------------------------------------

    @default("backend")
    def _default_backend(self) -> Backend:
        return default_backend()

    @default("shell_class")
    def _default_shell_class(self) -> Any:
        return import_item("async_kernel.shell.ipshell.IPShell")

    def initialize(self, argv: Sequence[str] | NoValueType | None = NoValue) -> None:
        """Read the options; called once, by ``__init__``."""

        def initialized_already(*_: Any, **__: Any) -> None:
            msg = "Already initialized!"
            raise RuntimeError(msg)

        self.initialize = initialized_already
        set_default_env("MPLBACKEND", "module://matplotlib_inline.backend_inline", self._environ)
        set_default_env("UV_PROJECT_ENVIRONMENT", sys.prefix, self._environ)
        self.configure([] if argv is NoValue else without_leftovers(sys.argv[1:]) if argv is None else list(argv))
        self.interface_class = type(self)

    def configure(self, argv: list[str]) -> None:
        """Read the command line and the configuration files; the command line wins."""
        self.parse_command_line(argv)
        self.load_extra_config(self.load_jupyter_config())

    @property
    def summary(self) -> str:
        """What was started, in one line."""
        return f"name={self.name!r} backend={self.backend.value!r}"

    def _make_kernel(self) -> Kernel[Any]:
        return self.kernel_class(shell_class=self.shell_class, stop=self.stop)

    def _run_settings(self) -> RunSettings:
        return make_run_settings(self.backend, self.backend_options, self.host, self.host_options)

    # -- life ------------------------------------------------------------------------------------------------

    @asynccontextmanager
    async def __asynccontextmanager__(self) -> AsyncGenerator[Self]:
        if self.stopping.done() or self.started.done():
            raise StoppedEarlyError
        self._token = current_loop_token()
        self.backend = Backend(self._token.backend)
        entered = False
        body_error: BaseException | None = None
        failure: BaseException | None = None
        try:
            with anyio.CancelScope() as self._root, self.process_state():
                async with anyio.create_task_group() as channels, self.carrier(channels) as wire:
                    self.wire = wire
                    with self.user_io(wire):
                        async with self.kernel.running(wire, **self.shell_options()):
                            self.callers[Channel.shell] = Caller.current()
                            await self.prepare()
                            await self.kernel.serve()
                            self._started()
                            entered = True
                            try:
                                yield self
                            except Exception as exc:  # noqa: BLE001 -- leaves as itself, below, when all is closed
                                body_error = exc
                            finally:
                                self.stop()
        except BaseExceptionGroup as group:
            failure = group
            if body_error is not None:
                msg = "the body and the interface failed"
                failure = BaseExceptionGroup(msg, [body_error, group])
            elif not entered:
                failure = _single_cause(group)
        except BaseException as exc:
            failure = exc
            raise
        finally:
            if failure is not None:
                self.started.set_exception(failure)  # unless it had started
            self.stop()
            self._release(failure or body_error)
        try:
            if failure is not None:
                raise failure
            if not entered:
                raise StoppedEarlyError
            if body_error is not None:
                raise body_error
        finally:
            del failure, body_error  # no cycle through this frame

    def _started(self) -> None:
        self.log.info("started %s", self.summary)
        garbage.resume()
        self.started.set_result(None)
        wire = self.wire
        for publication in self._before_started:
            if wire is not None:
                publication.send(wire)
        self._before_started.clear()

    def stop(self) -> None:
        """Stop: from any thread, any number of times; returns at once. The context, or ``start``, is then left."""
        if self.stopping.done():
            return
        self.stopping.set_result(None)
        if not self.started.done():
            self.started.cancel("Stopped early")
        if self._token is None:
            self._release()
            return
        self._token.call_soon(self._cancel_root)
        self.closing_begins()  # last: it cuts cells short, and one of them may be the caller

    def _cancel_root(self) -> None:
        if self._root is None:
            return
        if "kernel" in vars(self):  # else it never came so far, and none must be made now: the slot may be free again
            # Before the cancellation of everything reaches cells: what interrupts them would find them cleaning up.
            self.kernel.interrupts.cut_all()
        self._root.cancel()

    def _release(self, failure: BaseException | None = None) -> None:
        self._environ.close()
        slot.release(self)
        if failure is None:
            self.stopped.set_result(None)
        else:
            self.stopped.set_exception(failure)

    # -- what subclasses say -----------------------------------------------------------------------------------

    @asynccontextmanager
    async def carrier(self, channels: TaskGroup) -> AsyncGenerator[Wire]:
        """Open what carries messages, as tasks of ``channels``; leaving lets the last ones out and closes it.

        It must connect :attr:`kernel` first.
        """
        msg = f"{type(self).__name__} does not say how its messages are carried"
        raise NotImplementedError(msg)
        yield  # pragma: no cover

    async def prepare(self) -> None:
        """Run what comes before the first request."""

    def closing_begins(self) -> None:
        """Called once by :meth:`stop`, in its thread: read no more requests, cut cells short."""

    def shell_options(self) -> dict[str, Any]:
        """Arguments for the shell's constructor beside its wire."""
        return {}

    @contextmanager
    def user_io(self, wire: Wire) -> Generator[None]:
        """Put the user's streams in place."""
        from async_kernel.shell.user_io import user_io  # noqa: PLC0415 -- the shell's part

        with user_io(wire, fallback=self.kernel.last_parent if self._launched else None):
            yield

    @contextmanager
    def process_state(self) -> Generator[None]:
        """Whatever of the process is changed while the interface lives, and given back."""
        with path_restored() if not self._launched else nullcontext():
            yield

    @property
    def closing(self) -> ClosingSettings:
        """How long closing may take."""
        return ClosingSettings(grace_s=self.grace)

    # -- messages ----------------------------------------------------------------------------------------------

    def msg(
        self,
        msg_type: str,
        *,
        content: Content | None = None,
        parent: Mapping[str, Any] | None = None,
        header: Header | None = None,
        metadata: dict[str, Any] | None = None,
        channel: Channel = Channel.shell,
    ) -> Message:
        """Make a message; see :func:`~async_kernel.interface.messages.make_message` for the arguments."""
        return make_message(msg_type, content=content, parent=parent, header=header, metadata=metadata, channel=channel)

    def iopub_send(
        self,
        msg_or_type: Mapping[str, Any] | str,
        *,
        content: Content | None = None,
        metadata: dict[str, Any] | None = None,
        parent: Mapping[str, Any] | NoValueType | None = NoValue,
        ident: bytes | None = None,
        buffers: Sequence[bytes] | None = None,
    ) -> None:
        """Send on iopub; before the start it is kept, and sent then (dropped if the interface stops early).

        Args:
            msg_or_type: a message type, or a whole message (then content, metadata, parent and buffers are its own).
            content: empty, if None.
            metadata: empty, if None.
            parent: a message or its header; not given: the request of the context; None: no parent.
            ident: the topic.
            buffers: what travels beside the JSON.
        """
        if self.stopped.done():
            return
        publication = make_publication(
            msg_or_type, content=content, metadata=metadata, parent=parent, ident=ident, buffers=buffers
        )
        if self.wire is not None and self.started.done():
            publication.send(self.wire)
        elif not self.stopping.done():
            self._before_started.append(publication)

    def input_request(self, prompt: str, *, password: bool = False) -> str:
        """Ask the client of the running cell for a line; blocks the calling thread."""
        from async_kernel.shell.user_io import ask  # noqa: PLC0415

        return ask(prompt, password=password)


def _single_cause(exc: BaseException) -> BaseException:
    """What alone is in a group, and in the groups in it; else the exception itself."""
    while isinstance(exc, BaseExceptionGroup) and len(exc.exceptions) == 1:  # pyright: ignore[reportUnknownMemberType, reportUnknownArgumentType]
        exc = exc.exceptions[0]  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
    return exc  # pyright: ignore[reportUnknownVariableType]
