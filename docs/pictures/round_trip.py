"""Says where the time of a round trip goes, and draws it: ``execute_request`` of the cell ``pass``, in microseconds.

Run it in an environment that has ``async-trio``, on a quiet machine, from the project's folder::

    python -m docs.pictures.round_trip [trio|asyncio]

It starts a kernel whose functions along the way note the time at which they are entered or left, sends it requests one
after another with the benchmarks' client, and takes the median of each station. It prints a table, writes it into
``docs/performance.md``, and ``round_trip.svg`` beside itself. Noting the times costs about a tenth of the round trip.
"""

from __future__ import annotations

import functools
import importlib
import inspect
import json
import statistics
import sys
import tempfile
import time
from collections import Counter, defaultdict
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

WARM_UP, TRIPS = 300, 1000
CLIENT, IO, MAIN = "client", "I/O thread", "main thread"
COLOURS = {CLIENT: "#8c8c8c", IO: "#4fa3d1", MAIN: "#e07a2f"}


class Station(NamedTuple):
    """A moment of the round trip: where the kernel's code is then, and what has been done since the one before."""

    function: str
    moment: str
    number: int
    thread: str
    text: str


PROBES = {
    "receive": ("async_kernel.transport.owned_socket", "OwnedSocket", "try_receive_views"),
    "decode": ("async_kernel.transport.codec", "Codec", "decode"),
    "serve": ("async_kernel.kernel.serving", "Serving", "waiting"),
    "publish": ("async_kernel.channels.io_loop", "IOLoop", "publish"),
    "reply": ("async_kernel.channels.io_loop", "IOLoop", "reply"),
    "run": ("async_kernel.shell.running.run_cell", "RunsCode", "_run_source"),
}
"""What is watched: module, class and function."""

STATIONS = [
    Station("decode", "entered", 0, IO, "client packs and signs; ZMQ carries; the I/O thread wakes and receives"),
    Station("decode", "left", 0, IO, "signature checked, JSON parsed"),
    Station("serve", "entered", 0, MAIN, "handed to the lane; the main thread wakes"),
    Station("publish", "left", 0, MAIN, "`busy` packed and signed; it leaves with what follows"),
    Station("publish", "left", 1, MAIN, "cell, scope and gate made; history; `execute_input`"),
    Station("run", "entered", 0, MAIN, "code transformed and parsed"),
    Station("run", "left", 0, MAIN, "compiled and run"),
    Station("reply", "left", 0, MAIN, "C output flushed, results collected; `execute_reply` packed and signed"),
    Station("publish", "left", 2, MAIN, "`idle` packed and signed; the I/O thread is rung"),
]


def watch(log: list[tuple[int, str, str]], name: str) -> None:
    """Have a function note when it is entered and left."""
    module, cls_name, function_name = PROBES[name]
    cls = getattr(importlib.import_module(module), cls_name)
    function = getattr(cls, function_name)

    @functools.wraps(function)
    def noted(*args: Any, **kwargs: Any) -> Any:
        log.append((time.perf_counter_ns(), name, "entered"))
        try:
            return function(*args, **kwargs)
        finally:
            log.append((time.perf_counter_ns(), name, "left"))

    @functools.wraps(function)
    async def noted_waiting(*args: Any, **kwargs: Any) -> Any:
        log.append((time.perf_counter_ns(), name, "entered"))
        try:
            return await function(*args, **kwargs)
        finally:
            log.append((time.perf_counter_ns(), name, "left"))

    setattr(cls, function_name, noted_waiting if inspect.iscoroutinefunction(function) else noted)


def be_a_kernel(file: Path) -> None:
    """Run a kernel that notes times, and write them at its end."""
    log: list[tuple[int, str, str]] = []
    importlib.import_module("async_kernel.interface.ip_app")
    for name in PROBES:
        watch(log, name)
    command = importlib.import_module("async_kernel.command")
    try:
        command.command_line()
    finally:
        file.write_text(json.dumps(log))


