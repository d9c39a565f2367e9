"""What happens to a kernel from outside: its machine and its files; the second table of docs/faults.md."""

from __future__ import annotations

import os
import shutil
import signal
import struct
import subprocess
import sys
import uuid
from typing import TYPE_CHECKING

import psutil
import pytest

from tests.e2e.harness.client import wait_for
from tests.e2e.harness.process import KernelProcess
from tests.torture.scale import of

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from pathlib import Path

    from tests.e2e.harness.client import Client
    from tests.e2e.harness.subject import Subject

pytestmark = pytest.mark.parametrize("backend", of(short=["trio"], long=["trio", "asyncio"]), scope="module")

NO_FILES = dict.fromkeys(("IPYTHONDIR", "JUPYTER_RUNTIME_DIR", "JUPYTER_DATA_DIR", "JUPYTER_CONFIG_DIR"), "")
STOPPED_S = of(short=2.0, long=60.0)


@pytest.fixture
def start_in(subject: Subject, tmp_path: Path) -> Generator[Callable[..., KernelProcess]]:
    """Starts a kernel by a command that goes before its own."""
    kernels: list[KernelProcess] = []

    def start(*prefix: str, **env: str) -> KernelProcess:
        path = tmp_path / f"connection-{uuid.uuid4().hex[:8]}.json"
        command = [*prefix, *subject.command(str(path))]
        kernel = KernelProcess(command, path, env={"JPY_PARENT_PID": str(os.getpid()), **env}, folder=tmp_path)
        kernels.append(kernel)
        return kernel

    yield start
    for kernel in kernels:
        kernel.end()


def shell(limits: str) -> tuple[str, ...]:
    return ("sh", "-c", f'{limits}; exec "$@"', "sh")


def works_and_ends(kernel: KernelProcess) -> Client:
    client = kernel.client()
    result = client.run("print('well')\n6 * 7")
    assert (result.stdout, result.text) == ("well\n", "42")
    assert client.request("history_request", {"hist_access_type": "tail", "n": 5}).status == "ok"
    assert client.run("import time").status == "ok"
    client.send("shutdown_request", {"restart": False}, channel="control")
    assert kernel.exit_code() == 0
    return client


def test_a_home_that_cannot_be_written_to(start_in: Callable[..., KernelProcess], ours: None) -> None:
    works_and_ends(start_in(**NO_FILES, HOME="/proc", XDG_DATA_HOME="/proc", XDG_CONFIG_HOME="/proc"))


def test_no_home(start_in: Callable[..., KernelProcess], ours: None) -> None:
    unset = [word for name in (*NO_FILES, "HOME", "USER", "LOGNAME") for word in ("-u", name)]
    works_and_ends(start_in("env", *unset))


def test_64_descriptors(start_in: Callable[..., KernelProcess], ours: None) -> None:
    works_and_ends(start_in(*shell("ulimit -n 64")))


def test_a_full_disk_for_the_history(start_in: Callable[..., KernelProcess], tmp_path: Path, ours: None) -> None:
    # A file may not become larger than a connection file is.
    works_and_ends(start_in(*shell("ulimit -f 1"), IPYTHONDIR=str(tmp_path / "ipython")))


def test_a_full_disk_for_the_connection_file(start_in: Callable[..., KernelProcess], ours: None) -> None:
    kernel = start_in(*shell("ulimit -f 0"))
    assert kernel.exit_code() == 1
    assert not kernel.connection_file.exists()
    assert list(kernel.connection_file.parent.glob("connection-*")) == []


def test_stopped_and_continued(start_in: Callable[..., KernelProcess], ours: None) -> None:
    kernel = start_in()
    client = kernel.client()
    waiting = client.start("import anyio\nprint('ready')\nawait anyio.sleep(1)\n6 * 7")
    client.printed(waiting, "ready")
    kernel.send_signal(signal.SIGSTOP)
    wait_for(lambda: psutil.Process(kernel.pid).status() == psutil.STATUS_STOPPED, "the kernel to be stopped")
    try:
        sent = [client.start("1"), client.send("kernel_info_request", channel="control")]
        with pytest.raises(AssertionError, match="waited"):
            client.until(lambda: client.so_far(sent[1]).done, "an answer of a stopped kernel", timeout=STOPPED_S)
    finally:
        kernel.send_signal(signal.SIGCONT)
    assert client.result(waiting).text == "42"
    assert [client.result(msg_id).status for msg_id in sent] == ["ok", "ok"]
    works_and_ends(kernel)


CLOCK = """
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>
static volatile long *offset;
__attribute__((constructor)) static void find(void) {
    int file = open(getenv("CLOCK_OFFSET"), O_RDONLY);
    void *found = file < 0 ? MAP_FAILED : mmap(0, sizeof(long), PROT_READ, MAP_SHARED, file, 0);
    offset = found == MAP_FAILED ? 0 : found;
    if (file >= 0) close(file);
}
int clock_gettime(clockid_t id, struct timespec *now) {
    int rc = syscall(SYS_clock_gettime, id, now);
    if (id == CLOCK_REALTIME && offset) now->tv_sec += *offset;
    return rc;
}
int gettimeofday(struct timeval *now, void *zone) {
    struct timespec exact;
    clock_gettime(CLOCK_REALTIME, &exact);
    now->tv_sec = exact.tv_sec;
    now->tv_usec = exact.tv_nsec / 1000;
    return 0;
}
time_t time(time_t *at) {
    struct timespec exact;
    clock_gettime(CLOCK_REALTIME, &exact);
    if (at) *at = exact.tv_sec;
    return exact.tv_sec;
}
"""
"""The clock of the machine, for one process, with an offset that a file holds."""
YEAR_S = 366 * 24 * 3600


@pytest.mark.skipif(sys.platform != "linux" or shutil.which("cc") is None, reason="a C compiler makes the clock")
def test_the_clock_of_the_machine_jumps(start_in: Callable[..., KernelProcess], tmp_path: Path, ours: None) -> None:
    (tmp_path / "clock.c").write_text(CLOCK)
    library, offset = tmp_path / "clock.so", tmp_path / "offset"
    compiler = ["cc", "-shared", "-fPIC", "-O1", "-o", str(library), str(tmp_path / "clock.c")]
    subprocess.run(compiler, check=True, capture_output=True)
    offset.write_bytes(struct.pack("l", 0))
    kernel = start_in(LD_PRELOAD=str(library), CLOCK_OFFSET=str(offset))
    client = kernel.client()
    began = float(client.value("__import__('time').time()"))
    sleeps = "import anyio, time\nprint('ready', flush=True)\n{}\n6 * 7"
    for years in (1, -30, 5, 0):
        cells = [sleeps.format("await anyio.sleep(0.3)"), sleeps.format("time.sleep(0.3)")]
        for cell in cells:
            running = client.start(cell, metadata={"timeout": 3600})  # a deadline must not come with the jump
            client.printed(running, "ready")
            with offset.open("r+b") as file:
                file.write(struct.pack("l", years * YEAR_S))
            assert client.result(running).text == "42"
        now = float(client.value("__import__('time').time()"))
        assert abs(now - began - years * YEAR_S) < YEAR_S / 2  # it did jump
        waits = client.start("import anyio\nprint('ready')\nawait anyio.sleep(3600)")
        client.printed(waits, "ready")
        client.interrupt()
        assert client.result(waits).error == ("KeyboardInterrupt", "")
        assert client.run("for n in range(3): print(n)").stdout == "0\n1\n2\n"
    works_and_ends(kernel)
