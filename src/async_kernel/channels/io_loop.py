"""The I/O loop: one trio loop in a thread of its own, with all ZMQ sockets, whatever the user's code does.

:meth:`IOLoop.run` is a task of the shell loop (trio or asyncio); in the thread the indentation of :meth:`IOLoop._serve`
is the lifetime diagram. The methods of :class:`~async_kernel.protocol.wire.Wire` and those that end things are for any
thread: they hand work to the task that owns the socket, and wake it.

Closing, in order: nobody reads requests → replies and output leave, for ``flush_s`` at most → the channels' tasks end →
sockets close, ZMQ may go on sending for ``linger_ms`` → the heartbeat ends → the context terminates → socket files are
removed → the thread ends, and so does ``run``. A failing channel cancels the others and leaves ``run`` as an exception.

The log that is given must not write to what this loop reads (descriptors 1 and 2 while they are captured), nor wait for
a terminal (see :mod:`~async_kernel.channels.terminal`).
"""

from __future__ import annotations

import os
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, cast

import anyio
import trio

from async_kernel.channels import forked, iopub
from async_kernel.channels.captured_fds import FdReader
from async_kernel.channels.complaints import Complaints
from async_kernel.channels.drop_counts import DropCounts
from async_kernel.channels.heartbeat import serve_heartbeat
from async_kernel.channels.lookout import Lookout
from async_kernel.channels.opening import Channels, open_channels
from async_kernel.channels.output import Output, OutputQueue
from async_kernel.channels.reception import Arrivals
from async_kernel.channels.settings import IOSettings
from async_kernel.channels.stdin import StdinClosedError
from async_kernel.lifetime.loop_token import LoopToken, current_loop_token
from async_kernel.lifetime.owned_thread import run_in_owned_thread
from async_kernel.transport.connection import BindError, Endpoints, Ports
from async_kernel.typing import Channel

if TYPE_CHECKING:
    import logging
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from anyio.abc import TaskStatus

    from async_kernel.channels.captured_fds import CapturedFds
    from async_kernel.channels.terminal import Terminal
    from async_kernel.protocol.request import Request
    from async_kernel.protocol.wire import InputWaiter
    from async_kernel.transport.codec import Codec
    from async_kernel.typing import Content, Header, StreamName

    Parent = Header | Mapping[str, Any] | None

__all__ = ["DropCounts", "IOLoop", "IOSettings"]


