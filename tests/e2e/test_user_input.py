"""Questions to the user: input, getpass and ainput, from wherever they are asked."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.e2e.harness.client import Client
    from tests.e2e.harness.process import KernelProcess
    from tests.e2e.harness.snippets import Snippets


def test_input(client: Client) -> None:
    asking = client.start("name = input('name? ')\nprint('hello', name)\nname")
    question = client.question(asking)
    assert question["content"] == {"prompt": "name? ", "password": False}
    client.answer("Ada")
    result = client.result(asking)
    assert (result.stdout, result.text) == ("hello Ada\n", "'Ada'")


def test_output_before_a_question_is_out_when_it_is_asked(client: Client) -> None:
    asking = client.start("print('first', end='')\ninput()")
    client.question(asking)
    client.printed(asking, "first")
    client.answer("")
    client.result(asking)


def test_several_questions_of_one_cell(client: Client) -> None:
    asking = client.start("[input(str(n)) for n in range(3)]")
    for n in range(3):
        question = client.question(asking, n + 1)
        assert question["content"]["prompt"] == str(n)
        client.answer(f"answer {n}")
    assert client.result(asking).text == "['answer 0', 'answer 1', 'answer 2']"


def test_getpass(client: Client) -> None:
    asking = client.start("import getpass\ngetpass.getpass('secret: ')")
    assert client.question(asking)["content"] == {"prompt": "secret: ", "password": True}
    client.answer("xyzzy")
    assert client.result(asking).text == "'xyzzy'"


def test_a_reply_may_name_the_question(client: Client) -> None:
    asking = client.start("input()")
    client.answer("named", parent=client.question(asking))
    assert client.result(asking).text == "'named'"


def test_input_in_a_worker_thread(client: Client) -> None:
    asking = client.start(
        "import threading\nsaid = []\n"
        "t = threading.Thread(target=lambda: said.append(input('from a thread')))\nt.start(); t.join()\n"
        "said"
    )
    assert client.question(asking)["content"]["prompt"] == "from a thread"
    client.answer("heard")
    assert client.result(asking).text == "['heard']"


def test_input_in_a_thread_of_the_backend(client: Client, backend: str) -> None:
    call = {
        "trio": "import trio\nawait trio.to_thread.run_sync(input, 'p')",
        "asyncio": "import asyncio\nawait asyncio.to_thread(input, 'p')",
    }
    asking = client.start(call[backend])
    client.question(asking)
    client.answer("heard")
    assert client.result(asking).text == "'heard'"


def test_ainput_lets_tasks_run(client: Client, snippets: Snippets, ours: None) -> None:
    client.run(
        "ticks = 0\nasync def work():\n    global ticks\n    while True:\n"
        f"        await {snippets.sleep}\n        ticks += 1\n{snippets.start_background}"
    )
    asking = client.start("before = ticks\nsaid = await ainput('async? ')\n(said, ticks > before)")
    assert client.question(asking)["content"] == {"prompt": "async? ", "password": False}
    client.until(
        lambda: int(client.request("complete_request", {"code": "a", "cursor_pos": 1}).status == "ok"), "completion"
    )
    client.answer("yes")
    assert client.result(asking).text == "('yes', True)"


def test_a_loop_that_swallows_interrupts_comes_to_its_end(client: Client, ours: None) -> None:
    loop = "import code\ncode.interact(banner='interacting')"
    asking = client.start(loop)
    client.question(asking)
    client.interrupt()
    assert client.result(asking).status == "ok"  # it took KeyboardInterrupt for "start the line again"
    assert len(client.so_far(asking).of("input_request")) <= 1
    assert client.run("1").text == "1"


@pytest.mark.parametrize("code", ["input()", "await ainput()", "import getpass; getpass.getpass()"])
def test_the_end_of_input_is_an_eof_error(client: Client, subject: object, code: str) -> None:
    if "ainput" in code and not subject.is_ours:  # pyright: ignore[reportAttributeAccessIssue]
        pytest.skip("not a behaviour of the stand-in")
    asking = client.start(code)
    client.question(asking)
    client.answer("\x04")
    result = client.result(asking)
    assert result.error is not None
    assert result.error[0] == "EOFError"


@pytest.mark.parametrize("code", ["input()", "import getpass; getpass.getpass()", "await ainput()"])
def test_questions_are_refused_to_clients_without_stdin(client: Client, code: str, subject: object) -> None:
    if "ainput" in code and not subject.is_ours:  # pyright: ignore[reportAttributeAccessIssue]
        pytest.skip("not a behaviour of the stand-in")
    result = client.run(code, allow_stdin=False)
    assert result.error is not None
    assert result.error[0] == "StdinNotImplementedError"
    assert not [r for r in client.received if r.channel == "stdin"]


def test_stale_replies_are_dropped(client: Client) -> None:
    first = client.start("input('first')")
    question = client.question(first)
    client.answer("answer to the first")
    client.result(first)
    client.answer("nobody asked")
    client.answer("answered before", parent=question)
    client.nothing_more()
    second = client.start("input('second')")
    client.question(second)
    client.answer("answered before", parent=question)
    client.answer("answer to the second")
    assert client.result(second).text == "'answer to the second'"


def test_other_channels_live_on_while_a_cell_asks(client: Client, ours: None) -> None:
    asking = client.start("input()")
    client.question(asking)
    for channel in ("shell", "control"):
        assert client.request("kernel_info_request", channel=channel).status == "ok"
    assert "print" in client.request("complete_request", {"code": "pri", "cursor_pos": 3}).reply["matches"]
    client.answer("x")
    assert client.result(asking).text == "'x'"


@pytest.mark.parametrize("how", ["message", "signal"])
@pytest.mark.parametrize("code", ["input()", "await ainput()", "import getpass; getpass.getpass()"])
def test_an_interrupt_ends_a_question(
    client: Client, kernel: KernelProcess, subject: object, how: str, code: str
) -> None:
    if "ainput" in code and not subject.is_ours:  # pyright: ignore[reportAttributeAccessIssue]
        pytest.skip("not a behaviour of the stand-in")
    asking = client.start(code)
    client.question(asking)
    if how == "message":
        client.interrupt()
    else:
        kernel.send_signal(signal.SIGINT)
    assert client.result(asking).reply["ename"] == "KeyboardInterrupt"
    # The answer comes too late, and is not taken for the next question's.
    client.answer("too late")
    client.nothing_more()
    again = client.start("input()")
    client.question(again)
    client.answer("in time")
    assert client.result(again).text == "'in time'"


def test_the_client_that_runs_the_cell_is_asked(client: Client, kernel: KernelProcess) -> None:
    other = kernel.client()
    asking = other.start("input('whom?')")
    other.question(asking)
    client.answer("not asked")
    client.nothing_more()
    other.answer("asked")
    assert other.result(asking).text == "'asked'"
    assert not [r for r in client.received if r.channel == "stdin"]


def test_a_client_that_leaves_while_it_is_asked(client: Client, kernel: KernelProcess) -> None:
    other = kernel.client()
    other.question(other.start("input()", stop_on_error=False))
    other.close()
    client.interrupt()
    assert client.run("1").text == "1"
