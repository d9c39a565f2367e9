"""``sys.stdout`` and ``sys.stderr`` for user code: text streams that send what is written to the writer's cell.

A write looks up the request of the context it is made in. With none, it goes to the fallback: the original
stream when embedded, the cell that ran last when the process belongs to the kernel.
"""

from __future__ import annotations

import codecs
import io
import os
from typing import TYPE_CHECKING, Any, TextIO

from async_kernel.platforms.forks import at_fork
from async_kernel.protocol.request import current_request, for_nobody

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from async_kernel.protocol.wire import Wire
    from async_kernel.typing import Header, StreamName

__all__ = ["CellStream"]

_forked = False


def _mark_forked() -> None:
    global _forked
    _forked = True


at_fork(after_in_child=_mark_forked)


class CellStream(io.TextIOBase):
    """A text stream whose text goes to the client of the cell that writes it.

    Args:
        name: ``stdout`` or ``stderr``.
        wire: carries the text.
        original: the stream that this one stands in for.
        fallback: the parent header for text written outside every cell; None: such text goes to ``original``.
        fd: what :meth:`fileno` returns, for libraries and child processes that write there.
        echo: where to write everything once more, or None.
    """

    def __init__(
        self,
        name: StreamName,
        wire: Wire,
        original: TextIO | None,
        *,
        fallback: Callable[[], Header | None] | None = None,
        fd: int | None = None,
        echo: TextIO | None = None,
    ) -> None:
        super().__init__()
        self._name: StreamName = name
        self._stream = wire.stream
        self.original = original
        self._fallback = fallback
        self._fd = fd
        self._echo = echo
        self._buffer: _ByteWriter | None = None

    # -- what is written -----------------------------------------------------------------------------------

    def write(self, text: str, /) -> int:
        """Send ``text`` to the cell; returns its length.

        Raises:
            TypeError: if it is not a string.
        """
        if not isinstance(text, str):  # pyright: ignore[reportUnnecessaryIsInstance] -- anything is written by users
            msg = f"write() argument must be str, not {type(text).__name__}"
            raise TypeError(msg)
        if _forked:
            return self._write_in_fork(text)
        request = current_request.get()
        if request is not None:
            self._stream(self._name, text, parent=request.header)
        elif self._fallback is not None:
            self._stream(self._name, text, parent=None if for_nobody.get() else self._fallback())
        elif self.original is not None:
            return self.original.write(text)
        if self._echo is not None:
            self._echo.write(text)
            self._echo.flush()
        return len(text)

    def writelines(self, lines: Iterable[str], /) -> None:
        """Write them one after another, as they are."""
        self.write("".join(lines))

    def _write_in_fork(self, text: str) -> int:
        """In a forked child there is no kernel: the bytes go down the descriptor that the parent reads."""
        if self._fd is not None:
            data = text.encode("utf-8", "backslashreplace")
            while data:
                data = data[os.write(self._fd, data) :]
            return len(text)
        return self.original.write(text) if self.original is not None else len(text)

    def flush(self) -> None:
        """Nothing waits here: the owner of iopub sends at once, or with what follows within milliseconds."""
        if current_request.get() is None and self._fallback is None and self.original is not None:
            self.original.flush()

    @property
    def buffer(self) -> Any:
        """Bytes written here are decoded as UTF-8, also when a character comes in pieces."""
        if current_request.get() is None and self._fallback is None and self.original is not None:
            return self.original.buffer
        if self._buffer is None:
            self._buffer = _ByteWriter(self)
        return self._buffer

    # -- what it is ----------------------------------------------------------------------------------------

    @property
    def name(self) -> str:
        """``<stdout>`` or ``<stderr>``."""
        return f"<{self._name}>"

    @property
    def mode(self) -> str:
        """That of a stream to write to."""
        return "w"

    @property
    def encoding(self) -> str:  # pyright: ignore[reportIncompatibleVariableOverride] -- read-only here
        """What descriptors get; messages have text."""
        return "utf-8"

    @property
    def errors(self) -> str:  # pyright: ignore[reportIncompatibleVariableOverride] -- read-only here
        """What becomes of text that cannot be encoded."""
        return "backslashreplace"

    @property
    def line_buffering(self) -> bool:
        """True: a client sees a line soon after its end."""
        return True

    def fileno(self) -> int:
        """The descriptor that child processes may write to.

        Raises:
            io.UnsupportedOperation: if there is none.
        """
        if self._fd is not None:
            return self._fd
        if self.original is not None:
            return self.original.fileno()
        msg = "fileno"
        raise io.UnsupportedOperation(msg)

    def isatty(self) -> bool:
        """False, but for the program around the kernel, which sees its own stream."""
        if current_request.get() is None and self._fallback is None and self.original is not None:
            return self.original.isatty()
        return False

    def writable(self) -> bool:
        """True."""
        return True

    def readable(self) -> bool:
        """False: ``input()`` asks the client."""
        return False

    def seekable(self) -> bool:
        """False."""
        return False

    def close(self) -> None:
        """Closing it has no effect: other cells still write."""

    def reconfigure(self, **_: object) -> None:
        """Accepted and ignored, as libraries call it on any stdout."""

    def __getattr__(self, name: str) -> Any:
        original = self.__dict__.get("original")
        if original is None or name.startswith("__"):
            msg = f"{type(self).__name__!r} object has no attribute {name!r}"
            raise AttributeError(msg)
        return getattr(original, name)

    def __repr__(self) -> str:
        return f"<CellStream {self._name}>"


class _ByteWriter(io.BufferedIOBase):
    """``sys.stdout.buffer``: decodes and hands on."""

    def __init__(self, text: CellStream) -> None:
        super().__init__()
        self._text = text
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def write(self, data: Any, /) -> int:
        raw = bytes(data)
        text = self._decoder.decode(raw)
        if text:
            self._text.write(text)
        return len(raw)

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._text.fileno()

    def close(self) -> None:
        """As for the text stream."""
