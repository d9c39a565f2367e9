"""What the operating system knows about a kernel's process: CPU time, memory, threads, wake-ups, its end.

Linux gives all of it; elsewhere ``psutil`` gives what it can, and what it cannot is not measured.
"""

from __future__ import annotations

import os
import select
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import psutil

from benchmarks.errors import NoAnswerError

__all__ = ["Memory", "cpu_seconds", "memory", "thread_count", "voluntary_switches", "wait_for_exit"]

ON_LINUX = sys.platform == "linux"
MEGABYTE = 1_000_000


@dataclass(frozen=True, slots=True)
class Memory:
    """Resident and proportional set size in MB (10**6 bytes); ``pss`` is None where it cannot be had."""

    rss: float
    pss: float | None


def cpu_seconds(pid: int) -> float:
    """User and system time that a process has used, its finished threads included, in seconds.

    On Linux by the process's own CPU clock, which counts nanoseconds; ``/proc/PID/stat`` counts hundredths.
    """
    if ON_LINUX:
        # clock_getcpuclockid(3): the complement of the pid, shifted past the two bits that mean "scheduler clock".
        return time.clock_gettime((~pid << 3) | 2)
    times = psutil.Process(pid).cpu_times()
    return times.user + times.system


def memory(pid: int) -> Memory:
    """The memory that a process uses now."""
    if not ON_LINUX:
        return Memory(psutil.Process(pid).memory_info().rss / MEGABYTE, None)
    rollup = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii")
    kilobytes = {line.split(":")[0]: int(line.split()[1]) for line in rollup.splitlines() if line.endswith(" kB")}
    return Memory(kilobytes["Rss"] * 1024 / MEGABYTE, kilobytes["Pss"] * 1024 / MEGABYTE)


def thread_count(pid: int) -> int:
    """How many threads a process has now."""
    return psutil.Process(pid).num_threads()


def voluntary_switches(pid: int) -> int | None:
    """How often the threads of a process went to sleep by themselves: each but the first was a wake-up before.

    None where it cannot be had.
    """
    if not ON_LINUX:
        return None
    total = 0
    for task in Path(f"/proc/{pid}/task").iterdir():
        for line in (task / "status").read_text(encoding="ascii").splitlines():
            if line.startswith("voluntary_ctxt_switches:"):
                total += int(line.split()[1])
    return total


def wait_for_exit(process: subprocess.Popen[bytes], timeout: float) -> float:
    """Wait until a process has ended; return that moment in :func:`time.perf_counter` seconds.

    On Linux by a pidfd: :meth:`subprocess.Popen.wait` with a timeout looks only every 50 ms.

    Raises:
        NoAnswerError: if it still runs after ``timeout`` seconds.
    """
    if process.poll() is not None:
        return time.perf_counter()
    if ON_LINUX:
        descriptor = os.pidfd_open(process.pid)
        try:
            select.select([descriptor], [], [], timeout)
            ended = time.perf_counter()
        finally:
            os.close(descriptor)
        if process.poll() is None:
            raise NoAnswerError(f"the process still runs after {timeout:g} s")
        return ended
    try:
        process.wait(timeout)
    except subprocess.TimeoutExpired:
        raise NoAnswerError(f"the process still runs after {timeout:g} s") from None
    return time.perf_counter()
