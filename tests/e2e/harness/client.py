"""A client that keeps all it receives.

It is jupyter_client's blocking client, with one loop over its sockets: every message of every channel is kept in the
order of arrival, and found again by the request that caused it. Whatever a test waits for has a deadline, and its
failure says what came.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

import zmq
from jupyter_client.blocking.client import BlockingKernelClient

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

T = TypeVar("T")

SECONDS = 1.0
PATIENCE = 60 * SECONDS
"""Until a message is taken for lost: never on a machine that is merely loaded."""


def wait_for(condition: Callable[[], T], what: str, *, timeout: float = PATIENCE) -> T:
    """Wait until something outside of our processes' reach is true, such as a file; its true value.

    Raises:
        AssertionError: when the time is over.
    """
    deadline = time.monotonic() + timeout
    while not (value := condition()):
        assert time.monotonic() < deadline, f"waited {timeout} s for {what}"
        time.sleep(0.01)
    return value


@dataclass(frozen=True)
class Received:
    """A message and the channel where it came in."""

    channel: str
    msg: dict[str, Any]

    @property
    def kind(self) -> str:
        """Its type; of a status the state."""
        return self.msg["content"]["execution_state"] if self.msg["msg_type"] == "status" else self.msg["msg_type"]

    @property
    def parent_id(self) -> str | None:
        return self.msg["parent_header"].get("msg_id")


@dataclass
class Result:
    """What came of one request, until it was idle."""

    msg_id: str
    received: list[Received] = field(default_factory=list)

    @property
    def iopub(self) -> list[dict[str, Any]]:
        return [r.msg for r in self.received if r.channel == "iopub"]

    @property
    def kinds(self) -> list[str]:
        """The iopub messages in order, as words; neighbouring stream messages of one name count once."""
        kinds: list[str] = []
        for r in self.received:
            if r.channel != "iopub":
                continue
            kind = r.msg["content"]["name"] if r.kind == "stream" else r.kind
            if not (r.kind == "stream" and kinds and kinds[-1] == kind):
                kinds.append(kind)
        return kinds

    @property
    def replies(self) -> list[dict[str, Any]]:
        return [r.msg for r in self.received if r.channel in ("shell", "control")]

    @property
    def reply(self) -> dict[str, Any]:
        """The content of the only reply."""
        (reply,) = self.replies
        return reply["content"]

    @property
    def status(self) -> str:
        return self.reply["status"]

    def of(self, msg_type: str) -> list[dict[str, Any]]:
        """The contents of all iopub messages of a type."""
        return [msg["content"] for msg in self.iopub if msg["msg_type"] == msg_type]

    def stream(self, name: str = "stdout") -> str:
        return "".join(content["text"] for content in self.of("stream") if content["name"] == name)

    @property
    def stdout(self) -> str:
        return self.stream("stdout")

    @property
    def stderr(self) -> str:
        return self.stream("stderr")

    @property
    def text(self) -> str | None:
        """The result's plain text."""
        results = self.of("execute_result")
        return results[0]["data"]["text/plain"] if results else None

    @property
    def error(self) -> tuple[str, str] | None:
        """Name and value of the error that was shown."""
        errors = self.of("error")
        return (errors[0]["ename"], errors[0]["evalue"]) if errors else None

    @property
    def done(self) -> bool:
        return "idle" in self.kinds and bool(self.replies)


