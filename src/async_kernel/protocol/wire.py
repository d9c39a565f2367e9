"""The port between the kernel and whoever carries its messages.

``channels`` (sockets) and ``interface.callable`` (two functions) provide it; ``kernel`` and ``shell`` use
it and know nothing else of the outside. All methods may be called from any thread.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from async_kernel.protocol.request import Request
    from async_kernel.typing import Content, Header, StreamName

__all__ = ["InputWaiter", "Wire"]


class InputWaiter(Protocol):
    """The answer to one ``input_request``; completed once, from the side that owns stdin.

    ``async_kernel.lifetime.pending.Pending`` is one.
    """

    def set_result(self, value: str, /) -> object:
        """Complete it with the text that the user gave."""

    def set_exception(self, exc: BaseException, /) -> object:
        """Complete it with why there is no answer."""

    def done(self) -> bool:
        """Whether it is complete."""
        ...

    def add_done_callback(self, fn: Callable[[Any], object], /) -> object:
        """Call ``fn`` with this once it is complete; at once if it is."""


class Wire(Protocol):
    """What the kernel may do to the outside world."""

    def publish(
        self,
        msg_type: str,
        content: Content,
        *,
        parent: Header | Mapping[str, Any] | None,
        metadata: Mapping[str, Any] | None = None,
        buffers: Sequence[bytes | bytearray | memoryview] = (),
        topic: bytes | None = None,
    ) -> None:
        """Send on iopub, after all that was published or streamed before. May block for back-pressure.

        Content is serialized before this returns: the caller may change it afterwards.
        """
        ...

    def stream(self, name: StreamName, text: str, *, parent: Header | Mapping[str, Any] | None) -> None:
        """Write text to a stream; coalesced with its neighbours. May block for back-pressure."""
        ...

    def reply(
        self,
        request: Request,
        content: Content,
        *,
        metadata: Mapping[str, Any] | None = None,
        buffers: Sequence[bytes | bytearray | memoryview] = (),
    ) -> None:
        """Answer a request on the channel where it came in."""
        ...

    def ask_input(self, request: Request, prompt: str, answer: InputWaiter, *, password: bool = False) -> None:
        """Ask the client of ``request`` for a line; ``answer`` receives it.

        If ``answer`` is completed by somebody else (an interrupt), the question is withdrawn: a late
        reply is dropped.
        """
        ...
