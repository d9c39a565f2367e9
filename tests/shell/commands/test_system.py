"""Child processes of cells: their output is live, they have nothing to read, and an interrupt ends them."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path

import anyio
import anyio.to_thread
import pytest

from async_kernel.shell.commands.system import run_child
from tests.shell.kernels import ip_session

pytestmark = [pytest.mark.anyio, pytest.mark.skipif(os.name != "posix", reason="POSIX")]


# -- !command --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "code", ["!{}", "out = !{}\nprint(*out)", "%%bash\n{}", "%%script sh\n{}"], ids=["run", "capture", "bash", "script"]
)
async def test_other_tasks_go_on_meanwhile(tmp_path: Path, code: str) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    async with ip_session(tmp_path) as session:
        cell = session.begin(code.format(f"timeout 10 sh -c 'read x < {fifo}; echo $x'"))
        writer = await anyio.to_thread.run_sync(os.open, fifo, os.O_WRONLY)  # once the child reads
        os.write(writer, b"written by the loop\n")
        os.close(writer)
        assert (await session.end(cell)).text() == "written by the loop\n"


async def test_a_scope_around_a_command_ends_it(tmp_path: Path) -> None:
    async with ip_session(tmp_path) as session:
        ran = await session.run(
            "import anyio\nwith anyio.CancelScope() as scope:\n"
            "    cell.nursery.start_soon(anyio.sleep, 0)\n    scope.cancel()\n    !sleep 3600\nprint('went on')"
        )
        assert (ran.status, ran.text()) == ("ok", "went on\n")


async def test_a_function_calls_commands_as_before(tmp_path: Path) -> None:
    async with ip_session(tmp_path) as session:
        ran = await session.run(
            "def f():\n    ip = get_ipython()\n    ip.system('echo system')\n"
            "    ip.run_cell_magic('bash', '', 'echo bash')\n    return ip.getoutput('echo output')\nf()"
        )
        assert (ran.text(), ran.value) == ("system\nbash\n", "['output']")


async def test_who_replaces_system_gets_the_command(tmp_path: Path) -> None:
    async with ip_session(tmp_path) as session:
        commands: list[str] = []
        session.shell.system = commands.append  # type: ignore[method-assign]
        await session.run("!ls")
        assert commands == ["ls"]


async def test_output_and_errors_go_to_their_streams(tmp_path: Path) -> None:
    async with ip_session(tmp_path) as session:
        ran = await session.run("!echo out; echo err >&2; exit 3")
        assert (ran.status, ran.text(), ran.text("stderr")) == ("ok", "out\n", "err\n")
        assert await session.value("_exit_code") == "3"


async def test_variables_are_expanded(tmp_path: Path) -> None:
    async with ip_session(tmp_path) as session:
        assert (await session.run("name = 'you'\n!echo hello $name {1 + 1} $$HOME_NOT")).text() == "hello you 2\n"


async def test_variables_of_a_function_are_expanded(tmp_path: Path) -> None:
    async with ip_session(tmp_path) as session:
        ran = await session.run(
            "def f():\n    inner = 'here'\n    x = !echo $inner\n    !echo {inner}!\n    return x\nf()"
        )
        assert (ran.value, ran.text()) == ("['here']", "here!\n")


async def test_output_is_live(tmp_path: Path) -> None:
    (tmp_path / "fifo").unlink(missing_ok=True)
    os.mkfifo(tmp_path / "fifo")
    async with ip_session(tmp_path) as session:
        wire = session.wire
        original = wire._add

        def note(sent: object) -> None:
            original(sent)  # type: ignore[arg-type]
            if getattr(sent, "kind", "") == "stream":
                with open(os.open(tmp_path / "fifo", os.O_WRONLY), "w") as fifo:  # noqa: PTH123
                    fifo.write("seen\n")
                wire._add = original  # type: ignore[method-assign]

        wire._add = note  # type: ignore[method-assign]
        ran = await session.run(f"!{sys.executable} -c \"print('first'); print(open('{tmp_path}/fifo').read())\"")
        assert ran.text().split() == ["first", "seen"]


async def test_a_command_has_nothing_to_read(tmp_path: Path) -> None:
    async with ip_session(tmp_path) as session:
        assert (await session.run("!cat; cat < /dev/tty; echo done")).text() == "done\n"


async def test_a_command_runs_in_the_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "inside").mkdir()
    async with ip_session(tmp_path) as session:
        assert (await session.run("%cd -q inside\n!pwd")).text().strip() == str(tmp_path / "inside")


async def test_a_command_thinks_that_it_has_a_terminal(tmp_path: Path) -> None:
    async with ip_session(tmp_path) as session:
        ran = await session.run("!test -t 1 && test -t 2 && echo yes; stty size < /dev/stdout")
        assert ran.text() == "yes\n24 80\n"


async def test_lines_end_as_they_were_written(tmp_path: Path) -> None:
    async with ip_session(tmp_path) as session:
        assert (await session.run(r"!printf 'a\nb\r\nc\t\303\244'")).text() == "a\nb\r\nc\tä"


async def test_a_signal_is_a_negative_exit_code(tmp_path: Path) -> None:
    async with ip_session(tmp_path) as session:
        await session.run("!kill -TERM $$")
        assert await session.value("_exit_code") == str(-signal.SIGTERM)


async def test_a_background_command_is_refused(tmp_path: Path) -> None:
    async with ip_session(tmp_path) as session:
        assert (await session.run("!sleep 1 &")).reply["ename"] == "OSError"


async def test_what_a_command_leaves_behind_is_not_waited_for(tmp_path: Path) -> None:
    async with ip_session(tmp_path) as session:
        ran = await session.run("!sleep 1000 & echo $!")
        os.kill(int(ran.text()), signal.SIGKILL)


async def test_failing_commands_raise_when_asked(tmp_path: Path) -> None:
    async with ip_session(tmp_path) as session:
        await session.run("get_ipython().system_raise_on_error = True")
        assert (await session.run("!exit 2", stop_on_error=False)).reply["ename"] == "CalledProcessError"
        assert (await session.run("x = !exit 2", stop_on_error=False)).reply["ename"] == "CalledProcessError"


async def test_a_shell_that_is_not_there_is_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHELL", "/no/such/shell")
    async with ip_session(tmp_path) as session:
        assert (await session.run("!echo hi")).text() == "hi\n"


# -- x = !command ----------------------------------------------------------------------------------------------


async def test_output_is_captured_as_lines_errors_in_their_place(tmp_path: Path) -> None:
    async with ip_session(tmp_path) as session:
        ran = await session.run("x = !echo a; echo b >&2; echo c\nx.n, x.s, _exit_code")
        assert (ran.value, ran.text(), ran.text("stderr")) == ("('a\\nb\\nc', 'a b c', 0)", "", "")


@pytest.mark.parametrize("code", ["!!echo a", "%sx echo a", "%%sx\necho a", "%%!\necho a", "%system echo a"])
async def test_every_spelling_captures(tmp_path: Path, code: str) -> None:
    async with ip_session(tmp_path) as session:
        assert (await session.run(code)).value == "['a']"


async def test_captured_output_has_no_terminal(tmp_path: Path) -> None:
    async with ip_session(tmp_path) as session:
        assert await session.value("x = !test -t 1 || echo none\nx") == "['none']"


# -- interrupts ------------------------------------------------------------------------------------------------


def members(group: int) -> list[str]:
    """The processes of a group that are not dead already."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            state, _, pgrp = stat.read_text().rsplit(")", 1)[1].split()[:3]
            if int(pgrp) == group and state != "Z":
                found.append(stat.parent.name)
    return found


