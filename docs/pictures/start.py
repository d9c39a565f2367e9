"""Says where a start goes, in CPU milliseconds and megabytes: what is imported, by library, and what comes after.

Run it in an environment that has ``async-trio``, on a quiet machine, from the project's folder::

    python -m docs.pictures.start [PYTHON [PYTHON]]

The first interpreter is one with ``async-trio`` (this one, if none is given), the second one with ``ipykernel``, which
is then measured beside it; the benchmarks keep both in their cache. Each line is an interpreter that imports what is
named up to there. The table of the minima of many goes to ``docs/performance.md``.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.environments import Environment
from benchmarks.kernels import KERNELS
from benchmarks.process import memory
from benchmarks.session import spawn

TURNS = 15
SETTLING_S = 0.3
"""The history of the first cell is written meanwhile."""
OURS = (
    "async_kernel.command, async_kernel.interface.launch, async_kernel.channels.reception, "
    "async_kernel.interface.ip_app, async_kernel.shell.ipshell"
)
IMPORTS = (
    ("the interpreter itself", "sys"),
    ("zmq, orjson", "zmq, orjson"),
    ("traitlets", "traitlets.config"),
    ("IPython", "IPython.core.interactiveshell, IPython.core.application, IPython.core.shellapp"),
    ("trio, with attrs and OpenSSL", "trio"),
    ("anyio", "anyio._backends._trio"),
    ("the kernel's own modules", OURS),
)
"""In this order, since some import others: each line is what it adds."""

PROGRAM = """
import gc; gc.disable()
import {names}
import time, pathlib
cpu = time.process_time() * 1e3
status = pathlib.Path("/proc/self/status").read_text()
print(cpu, status.split("VmRSS:")[1].split()[0], len(sys.modules))
"""


def imported(python: Path, names: str) -> tuple[float, float, int]:
    """CPU milliseconds, resident MB and modules of an interpreter that has imported ``names``."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    command = [str(python), "-c", PROGRAM.format(names=f"sys, {names}")]
    runs = [subprocess.run(command, env=env, capture_output=True, text=True, check=True) for _ in range(TURNS)]
    readings = [run.stdout.split() for run in runs]
    return min(float(cpu) for cpu, _, _ in readings), int(readings[0][1]) * 1024 / 1e6, int(readings[0][2])


def started(name: str, python: Path) -> tuple[float, float]:
    """CPU milliseconds of a kernel until its first execute_reply, and the resident MB that it then has."""
    kernel = next(kernel for kernel in KERNELS if kernel.name == name)
    environment = Environment(python, python.parent, {})
    readings: list[tuple[float, float]] = []
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(TURNS):
            with spawn(kernel, environment, Path(folder)) as session:
                client = session.client
                client.reply_to(client.send("kernel_info_request", {}))
                client.reply_to(client.send_cell("pass"))
                cpu = session.cpu() * 1e3
                time.sleep(SETTLING_S)
                readings.append((cpu, memory(session.process.pid).rss))
                session.shut_down()
    return min(cpu for cpu, _ in readings), sorted(rss for _, rss in readings)[TURNS // 2]


def table(python: Path, other: Path | None) -> str:
    """The table, in Markdown."""
    lines = ["| what | CPU ms | MB | modules |", "|---|---:|---:|---:|"]
    names: list[str] = []
    before = (0.0, 0.0, 0)
    for title, more in IMPORTS:
        names.append(more)
        now = imported(python, ", ".join(names))
        added = [new - old for new, old in zip(now, before, strict=True)]
        lines.append(f"| {title} | {added[0]:.0f} | {added[1]:.1f} | {added[2]:.0f} |")
        before = now
    cpu, rss = started("ours-trio", python)
    rest = "options, sockets, threads, the shell, the first cell and its history in SQLite"
    lines.append(f"| {rest} | {cpu - before[0]:.0f} | {rss - before[1]:.1f} | |")
    lines.append(f"| **to the first reply, all of it** | **{cpu:.0f}** | **{rss:.1f}** | |")
    if other is not None:
        cpu, rss = started("ipykernel", other)
        lines.append(f"| ipykernel to its first reply, for comparison | {cpu:.0f} | {rss:.1f} | |")
    return "\n".join(lines)


def main(pythons: list[str]) -> None:
    """Measure, print the table, and write it into the page."""
    paths = [Path(python).absolute() for python in pythons or [sys.executable]]
    text = table(paths[0], paths[1] if len(paths) > 1 else None)
    print(text)
    page = Path(__file__).parents[1] / "performance.md"
    begin, rest = page.read_text(encoding="utf-8").split("<!-- start -->")
    end = rest.partition("<!-- /start -->")[2]
    page.write_text(f"{begin}<!-- start -->\n\n{text}\n\n<!-- /start -->{end}", encoding="utf-8")


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        main(sys.argv[1:])
