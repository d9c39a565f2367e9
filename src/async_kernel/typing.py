"""The vocabulary of the kernel: channels, message types, backends and the shapes of messages.

Pure data, importable everywhere: no zmq, no anyio, no trio, no IPython. The names follow the Jupyter
messaging protocol (https://jupyter-client.readthedocs.io/en/stable/messaging.html).
"""

from __future__ import annotations

import ast
import enum
import shlex
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, NotRequired, TypedDict

if TYPE_CHECKING:
    import logging

__all__ = [
    "Backend",
    "CallerCreateOptions",
    "Channel",
    "Content",
    "DebugMessage",
    "ExecuteContent",
    "HandlerType",
    "Header",
    "Hosts",
    "Job",
    "Message",
    "MsgHeader",
    "MsgType",
    "NoValue",
    "RunMode",
    "RunSettings",
    "StreamName",
    "Tags",
]


class _NoValue(enum.Enum):
    NoValue = "<no value>"

    def __repr__(self) -> str:
        return "NoValue"


NoValue: Literal[_NoValue.NoValue] = _NoValue.NoValue
"""Stands for "not given" where None has a meaning of its own."""

NoValueType = Literal[_NoValue.NoValue]


class Backend(enum.StrEnum):
    """The async libraries that user code can run on."""

    asyncio = "asyncio"
    trio = "trio"


class Hosts(enum.StrEnum):
    """The GUI main loops that can host the async library; custom: a class of the user's own."""

    tk = "tk"
    qt = "qt"
    custom = "custom"

    @classmethod
    def from_gui(cls, gui: str | None) -> Hosts | None:
        """The host for what matplotlib or IPython call a GUI (``tk``, ``qt``, ``qt6``…), None if there is none."""
        if gui is None:
            return None
        return {"tk": cls.tk, "qt": cls.qt, "qt5": cls.qt, "qt6": cls.qt}.get(gui.lower().removesuffix("agg"))


class RunMode(enum.StrEnum):
    """How a cell asks to be run; as text it is the first line of such a cell (``# task``).

    Equal to its name, to that line, and to its repr.
    """

    queue = "queue"
    task = "task"
    thread = "thread"

    def __str__(self) -> str:
        return f"# {self.value}"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, str) and str.__str__(other) in (self.value, str(self), repr(self))

    def __ne__(self, other: object) -> bool:  # str has one of its own
        return not self == other

    __hash__ = str.__hash__

    @classmethod
    def to_runmode(cls, value: object, default: Any = None) -> Any:
        """What a text asks for: ``# task``, ``thread``, ``# thread name=worker backend=asyncio``.

        Returns:
            a mode; the :class:`CallerCreateOptions` of a thread that has some; ``default``, if it asks for nothing.

        Raises:
            ValueError: if it asks for options that do not exist, or has no ``name`` among them.
        """
        if not isinstance(value, str):
            return default
        line = str.__str__(value) if isinstance(value, cls) else value.split("\n", 1)[0].strip()
        for mode in cls:
            if mode == line:
                return mode
        word, _, rest = line.lstrip("# ").partition(" ")
        if word != cls.thread.value or "=" not in rest:
            return default
        return cls.line_to_options(rest)

    @staticmethod
    def line_to_options(line: str) -> CallerCreateOptions:
        """Read ``name=worker backend=asyncio``: the options of a thread, by the rules of a POSIX shell.

        Raises:
            ValueError: if there is no such option, its value is none, or there is no ``name`` among them.
        """
        options: dict[str, Any] = {}
        for word in shlex.split(line):
            name, equals, text = word.partition("=")
            if not equals or name not in _THREAD_OPTIONS:
                msg = f"{word!r} is no option of a thread; it can have {', '.join(f'{n}=' for n in _THREAD_OPTIONS)}"
                raise ValueError(msg)
            options[name] = _THREAD_OPTIONS[name](text)
        if options and not options.get("name"):
            msg = f"{line!r} has options but no name="
            raise ValueError(msg)
        return options  # pyright: ignore[reportReturnType] -- checked above


class Tags(enum.StrEnum):
    """Tags of a cell that the kernel acts on; those that end in ``=`` have a value.

    Equal to a tag of that name, whatever its value and whether it is written with ``-`` or ``_``.
    :func:`async_kernel.utils.get_tag_value` finds the value.
    """

    raises_exception = "raises-exception"
    "The cell is expected to fail: others that wait are not aborted."
    stop_on_error = "stop-on-error="
    "Whether a failure of the cell aborts others that wait: ``true`` or ``false``."
    timeout = "timeout="
    "The time that the cell may take, in seconds."

    def __eq__(self, other: object) -> bool:
        return isinstance(other, str) and _tag_name(str.__str__(other)) == _tag_name(self.value)

    def __ne__(self, other: object) -> bool:  # str has one of its own
        return not self == other

    __hash__ = str.__hash__

    @staticmethod
    def get_string(tag: str, default: str = "") -> str:
        """The value of a tag ``name=value``; ``default`` if it has none."""
        return str.__str__(tag).partition("=")[2].strip() or default

    @staticmethod
    def get_bool(tag: str, default: bool = True) -> bool:
        """The value of a tag ``name=value`` as a bool; ``default`` if it has none.

        Raises:
            ValueError: if the value is no bool.
        """
        text = Tags.get_string(tag).lower()
        if text and text not in _BOOLS:
            msg = f"The tag {str.__str__(tag)!r} must have the value true or false."
            raise ValueError(msg)
        return _BOOLS.get(text, default)

    @staticmethod
    def get_float(tag: str, default: float = 0.0) -> float:
        """The value of a tag ``name=value`` as a number; ``default`` if it has none.

        Raises:
            ValueError: if the value is no number.
        """
        text = Tags.get_string(tag)
        try:
            return float(text) if text else default
        except ValueError:
            msg = f"The tag {str.__str__(tag)!r} must have a number as its value."
            raise ValueError(msg) from None