@pytest.mark.parametrize(
    "command",
    [
        "sleep 1000",
        "sh -c \"trap '' INT; echo on; while :; do sleep 1000; done\"",
        "sh -c \"trap '' INT TERM; echo on; while :; do sleep 1000; done\"",
    ],
    ids=["ends by SIGINT", "ends by SIGTERM", "ends by SIGKILL"],
)
async def test_an_interrupt_ends_the_whole_group(tmp_path: Path, command: str) -> None:
    async with ip_session(tmp_path) as session:
        code = f"# thread\nprint('on')\n!echo $$; {command}; echo after"
        cell = session.begin(code)
        await session.printed(cell, "\n")
        while not session.wire.text(cell).partition("on\n")[2].strip():
            await session.wire._changed.wait()
        group = int(session.wire.text(cell).split()[1])
        session.interrupt(cell)
        ran = await session.end(cell)
        assert (ran.status, ran.reply["ename"]) == ("error", "KeyboardInterrupt")
        assert "after" not in ran.text()
        assert members(group) == []


async def test_a_child_may_clean_up_when_it_is_interrupted(tmp_path: Path) -> None:
    async with ip_session(tmp_path) as session:
        code = "# thread\n!sh -c \"trap 'echo cleaned; exit 1' INT; echo ready; sleep 1000 & wait\""
        cell = session.begin(code)
        await session.printed(cell, "ready")
        session.interrupt(cell)
        ran = await session.end(cell)
        assert ran.text() == "ready\ncleaned\n"


# -- run_child -------------------------------------------------------------------------------------------------


def test_no_descriptor_is_left() -> None:
    before = set(Path("/proc/self/fd").iterdir())
    for terminal in (True, False):
        assert run_child(["true"], out=print, err=print, terminal=terminal) == 0
        with pytest.raises(FileNotFoundError):
            run_child(["/no/such/program"], out=print, err=None, terminal=terminal)
    assert set(Path("/proc/self/fd").iterdir()) == before


def test_characters_that_arrive_in_pieces_are_whole() -> None:
    pieces: list[str] = []
    script = r"printf '\303'; sleep 0.05; printf '\244'; printf '\377'"
    assert run_child(["sh", "-c", script], out=pieces.append, err=None) == 0
    assert "".join(pieces) == "ä\N{REPLACEMENT CHARACTER}"


def test_much_output_is_whole() -> None:
    pieces: list[str] = []
    run_child([sys.executable, "-c", "print('x' * 5_000_000)"], out=pieces.append, err=None, terminal=True)
    assert len("".join(pieces)) == 5_000_001


def test_a_failing_consumer_ends_the_child() -> None:
    def refuse(_: str) -> None:
        raise LookupError

    pids: list[subprocess.Popen[bytes]] = []
    original = subprocess.Popen

    def noting(*args: object, **kwargs: object) -> object:
        pids.append(original(*args, **kwargs))  # type: ignore[call-overload]
        return pids[-1]

    subprocess.Popen = noting  # type: ignore[assignment, misc]
    try:
        with pytest.raises(LookupError):
            run_child(["sh", "-c", "echo x; sleep 1000"], out=refuse, err=None)
    finally:
        subprocess.Popen = original  # type: ignore[misc]
    assert pids[0].returncode == -signal.SIGKILL
