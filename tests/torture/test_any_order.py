"""A kernel whose clients do anything in any order, beside a model of what each of them must see.

The model: every request gets busy, one reply and idle; requests of one lane end in the order in which they were sent;
a cell ends as its code says, or is aborted behind one that failed, or cut short by whoever asked for that; a silent
cell may run beside one that awaits; comms and subshells are those that were made.
"""

from __future__ import annotations

import tempfile
import threading
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from async_kernel.typing import Channel
from tests.torture.kernels import JEDI_AT_WORK, fed_kernel
from tests.torture.messages import to_json
from tests.torture.scale import of, record

if TYPE_CHECKING:
    from async_kernel.protocol.request import Request
    from tests.torture.kernels import Fed

EXAMPLES, STEPS = of(short=6, long=500), of(short=40, long=100)


@dataclass
class Asked:
    """A request, and how it may end."""

    request: Request
    lane: str
    may_be: set[str] = field(default_factory=lambda: {"ok"})


CELLS = {
    "ok": ("1", {"ok"}),
    "prints": ("print('x' * 1000)\nprint('y')", {"ok"}),
    "fails": ("1/0", {"error"}),
    "wrong": ("x =", {"error"}),
    "exits": ("raise SystemExit", {"ok", "error"}),
    "awaits": ("import anyio\nawait anyio.lowlevel.checkpoint()", {"ok"}),
    "waits": ("import anyio\nawait anyio.sleep(0.002)", {"ok"}),
    "blocks": ("import time\ntime.sleep(0.002)", {"ok"}),
    "background": ("async def f(): pass\nnursery.start_soon(f)", {"ok"}),
    "concurrent": ("# task\nimport anyio\nawait anyio.sleep(0.001)", {"ok"}),
    "threaded": ("# thread\n1", {"ok"}),
}


