"""Many front-ends on one kernel: 1, 10 and 50 clients, each with a subscription, all sending at once."""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING

import zmq

from benchmarks.client import ANSWER_TIMEOUT, Client
from benchmarks.errors import NoAnswerError
from benchmarks.model import Effort, Figure, Probe

if TYPE_CHECKING:
    from benchmarks.model import Readings
    from benchmarks.session import Session
    from benchmarks.stage import Stage

__all__ = ["PROBES"]

COUNTS = (1, 10, 50)
ROUNDS_OF_CELLS = Effort(3, 10)
RATE = Figure("clients_rate", "`pass` cells per second of all clients together", "1/s", "higher", x_label="clients")


def crowd(stage: Stage) -> Readings:
    """Clients that send a cell each, wait for all replies, and do it again."""
    return {RATE.name: {float(count): _rate(stage, count) for count in COUNTS}}


def _rate(stage: Stage, count: int) -> float:
    session, repeats = stage.session, stage.effort(ROUNDS_OF_CELLS)
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    context.set(zmq.MAX_SOCKETS, 4 * max(COUNTS) + 16)
    with contextlib.ExitStack() as stack:
        # LIFO: the context ends after the clients that use it.
        stack.callback(context.term)
        clients = [stack.enter_context(contextlib.closing(_client(session, context))) for _ in range(count)]
        started = time.perf_counter()
        for _ in range(repeats):
            asked = [(client, client.send_cell("pass")) for client in clients]
            for client, msg_id in asked:
                client.reply_to(msg_id)
                client.drain(client.iopub)
        took = time.perf_counter() - started
    # What they published is still on its way to the session's own client: read it, as any front-end would.
    session.client.round_trip("kernel_info_request", {})
    return count * repeats / took


def _client(session: Session, context: zmq.Context[zmq.Socket[bytes]]) -> Client:
    """A client that is heard and hears."""
    client = Client(session.connection, context=context)
    deadline = time.perf_counter() + ANSWER_TIMEOUT
    while time.perf_counter() < deadline:
        client.reply_to(client.send("kernel_info_request", {}))
        if client.iopub.poll(50):
            return client
    client.close()
    raise NoAnswerError("one of many subscribers hears nothing")


PROBES = (
    Probe(
        name="clients",
        family="clients",
        title="1, 10 and 50 clients",
        figures=(RATE,),
        run=crowd,
        rounds=Effort(1, 5),
    ),
)
