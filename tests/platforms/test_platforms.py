"""What the room says of each system; systems that this is not are faked."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import subprocess
import sys
import threading
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
import trio

from async_kernel.lifetime import bell
from async_kernel.transport import doorbell
from tests.e2e.harness.process import KernelProcess

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

    from tests.e2e.harness.subject import Home

POSIX = pytest.mark.skipif(sys.platform == "win32", reason="of POSIX")
LINUX = pytest.mark.skipif(sys.platform != "linux", reason="of Linux")

On = "Callable[[str, str], Any]"


@pytest.mark.parametrize(
    ("system", "threads", "sessions", "man", "cls", "ipc", "ipc_bytes", "stalled", "events", "wakeup"),
    [
        ("linux", True, True, True, False, ("tcp", "ipc"), 107, True, True, True),
        ("darwin", True, True, True, False, ("tcp",), 103, False, False, True),
        ("win32", True, False, False, True, ("tcp",), 103, False, False, False),
        ("emscripten", False, True, True, False, ("tcp",), 103, False, False, True),
    ],
)
@LINUX
def test_what_can_be_had(
    on: On,
    system: str,
    threads: bool,
    sessions: bool,
    man: bool,
    cls: bool,
    ipc: tuple[str, ...],
    ipc_bytes: int,
    stalled: bool,
    events: bool,
    wakeup: bool,
) -> None:
    commands, sockets = on(system, "commands"), on(system, "ipc")
    assert on(system, "threads").HAVE_THREADS is threads
    assert (sessions, man, cls) == (commands.HAVE_SESSIONS, commands.HAVE_MAN, commands.HAVE_CLS)
    assert (ipc, ipc_bytes) == (sockets.TRANSPORTS, sockets.MAX_IPC_PATH_BYTES)
    assert on(system, "tcp").TELLS_PROGRESS is stalled
    assert on(system, "events").HAVE_EVENTFD is events
    assert on(system, "signals").WAKEUP_FD_CAN_BE_WRITTEN is wakeup


# -- signals -------------------------------------------------------------------------------------------------


def test_signals_that_a_system_does_not_have_are_left_out(on: On, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SIGHUP", "SIGKILL"):
        monkeypatch.delattr(signal, name, raising=False)
    monkeypatch.setattr(signal, "SIGBREAK", 21, raising=False)
    signals = on("win32", "signals")
    assert [signal.SIGTERM, 21] == signals.STOPPING_SIGNALS
    assert signals.KILL == signal.SIGTERM


def test_windows_raises_the_signal_in_the_process(on: On, monkeypatch: pytest.MonkeyPatch) -> None:
    raised: list[int] = []
    monkeypatch.setattr(signal, "raise_signal", raised.append)
    on("win32", "signals").raise_sigint_in_main_thread()
    assert raised == [signal.SIGINT]


@POSIX
def test_elsewhere_it_goes_to_the_main_thread(on: On, monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[tuple[int, int]] = []
    monkeypatch.setattr(signal, "pthread_kill", lambda *args: sent.append(args))
    on(sys.platform, "signals").raise_sigint_in_main_thread()
    assert sent == [(threading.main_thread().ident, signal.SIGINT)]


# -- forks and processes -------------------------------------------------------------------------------------


def test_where_nothing_forks_hooks_are_never_called(on: On) -> None:
    on("win32", "forks").at_fork(after_in_child=pytest.fail)


@POSIX
def test_hooks_are_called_in_the_child() -> None:
    """In a process of its own: a hook stays as long as its process, and this one forks for other tests, too."""
    code = """
import os
from async_kernel.platforms.forks import at_fork
reading, writing = os.pipe()
at_fork(after_in_child=lambda: os.write(writing, b"child"))
if (pid := os.fork()) == 0:
    os._exit(0)