class AnyOrder(RuleBasedStateMachine):
    """See the module."""

    backend = "trio"
    requests = 0
    failures: ClassVar[list[str]]

    def _must(self, holds: bool, said: object) -> None:
        """Keep what did not hold: Hypothesis tries it again, and says only that something differed if it holds then."""
        if not holds:
            self.failures.append(str(said))
            raise AssertionError(said)

    @initialize()
    def start(self) -> None:
        self._stack = ExitStack()
        self._threads = threading.enumerate()
        home = Path(self._stack.enter_context(tempfile.TemporaryDirectory()))
        self._fed: Fed = self._stack.enter_context(fed_kernel(home, self.backend))
        self._fed.wire.keeps = True
        self._asked: list[Asked] = []
        self._subshells: list[str] = []
        self._comms: set[str] = set()
        self._number = 0

    def _send(
        self, msg_type: str, content: dict[str, Any], lane: str, may_be: set[str] | None = None, **header: Any
    ) -> Request:
        self._number += 1
        type(self).requests += 1
        fields = {
            "msg_id": f"m{self._number}",
            "msg_type": msg_type,
            "username": "",
            "session": f"client {self._number % 3}",
            "date": "2030-01-01T00:00:00Z",
            "version": "5.4",
            **header,
        }
        channel = Channel.control if lane == "control" else Channel.shell
        request = self._fed.take(self._fed.signed(list(map(to_json, (fields, {}, {}, content)))), channel)
        self._must(request is not None, f"{msg_type} was refused")
        assert request is not None
        self._asked.append(Asked(request, lane, may_be or {"ok"}))
        return request

    def _reply(self, request: Request) -> dict[str, Any]:
        self._must(self._fed.wire.wait_idle(request), f"no idle of {request.header}")
        return self._fed.wire.replies[id(request.header)]

    # -- what clients do

    @rule(kind=st.sampled_from(sorted(CELLS)), stop=st.booleans(), where=st.integers(0, 3), silent=st.booleans())
    def cell(self, kind: str, stop: bool, where: int, silent: bool) -> None:
        code, ends = CELLS[kind]
        subshell = self._subshells[where] if where < len(self._subshells) else None
        lane = "beside" if silent or kind in ("concurrent", "threaded") else subshell or "main"
        content = {"code": code, "silent": silent, "stop_on_error": stop, "store_history": False}
        self._send("execute_request", content, lane, ends | {"aborted", "error"}, subshell_id=subshell)

    @rule(
        kind=st.sampled_from(["kernel_info_request", "connect_request", "comm_info_request", "list_subshell_request"])
    )
    def asks(self, kind: str) -> None:
        reply = self._reply(self._send(kind, {}, "control"))
        if kind == "list_subshell_request":
            self._must(sorted(reply["subshell_id"]) == sorted(self._subshells), (reply, self._subshells))
        if kind == "comm_info_request":
            self._must(set(reply["comms"]) <= self._comms, reply)

    @rule(kind=st.sampled_from(["complete_request", "inspect_request", "is_complete_request"]))
    def asks_about_code(self, kind: str) -> None:
        # A completion that is asked for anew before it was begun is aborted.
        allowed = {"ok", "complete"} | ({"aborted"} if kind == "complete_request" else set())
        lane = "helper" if kind == "is_complete_request" else "completer"
        self._send(kind, {"code": "pri", "cursor_pos": 3}, lane, allowed)

    @rule()
    def interrupt(self) -> None:
        self._send("interrupt_request", {}, "control")

    @rule(which=st.integers(0, 5))
    def cancel(self, which: int) -> None:
        ids = [asked.request.msg_id for asked in self._asked[-1 - which :][:1]]
        self._send("cancel_request", {"msg_ids": ids}, "cancels")

    @rule()
    def open_subshell(self) -> None:
        if len(self._subshells) < 3:
            request = self._send("create_subshell_request", {}, "control")
            self._subshells.append(self._reply(request)["subshell_id"])

    @rule(which=st.integers(0, 2))
    def close_subshell(self, which: int) -> None:
        if which < len(self._subshells):
            request = self._send("delete_subshell_request", {"subshell_id": self._subshells.pop(which)}, "control")
            reply = self._reply(request)
            self._must(reply["status"] == "ok", reply)

    @rule(subshell=st.sampled_from(["", "gone"]))
    def cell_in_a_subshell_that_is_not_there(self, subshell: str) -> None:
        request = self._send("execute_request", {"code": "1"}, "refused", {"error"}, subshell_id=subshell)
        reply = self._reply(request)
        self._must(reply["status"] == "error", reply)

    @rule(noise=st.lists(st.binary(max_size=8), max_size=4))
    def noise(self, noise: list[bytes]) -> None:
        self._must(self._fed.take(noise) is None, noise)

    # -- what must hold

    @invariant()
    def requests_of_a_lane_end_in_order(self) -> None:
        if not hasattr(self, "_fed"):
            return
        order = {key: at for at, key in enumerate(list(self._fed.wire.order))}
        last: dict[str, int] = {}
        for asked in self._asked:
            at = order.get(id(asked.request.header))
            if at is None or asked.lane in ("beside", "cancels", "refused"):
                continue
            if self._fed.wire.replies[id(asked.request.header)]["status"] != "aborted":  # perhaps on demand
                self._must(last.get(asked.lane, -1) < at, asked)
                last[asked.lane] = at

    def teardown(self) -> None:
        if not hasattr(self, "_fed"):
            return
        with self._stack:
            for asked in self._asked:
                reply = self._reply(asked.request)
                self._must(reply["status"] in asked.may_be, (asked, reply))
                kinds = self._fed.wire.until_idle(asked.request)
                self._must(kinds == ["busy", "reply", "idle"], (asked, kinds))
        # anyio's own helpers end by themselves, some time after their loop; nobody waits for them.
        left = [each for each in threading.enumerate() if each not in self._threads and "worker" not in each.name]
        self._must(not left, left)


@pytest.mark.filterwarnings(JEDI_AT_WORK)
@pytest.mark.parametrize("backend", ["trio", "asyncio"])
def test_clients_do_anything_in_any_order(backend: str) -> None:
    failures: list[str] = []
    machine = type("Machine", (AnyOrder,), {"backend": backend, "requests": 0, "failures": failures})
    try:
        run_state_machine_as_test(
            machine,
            settings=settings(
                max_examples=EXAMPLES,
                stateful_step_count=STEPS,
                deadline=None,
                derandomize=EXAMPLES < 100,
                phases=[Phase.generate],  # shrinking would take longer than reading
                database=None,
                suppress_health_check=list(HealthCheck),
            ),
        )
    except BaseException as exc:
        raise AssertionError(f"did not hold: {failures}") from exc
    record("any order", backend=backend, steps=EXAMPLES * STEPS, requests=machine.requests)  # type: ignore[attr-defined]
