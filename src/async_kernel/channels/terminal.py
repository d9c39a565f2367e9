"""The terminal (or file, or pipe) that a kernel was started in: where its log goes, and output that is echoed.

A terminal may be stopped with Ctrl-S, and the reader of a pipe may sleep: then a write blocks, for ever perhaps. That
must not stop the I/O loop, and clients elsewhere have nothing to do with it. So whatever is written here waits in a
queue with a limit, and a task of the I/O loop writes it, as fast as it is taken. When the queue is full, a cell that
prints waits for a second; then what is too much is left out, and a line says so when there is room again.

A terminal is opened once more for this, since making the given descriptor non-blocking would make it so for every
process that has it. Where that cannot be had, nothing is written that the descriptor has no room for. Files always
have room.

Before the I/O loop runs, and after it, what is written waits for it, or is tried once: :meth:`Terminal.close`.
"""

from __future__ import annotations

import io
import os
import select
import threading
from collections import deque
from typing import TYPE_CHECKING, Final

import trio

from async_kernel.lifetime.loop_token import LoopToken, current_loop_token
from async_kernel.platforms.terminals import always_has_room, open_again

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Terminal", "TerminalStream"]

MIB: Final = 1 << 20
SECONDS: Final = 1.0
LIMIT_BYTES: Final = 4 * MIB
"""What may wait for one descriptor: more than a fast cell prints in the time that a slow disk needs for a breath."""
PATIENCE: Final = 1 * SECONDS
"""How long printing waits for a terminal that takes nothing, before it goes on without it."""
_PIECE_BYTES: Final = 512
"""What a pipe takes without blocking once it is writable (``_POSIX_PIPE_BUF``)."""
_BATCH_BYTES: Final = 1 << 16
"""What a non-blocking descriptor is offered at a time."""


class Terminal:
    """Writes to descriptors that may block.

    Args:
        descriptors: where to write, for stdout and stderr; whoever opened them closes them.
    """

    def __init__(self, descriptors: Sequence[int]) -> None:
        self._outlets = [_Outlet(descriptor) for descriptor in descriptors]

    def write(self, index: int, data: bytes, *, patient: bool = False) -> None:
        """Have ``data`` written. Any thread.

        Args:
            index: 0 for stdout, 1 for stderr.
            data: what to write.
            patient: whether to wait a little while too much waits already; not in the I/O loop.
        """
        self._outlets[index].put(data, patient=patient)

    def stream(self, index: int, *, patient: bool = False) -> TerminalStream:
        """A text stream that writes here."""
        return TerminalStream(self, index, patient=patient)

    async def serve(self) -> None:
        """Write what comes, in the I/O loop, until cancelled."""
        async with trio.open_nursery() as nursery:
            for outlet in self._outlets:
                nursery.start_soon(outlet.serve)

    def close(self) -> None:
        """Write what still waits if there is room for it, and let go of what was opened here. Idempotent."""
        for outlet in self._outlets:
            outlet.close()


class _Outlet:
    """One descriptor and what waits for it."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._own = open_again(descriptor)
        self._always_has_room = always_has_room(descriptor)
        self._waiting: deque[bytes] = deque()
        self._size = 0
        self._left_out = 0
        self._stalled = False
        self._changed = threading.Condition()
        self._token: LoopToken | None = None
        self._arrived: trio.Event | None = None
        self._broken = False

    def put(self, data: bytes, *, patient: bool) -> None:
        with self._changed:
            if patient and self._is_full and not (self._stalled or self._broken):
                self._stalled = not self._changed.wait_for(lambda: not self._is_full, PATIENCE)
            if self._broken or self._is_full:
                self._left_out += len(data)
                return
            self._waiting.append(data)
            self._size += len(data)
        if (token := self._token) is not None:
            token.call_soon(self._wake)

    @property
    def _is_full(self) -> bool:
        return self._size >= LIMIT_BYTES

    def _wake(self) -> None:
        if self._arrived is not None:
            self._arrived.set()

    async def serve(self) -> None:
        try:
            while not self._broken:
                self._arrived = trio.Event()
                self._token = current_loop_token()
                while self._waiting and not self._broken:
                    if not self._always_has_room:
                        await trio.lowlevel.wait_writable(self._target)
                    self._write_some()
                    await trio.lowlevel.checkpoint()
                await self._arrived.wait()
        finally:
            self._token = None

    def close(self) -> None:
        while self._waiting and not self._broken and self._has_room():
            if not self._write_some():
                break
        if self._own is not None:
            os.close(self._own)
            self._own = None

    @property
    def _target(self) -> int:
        return self._descriptor if self._own is None else self._own

    def _has_room(self) -> bool:
        return self._always_has_room or bool(select.select([], [self._target], [], 0)[1])

    def _write_some(self) -> bool:
        """Write what is taken at once, where there is room; whether anything was."""
        with self._changed:
            data = self._waiting.popleft()
            size = _PIECE_BYTES if self._own is None and not self._always_has_room else _BATCH_BYTES
            try:
                taken = os.write(self._target, data[:size])
            except BlockingIOError:
                taken = 0
            except OSError:  # the terminal has gone: nobody to tell
                self._broken, taken = True, len(data)
            if rest := data[taken:]:
                self._waiting.appendleft(rest)
            self._size -= taken
            if self._left_out and not self._is_full:
                note = f"\n[{self._left_out} bytes were left out here, as nobody took them]\n".encode()
                self._waiting.append(note)
                self._size += len(note)
                self._left_out = 0
            self._stalled = self._stalled and self._is_full
            self._changed.notify_all()
            return bool(taken)


class TerminalStream(io.TextIOBase):
    """Text for a terminal; never blocks for longer than a moment, and never fails."""

    def __init__(self, terminal: Terminal, index: int, *, patient: bool) -> None:
        super().__init__()
        self._terminal = terminal
        self._index = index
        self._patient = patient

    def write(self, text: str, /) -> int:
        """Have ``text`` written."""
        self._terminal.write(self._index, text.encode("utf-8", "replace"), patient=self._patient)
        return len(text)

    def writable(self) -> bool:
        """True."""
        return True
