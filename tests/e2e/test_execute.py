"""The options of an execute_request and what its reply carries."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.e2e.harness.client import Client
    from tests.e2e.harness.process import KernelProcess
    from tests.e2e.harness.snippets import Snippets
    from tests.e2e.harness.subject import Subject


# -- silent and store_history --------------------------------------------------------------------------------------


def test_a_silent_cell_shows_no_input_and_no_result(client: Client) -> None:
    before = client.run("None").reply["execution_count"]
    result = client.run("quiet_value = 5\nquiet_value", silent=True)
    assert result.kinds == ["busy", "idle"]
    assert result.status == "ok"
    assert client.run("quiet_value").text == "5"
    assert client.run("None").reply["execution_count"] == before + 2


def test_a_silent_cell_that_fails_aborts_nothing(client: Client) -> None:
    failing, following = client.start("1/0", silent=True), client.start("'ran'")
    assert client.result(failing).reply["ename"] == "ZeroDivisionError"
    assert client.result(following).text == "'ran'"


def test_a_cell_without_history_does_not_count(client: Client) -> None:
    before = client.run("None").reply["execution_count"]
    client.run("'not stored'", store_history=False)
    assert client.run("None").reply["execution_count"] == before + 1
    content = {"hist_access_type": "tail", "n": 20, "raw": True, "output": False}
    assert "'not stored'" not in [entry[2] for entry in client.request("history_request", content).reply["history"]]


def test_execute_input_result_and_reply_agree_on_the_count(client: Client) -> None:
    result = client.run("'x'")
    counts = [content["execution_count"] for content in result.of("execute_input") + result.of("execute_result")]
    assert counts == [result.reply["execution_count"]] * 2


# -- user_expressions ------------------------------------------------------------------------------------------------


def test_user_expressions_on_success(client: Client) -> None:
    expressions = {"good": "n + 1", "bad": "1/0"}
    found = client.run("n = 1", user_expressions=expressions).reply["user_expressions"]
    assert found["good"]["status"] == "ok"
    assert found["good"]["data"]["text/plain"] == "2"
    assert (found["bad"]["status"], found["bad"]["ename"]) == ("error", "ZeroDivisionError")
    assert found["bad"]["traceback"]


def test_user_expressions_after_an_error(client: Client, ours: None) -> None:
    reply = client.run("m = 41\n1/0", user_expressions={"value": "m + 1"}).reply
    assert reply["status"] == "error"
    assert reply["user_expressions"]["value"]["data"]["text/plain"] == "42"


# -- stop_on_error ---------------------------------------------------------------------------------------------------


@pytest.fixture
def fails_when_told(client: Client, subject: Subject, tmp_path: Path) -> tuple[str, Callable[[], None]]:
    """A cell that fails when it is told; and what tells it, once the kernel has all that was sent before."""
    path = tmp_path / "fail"

    def tell() -> None:
        if subject.is_ours:  # it answers while a cell blocks, in the order of arrival
            client.nothing_more()
        path.touch()

    return f"import os, time\nwhile not os.path.exists({str(path)!r}): time.sleep(0.01)\n1/0", tell


def test_an_error_aborts_all_that_is_queued(client: Client, fails_when_told: tuple[str, Callable[[], None]]) -> None:
    code, tell = fails_when_told
    first = client.start(code)
    queued = [client.start(f"aborted_{n} = 1") for n in range(3)]
    tell()
    assert client.result(first).status == "error"
    for msg_id in queued:
        result = client.result(msg_id)
        assert result.status == "aborted"
        assert result.kinds == ["busy", "idle"]
    assert client.run("[name for name in dir() if name.startswith('aborted_')]").text == "[]"


def test_what_is_sent_after_the_error_runs(client: Client) -> None:
    assert client.run("1/0").status == "error"
    assert client.run("'later'").text == "'later'"


def test_what_is_sent_on_the_reply_of_an_error_runs(client: Client, ours: None) -> None:
    # A client that sends its next cell as soon as it has the reply, without waiting for idle.
    for n in range(30):
        failing = client.start("1/0")
        client.until(lambda msg_id=failing: client.so_far(msg_id).replies, "the reply")
        assert client.run(f"{n}").status == "ok"


def test_an_error_aborts_nothing_when_the_client_does_not_want_it(
    client: Client, fails_when_told: tuple[str, Callable[[], None]]
) -> None:
    code, tell = fails_when_told
    first = client.start(code, stop_on_error=False)
    second = client.start("'ran'")
    tell()
    assert client.result(first).status == "error"
    assert client.result(second).text == "'ran'"


# -- what cells may do -------------------------------------------------------------------------------------------------


def test_top_level_await(client: Client, snippets: Snippets) -> None:
    code = f"""
