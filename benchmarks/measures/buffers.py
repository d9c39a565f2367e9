"""Large payloads: a display of 50 MB, and 50 MB comm buffers to the kernel, from it, and both ways.

The floor's echo of a buffer is a bare ZMQ echo: it signs four small frames and never looks at the buffer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.errors import WrongAnswerError
from benchmarks.measures.comms import exchange, open_comm
from benchmarks.model import Effort, Feature, Figure, Probe

if TYPE_CHECKING:
    from benchmarks.client import Message
    from benchmarks.model import Readings
    from benchmarks.stage import Stage

__all__ = ["PROBES"]

SIZE = 50_000_000
PAYLOAD = bytes(SIZE)

DISPLAY = Figure("display_50mb", "a display of 50 MB")
IN = Figure("buffer_in_50mb", "comm buffer of 50 MB to the kernel")
OUT = Figure("buffer_out_50mb", "comm buffer of 50 MB from the kernel")
ECHO = Figure("buffer_echo_50mb", "comm buffer of 50 MB, echo")


def display(stage: Stage) -> Readings:
    """A display whose data is a text of 50 MB, as a large image is."""
    client = stage.client
    stage.once("show 50 MB", f"from IPython.display import display\n_large = {{'image/png': 'A' * {SIZE}}}")
    cell = client.run("display(_large, raw=True)", timeout=60)
    if not any(len(message.frames[4]) > SIZE for message in cell.outputs):
        raise WrongAnswerError("the display did not arrive")
    return {DISPLAY.name: (cell.finished - cell.sent) * 1e3}


def _size(message: Message) -> int:
    return sum(len(buffer) for buffer in message.buffers)


def echo(stage: Stage) -> Readings:
    """There and back again."""
    open_comm(stage)
    took, answer = exchange(stage, {"n": 1}, [PAYLOAD], timeout=60)
    if _size(answer) != SIZE:
        raise WrongAnswerError(f"{_size(answer)} bytes came back of {SIZE}")
    return {ECHO.name: took * 1e3}


def one_way(stage: Stage) -> Readings:
    """Each direction alone, answered with (or asked for by) a small message."""
    open_comm(stage)
    took_in, answer = exchange(stage, {"n": 2, "take": True}, [PAYLOAD], timeout=60)
    if answer.content["data"].get("size") != SIZE:
        raise WrongAnswerError("the buffer did not arrive")
    took_out, answer = exchange(stage, {"n": 3, "give": SIZE}, timeout=60)
    if _size(answer) != SIZE:
        raise WrongAnswerError(f"{_size(answer)} bytes came of {SIZE}")
    return {IN.name: took_in * 1e3, OUT.name: took_out * 1e3}


COMMS = frozenset({Feature.comms})
PROBES = (
    Probe(
        name="buffer_echo",
        family="buffers",
        title="echo of a 50 MB comm buffer",
        figures=(ECHO,),
        run=echo,
        needs=COMMS,
        rounds=Effort(3, 9),
    ),
    Probe(
        name="buffer_one_way",
        family="buffers",
        title="50 MB comm buffers, each way",
        figures=(IN, OUT),
        run=one_way,
        needs=COMMS | {Feature.executes},
        rounds=Effort(2, 9),
    ),
    Probe(
        name="display_50mb",
        family="buffers",
        title="a display of 50 MB",
        figures=(DISPLAY,),
        run=display,
        needs=frozenset({Feature.displays}),
        rounds=Effort(2, 7),
    ),
)