class IOLoop:
    """Carries the kernel's messages over ZMQ; implements :class:`~async_kernel.protocol.wire.Wire`.

    Args:
        submit: called in the I/O thread with each valid shell or control request; must not block. What it raises ends
            the loop.
        captured: descriptors to read (see :mod:`~async_kernel.channels.captured_fds`); whoever captured gives them
            back.
        current_parent: the header that captured text belongs to; called in any thread, with a lock held.
        terminal: where the log goes; served here.
        echo: whether captured text goes to the terminal, too.
        arrivals: what a :class:`~async_kernel.channels.reception.Reception` leaves to this loop.

    Attributes:
        ports: as wished, then as bound.
        ip: as wished, then as bound; what belongs into the connection file.
        token: of the I/O loop, once it runs.
        last_act: called in the I/O thread when all sockets are closed, before tasks of :meth:`start_soon` are
            cancelled; may end a process that cannot end otherwise.
    """

    ports: Ports
    token: LoopToken
    last_act: Callable[[], object] | None = None

    def __init__(
        self,
        settings: IOSettings,
        codec: Codec,
        submit: Callable[[Request], object],
        log: logging.Logger,
        *,
        captured: CapturedFds | None = None,
        current_parent: Callable[[], Parent] = lambda: None,
        terminal: Terminal | None = None,
        echo: bool = False,
        arrivals: Arrivals | None = None,
    ) -> None:
        forked.watch()
        self._forks = forked.forks
        self._settings = settings
        self._codec = codec
        self._submit = submit
        self._arrivals = arrivals
        self._greeting: Output | None = None
        self._log = log
        self._lookout = Lookout()
        self._queue = OutputQueue(settings.iopub_limit_bytes, self._lookout)
        self._terminal = terminal
        echo_to = terminal.write if terminal is not None and echo else None
        self._fds = FdReader(captured, self._queue, current_parent, echo=echo_to) if captured is not None else None
        self._complaints = {channel: Complaints(log, f"{channel} channel") for channel in Channel}
        self._channels: Channels | None = None
        self._tasks: trio.Nursery | None = None
        self._reading = True
        self._closing = False
        self._ended = False
        self._trio_token: trio.lowlevel.TrioToken | None = None
        self._close_asked: trio.Event | None = None
        self.ports = settings.ports
        self.ip: str = settings.ip

    # ---- its life

    async def run(self, *, task_status: TaskStatus[Ports] = anyio.TASK_STATUS_IGNORED) -> None:
        """Carry messages until :meth:`close`. Call it in the shell loop; cancelling it closes in order, too.

        ``started`` gives the ports, once all five sockets are bound.

        Raises:
            PortInUseError: if a port is taken.
            BindError: if a socket cannot be bound for another reason.
            ExceptionGroup: of what channels, or tasks of :meth:`start_soon`, raised.
        """
        shell_loop = current_loop_token()
        bound = anyio.Event()
        failure: Exception | None = None

        async def thread() -> None:
            nonlocal failure
            try:
                await run_in_owned_thread(
                    lambda: trio.run(self._serve, lambda: shell_loop.call_soon(bound.set)),
                    name="async-kernel I/O",
                    cancel=self.close,
                    no_debug=True,
                )
            except Exception as exc:  # noqa: BLE001 -- raised below, without the group of this helper
                failure = _flat(exc)
            finally:
                self._ended = True
                self._queue.close()
                bound.set()

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(thread)
            await bound.wait()
            if self._channels is not None:
                task_status.started(self.ports)
        if failure is not None:
            raise failure

    def close(self) -> None:
        """End the loop in order, which :meth:`run` then waits for. Any thread, idempotent, returns at once."""
        self._closing = True
        self._in_loop(self._ask_to_close)

    def greet(self, msg_type: str, content: Content) -> None:
        """Publish this to the first subscriber, if it comes before anything else is published. Before :meth:`run`."""
        self._greeting = iopub.message(self._codec, msg_type, content, parent=None)

    def stop_reading(self) -> None:
        """Read no request any more; replies, output and stdin go on. Any thread, idempotent."""
        self._reading = False
        if (channels := self._channels) is not None:
            channels.shell.stop_reading()
            channels.control.stop_reading()

    def start_soon(self, fn: Callable[..., Awaitable[object]], *args: object) -> None:
        """Start a task in the I/O nursery: its failure ends the loop; closing cancels it. Any thread.

        Once the loop is closing, nothing is started.
        """
        self._in_loop(self._start, fn, args)

    def barrier(self, fn: Callable[[], object]) -> None:
        """Submit all requests that have arrived on shell by now, then call ``fn`` in the I/O loop. Any thread."""
        if (channels := self._channels) is not None:
            channels.shell.barrier(fn)

    def drop_counts(self) -> DropCounts:
        """What was lost or refused so far. Any thread."""
        channels = self._channels
        losses = channels.iopub.losses if channels else None
        return DropCounts(
            stalled_clients=losses.clients if losses else 0,
            output=self._queue.refused + (losses.unsendable + losses.unsent if losses else 0),
            replies=channels.shell.undeliverable + channels.control.undeliverable if channels else 0,
            bad_messages=sum(complaints.count for complaints in self._complaints.values()),
            stale_input=channels.stdin.stale if channels else 0,
        )

    # ---- Wire

    def publish(
        self,
        msg_type: str,
        content: Content,
        *,
        parent: Parent,
        metadata: Mapping[str, Any] | None = None,
        buffers: Sequence[bytes | bytearray | memoryview] = (),
        topic: bytes | None = None,
    ) -> None:
        """See :meth:`~async_kernel.protocol.wire.Wire.publish`.

        Raises:
            LocalError: if it cannot be serialized.
        """
        if self._forks != forked.forks:
            return
        item = iopub.message(
            self._codec, msg_type, content, parent=parent, metadata=metadata, buffers=buffers, topic=topic
        )
        if self._fds is not None:
            self._fds.catch_up()
        self._queue.put(item)

    def stream(self, name: StreamName, text: str, *, parent: Parent) -> None:
        """See :meth:`~async_kernel.protocol.wire.Wire.stream`. In a forked child it writes to the descriptor."""
        if self._forks != forked.forks:
            _write_as_child(name, text)
            return
        if self._fds is not None:
            self._fds.catch_up()
        self._queue.write(name, text, parent)

    def reply(
        self,
        request: Request,
        content: Content,
        *,
        metadata: Mapping[str, Any] | None = None,
        buffers: Sequence[bytes | bytearray | memoryview] = (),
    ) -> None:
        """See :meth:`~async_kernel.protocol.wire.Wire.reply`.

        Raises:
            LocalError: if it cannot be serialized.
        """
        channels = self._channels
        if channels is None or self._forks != forked.forks:
            return
        channel = channels.control if request.channel == Channel.control else channels.shell
        channel.reply(request, content, metadata=metadata, buffers=buffers)

    def ask_input(self, request: Request, prompt: str, answer: InputWaiter, *, password: bool = False) -> None:
        """See :meth:`~async_kernel.protocol.wire.Wire.ask_input`: asked once all output before it has left.

        ``answer`` fails with :class:`~async_kernel.channels.stdin.StdinClosedError` when the loop ends before.
        """
        channels = self._channels
        if channels is None or self._ended or self._forks != forked.forks:
            answer.set_exception(StdinClosedError("nobody can be asked for input here"))
            return
        question = channels.stdin.question(request, prompt, answer, password=password)
        if self._fds is not None:
            self._fds.catch_up()
        self._queue.put(Output(call=lambda: channels.stdin.ask(question), parent=request.header, awaited=True))
        if self._ended:
            answer.set_exception(StdinClosedError("the kernel is closing"))

    # ---- in the I/O loop

    async def _serve(self, announce: Callable[[], object]) -> None:
        async with trio.open_nursery() as tasks:
            try:
                await self._serve_channels(tasks, announce)
            finally:
                self._closing = True  # also where a channel has failed: nothing is started any more
                # All is closed. Tasks of others may keep this loop from ending, but not the last act.
                if self.last_act is not None:
                    self.last_act()
            tasks.cancel_scope.cancel()

    async def _serve_channels(self, tasks: trio.Nursery, announce: Callable[[], object]) -> None:
        settings, complaints = self._settings, self._complaints
        arrivals = self._arrivals or Arrivals(self._codec)
        self._trio_token = trio.lowlevel.current_trio_token()
        self._close_asked = trio.Event()
        endpoints = Endpoints(settings.transport, settings.ip, settings.curve)
        with ExitStack() as sockets:
            sockets.callback(endpoints.close)
            sockets.callback(arrivals.close)

            channels = open_channels(
                sockets,
                arrivals,
                settings,
                endpoints,
                codec=self._codec,
                output=self._queue,
                submit=self._submit,
                complaints=complaints,
                lookout=self._lookout,
                greeting=self._greeting,
            )
            owned = (channels.shell, channels.control, channels.stdin, channels.iopub)
            async with trio.open_nursery() as helpers:
                there = arrivals.sockets.pop(Channel.heartbeat, None)
                channels.ports[Channel.heartbeat] = await helpers.start(
                    serve_heartbeat, arrivals.context, endpoints, settings.ports.hb, there
                )
                for watcher in channels.watchers:
                    helpers.start_soon(watcher.serve)
                if self._fds is not None:
                    helpers.start_soon(self._fds.serve)
                if self._terminal is not None:
                    helpers.start_soon(self._terminal.serve)
                async with trio.open_nursery() as owners:
                    for channel in owned:
                        owners.start_soon(channel.serve)
                    self.ports, self.ip = Ports(**channels.ports), endpoints.ip
                    self.token = current_loop_token()
                    self._channels, self._tasks = channels, tasks
                    arrivals.pass_on(self.publish, self._submit, complaints)
                    channels.shell.undeliverable += arrivals.undeliverable
                    if not self._reading:
                        self.stop_reading()
                    if self._closing:
                        self._close_asked.set()
                    announce()
                    await self._close_asked.wait()
                    for channel in owned:
                        channel.finish()
                    owners.cancel_scope.deadline = trio.current_time() + settings.flush_s
                if owners.cancel_scope.cancelled_caught:
                    self._log.warning(
                        "closing: not everything was taken within %g s: %s", settings.flush_s, self.drop_counts()
                    )
                for complaint in complaints.values():
                    complaint.close()
                helpers.cancel_scope.cancel()

    def _ask_to_close(self) -> None:
        if self._close_asked is not None:
            self._close_asked.set()

    def _start(self, fn: Callable[..., Awaitable[object]], args: tuple[object, ...]) -> None:
        if self._tasks is not None and not self._closing:
            self._tasks.start_soon(fn, *args)

    def _in_loop(self, fn: Callable[..., object], *args: object) -> None:
        """Call in the I/O loop soon; nowhere, if it does not run."""
        if self._trio_token is not None:
            try:
                self._trio_token.run_sync_soon(fn, *args)
            except trio.RunFinishedError:
                return


def _flat(exc: Exception) -> Exception:
    """One group for failing channels instead of one per nursery; a socket that cannot be bound fails as itself."""
    leaves = _leaves(exc)
    for leaf in leaves:
        if isinstance(leaf, BindError):
            return leaf
    return ExceptionGroup("the I/O loop failed", leaves) if isinstance(exc, ExceptionGroup) else exc


def _leaves(exc: Exception) -> list[Exception]:
    if isinstance(exc, ExceptionGroup):
        members = cast("ExceptionGroup[Exception]", exc).exceptions
        return [leaf for member in members for leaf in _leaves(member)]
    return [exc]


def _write_as_child(name: StreamName, text: str) -> None:
    """Output of a forked process: its descriptors lead to us (or to where the program's lead)."""
    data = text.encode(errors="replace")
    while data:
        data = data[os.write(1 if name == "stdout" else 2, data) :]