os.waitpid(pid, 0)
os.close(writing)
print(os.read(reading, 100).decode())
"""
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout == "child\n"


def test_without_groups_nobody_is_in_ours(on: On) -> None:
    assert on("win32", "processes").is_in_our_group(os.getpid()) is False


@POSIX
def test_this_process_is_in_its_group(on: On) -> None:
    assert on(sys.platform, "processes").is_in_our_group(os.getpid())


@pytest.mark.trio
async def test_where_the_end_of_a_process_cannot_be_seen_that_is_said(on: On) -> None:
    processes = on("emscripten", "processes")
    assert processes.open_end(os.getpid()) is None
    assert await processes.wait_until_ended(os.getpid()) is False


@pytest.mark.trio
async def test_windows_waits_for_the_handle(on: On, monkeypatch: pytest.MonkeyPatch) -> None:
    waited: list[int] = []

    async def wait(handle: int) -> None:
        waited.append(handle)

    monkeypatch.setattr(trio.lowlevel, "WaitForSingleObject", wait, raising=False)
    assert await on("win32", "processes").wait_until_ended(1234) is True
    assert waited == [1234]


class FakeKqueue:
    """What trio and the select module have of kqueue, for one process that may be there or not."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *, there: bool) -> None:
        self.there = there
        self.watched: list[Any] = []
        self.ended = trio.Event()
        for name, value in {
            "KQ_EV_ADD": 1,
            "KQ_EV_ONESHOT": 16,
            "KQ_FILTER_PROC": -5,
            "KQ_NOTE_EXIT": 1 << 31,
            "kevent": lambda *args: args,
        }.items():
            monkeypatch.setattr(select, name, value, raising=False)
        monkeypatch.setattr(trio.lowlevel, "current_kqueue", lambda: self, raising=False)
        monkeypatch.setattr(trio.lowlevel, "monitor_kevent", self.monitor, raising=False)

    def control(self, events: list[Any], _: int) -> None:
        if not self.there:
            raise ProcessLookupError
        self.watched += events

    @contextlib.contextmanager
    def monitor(self, ident: int, kind: int) -> Generator[Any]:
        yield self

    def __aiter__(self) -> FakeKqueue:
        return self

    async def __anext__(self) -> list[str]:
        await self.ended.wait()
        return ["the process has ended"]


@pytest.mark.trio
async def test_macos_waits_for_an_event_of_the_process(
    on: On, monkeypatch: pytest.MonkeyPatch, autojump_clock: trio.testing.MockClock
) -> None:
    kqueue = FakeKqueue(monkeypatch, there=True)
    wait = on("darwin", "processes").wait_until_ended
    with trio.move_on_after(60) as scope:
        await wait(1234)
    assert scope.cancelled_caught  # it lives
    kqueue.ended.set()
    assert await wait(1234) is True
    assert kqueue.watched == [(1234, -5, 17, 1 << 31)] * 2


@pytest.mark.trio
async def test_macos_sees_that_the_process_has_gone_already(on: On, monkeypatch: pytest.MonkeyPatch) -> None:
    FakeKqueue(monkeypatch, there=False)
    assert await on("darwin", "processes").wait_until_ended(1234) is True


@LINUX
@pytest.mark.trio
async def test_linux_waits_for_a_descriptor_of_the_process(on: On) -> None:
    processes = on("linux", "processes")
    child = await trio.lowlevel.open_process(["sleep", "600"])
    with trio.fail_after(60):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(processes.wait_until_ended, child.pid)
            await trio.testing.wait_all_tasks_blocked()
            child.terminate()
        await child.wait()
    assert await processes.wait_until_ended(child.pid) is True  # nobody of that number: it has been waited for


# -- files, terminals, users ---------------------------------------------------------------------------------


def test_windows_has_no_terminal_to_open_again_and_always_room(on: On) -> None:
    terminals = on("win32", "terminals")
    reading, writing = os.pipe()
    try:
        assert terminals.open_again(writing) is None
        assert terminals.always_has_room(writing)
    finally:
        os.close(reading)
        os.close(writing)