def measure(backend: str) -> tuple[list[float], float, float]:
    """The median time of every station, of the reply at the client and of the end; µs after the sending."""
    from benchmarks.environments import Environment  # noqa: PLC0415 -- the kernel's process does not find them
    from benchmarks.kernels import KERNELS  # noqa: PLC0415
    from benchmarks.session import open_session  # noqa: PLC0415

    kernel = next(kernel for kernel in KERNELS if kernel.name == f"ours-{backend}")
    python = Path(sys.executable)
    content = {"code": "pass", "silent": False, "store_history": True, "user_expressions": {}, "allow_stdin": False}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        file = folder / "times.json"
        at = kernel.argv.index("-m")
        argv = (*kernel.argv[:at], str(Path(__file__).resolve()), str(file), *kernel.argv[at + 2 :])
        trips: list[tuple[int, int, int]] = []
        with open_session(replace(kernel, argv=argv), Environment(python, python.parent, {}), folder) as session:
            client = session.client
            for number in range(WARM_UP + TRIPS):
                began = time.perf_counter_ns()
                msg_id = client.send("execute_request", content)
                client.reply_to(msg_id)
                replied = time.perf_counter_ns()
                client.outputs_until_idle(msg_id)
                if number >= WARM_UP:
                    trips.append((began, replied, time.perf_counter_ns()))
        log = sorted(map(tuple, json.loads(file.read_text())))
    return (
        stations(log, trips),
        statistics.median(replied - began for began, replied, _ in trips) / 1e3,
        statistics.median(ended - began for began, _, ended in trips) / 1e3,
    )


def stations(log: list[Any], trips: list[tuple[int, int, int]]) -> list[float]:
    """The median time of every station after the sending, in microseconds."""
    found: defaultdict[tuple[str, str, int], list[float]] = defaultdict(list)
    notes = iter(log)
    note = next(notes, None)
    for began, _, ended in trips:
        seen: Counter[tuple[str, str]] = Counter()
        while note is not None and note[0] < began:
            note = next(notes, None)
        while note is not None and note[0] <= ended:
            at, name, moment = note
            found[name, moment, seen[name, moment]].append((at - began) / 1e3)
            seen[name, moment] += 1
            note = next(notes, None)
    return [statistics.median(found[each.function, each.moment, each.number]) for each in STATIONS]


def table(times: list[float], replied: float, ended: float) -> str:
    """The Markdown table."""
    rows = ["| until µs | µs | where | what |", "|---:|---:|---|---|"]
    before = 0.0
    for station, at in [*zip(STATIONS, times, strict=True)]:
        rows.append(f"| {at:.0f} | {at - before:.0f} | {station.thread} | {station.text} |")
        before = at
    last = f"| {ended:.0f} | {ended - before:.0f} | {IO}, {CLIENT} | reply and `idle` sent, received, checked"
    return "\n".join([*rows, f"{last} (the reply is there after {replied:.0f}) |"])


def picture(times: list[float], ended: float) -> str:
    """The SVG: a bar for every part, below one another, on one time axis."""
    width, left, row = 860, 330, 22
    scale = (width - left - 60) / ended
    bars = [
        (station.thread, station.text, start, end)
        for station, start, end in zip(STATIONS, [0.0, *times], times, strict=False)
    ]
    bars.append((IO, "reply and `idle` sent, received, checked", times[-1], ended))
    height = row * (len(bars) + 3)
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}"',
        ' font-family="sans-serif" font-size="11">',
        f'<rect width="{width}" height="{height}" fill="#ffffff"/>',
    ]
    for number, (thread, text, start, end) in enumerate(bars):
        y, x = row * (number + 1), left + start * scale
        words = text.replace("`", "").split(";")[0]
        out.append(f'<text x="{left - 8}" y="{y + 14}" text-anchor="end">{words}</text>')
        out.append(
            f'<rect x="{x:.1f}" y="{y + 3}" width="{max(1.0, (end - start) * scale):.1f}" height="{row - 6}" '
            f'fill="{COLOURS[thread]}"/>'
        )
        out.append(f'<text x="{left + end * scale + 4:.1f}" y="{y + 14}" fill="#555555">{end - start:.0f} µs</text>')
    y = row * (len(bars) + 2)
    for number, thread in enumerate((IO, MAIN)):
        out.append(f'<rect x="{left + number * 130}" y="{y - 10}" width="12" height="12" fill="{COLOURS[thread]}"/>')
        out.append(f'<text x="{left + number * 130 + 18}" y="{y}">{thread}</text>')
    return "\n".join([*out, "</svg>", ""])


def main() -> None:
    """Measure, print and draw; or be the kernel that is measured."""
    if len(sys.argv) > 2:
        file = Path(sys.argv.pop(1))
        be_a_kernel(file)
        return
    times, replied, ended = measure(sys.argv[1] if len(sys.argv) > 1 else "trio")
    text = table(times, replied, ended)
    sys.stdout.write(text + "\n")
    Path(__file__).with_suffix(".svg").write_text(picture(times, ended), encoding="utf-8")
    page = Path(__file__).parents[1] / "performance.md"
    begin, rest = page.read_text(encoding="utf-8").split("<!-- round trip -->")
    end = rest.partition("<!-- /round trip -->")[2]
    page.write_text(f"{begin}<!-- round trip -->\n\n{text}\n\n<!-- /round trip -->{end}", encoding="utf-8")


if __name__ == "__main__":
    main()
