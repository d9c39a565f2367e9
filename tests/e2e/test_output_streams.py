"""stdout and stderr: nothing lost, in order, whoever writes, and to the cell that caused it."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

from tests.e2e.harness.client import wait_for

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.e2e.harness.client import Client
    from tests.e2e.harness.process import KernelProcess
    from tests.e2e.harness.snippets import Snippets


def test_100_000_prints_arrive_in_few_messages(client: Client) -> None:
    result = client.run("for n in range(100_000): print(n)", timeout=60)
    assert result.stdout == "".join(f"{n}\n" for n in range(100_000))
    assert len(result.of("stream")) < 1000


def test_one_print_of_50_megabytes(client: Client) -> None:
    code = "import hashlib\ntext = ''.join(chr(0x100 + n % 5000) for n in range(100_000)) * 500\nprint(text, end='')"
    text = "".join(chr(0x100 + n % 5000) for n in range(100_000)) * 500
    result = client.run(code, timeout=120)
    assert len(result.stdout) == len(text)
    assert hashlib.sha256(result.stdout.encode()).digest() == hashlib.sha256(text.encode()).digest()
    assert client.run("del text").status == "ok"


def test_both_streams_and_displays_keep_their_order(client: Client, ours: None) -> None:
    result = client.run(
        "import sys\nfor n in range(50):\n    print(n)\n    print(n, file=sys.stderr)\n    display(n)", timeout=60
    )
    assert result.kinds == ["busy", "execute_input", *["stdout", "stderr", "display_data"] * 50, "idle"]


def test_a_line_without_end_arrives_while_the_cell_runs(client: Client, tmp_path: Any) -> None:
    path = tmp_path / "go on"
    running = client.start(
        f"import os, time\nprint('half a line', end='')\nwhile not os.path.exists({str(path)!r}): time.sleep(0.01)"
    )
    client.printed(running, "half a line")
    path.touch()
    assert client.result(running).stdout == "half a line"


def test_a_thread_prints_to_the_cell_that_started_it(client: Client) -> None:
    first = client.start(
        "import threading\ngo = threading.Event()\n"
        "t = threading.Thread(target=lambda: (go.wait(), print('thread')))\nt.start()"
    )
    client.result(first)
    second = client.run("print('second')\ngo.set()\nt.join()")
    assert second.stdout == "second\n"
    client.until(lambda: client.so_far(first).stdout == "thread\n", "the thread's output in its cell")


def test_a_pool_of_threads_prints_to_the_cell_that_submits(client: Client, ours: None) -> None:
    first = client.run(
        "from concurrent.futures import ThreadPoolExecutor\npool = ThreadPoolExecutor(1)\n"
        "pool.submit(print, 'first').result()"
    )
    second = client.run("pool.submit(print, 'second').result()\npool.shutdown()")
    assert (first.stdout, second.stdout) == ("first\n", "second\n")


def test_a_background_task_prints_to_the_cell_that_started_it(client: Client, snippets: Snippets) -> None:
    first = client.start(
        f"ready = False\nasync def work():\n    while not ready:\n        await {snippets.sleep}\n"
        f"    print('task')\n{snippets.start_background}"
    )
    client.result(first)
    assert (
        client.run(f"ready = True\nprint('second')\nawait {snippets.sleep}\nawait {snippets.sleep}").stdout
        == "second\n"
    )
    client.until(lambda: client.so_far(first).stdout == "task\n", "the task's output in its cell")


def test_prints_of_many_threads_are_whole(client: Client) -> None:
    result = client.run(
        "import threading\ndef many(name):\n    for n in range(500): print(f'{name}-{n}\\n', end='')\n"
        "threads = [threading.Thread(target=many, args=(i,)) for i in range(4)]\n"
        "for t in threads: t.start()\nfor t in threads: t.join()"
    )
    lines = result.stdout.splitlines()
    assert sorted(lines) == sorted(f"{i}-{n}" for i in range(4) for n in range(500))
    for i in range(4):
        assert [line for line in lines if line.startswith(f"{i}-")] == [f"{i}-{n}" for n in range(500)]


# -- what does not go through Python's streams ------------------------------------------------------------------------


def test_descriptors_are_captured(client: Client) -> None:
    result = client.run("import os\nos.write(1, b'to one\\n'); os.write(2, b'to two\\n');")
    assert (result.stdout, result.stderr) == ("to one\n", "to two\n")


def test_c_code_is_captured(client: Client) -> None:
    result = client.run("import ctypes\nlibc = ctypes.CDLL(None)\nlibc.printf(b'from C %d\\n', 5)\nlibc.fflush(None);")
    assert result.stdout == "from C 5\n"


def test_child_processes_are_captured(client: Client) -> None:
    result = client.run(
        "import subprocess, os, sys\nsubprocess.run(['echo', 'child'])\nos.system('echo system >&2')\n"
        "subprocess.run(['echo', 'given'], stdout=sys.stdout);"
    )
    assert sorted(result.stdout.splitlines()) == ["child", "given"]
    assert result.stderr == "system\n"


def test_a_forked_child_prints(client: Client) -> None:
    result = client.run(
        "import os\npid = os.fork()\nif pid == 0:\n    print('child', flush=True)\n    os._exit(0)\n"
        "os.waitpid(pid, 0)\nprint('parent')"
    )
    assert sorted(result.stdout.splitlines()) == ["child", "parent"]
    assert result.kinds.count("idle") == 1


def test_a_multiprocessing_child_prints(client: Client) -> None:
    result = client.run(
        "import multiprocessing\n"
        "p = multiprocessing.get_context('fork').Process(target=print, args=('process',))\n"
        "p.start(); p.join(); p.exitcode"
    )
    assert (result.stdout, result.text) == ("process\n", "0")


def test_a_lot_from_a_child_process_is_out_before_idle(client: Client) -> None:
    result = client.run("import subprocess\nsubprocess.run(['seq', '100000']);", timeout=60)
    assert result.stdout == "".join(f"{n}\n" for n in range(1, 100_001))


def test_bytes_that_are_no_text(client: Client) -> None:
    result = client.run(
        "import os\nos.write(1, 'ü'.encode()[:1]); os.write(1, 'ü'.encode()[1:]); os.write(1, b'\\xff\\n');"
    )
    assert result.status == "ok"
    assert result.stdout.startswith("ü")
    assert client.run("print('\\ud800')").replies
    assert client.run("1").text == "1"


# -- what the streams are ---------------------------------------------------------------------------------------------


def test_streams_look_like_text_streams(client: Client) -> None:
    code = "[(s.encoding.lower(), s.isatty(), s.writable(), s.readable(), s.closed) for s in (sys.stdout, sys.stderr)]"
    assert client.run(f"import sys\n{code}").text == repr([("utf-8", False, True, False, False)] * 2)
    assert client.run("type(sys.stdout.fileno()).__name__, sys.stdout.write('abc')").text == "('int', 3)"
    assert client.run("sys.stdout.write(b'x')").error[0] == "TypeError"  # pyright: ignore[reportOptionalSubscript]
    assert client.run("sys.stdout.writelines(['a', 'b'])").stdout == "ab"


def test_log_handlers_go_on_over_cells(client: Client) -> None:
    client.run("import logging, sys\nlog = logging.getLogger('fruit')\nlog.addHandler(logging.StreamHandler())")
    assert client.run("log.warning('later')").stderr == "later\n"
    client.run("log.handlers[:] = [logging.StreamHandler(sys.__stderr__)]")
    assert client.run("log.warning('by the old stderr')").stderr == "by the old stderr\n"


def test_redirected_output_is_not_shown(client: Client) -> None:
    result = client.run(
        "import contextlib, io\nwith contextlib.redirect_stdout(io.StringIO()) as out:\n"
        "    print('inside')\nout.getvalue()"
    )
    assert (result.stdout, result.text) == ("", repr("inside\n"))


def test_output_is_echoed_when_asked(start: Callable[..., KernelProcess], ours: None) -> None:
    kernel = start("--no-quiet")
    assert kernel.client().run("print('echoed')").stdout == "echoed\n"
    wait_for(lambda: "echoed\n" in kernel.log, "the echo")  # the terminal is nobody the cell waits for


def test_output_is_not_echoed_otherwise(kernel: KernelProcess, client: Client) -> None:
    assert client.run("print('not echoed')").stdout == "not echoed\n"
    assert "not echoed" not in kernel.log
