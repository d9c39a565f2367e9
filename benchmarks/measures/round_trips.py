"""One request at a time: how long until reply and idle are both there, and what it costs the kernel's process."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from benchmarks.model import Effort, Feature, Figure, Probe

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.model import Readings
    from benchmarks.stage import Stage

__all__ = ["PROBES"]

REPEATS = Effort(60, 300)
WARM_UP = 5


def _measure(stage: Stage, name: str, msg_type: str, content: dict[str, Any]) -> Readings:
    """Repeat a request; gives the samples in ms, and the CPU of the kernel's process for each in ms."""
    session, repeats = stage.session, stage.effort(REPEATS)
    for _ in range(WARM_UP):
        session.client.round_trip(msg_type, content)
    before = session.cpu()
    samples = [session.client.round_trip(msg_type, content) * 1e3 for _ in range(repeats)]
    return {name: samples, f"{name}_cpu": (session.cpu() - before) / repeats * 1e3}


def kernel_info(stage: Stage, *, name: str) -> Readings:
    """The request that asks for nothing: messaging without a cell."""
    return _measure(stage, name, "kernel_info_request", {})


def execute(stage: Stage, *, name: str, code: str) -> Readings:
    """A cell as a notebook sends it: with history."""
    code = code.format(await_once=stage.kernel.await_once)
    content: dict[str, Any] = {
        "code": code,
        "silent": False,
        "store_history": True,
        "user_expressions": {},
        "allow_stdin": False,
        "stop_on_error": True,
    }
    # A kernel that cannot run it fails here, before anything is timed.
    if Feature.executes in stage.kernel.features:
        stage.client.run(code)
    return _measure(stage, name, "execute_request", content)


def _probe(name: str, title: str, run: Callable[[Stage], Readings], *needs: Feature) -> Probe:
    return Probe(
        name=name,
        family="round_trips",
        title=title,
        figures=(Figure(name, title), Figure(f"{name}_cpu", f"CPU per request, {title}")),
        run=run,
        needs=frozenset(needs),
        rounds=Effort(3, 9),
    )


PROBES = (
    _probe("kernel_info", "kernel_info round trip", partial(kernel_info, name="kernel_info")),
    _probe("execute_pass", "execute `pass`", partial(execute, name="execute_pass", code="pass")),
    _probe("execute_value", "execute `1+1`", partial(execute, name="execute_value", code="1+1"), Feature.executes),
    _probe(
        "execute_await",
        "execute an awaiting cell",
        partial(execute, name="execute_await", code="await {await_once}"),
        Feature.awaits,
    ),
)