@POSIX
def test_a_pipe_may_be_full_and_a_file_has_room(on: On, tmp_path: Path) -> None:
    terminals = on(sys.platform, "terminals")
    reading, writing = os.pipe()
    try:
        assert not terminals.always_has_room(writing)
        assert terminals.open_again(writing) is None
    finally:
        os.close(reading)
        os.close(writing)
    with (tmp_path / "log").open("wb") as file:
        assert terminals.always_has_room(file.fileno())


@POSIX
def test_a_terminal_is_opened_again(on: On) -> None:
    ours, theirs = os.openpty()
    again = on(sys.platform, "terminals").open_again(theirs)
    try:
        assert os.ttyname(again) == os.ttyname(theirs)
        assert not os.get_blocking(again)
        assert os.get_blocking(theirs)
    finally:
        for descriptor in (ours, theirs, again):
            os.close(descriptor)


def test_where_pipes_cannot_be_waited_for_a_kernel_has_what_python_prints(tmp_path: Path, home: Home) -> None:
    elsewhere = (
        "from async_kernel.platforms import terminals\n"
        "terminals.PIPES_CAN_BE_WAITED_FOR = False\n"
        "from async_kernel.command import command_line\n"
        "command_line()"
    )
    path = tmp_path / "kernel.json"
    command = [sys.executable, "-c", elsewhere, "start", f"--connection_file={path}"]
    with KernelProcess(command, path, env={}, folder=tmp_path) as kernel:
        client = kernel.client()
        printed = client.run("import os\nos.write(1, b'to the terminal\\n')\nprint('to the client')")
        assert printed.stdout == "to the client\n"
        client.send("shutdown_request", {"restart": False}, channel="control")
        assert kernel.exit_code() == 0
        assert "to the terminal" in kernel.log


def test_where_there_are_no_groups_none_is_sent_a_signal(on: On) -> None:
    on("win32", "processes").signal_group(os.getpid(), signal.SIGTERM)  # we would not live


def test_a_backslash_is_a_letter_on_windows(on: On) -> None:
    assert on("win32", "commands").split_words(r"python C:\temp\x.py") == ["python", r"C:\temp\x.py"]
    assert on("linux", "commands").split_words(r"python a\ b.py") == ["python", "a b.py"]


def test_words_are_quoted_for_the_shell_of_the_system(on: On) -> None:
    assert on("win32", "commands").quoted(r"C:\My Python\python.exe") == r'"C:\My Python\python.exe"'
    assert on("linux", "commands").quoted("/my python/bin/python") == "'/my python/bin/python'"