_BOOLS = {"1": True, "true": True, "yes": True, "on": True, "0": False, "false": False, "no": False, "off": False}


def _tag_name(tag: str) -> str:
    return tag.partition("=")[0].strip().replace("_", "-").lower()


class Channel(enum.StrEnum):
    """The five sockets of a kernel, by the names that clients know."""

    heartbeat = "hb"
    shell = "shell"
    stdin = "stdin"
    control = "control"
    iopub = "iopub"


class MsgType(enum.StrEnum):
    """Every request that the kernel answers."""

    kernel_info_request = "kernel_info_request"
    comm_info_request = "comm_info_request"
    connect_request = "connect_request"
    usage_request = "usage_request"
    execute_request = "execute_request"
    complete_request = "complete_request"
    is_complete_request = "is_complete_request"
    inspect_request = "inspect_request"
    history_request = "history_request"
    comm_open = "comm_open"
    comm_msg = "comm_msg"
    comm_close = "comm_close"
    interrupt_request = "interrupt_request"
    shutdown_request = "shutdown_request"
    cancel_request = "cancel_request"
    task_tree_request = "task_tree_request"
    drop_counts_request = "drop_counts_request"
    debug_request = "debug_request"
    create_subshell_request = "create_subshell_request"
    delete_subshell_request = "delete_subshell_request"
    list_subshell_request = "list_subshell_request"


Content = dict[str, Any]
"""The content of a message; a reply's may carry ``buffers`` beside its JSON."""

DebugMessage = dict[str, Any]
"""A message of the Debug Adapter Protocol, as debug_request and debug_reply carry it."""

StreamName = Literal["stdout", "stderr"]


class Header(TypedDict):
    """A message header (messaging protocol 5.5)."""

    msg_id: str
    session: str
    username: str
    date: Any
    msg_type: str
    version: str
    subshell_id: NotRequired[str | None]


MsgHeader = Header


class Message(TypedDict):
    """A whole message as the kernel and its clients see it; buffers are bytes-like."""

    channel: Channel
    header: Header
    parent_header: Header | dict[str, Any]
    metadata: dict[str, Any]
    content: Content
    buffers: list[bytes | bytearray | memoryview]


class Job(TypedDict):
    """A request being served, as ``utils.get_job`` hands it to user code.

    ``received_time`` is in seconds of :func:`time.monotonic`; ``ident`` is the routing prefix of the client.
    """

    msg: Message
    ident: bytes | list[bytes]
    received_time: float


HandlerType = Callable[[Job], Awaitable[Content | None]]
"""What serves a request: the content of its reply, or None for no reply."""


class ExecuteContent(TypedDict):
    """The content of an execute_request."""

    code: str
    silent: NotRequired[bool]
    store_history: NotRequired[bool]
    user_expressions: NotRequired[dict[str, str]]
    allow_stdin: NotRequired[bool]
    stop_on_error: NotRequired[bool]


class RunSettings(NamedTuple):
    """How to run a loop: the async library and its options; the GUI main loop that hosts it and its options."""

    backend: Backend = Backend.trio
    backend_options: dict[str, Any] | None = None
    host: str | None = None
    host_options: dict[str, Any] | None = None


class CallerCreateOptions(TypedDict, total=False):
    """Options of a new :class:`~async_kernel.lifetime.caller.Caller`.

    Attributes:
        name: for people, for its thread, and to find it again among its parent's children.
        backend: the async library of a child's loop; not given: that of its parent.
        backend_options: for the child's loop, as for :func:`anyio.run`.
        protected: it stops only by force, or with its parent.
        log: where errors go that nobody waits for.
        no_debug: mark the child's thread so that debuggers pass it by.
    """

    name: str
    backend: Backend | Literal["asyncio", "trio"]
    backend_options: dict[str, Any] | None
    protected: bool
    log: logging.Logger
    no_debug: bool


def _literal_bool(text: str) -> bool:
    value = ast.literal_eval(text)
    if not isinstance(value, bool):
        msg = f"{text!r} must be True or False"
        raise ValueError(msg)  # noqa: TRY004 -- the text is wrong
    return value


_THREAD_OPTIONS: dict[str, Any] = {
    "name": str,
    "backend": Backend,
    "backend_options": ast.literal_eval,
    "protected": _literal_bool,
    "no_debug": _literal_bool,
}
"""The options that a line can have, and how their values are read."""
