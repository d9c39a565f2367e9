"""What user code and libraries ask about the kernel around them, and what they do to their own output.

Everything here follows the context: in a cell, and in the tasks and threads that it starts, the answers are about that
cell. It costs nothing to import: neither IPython nor zmq nor trio.

>>> from async_kernel import utils
>>> utils.get_tags()  # in a cell: its tags; elsewhere
[]
"""

from __future__ import annotations

import threading
from contextlib import contextmanager
from contextvars import ContextVar
from copy import copy
from typing import TYPE_CHECKING, Any, TypeVar, cast

from async_kernel.common import LAUNCHED_BY_DEBUGPY
from async_kernel.protocol import tags as cell_tags
from async_kernel.protocol.errors import RequestError, error_content
from async_kernel.protocol.request import current_request, for_nobody
from async_kernel.shell.background.names import current_session
from async_kernel.shell.running.runs import current_run
from async_kernel.shell.user_io.diverting import diverted
from async_kernel.slot import slot
from async_kernel.typing import NoValue, NoValueType

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Mapping

    from async_kernel.kernel import Kernel
    from async_kernel.shell.ipshell import IPShell
    from async_kernel.typing import Content, Job, Message

__all__ = [
    "LAUNCHED_BY_DEBUGPY",
    "apply_settings",
    "error_to_content",
    "get_cell_id",
    "get_ipython",
    "get_job",
    "get_kernel",
    "get_metadata",
    "get_parent_message",
    "get_subshell_id",
    "get_tag_value",
    "get_tags",
    "mark_thread_pydev_do_not_trace",
    "redirect_output",
    "redirect_stderr",
    "redirect_stdout",
    "setattr_nested",
    "show_result",
    "show_result_enabled",
    "subshell_context",
]

T = TypeVar("T")
S = TypeVar("S")


# -- the kernel ------------------------------------------------------------------------------------------


def get_kernel() -> Kernel[Any]:
    """The kernel of this process.

    Raises:
        RuntimeError: if there is none.
    """
    kernel = _kernel()
    if kernel is None:
        msg = "There is no kernel in this process, or it has not started yet."
        raise RuntimeError(msg)
    return kernel


def get_ipython() -> IPShell[Any] | None:
    """The IPython shell of the kernel of this process; None if there is no kernel, or its shell is another one."""
    shell = getattr(_kernel(), "shell", None)
    return shell if shell is not None and hasattr(shell, "run_cell") else None


def _kernel() -> Kernel[Any] | None:
    """The kernel, if it has been made; looking at it must not make it."""
    interface = slot.get()
    return None if interface is None else cast("dict[str, Any]", vars(interface)).get("kernel")


# -- the request that is being served --------------------------------------------------------------------


def get_job() -> Job:
    """The request that is being served here: its message, the client's identity and the time of arrival.

    Raises:
        LookupError: if none is: outside a cell.
    """
    request = current_request.get()
    if request is None:
        msg = "No request is being served in this context."
        raise LookupError(msg)
    return request.as_job()


def get_parent_message(job: Job | None = None) -> Message | None:
    """The message of ``job``, or of the request that is being served here; None if there is none."""
    if job is None:
        request = current_request.get()
        if request is None:
            return None
        job = request.as_job()
    return job["msg"]


def get_metadata(job: Job | None = None) -> dict[str, Any]:
    """The metadata of the request's message; empty if there is none."""
    message = get_parent_message(job)
    return message["metadata"] if message is not None else {}


def get_tags(job: Job | None = None) -> list[str]:
    """The tags of the cell; empty outside a cell."""
    return cell_tags.tags_in(get_metadata(job))


def get_tag_value(tag: str, default: T, /, *, tags: Iterable[str] | None = None) -> T:
    """The value of a tag ``name=value`` of the cell, as the type of ``default``; ``default`` if it has no such tag.

    Args:
        tag: its name; ``-`` and ``_`` are the same, and what follows a ``=`` does not count.
        default: its type says what the value is: a string, a number, or a bool (then the bare name is True, and
            ``name=false`` is False).
        tags: to look in; None: those of the cell.

    Raises:
        ValueError: if the value is not of that type.
    """
    return cell_tags.tag_value(get_tags() if tags is None else tags, tag, default)


def get_cell_id(job: Job | None = None) -> str | None:
    """The id that the client gave to the cell, as JupyterLab does; None if it gave none."""
    return get_metadata(job).get("cellId")


def get_subshell_id(job: Job | None = None) -> str | None:
    """The subshell of the context, or that ``job`` is for; None for the main shell, and outside a request."""
    if job is None and (entered := _subshell_id.get()) is not NoValue:
        return entered
    message = get_parent_message(job)
    return message["header"].get("subshell_id") if message is not None else None