@POSIX
def test_a_folder_is_ours_and_a_link_or_a_file_is_not(on: On, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    users = on(sys.platform, "users")
    (tmp_path / "link").symlink_to(tmp_path)
    (tmp_path / "file").touch()
    assert users.is_our_folder(tmp_path)
    assert not users.is_our_folder(tmp_path / "link")
    assert not users.is_our_folder(tmp_path / "file")
    monkeypatch.setattr(os, "getuid", lambda: os.geteuid() + 1)
    assert not users.is_our_folder(tmp_path)


def test_where_users_are_not_told_apart_every_folder_is_ours(on: On, tmp_path: Path) -> None:
    assert on("win32", "users").is_our_folder(tmp_path)


def test_windows_has_no_symbol_for_cs_stdout(on: On) -> None:
    c_stdout = on("win32", "c_stdout")
    assert c_stdout._c_stdout() is None
    c_stdout.flush_c_stdout()
    c_stdout.buffer_c_stdout_by_line()


def test_macos_calls_cs_stdout_otherwise(on: On, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    c_stdout = on("darwin", "c_stdout")
    monkeypatch.setattr(c_stdout, "_libc", lambda: None)
    monkeypatch.setattr(
        c_stdout, "ctypes", SimpleNamespace(c_void_p=SimpleNamespace(in_dll=lambda _, name: asked.append(name)))
    )
    c_stdout._c_stdout()
    assert asked == ["__stdoutp"]


@pytest.mark.parametrize(
    ("system", "variables", "has"),
    [("linux", {}, False), ("linux", {"DISPLAY": ":0"}, True), ("darwin", {}, True), ("win32", {}, True)],
    ids=["linux", "linux with X11", "macos", "windows"],
)
def test_displays(on: On, monkeypatch: pytest.MonkeyPatch, system: str, variables: dict[str, str], has: bool) -> None:
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert on(system, "displays").has_display("DISPLAY", "WAYLAND_DISPLAY") is has


# -- events and connections ----------------------------------------------------------------------------------


@pytest.mark.parametrize("system", ["darwin", "win32"])
def test_without_eventfd_nothing_of_it_works(on: On, system: str) -> None:
    events = on(system, "events")
    assert events.make_probe([]) is None
    for call in (events.open_event, lambda: events.set_event(0), lambda: events.read_event(0)):
        with pytest.raises(NotImplementedError):
            call()


@LINUX
def test_an_event_is_readable_once_it_is_set(on: On) -> None:
    events = on("linux", "events")
    event = events.open_event()
    probe = events.make_probe([event])
    try:
        assert not probe.poll(0)
        events.set_event(event)
        assert probe.poll(0)
        assert events.read_event(event) == 1
        assert not probe.poll(0)
    finally:
        probe.close()
        os.close(event)


@pytest.mark.trio
async def test_without_eventfd_bells_ring_through_the_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    from async_kernel.lifetime.loop_token import current_loop_token

    monkeypatch.setattr(bell, "HAVE_EVENTFD", False)
    monkeypatch.setattr(doorbell, "HAVE_EVENTFD", False)
    ours, theirs = socket.socketpair()
    with ours, theirs:
        token = trio.lowlevel.current_trio_token()
        made = bell.make_bell(current_loop_token()), doorbell.make_doorbell(ours.fileno(), token)
        assert [type(each).__name__ for each in made] == ["TokenBell", "TokenDoorbell"]
        with trio.fail_after(60):
            made[0].ring()
            await made[0].wait()
            await trio.to_thread.run_sync(made[1].ring)
            await made[1].wait(float("inf"), bell_only=True)
        for each in made:
            each.close()


@pytest.mark.parametrize("system", ["darwin", "win32"])
def test_elsewhere_nothing_is_told_of_a_connection(on: On, system: str) -> None:
    with socket.socket() as connection:
        assert on(system, "tcp").progress(connection) is None


@LINUX
def test_a_connection_tells_what_was_taken_and_what_waits(on: On) -> None:
    progress = on("linux", "tcp").progress
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()) as reader:
        writer, _ = server.accept()
        with writer:
            writer.setblocking(False)
            written = writer.send(bytes(100))
            assert reader.recv(100, socket.MSG_WAITALL) == bytes(100)
            assert progress(writer).waiting == 0
            assert progress(writer).taken >= written
            with contextlib.suppress(BlockingIOError):
                while True:
                    writer.send(bytes(1 << 20))
            assert progress(writer).waiting > 0
    assert progress(writer) is None  # it is closed
    ours, theirs = socket.socketpair()
    with ours, theirs:
        assert progress(ours) is None  # no TCP


def test_nobody_else_asks_which_system_this_is() -> None:
    """kernelspec.py stands alone: the build of the package loads it without the rest."""
    import re
    from pathlib import Path

    import async_kernel

    root = Path(async_kernel.__file__).parent
    asks = re.compile(
        r"sys\.platform|os\.name\b|os\.uname|\bplatform\.system|(has|get)attr\((os|signal|select|socket),"
        r"|import (fcntl|grp|msvcrt|pty|pwd|resource|termios|tty|winreg)\b"
    )
    asking = {path.relative_to(root).as_posix() for path in root.rglob("*.py") if asks.search(path.read_text("utf-8"))}
    assert {name for name in asking if not name.startswith("platforms/")} == {"kernelspec.py"}
