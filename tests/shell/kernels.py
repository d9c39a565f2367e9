"""A kernel with the real IPShell and a wire that records, in the running loop."""

from __future__ import annotations

import json
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from traitlets.config import Config, Configurable

from async_kernel.kernel import Kernel
from async_kernel.lifetime.loop_token import current_loop_token
from async_kernel.shell.ipshell import IPShell
from async_kernel.shell.user_io import user_io
from async_kernel.slot import slot
from tests.fakes import RecordingWire, execute, request

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from pathlib import Path

    from async_kernel.protocol.request import Request
    from tests.fakes import Sent


class FakeInterface(Configurable):
    """Owns the slot, and the configuration of the shell."""

    kernel: Any = None
    connection_file = ""


@dataclass
class Ran:
    """What became of a cell."""

    request: Request
    reply: dict[str, Any]
    sent: list[Sent]

    @property
    def status(self) -> str:
        return self.reply["status"]

    def text(self, name: str = "stdout") -> str:
        return "".join(s.content["text"] for s in self.sent if s.kind == "stream" and s.content["name"] == name)

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [sent.content for sent in self.sent if sent.kind == kind]

    @property
    def value(self) -> str | None:
        """The text of its result."""
        results = self.of("execute_result")
        return results[-1]["data"].get("text/plain") if results else None

    @property
    def kinds(self) -> list[str]:
        """Message types between busy and idle."""
        return [sent.kind for sent in self.sent if sent.kind != "status"]


class StrictWire(RecordingWire):
    """Takes only what every JSON encoder takes."""

    def publish(self, msg_type: str, content: Any, **kwargs: Any) -> None:
        super().publish(msg_type, _through_json(content), **kwargs)

    def reply(self, request: Request, content: Any, **kwargs: Any) -> None:
        super().reply(request, _through_json(content), **kwargs)


def _through_json(content: Any) -> Any:
    return json.loads(json.dumps(content, allow_nan=False, ensure_ascii=False).encode())


class Session:
    """A kernel and what a client does with it."""

    def __init__(self, kernel: Kernel[Any], wire: RecordingWire) -> None:
        self.kernel = kernel
        self.shell: Any = kernel.shell
        self.wire = wire

    def begin(self, code: str, **content: Any) -> Request:
        """Submit a cell."""
        cell = execute(code, **content)
        self.kernel.submit(cell)
        return cell

    async def end(self, cell: Request) -> Ran:
        """Wait until a cell is done."""
        sent = await self.wire.idle(cell)
        return Ran(cell, next(one.content for one in sent if one.kind == "execute_reply"), sent)

    async def run(self, code: str, **content: Any) -> Ran:
        """Run a cell."""
        return await self.end(self.begin(code, **content))

    async def value(self, code: str) -> Any:
        """The value of an expression, as the text of its repr."""
        ran = await self.run(code)
        assert ran.status == "ok", "\n".join(ran.reply["traceback"])
        return ran.value

    def interrupt(self, request: Request) -> None:
        """Interrupt a cell that runs, wherever it does."""
        for lane in self.kernel.lanes():
            for cell in list(lane.cells):
                if cell.request is request:
                    self.kernel.interrupts.cut(lane, cell, "interrupt")

    async def printed(self, cell: Request, text: str) -> None:
        """Wait until a cell has written ``text``."""
        while text not in self.wire.text(cell):
            await self.wire._changed.wait()

    async def ask(self, msg_type: str, **content: Any) -> dict[str, Any]:
        """The content of the reply to a request."""
        asked = request(msg_type, **content)
        self.kernel.submit(asked)
        return (await self.wire.reply_to(asked)).content


@asynccontextmanager
async def ip_session(home: Path, *, config: Config | None = None, **shell_options: Any) -> AsyncGenerator[Session]:
    """A session with a kernel whose profile is in ``home``."""
    interface = FakeInterface(config=config or Config())
    slot.take(interface)
    try:
        kernel: Kernel[Any] = Kernel(shell_class=IPShell, stop=lambda: None, backend=current_loop_token().backend)
        interface.kernel = kernel
        wire = StrictWire()
        launched = shell_options.get("launched", True)
        options = {"ipython_dir": str(home / "ipython"), **shell_options}
        error: BaseException | None = None
        with user_io(wire, fallback=kernel.last_parent if launched else None):
            async with kernel.running(wire, **options):
                await kernel.serve()
                try:
                    yield Session(kernel, wire)
                except Exception as exc:  # noqa: BLE001 -- leaves as itself, not as groups of the nurseries here
                    error = exc
        if error is not None:
            raise error
    finally:
        slot.release(interface)
