"""The interface for hosts without sockets: messages come in by a function call and go out by one.

Needs neither zmq nor trio: a browser has none. How ``send`` is called: :mod:`async_kernel.interface.callable_wire`.

>>> handlers = await start_kernel_callable_interface(send=send, stopped=stopped)  # doctest: +SKIP
>>> handlers["handle_msg"](json_text, None)  # doctest: +SKIP
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, TypedDict, cast

import anyio
from traitlets import TraitType
from traitlets.utils.importstring import import_item

from async_kernel.event_loop.background import run_in_background
from async_kernel.interface.base import BaseInterface, T_shell_co
from async_kernel.interface.callable_wire import CallableWire, Send
from async_kernel.kernel.info import PROTOCOL_VERSION
from async_kernel.kernel.leftovers import what_will_not_end
from async_kernel.kernelspec import make_argv
from async_kernel.protocol.packing import unpack
from async_kernel.protocol.request import Request
from async_kernel.typing import Channel

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable

    from anyio.abc import TaskGroup

    from async_kernel.protocol.wire import Wire

__all__ = ["CallableInterface", "Handlers", "start_kernel_callable_interface"]

Buffers = list[bytes] | list[bytearray] | None


class Handlers(TypedDict):
    """What the host calls.

    Attributes:
        handle_msg: takes a message as JSON (with its ``channel``: shell or control) and its buffers; returns at once.
        stop: stops the kernel; returns at once.
    """

    handle_msg: Callable[[str, Buffers], None]
    stop: Callable[[], None]


class CallableInterface(BaseInterface[T_shell_co]):
    """A kernel that its host reaches through two functions."""

    host: TraitType[Any, Any] = TraitType(None, allow_none=True)
    "GUI main loops are not supported here."

    _send: Send | None = None

    async def start_async(
        self,
        *,
        send: Send,
        stopped: Callable[[], object],
    ) -> Handlers:
        """Start the kernel as a task of the running loop and return when it serves.

        Args:
            send: called with (JSON, buffers or None, requires_reply); must return the JSON of an ``input_reply`` at
                once when ``requires_reply`` is true.
            stopped: called once, when the kernel has stopped for whatever reason.

        Raises:
            BaseException: whatever kept the kernel from starting.
        """
        self._send = send
        run_in_background(partial(self.run, stopped=stopped), self._run_failed, name="kernel")
        await self.started
        return {"handle_msg": self.handle_msg, "stop": self.stop}

    def _run_failed(self, exc: BaseException) -> None:
        """Whoever waits for ``started`` or ``stopped`` learns why it will not come, if it has not been told."""
        self.started.set_exception(exc)
        self.stopped.set_exception(exc)

    @asynccontextmanager
    async def carrier(self, channels: TaskGroup) -> AsyncGenerator[Wire]:
        """Hand messages to ``send``; leaving lets the last ones out."""
        if self._send is None:
            msg = "a CallableInterface is started by start_async(send=..., stopped=...)"
            raise RuntimeError(msg)
        wire = CallableWire(self._send, PROTOCOL_VERSION)
        self.kernel.connect(wire, backend=self.backend)
        wire.publish("status", {"execution_state": "starting"}, parent=None)
        ended = anyio.Event()
        channels.start_soon(self._tell_when_late, ended)
        try:
            yield wire
        finally:
            ended.set()
            self.kernel.closing_replies()
            wire.flush()

    async def _tell_when_late(self, ended: anyio.Event) -> None:
        """Say once what keeps the kernel from ending; it is waited for, since the loop is its host's."""
        try:
            await ended.wait()
        finally:
            with anyio.move_on_after(self.closing.grace_s, shield=True) as patience:
                await ended.wait()
            if patience.cancelled_caught:
                waiting = "The kernel has not ended within %g s: waiting for user code that does not stop: %s."
                self.log.warning(waiting, self.closing.grace_s, what_will_not_end(self.kernel))

    def closing_begins(self) -> None:
        """Read no more requests, cut cells short."""
        self.kernel.interrupts.cut_all()

    def handle_msg(self, msg_json: str, buffers: Buffers = None) -> None:
        """Take a message from the host; returns at once.

        Raises:
            KeyError: if it has no ``channel``, no ``header``, or that has no ``msg_id`` or ``msg_type``.
            ValueError: if it is no message otherwise: no JSON object, a part of it of the wrong type, or its
                ``channel`` neither shell nor control.
        """
        message = _object(unpack(msg_json), "a message")
        channel = Channel(message["channel"])
        if channel not in (Channel.shell, Channel.control):
            msg = f"messages arrive on the channels shell and control, not {channel}"
            raise ValueError(msg)
        header: Any = _object(message["header"], "the header of a message")
        for name in ("msg_id", "msg_type"):
            if not isinstance(header[name], str):
                msg = f"the {name} of a message must be a string, not {header[name]!r}"
                raise ValueError(msg)  # noqa: TRY004 -- as everything else that is wrong with a message
        request = Request(
            channel=channel,
            header=header,
            parent_header=_object(message.get("parent_header") or {}, "the parent_header of a message"),
            metadata=_object(message.get("metadata") or {}, "the metadata of a message"),
            content=_object(message.get("content") or {}, "the content of a message"),
            buffers=[bytes(buffer) for buffer in buffers or ()],
        )
        self.kernel.submit(request)


def _object(value: object, what: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        msg = f"{what} must be a JSON object, not {type(value).__name__}"
        raise ValueError(msg)  # noqa: TRY004 -- the text that was handed in is wrong
    return cast("dict[str, Any]", value)


async def start_kernel_callable_interface(
    *,
    send: Send,
    stopped: Callable[[], object],
    settings: dict[str, Any] | None = None,
) -> Handlers:
    """Start a kernel that is reached through ``send`` and the returned handlers.

    Args:
        send: see :meth:`CallableInterface.start_async`.
        stopped: called once, when the kernel has stopped.
        settings: options: ``interface_class`` chooses the class, ``flags`` is a list, everything else is an option of
            the command line by its alias or its dotted name.
    """
    settings = dict(settings or {})
    cls = settings.pop("interface_class", None) or CallableInterface
    if isinstance(cls, str):
        cls = import_item(cls)
    argv = make_argv(command=(), connection_file="", **settings)[1:]
    app = cls(argv)
    return await app.start_async(send=send, stopped=stopped)