@contextmanager
def subshell_context(subshell_id: str | None) -> Generator[None]:
    """While open, ``nursery`` and ``session`` are those of a subshell, and :func:`get_subshell_id` is its id.

    So what is started in that nursery runs in the subshell's thread. This code itself stays where it is.

    Args:
        subshell_id: None is the main shell.

    Raises:
        LookupError: if there is no such subshell, or it has not begun yet.
        RuntimeError: if there is no kernel.
    """
    kernel = get_kernel()
    try:
        lane = kernel.main if subshell_id is None else kernel.subshells.get(subshell_id)
    except RequestError as exc:
        raise LookupError(str(exc)) from None
    if not lane.is_open:
        msg = f"subshell {subshell_id!r} has not begun yet"
        raise LookupError(msg)
    session, entered = current_session.set(lane.session), _subshell_id.set(subshell_id)
    try:
        yield
    finally:
        _subshell_id.reset(entered)
        current_session.reset(session)


_subshell_id: ContextVar[str | NoValueType | None] = ContextVar("async_kernel_subshell_id", default=NoValue)


# -- output ----------------------------------------------------------------------------------------------


@contextmanager
def redirect_output(msg_id: str | None) -> Generator[None]:
    """While open, all output of this context belongs to another request: text, displays, comms.

    Args:
        msg_id: of that request, such as ``get_job()["msg"]["header"]["msg_id"]`` of an earlier cell; None: the output
            belongs to no cell.

    Raises:
        TypeError: if it is neither.
        LookupError: with a ``msg_id``, outside a cell: nobody would know which session that message is of.
    """
    request = current_request.get()
    if not isinstance(msg_id, str | None):  # pyright: ignore[reportUnnecessaryIsInstance] -- user code is not checked
        msg = f"redirect_output wants the msg_id of an earlier cell or None, not {msg_id!r}"
        raise TypeError(msg)
    if msg_id is not None:
        if request is None:
            msg = "Output outside a cell cannot be given to a message."
            raise LookupError(msg)
        request = copy(request)
        request.header = cast("Any", {**request.header, "msg_id": msg_id})
    else:
        request = None
    token, nobody = current_request.set(request), for_nobody.set(request is None)
    try:
        yield
    finally:
        current_request.reset(token)
        for_nobody.reset(nobody)


@contextmanager
def redirect_stdout(stream: S, /) -> Generator[S]:
    """As :func:`contextlib.redirect_stdout`, but only what this context writes goes to ``stream``.

    Tasks that are started while it is open belong to it; other cells, other tasks and threads do not.
    """
    with diverted("stdout", stream):
        yield stream


@contextmanager
def redirect_stderr(stream: S, /) -> Generator[S]:
    """As :func:`redirect_stdout`, for ``sys.stderr``."""
    with diverted("stderr", stream):
        yield stream


def show_result(show: bool = True, /) -> None:
    """Say whether the value of this cell's last expression is shown, whether or not it ends with ``;``.

    Raises:
        LookupError: outside a cell of an IPython shell.
    """
    run = current_run.get()
    if run is None:
        msg = "No cell runs in this context."
        raise LookupError(msg)
    run.shows_result = show


def show_result_enabled() -> bool:
    """Whether the value of this cell's last expression will be shown, as far as :func:`show_result` decides it."""
    run = current_run.get()
    return run is not None and not run.silent and run.shows_result is not False


# -- settings --------------------------------------------------------------------------------------------


def setattr_nested(obj: object, name: str, value: object) -> dict[str, Any]:
    """Set an attribute that exists, of ``obj`` or of something in it.

    Args:
        obj: what has it.
        name: with dots for what is further in: ``kernel.shell.timeout``.
        value: text that is given to a trait is read as on the command line.

    Returns:
        the name, and the value that the attribute has now.

    Raises:
        AttributeError: if there is no such attribute.
        traitlets.TraitError: if a trait does not take the value.
    """
    *path, last = name.split(".")
    for part in path:
        obj = getattr(obj, part)
    before: Any = getattr(obj, last)
    trait: Any = getattr(type(obj), "_traits", {}).get(last)
    if trait is not None and isinstance(value, str) and not isinstance(before, str):
        value = trait.from_string(value)
    setattr(obj, last, value)
    return {name: getattr(obj, last)}


def apply_settings(obj: object, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Set several attributes as :func:`setattr_nested` does, in their order.

    Returns:
        the names, and the values that the attributes have now.

    Raises:
        AttributeError: if there is no such attribute; those before it have been set.
        traitlets.TraitError: if a trait does not take the value.
    """
    applied: dict[str, Any] = {}
    for name, value in settings.items():
        applied |= setattr_nested(obj, name, value)
    return applied


# -- errors and debuggers --------------------------------------------------------------------------------


def error_to_content(exc: BaseException, /) -> Content:
    """An exception as the content of an error reply: ``status``, ``ename``, ``evalue`` and ``traceback`` (lines)."""
    return {"status": "error", **error_content(exc)}


def mark_thread_pydev_do_not_trace(
    thread: threading.Thread | None = None,  # noqa: TID251 -- it makes none
    *,
    remove: bool = False,
) -> None:
    """Have debuggers (pydevd, and so debugpy) pass a thread by.

    Args:
        thread: None is the one that this is called in.
        remove: take the mark away.
    """
    marked: Any = thread if thread is not None else threading.current_thread()
    marked.pydev_do_not_trace = not remove
    marked.is_pydev_daemon_thread = not remove
