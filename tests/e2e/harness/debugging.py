"""A front end's side of the debugger."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.e2e.harness.client import Client

__all__ = ["Session"]


class Session:
    """What a front end does to debug with a kernel."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self._seq = 0
        self._seen = 0

    def ask(self, command: str, **arguments: Any) -> dict[str, Any]:
        """The whole response."""
        self._seq += 1
        message = {"type": "request", "seq": self._seq, "command": command, "arguments": arguments}
        response = self.client.request("debug_request", message, channel="control").reply
        assert (response["type"], response["request_seq"], response["command"]) == ("response", self._seq, command)
        return response

    def body(self, command: str, **arguments: Any) -> dict[str, Any]:
        response = self.ask(command, **arguments)
        assert response["success"], response
        return response["body"]

    def refusal(self, command: str, **arguments: Any) -> str:
        response = self.ask(command, **arguments)
        assert not response["success"], response
        return response["message"]

    def attach(self) -> None:
        self.body("initialize", clientID="test", adapterID="debugpy")
        self.body("attach")

    def breakpoints(self, code: str, *lines: int) -> str:
        """Set breakpoints in a cell, as front ends do; its file."""
        path = self.body("dumpCell", code=code)["sourcePath"]
        body = self.body("setBreakpoints", source={"path": path}, breakpoints=[{"line": line} for line in lines])
        assert [each["verified"] for each in body["breakpoints"]] == [True] * len(lines)
        self.body("configurationDone")
        return path

    def stopped(self) -> tuple[int, list[dict[str, Any]]]:
        """Wait until a thread stops; its id and its stack, innermost first."""

        def event() -> dict[str, Any] | None:
            events = [r.msg["content"] for r in self.client.received if r.msg["msg_type"] == "debug_event"]
            stops = [event for event in events if event["event"] == "stopped"]
            return stops[self._seen] if len(stops) > self._seen else None

        thread = self.client.until(event, "a stop")["body"]["threadId"]
        self._seen += 1
        return thread, self.body("stackTrace", threadId=thread)["stackFrames"]

    def line(self) -> int:
        """Wait until a thread stops; where."""
        return self.stopped()[1][0]["line"]

    def locals(self, frame: dict[str, Any]) -> dict[str, str]:
        scopes = self.body("scopes", frameId=frame["id"])["scopes"]
        reference = scopes[0]["variablesReference"]
        return {
            each["name"]: each["value"] for each in self.body("variables", variablesReference=reference)["variables"]
        }
