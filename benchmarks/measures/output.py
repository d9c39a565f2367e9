"""Output: floods of it, whether all of it arrives, and how soon the first line does."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import zmq

from benchmarks.client import ANSWER_TIMEOUT, Message
from benchmarks.errors import NoAnswerError, WrongAnswerError
from benchmarks.model import Effort, Feature, Figure, Probe

if TYPE_CHECKING:
    from benchmarks.client import Client
    from benchmarks.model import Readings
    from benchmarks.stage import Stage

__all__ = ["PROBES"]

LINES = Effort(25_000, 100_000)
FLOOD = 50_000_000
DISPLAYS = 2000
UNREAD = 20_000
FLOOD_TIMEOUT = 60.0

PRINTS = Figure("prints", "prints in a loop, all of them, time for each", "µs")
PRINTS_LOST = Figure("prints_lost", "lost of prints in a loop", "%")
PRINT_50MB = Figure("print_50mb", "one print of 50 MB", "s")
PRINT_50MB_LOST = Figure("print_50mb_lost", "lost of one print of 50 MB", "%")
FIRST_LINE = Figure("first_line", "print → first line at the client")
DISPLAY_RATE = Figure("display_rate", "displays per second", "1/s", "higher")
UNREAD_LOST = Figure("unread_lost", f"lost of {UNREAD:,} displays to a slow reader (high-water mark 1000)", "%")

EXECUTES = frozenset({Feature.executes})
SHOW = "from IPython.display import display\n_bundle = {'text/plain': 'x' * 40}"


def prints(stage: Stage) -> Readings:
    """Print lines in a loop; the time ends with the last of what arrives, also where some of it never does."""
    client, lines = stage.client, stage.effort(LINES)
    started = time.perf_counter()
    cell = client.collect(client.send_cell(f"for i in range({lines}): print(i)"), started, timeout=FLOOD_TIMEOUT)
    lost = lines - cell.text().count("\n")
    return {PRINTS.name: (cell.finished - started) / lines * 1e6, PRINTS_LOST.name: lost / lines * 100}


def print_50mb(stage: Stage) -> Readings:
    """One print of one long line."""
    client = stage.client
    cell = client.collect(client.send_cell(f"print('x' * {FLOOD})"), time.perf_counter(), timeout=FLOOD_TIMEOUT)
    lost = FLOOD - cell.text().count("x")
    return {PRINT_50MB.name: cell.finished - cell.sent, PRINT_50MB_LOST.name: lost / FLOOD * 100}


def first_line(stage: Stage) -> Readings:
    """A cell that prints the time, not flushed, and goes on: when does the client know?"""
    client, samples = stage.client, list[float]()
    for _ in range(stage.effort(Effort(2, 5))):
        msg_id = client.send_cell("print(time.monotonic_ns())\ntime.sleep(0.3)")
        deadline = time.perf_counter() + ANSWER_TIMEOUT
        while (message := client.receive(client.iopub, deadline)).msg_type != "stream":
            pass
        arrived = time.monotonic_ns()
        samples.append((arrived - int(message.content["text"])) / 1e6)
        client.reply_to(msg_id)
        client.outputs_until_idle(msg_id)
    return {FIRST_LINE.name: samples}


def displays(stage: Stage) -> Readings:
    """Display small bundles in a loop."""
    client = stage.client
    stage.once("show", SHOW)
    cell = client.run(f"for i in range({DISPLAYS}): display(_bundle, raw=True)", timeout=FLOOD_TIMEOUT)
    seen = sum(message.msg_type == "display_data" for message in cell.outputs)
    if seen != DISPLAYS:
        raise WrongAnswerError(f"{DISPLAYS - seen} of {DISPLAYS} displays were lost")
    return {DISPLAY_RATE.name: DISPLAYS / (cell.finished - cell.sent)}


def slow_reader(stage: Stage) -> Readings:
    """A subscriber with ZMQ's default queue and a small socket buffer that reads nothing for a while.

    It begins to read when the cell has ended, or after a second if the kernel makes the cell wait for it.
    """
    session = stage.session
    stage.once("show", SHOW)
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    subscriber = context.socket(zmq.SUB)
    try:
        subscriber.setsockopt(zmq.RCVHWM, 1000)
        subscriber.setsockopt(zmq.RCVBUF, 65536)
        subscriber.subscribe(b"")
        subscriber.connect(session.connection.url("iopub"))
        _until_heard(session.client, subscriber)
        msg_id = session.client.send_cell(f"for i in range({UNREAD}): display({{'text/plain': 'x' * 500}}, raw=True)")
        session.client.shell.poll(1000)
        lost = UNREAD - _count_displays(subscriber, msg_id)
    finally:
        subscriber.close(linger=0)
        context.term()
    session.client.collect(msg_id, time.perf_counter(), timeout=FLOOD_TIMEOUT)
    return {UNREAD_LOST.name: lost / UNREAD * 100}


def _until_heard(client: Client, subscriber: zmq.Socket[bytes]) -> None:
    """Make requests until the subscriber hears of one."""
    for _ in range(100):
        client.round_trip("kernel_info_request", {})
        if subscriber.poll(50):
            break
    else:
        raise NoAnswerError("a second subscriber hears nothing")
    while subscriber.poll(100):
        subscriber.recv_multipart()


def _count_displays(subscriber: zmq.Socket[bytes], msg_id: str) -> int:
    """Read all that comes, up to the cell's idle or a second of silence."""
    seen = 0
    while subscriber.poll(1000):
        frames: list[bytes] = subscriber.recv_multipart()
        message = Message(frames[frames.index(b"<IDS|MSG>") + 1 :])
        if message.parent_id == msg_id:
            if message.is_idle:
                break
            seen += message.msg_type == "display_data"
    return seen


PROBES = (
    Probe(
        name="first_line",
        family="output",
        title="first line of output",
        figures=(FIRST_LINE,),
        run=first_line,
        needs=EXECUTES,
        rounds=Effort(1, 5),
    ),
    Probe(
        name="prints",
        family="output",
        title="prints in a loop",
        figures=(PRINTS, PRINTS_LOST),
        run=prints,
        needs=EXECUTES,
        rounds=Effort(1, 5),
    ),
    Probe(
        name="print_50mb",
        family="output",
        title="a print of 50 MB",
        figures=(PRINT_50MB, PRINT_50MB_LOST),
        run=print_50mb,
        needs=EXECUTES,
        rounds=Effort(1, 5),
    ),
    Probe(
        name="displays",
        family="output",
        title=f"{DISPLAYS:,} displays",
        figures=(DISPLAY_RATE,),
        run=displays,
        needs=frozenset({Feature.displays}),
        rounds=Effort(2, 7),
    ),
    Probe(
        name="slow_reader",
        family="output",
        title="a subscriber that does not read",
        figures=(UNREAD_LOST,),
        run=slow_reader,
        needs=frozenset({Feature.displays}),
        rounds=Effort(1, 3),
    ),
)