async def count():
    for n in range(3):
        await {snippets.sleep}
        yield n
class Around:
    async def __aenter__(self): return 'in'
    async def __aexit__(self, *exc): print('out')
async with Around() as where:
    print(where)
async for n in count():
    print(n)
[n async for n in count()]
"""
    result = client.run(code)
    assert result.stdout == "in\nout\n0\n1\n2\n"
    assert result.text == "[0, 1, 2]"


def test_context_variables_persist_over_cells(client: Client) -> None:
    client.run("from contextvars import ContextVar\nvar = ContextVar('var', default=0)\nvar.set(7)")
    assert client.run("var.get()").text == "7"


@pytest.mark.parametrize(
    "code", ["raise SystemExit(3)", "import sys; sys.exit()", "raise KeyboardInterrupt", "raise GeneratorExit"]
)
def test_the_kernel_survives_exceptions_that_end_programs(client: Client, code: str) -> None:
    result = client.run(code)
    assert result.status == "error"
    assert client.run("1").text == "1"


def test_exception_groups_are_shown_whole(client: Client) -> None:
    result = client.run("raise ExceptionGroup('several', [ValueError('first one'), TypeError('second one')])")
    assert result.error is not None
    assert result.error[0] == "ExceptionGroup"
    for traceback in (result.of("error")[0]["traceback"], result.reply["traceback"]):
        assert "first one" in "\n".join(traceback)
        assert "second one" in "\n".join(traceback)


@pytest.mark.parametrize(
    "body",
    [
        "raise ValueError('no repr')",
        "return repr(self)",
        "return 5",
        "raise SystemExit",
        "raise KeyboardInterrupt",
        "return '\\ud800'",
    ],
)
def test_bad_reprs_break_no_reply(client: Client, body: str) -> None:
    client.run(f"class Bad:\n    def __repr__(self):\n        {body}\nbad = Bad()")
    for code in ("bad", "display(bad)", "raise ValueError(bad)", "[bad]"):
        assert client.run(code).status in {"ok", "error"}
    assert client.run("None", user_expressions={"x": "bad"}).replies
    assert client.run("1").text == "1"


def test_background_tasks_outlive_their_cell(client: Client, snippets: Snippets) -> None:
    client.run(f"done = False\nasync def work():\n    global done\n    await {snippets.sleep}\n    done = True")
    assert client.run(snippets.start_background).status == "ok"
    assert client.run(f"while not done:\n    await {snippets.sleep}\ndone").text == "True"


def test_a_failed_background_task_is_shown_in_its_cell(client: Client, snippets: Snippets, ours: None) -> None:
    start = f"{snippets.start_background}; background = None"  # asyncio tells of a task that nobody can await any more
    starting = client.start(f"async def work():\n    await {snippets.sleep}\n    raise LookupError('gone')\n{start}")
    client.result(starting)
    client.until(lambda: client.so_far(starting).error == ("LookupError", "gone"), "the background task's error")
    assert client.run("1").text == "1"


# -- magics and displays -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("!echo from the shell", "from the shell"),
        ("%%bash\necho one\necho two", "one\ntwo"),
        ("%time 3 + 4", "Wall time"),
        ("%timeit -n1 -r1 pass", "loop"),
        ("%%capture out\nprint('hidden')", ""),
        ("captured = !echo words\nprint(captured)", "['words']"),
        ("%env HOME", ""),
    ],
)
def test_magics(client: Client, code: str, expected: str) -> None:
    result = client.run(code)
    assert result.status == "ok"
    assert expected in result.stdout.replace("\r\n", "\n")


def test_the_exit_code_of_a_command(client: Client) -> None:
    client.run("!exit 3")
    assert client.run("_exit_code").text == "3"


def test_the_output_of_a_command_is_live(client: Client, tmp_path: Any) -> None:
    path = tmp_path / "go on"
    running = client.start(f"!echo first; while [ ! -e '{path}' ]; do sleep 0.02; done; echo second")
    client.printed(running, "first")
    path.touch()
    assert client.result(running).stdout.split() == ["first", "second"]


def test_displays(client: Client) -> None:
    code = (
        "from IPython.display import display, clear_output, HTML\n"
        "handle = display('one', display_id='d1')\nhandle.update('two')\nclear_output(wait=True)\nHTML('<b>x</b>')"
    )
    result = client.run(code)
    assert result.kinds == [
        "busy",
        "execute_input",
        "display_data",
        "update_display_data",
        "clear_output",
        "execute_result",
        "idle",
    ]
    assert [c["transient"] for c in result.of("display_data") + result.of("update_display_data")] == [
        {"display_id": "d1"}
    ] * 2
    assert result.of("clear_output") == [{"wait": True}]
    assert result.of("execute_result")[0]["data"]["text/html"] == "<b>x</b>"


def test_a_figure_is_shown(client: Client) -> None:
    result = client.run("import matplotlib.pyplot as plt\nplt.plot([1, 2, 3]);", timeout=60)
    assert result.status == "ok"
    (figure,) = result.of("display_data")
    assert figure["data"]["image/png"].startswith("iVBOR")
    assert result.text is None


def test_results_are_kept(client: Client) -> None:
    number = client.run("6 * 7").reply["execution_count"]
    assert client.run(f"_, Out[{number}], _{number}, In[{number}]").text == "(42, 42, 42, '6 * 7')"
    assert client.run("5;").text is None


def test_run_a_script(client: Client, tmp_path: Any) -> None:
    script = tmp_path / "script.py"
    script.write_text("import sys\nfrom_script = 11\nprint('script', sys.argv[1:])\n")
    assert client.run(f"%run {script} a b").stdout == "script ['a', 'b']\n"
    assert client.run("from_script").text == "11"


def test_pdb_through_stdin(client: Client) -> None:
    client.run("def broken(x):\n    return x / 0\nbroken(5)")
    debugging = client.start("%debug")
    client.question(debugging)
    client.answer("p x")
    client.question(debugging, 2)
    client.answer("q")
    result = client.result(debugging)
    assert result.status == "ok"
    assert "5" in result.stdout


# -- payloads ---------------------------------------------------------------------------------------------------------


def payloads(client: Client, code: str) -> list[dict[str, Any]]:
    return client.run(code).reply["payload"]


def test_help_is_a_page(client: Client) -> None:
    (page,) = payloads(client, "print?")
    assert page["source"] == "page"
    assert page["start"] == 0
    assert "Docstring" in page["data"]["text/plain"]


def test_load_sets_the_next_input(client: Client, tmp_path: Any) -> None:
    source = tmp_path / "source.py"
    source.write_text("loaded = 3\n")
    (payload,) = payloads(client, f"%load {source}")
    assert payload["source"] == "set_next_input"
    assert "loaded = 3" in payload["text"]
    assert payload["replace"] is True


def test_recall_sets_the_next_input(client: Client) -> None:
    number = client.run("to_be_recalled = 1").reply["execution_count"]
    (payload,) = payloads(client, f"%recall {number}")
    assert (payload["source"], payload["text"], payload["replace"]) == ("set_next_input", "to_be_recalled = 1", False)


def test_edit_is_a_payload(client: Client, tmp_path: Any) -> None:
    source = tmp_path / "edited.py"
    source.write_text("pass\n")
    (payload,) = payloads(client, f"%edit {source}")
    assert payload["source"] in {"edit", "edit_magic"}  # the protocol's word, and the one that clients look for
    assert payload["filename"].endswith("edited.py")


@pytest.mark.parametrize(
    ("code", "keep"), [("exit", False), ("quit", False), ("exit()", False), ("exit(keep_kernel=True)", True)]
)
def test_exit_asks_the_client_and_ends_the_kernel(own_kernel: KernelProcess, code: str, keep: bool) -> None:
    client = own_kernel.client()
    (payload,) = payloads(client, code)
    assert (payload["source"], payload["keepkernel"]) == ("ask_exit", keep)
    if keep:
        assert client.run("1").text == "1"
    else:
        assert own_kernel.exit_code() == 0


def test_after_exit_the_kernel_waits_for_the_client_to_shut_it_down(own_kernel: KernelProcess, ours: None) -> None:
    client = own_kernel.client()
    assert payloads(client, "exit")
    assert client.run("print('too late')").status == "aborted"
    assert client.request("shutdown_request", {"restart": False}, channel="control").status == "ok"
    assert own_kernel.exit_code() == 0


def test_payloads_belong_to_one_cell(client: Client) -> None:
    assert payloads(client, "print?")
    assert payloads(client, "1") == []


def test_a_cell_says_whether_its_value_is_shown(client: Client, ours: None) -> None:
    assert client.run("from async_kernel.utils import show_result\nshow_result()\n42;").text == "42"
    assert client.run("show_result(False)\n42").text is None
    assert client.run("42;").text is None