class Client:
    """A client of a running kernel; see the module.

    Args:
        explain: what to add to the message of a failure.
    """

    def __init__(self, connection_file: Path, *, explain: Callable[[], str] = str) -> None:
        self.kc = BlockingKernelClient(connection_file=str(connection_file))
        self.kc.load_connection_file()
        self.kc.start_channels(hb=False)
        self.received: list[Received] = []
        self._explain = explain
        self._channels = {
            self.kc.iopub_channel.socket: "iopub",
            self.kc.shell_channel.socket: "shell",
            self.kc.control_channel.socket: "control",
            self.kc.stdin_channel.socket: "stdin",
        }
        self._poller = zmq.Poller()
        for socket in self._channels:
            self._poller.register(socket, zmq.POLLIN)
        self._open = True

    def close(self) -> None:
        if self._open:
            self._open = False
            self.kc.stop_channels()

    # -- receiving -------------------------------------------------------------------------------------------------

    def _receive(self, wait_ms: int) -> bool:
        """Keep what has arrived, all of iopub before anything else; False if nothing came within the time."""
        ready = dict(self._poller.poll(wait_ms))
        for socket, channel in self._channels.items():
            if socket not in ready:
                continue
            while socket.poll(0):
                _, msg = self.kc.session.recv(socket, mode=zmq.NOBLOCK)
                assert msg is not None
                self.received.append(Received(channel, msg))
        return bool(ready)

    def until(self, find: Callable[[], T], what: str, *, timeout: float = PATIENCE) -> T:
        """Receive until ``find`` returns something true.

        Raises:
            AssertionError: when the time is over; says what came instead.
        """
        deadline = time.monotonic() + timeout
        while not (found := find()):
            left = deadline - time.monotonic()
            if left <= 0:
                came = [(r.channel, r.kind, (r.parent_id or "")[-8:]) for r in self.received[-30:]]
                raise AssertionError(f"waited {timeout} s for {what}; came last: {came}\n{self._explain()}")
            self._receive(int(min(left, 1.0) * 1000))
        return found

    def nothing_more(self) -> None:
        """Everything that the kernel has sent us up to now has been received: one more request went through."""
        self.result(self.send("kernel_info_request"))

    def ready(self) -> None:
        """The kernel answers us and our subscription works."""
        for _ in range(60):
            msg_id = self.send("kernel_info_request")
            deadline = time.monotonic() + 1
            while time.monotonic() < deadline:
                self._receive(100)
                if self._result(msg_id).done:
                    return
        raise AssertionError(f"the kernel does not answer\n{self._explain()}")

    def warm_up(self) -> None:
        """Have the completer warmed up, which would otherwise happen a while after the first cell."""
        self.request("comm_info_request")
        self.request("complete_request", {"code": "pri", "cursor_pos": 3})  # behind it

    def _result(self, msg_id: str) -> Result:
        return Result(msg_id, [r for r in self.received if r.parent_id == msg_id])

    def so_far(self, msg_id: str) -> Result:
        """What has come of a request that may not be done."""
        while self._receive(0):
            pass
        return self._result(msg_id)

    def result(self, msg_id: str, *, timeout: float = PATIENCE) -> Result:
        """Wait for the reply and idle."""

        def done() -> Result | None:
            result = self._result(msg_id)
            return result if result.done else None

        return self.until(done, f"reply and idle of {msg_id[-8:]}", timeout=timeout)

    def idle(self, msg_id: str, *, timeout: float = PATIENCE) -> Result:
        """Wait for idle only: for what has no reply."""
        self.until(lambda: "idle" in self._result(msg_id).kinds, f"idle of {msg_id[-8:]}", timeout=timeout)
        return self._result(msg_id)

    def printed(self, msg_id: str, text: str, *, timeout: float = PATIENCE) -> None:
        """Wait until a running cell has printed this."""
        self.until(lambda: text in self._result(msg_id).stdout, f"{text!r} printed by {msg_id[-8:]}", timeout=timeout)

    # -- sending ---------------------------------------------------------------------------------------------------

    def send(
        self,
        msg_type: str,
        content: dict[str, Any] | None = None,
        *,
        channel: str = "shell",
        metadata: dict[str, Any] | None = None,
        **header: Any,
    ) -> str:
        """Send any request; its msg_id."""
        msg = self.kc.session.msg(msg_type, content or {}, metadata=metadata)
        msg["header"].update(header)
        getattr(self.kc, f"{channel}_channel").send(msg)
        return msg["header"]["msg_id"]

    def request(self, msg_type: str, content: dict[str, Any] | None = None, *, channel: str = "shell") -> Result:
        """Send any request and wait until it is done."""
        return self.result(self.send(msg_type, content, channel=channel))

    def start(
        self, code: str, *, metadata: dict[str, Any] | None = None, header: dict[str, Any] | None = None, **options: Any
    ) -> str:
        """Send a cell; its msg_id."""
        content = {
            "code": code,
            "silent": False,
            "store_history": True,
            "user_expressions": {},
            "allow_stdin": True,
            "stop_on_error": True,
            **options,
        }
        return self.send("execute_request", content, metadata=metadata, **(header or {}))

    def run(self, code: str, *, timeout: float = PATIENCE, **options: Any) -> Result:
        """Run a cell to its end."""
        return self.result(self.start(code, **options), timeout=timeout)

    def value(self, expression: str) -> str:
        """The repr of an expression in the kernel.

        Raises:
            AssertionError: if it cannot be had.
        """
        result = self.run("", silent=True, user_expressions={"value": expression})
        value = result.reply["user_expressions"]["value"]
        assert value["status"] == "ok", value
        return value["data"]["text/plain"]

    def interrupt(self) -> Result:
        """interrupt_request on control."""
        return self.request("interrupt_request", channel="control")

    # -- stdin -------------------------------------------------------------------------------------------------------

    def question(self, msg_id: str, number: int = 1) -> dict[str, Any]:
        """Wait until the request asks for input for the nth time; the input_request."""

        def asked() -> dict[str, Any] | None:
            asked = [r.msg for r in self.received if r.channel == "stdin" and r.parent_id == msg_id]
            return asked[number - 1] if len(asked) >= number else None

        return self.until(asked, f"input_request {number} of {msg_id[-8:]}")

    def answer(self, value: str, parent: dict[str, Any] | None = None) -> None:
        """Send an input_reply: without a parent header, as jupyter_client does, or with ``parent``'s."""
        msg = self.kc.session.msg("input_reply", {"value": value, "status": "ok"}, parent=parent)
        self.kc.stdin_channel.send(msg)
