"""IPShell: cells from their text to their reply, and what the shell takes of its process."""

from __future__ import annotations

import atexit
import builtins
import gc
import logging
import sys
import weakref
from typing import TYPE_CHECKING, Any

import anyio
import pytest
from IPython.core.getipython import get_ipython
from IPython.core.interactiveshell import InteractiveShell
from traitlets.config import Config

from tests.shell.kernels import ip_session

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.anyio


# -- the reply -------------------------------------------------------------------------------------------------


async def test_a_result_comes_between_its_input_and_the_reply(tmp_path: Path) -> None:
    async with ip_session(tmp_path) as session:
        ran = await session.run("1 + 1")
        assert ran.kinds == ["execute_input", "execute_result", "execute_reply"]
        assert ran.of("execute_input") == [{"code": "1 + 1", "execution_count": 1}]
        assert ran.of("execute_result") == [{"execution_count": 1, "data": {"text/plain": "2"}, "metadata": {}}]
        assert ran.reply == {"status": "ok", "execution_count": 1, "user_expressions": {}, "payload": []}


async def test_an_error_reply_has_the_traceback_that_was_shown(tmp_path: Path) -> None:
    async with ip_session(tmp_path) as session:
        ran = await session.run("1 / 0")
        [shown] = ran.of("error")
        assert shown["ename"] == "ZeroDivisionError"
        assert {name: ran.reply[name] for name in shown} == shown
        assert (ran.reply["status"], ran.reply["execution_count"]) == ("error", 1)


async def test_a_silent_cell_shows_nothing_and_takes_no_number(tmp_path: Path) -> None:
    async with ip_session(tmp_path) as session:
        ran = await session.run("silently = 5\nsilently", silent=True)
        assert ran.kinds == ["execute_reply"]
        assert await session.value("silently, _ih") == "(5, ['', 'silently, _ih'])"


async def test_a_cell_outside_the_history_takes_no_number(tmp_path: Path) -> None:
    async with ip_session(tmp_path) as session:
        first = await session.run("'a'", store_history=False)
        second = await session.run("_ih")
        assert [ran.reply["execution_count"] for ran in (first, second)] == [0, 1]
        assert second.value == "['', '_ih']"


@pytest.mark.parametrize("code", ["", "   \n "])
async def test_an_empty_cell_takes_no_number(tmp_path: Path, code: str) -> None:
    async with ip_session(tmp_path) as session:
        empty = await session.run(code)
        first = await session.run("1")
        assert (empty.status, first.reply["execution_count"]) == ("ok", 1)


@pytest.mark.parametrize(("code", "options"), [("", {}), ("1", {"silent": True}), ("1", {"store_history": False})])
async def test_the_reply_of_a_cell_that_takes_no_number_has_the_last_one_taken(
    tmp_path: Path, code: str, options: dict[str, bool]
) -> None:
    # Clients show the number after it in their next prompt; qtconsole asks for it so when it starts.
    async with ip_session(tmp_path) as session:
        before = await session.run(code, **options)
        await session.run("'counted'")
        after = await session.run(code, **options)
        assert [ran.reply["execution_count"] for ran in (before, after)] == [0, 1]


async def test_user_expressions_are_evaluated_after_success(tmp_path: Path) -> None:
    async with ip_session(tmp_path) as session:
        ran = await session.run("a = 2", user_expressions={"twice": "a * 2", "bad": "nope"})
        assert ran.reply["user_expressions"]["twice"] == {"status": "ok", "data": {"text/plain": "4"}, "metadata": {}}
        bad = ran.reply["user_expressions"]["bad"]
        assert (bad["status"], bad["ename"], bad["evalue"]) == ("error", "NameError", "name 'nope' is not defined")


async def test_user_expressions_are_evaluated_after_an_error(tmp_path: Path) -> None:
    async with ip_session(tmp_path) as session:
        ran = await session.run("a = 3; 1 / 0", user_expressions={"a": "a"})
        assert ran.status == "error"
        assert ran.reply["user_expressions"]["a"]["data"] == {"text/plain": "3"}


async def test_user_expressions_may_raise_what_ends_processes(tmp_path: Path) -> None:
    async with ip_session(tmp_path) as session:
        code = "def leave(): raise SystemExit\nclass Odd:\n  def _repr_mimebundle_(self, **_): return {'x/y': object()}"
        ran = await session.run(code, user_expressions={"exit": "leave()", "odd": "Odd()", "number": 5})  # type: ignore[dict-item]
        values = ran.reply["user_expressions"]
        assert [values[name]["status"] for name in ("exit", "odd", "number")] == ["error", "ok", "error"]


# -- errors ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "ename"),
    [
        ("def f(:", "SyntaxError"),
        ("if 1:\nx", "IndentationError"),
        ("return 5", "SyntaxError"),
        ("%no_such_magic", "UsageError"),
        ("raise SystemExit(3)", "SystemExit"),
        ("raise KeyboardInterrupt", "KeyboardInterrupt"),
        ("raise GeneratorExit", "GeneratorExit"),
        ("import bdb; raise bdb.BdbQuit", "BdbQuit"),
        ("x = 'a\x00b'", "SyntaxError"),
        ("(" * 300 + ")" * 300, "SyntaxError"),
        ("def f(): f()\nf()", "RecursionError"),
        ("class E(Exception):\n def __str__(self): 1/0\nraise E", "E"),
        ("raise BaseException('bare')", "BaseException"),
    ],
)
async def test_the_kernel_lives_after(tmp_path: Path, code: str, ename: str) -> None:
    async with ip_session(tmp_path) as session:
        ran = await session.run(code, stop_on_error=False)
        assert (ran.status, ran.reply["ename"]) == ("error", ename)
        assert await session.value("1 + 1") == "2"


async def test_nothing_of_a_cell_runs_that_does_not_compile(tmp_path: Path) -> None:
    async with ip_session(tmp_path) as session:
        ran = await session.run("print('ran')\nreturn 1")
        assert (ran.status, ran.text()) == ("error", "")


async def test_system_exit_says_how_to_leave(tmp_path: Path) -> None:
    async with ip_session(tmp_path) as session:
        ran = await session.run("import sys; sys.exit(2)")
        assert "To exit: use 'exit', 'quit', or Ctrl-D." in ran.text("stderr")
        assert ran.reply["evalue"] == "2"


async def test_a_custom_exception_handler_shows_its_errors(tmp_path: Path) -> None:
    async with ip_session(tmp_path) as session:
        code = """
        class Mine(Exception): pass
        def handler(shell, etype, value, tb, tb_offset=None):
            print("handled", etype.__name__)
            return ["my", "lines"]
        get_ipython().set_custom_exc((Mine,), handler)
        """
        await session.run(code)
        ran = await session.run("raise Mine('x')")
        assert (ran.text(), ran.of("error")) == ("handled Mine\n", [])
        assert (ran.status, ran.reply["ename"], ran.reply["traceback"]) == ("error", "Mine", ["my", "lines"])


async def test_an_ast_transformer_may_reject_a_cell(tmp_path: Path) -> None:
    async with ip_session(tmp_path) as session:
        code = """
        import ast
        from IPython.core.error import InputRejected
        class NoFives(ast.NodeTransformer):
            def visit_Constant(self, node):
                if node.value == 5: raise InputRejected("no fives here")
                return node
        get_ipython().ast_transformers.append(NoFives())
        """
        await session.run(code)
        assert (await session.run("5")).reply["ename"] == "InputRejected"
        assert await session.value("6") == "6"


async def test_an_input_transformer_of_the_user_is_applied_to_valid_python(tmp_path: Path) -> None:
    async with ip_session(tmp_path) as session:
        code = "get_ipython().input_transformers_post.append(lambda lines: [l.replace('cat', 'dog') for l in lines])"
        await session.run(code)
        assert await session.value("'cat'") == "'dog'"


# -- await -----------------------------------------------------------------------------------------------------


async def test_cells_await_at_top_level(tmp_path: Path) -> None:
    async with ip_session(tmp_path) as session:
        code = """
        import anyio
        from contextlib import asynccontextmanager
        async def numbers():
            for i in range(3):
                await anyio.sleep(0)
                yield i
        @asynccontextmanager
        async def scope():
            yield 5
        await anyio.sleep(0)
        found = [i async for i in numbers()]
        async for i in numbers():
            found.append(i)
        async with scope() as s:
            found.append(s)
        found
        """
        assert await session.value(code) == "[0, 1, 2, 0, 1, 2, 5]"
        assert await session.value("(await anyio.sleep(0), 7)[1]") == "7"


async def test_context_variables_persist_from_cell_to_cell(tmp_path: Path) -> None:
    async with ip_session(tmp_path) as session:
        await session.run("import contextvars; v = contextvars.ContextVar('v'); v.set(3)")
        assert await session.value("v.get()") == "3"


async def test_a_synchronous_run_of_code_that_awaits_is_refused_with_the_way_to_do_it(tmp_path: Path) -> None:
    async with ip_session(tmp_path) as session:
        ran = await session.run(
            "import anyio\nr = get_ipython().run_cell('await anyio.sleep(0)')\ntype(r.error_before_exec)"
        )
        assert ran.value == "RuntimeError"
        assert "run_cell_async" in ran.of("error")[0]["evalue"]


async def test_an_asynchronous_run_inside_a_cell_awaits(tmp_path: Path) -> None:
    async with ip_session(tmp_path) as session:
        code = "import anyio\nr = await get_ipython().run_cell_async('await anyio.sleep(0)\\n6 * 7')\nr.result"
        ran = await session.run(code)
        assert [result["data"]["text/plain"] for result in ran.of("execute_result")] == ["42", "42"]


async def test_an_error_in_a_run_inside_a_cell_does_not_fail_the_cell(tmp_path: Path) -> None:
    async with ip_session(tmp_path) as session:
        ran = await session.run("r = get_ipython().run_cell('1 / 0')\nr.success")
        assert (ran.status, ran.value) == ("ok", "False")
        assert ran.of("error")[0]["ename"] == "ZeroDivisionError"


async def test_without_autoawait_await_is_a_syntax_error(tmp_path: Path) -> None:
    async with ip_session(tmp_path) as session:
        await session.run("import anyio\nget_ipython().autoawait = False")
        assert (await session.run("await anyio.sleep(0)")).reply["ename"] == "SyntaxError"


# -- cells that are cut short ------------------------------------------------------------------------------------


async def test_an_interrupted_cell_shows_keyboard_interrupt_where_it_stood(tmp_path: Path) -> None:
    async with ip_session(tmp_path) as session:
        cell = session.begin("import anyio\nprint('on')\nawait anyio.sleep_forever()")
        await session.printed(cell, "on")
        await session.ask("interrupt_request")
        ran = await session.end(cell)
        assert (ran.reply["ename"], ran.reply["evalue"]) == ("KeyboardInterrupt", "")
        shown = "\n".join(ran.reply["traceback"])
        assert "sleep_forever" in shown
        assert "site-packages" not in shown
        assert await session.value("1") == "1"


async def test_code_that_catches_everything_cannot_keep_the_cancellation(tmp_path: Path) -> None:
    async with ip_session(tmp_path) as session:
        code = (
            "import anyio\nprint('on')\ntry:\n  await anyio.sleep_forever()\nexcept BaseException:\n  print('caught')"
        )
        cell = session.begin(code + "\nawait anyio.sleep_forever()")
        await session.printed(cell, "on")
        await session.ask("interrupt_request")
        ran = await session.end(cell)
        assert (ran.text(), ran.reply["ename"]) == ("on\ncaught\n", "KeyboardInterrupt")


async def test_an_error_beside_the_cancellation_is_shown_without_it(tmp_path: Path) -> None:
    async with ip_session(tmp_path) as session:
        code = """
        import anyio
        async def child():
            try: await anyio.sleep_forever()
            finally: raise LookupError("while leaving")
        async with anyio.create_task_group() as group:
            group.start_soon(child)
            print("on")
            await anyio.sleep_forever()
        """
        cell = session.begin(code)
        await session.printed(cell, "on")
        await session.ask("interrupt_request")
        ran = await session.end(cell)
        assert ran.reply["ename"] == "ExceptionGroup"
        shown = "\n".join(ran.reply["traceback"])
        assert "LookupError" in shown
        assert "create_task_group" in shown
        assert await session.value("1") == "1"


async def test_the_end_of_the_kernel_passes_through_a_cell(tmp_path: Path) -> None:
    with anyio.fail_after(30):
        async with ip_session(tmp_path) as session:
            cell = session.begin("import anyio\nprint('on')\nawait anyio.sleep_forever()")
            await session.printed(cell, "on")


async def test_a_cancelled_task_that_a_cell_awaits_is_an_error_like_any_other(
    tmp_path: Path, anyio_backend: str
) -> None:
    if anyio_backend != "asyncio":
        pytest.skip("trio has no such thing")
    async with ip_session(tmp_path) as session:
        ran = await session.run("import asyncio\nt = asyncio.create_task(asyncio.sleep(9))\nt.cancel()\nawait t")
        assert (ran.status, ran.reply["ename"]) == ("error", "CancelledError")
        assert "await" in "\n".join(ran.reply["traceback"])
        assert await session.value("1") == "1"


# -- several at once -------------------------------------------------------------------------------------------


async def test_concurrent_runs_keep_their_results_apart(tmp_path: Path) -> None:
    async with ip_session(tmp_path) as session:
        first = session.begin("# task\nimport anyio\nawait anyio.sleep(0)\n'first'")
        second = session.begin("# task\nimport anyio\n'second'")
        values = {(await session.end(cell)).value for cell in (first, second)}
        assert values == {"'first'", "'second'"}


async def test_a_cell_in_a_thread_runs_magics_and_displays_for_itself(tmp_path: Path) -> None:
    async with ip_session(tmp_path) as session:
        ran = await session.run("# thread\n%time 1\nget_ipython().set_next_input('next')\n5")
        assert ran.value == "5"
        assert "Wall time" in ran.text()
        assert [payload["source"] for payload in ran.reply["payload"]] == ["set_next_input"]


# -- what it takes of the process ------------------------------------------------------------------------------


async def test_a_kernel_of_its_own_process_is_main(tmp_path: Path) -> None:
    main = sys.modules["__main__"]
    async with ip_session(tmp_path) as session:
        assert await session.value("__name__") == "'__main__'"
        assert await session.value("import pickle\nclass A: pass\ntype(pickle.loads(pickle.dumps(A()))) is A") == "True"
        assert sys.modules["__main__"] is session.shell.user_module
        assert builtins.get_ipython() is session.shell  # type: ignore[attr-defined]
        assert get_ipython() is session.shell
    assert sys.modules["__main__"] is main
    assert not hasattr(builtins, "get_ipython")
    assert get_ipython() is None


async def test_libraries_can_tell_that_it_is_interactive_and_a_notebook(tmp_path: Path) -> None:
    async with ip_session(tmp_path) as session:
        assert (
            await session.value("import sys\nhasattr(sys, 'ps1'), 'IPKernelApp' in get_ipython().config")
            == "(True, True)"
        )
    assert not hasattr(sys, "ps1")


async def test_an_embedded_shell_changes_no_builtin_and_no_main(tmp_path: Path) -> None:
    main, names = sys.modules["__main__"], set(vars(builtins))
    hooks = sys.displayhook, sys.excepthook, sys.path[:]
    async with ip_session(tmp_path, launched=False) as session:
        assert {name for name in vars(builtins) if name not in names and name.isidentifier()} == set()
        assert sys.modules["__main__"] is main
        assert get_ipython() is None
        assert await session.value("from IPython import get_ipython as g\ng() is get_ipython()") == "True"
        await session.run("1 / 0")
        assert (sys.displayhook, sys.excepthook, sys.path) == hooks
    assert set(vars(builtins)) == names


async def test_startup_files_of_an_embedded_shell_find_it(tmp_path: Path) -> None:
    (tmp_path / "startup.py").write_text("from IPython import get_ipython as g\nfound = g()\n")
    async with ip_session(tmp_path, launched=False) as session:
        session.shell.safe_execfile(str(tmp_path / "startup.py"), session.shell.user_ns)
        assert session.shell.user_ns.pop("found") is session.shell
        assert get_ipython() is None


async def test_an_ipython_shell_of_the_program_stays_its_own(tmp_path: Path) -> None:
    class Host(InteractiveShell):
        pass

    before = InteractiveShell._instance
    host = Host.instance(ipython_dir=str(tmp_path / "host"))
    try:
        async with ip_session(tmp_path, launched=False) as session:
            assert InteractiveShell.instance() is host
            assert await session.value("from IPython import get_ipython as g\ng() is get_ipython()") == "True"
        assert InteractiveShell.instance() is host
    finally:
        Host.clear_instance()
        atexit.unregister(host.atexit_operations)
        host.history_manager.close()
    assert InteractiveShell._instance is before


async def test_a_given_namespace_is_used_and_left_as_it_was(tmp_path: Path) -> None:
    namespace = {"mine": 1, "exit": "own", "__name__": "host"}
    async with ip_session(tmp_path, launched=False, user_ns=namespace) as session:
        assert session.shell.user_ns is namespace
        await session.run("mine += 1\nnew = mine\nmine")
    namespace.pop("__builtins__", None)
    assert namespace == {"mine": 2, "new": 2, "exit": "own", "__name__": "host"}


async def test_exit_outside_every_cell_is_the_programs_own(tmp_path: Path) -> None:
    namespace: dict[str, Any] = {}
    async with ip_session(tmp_path, launched=False, user_ns=namespace):
        with pytest.raises(SystemExit):
            namespace["exit"]()


async def test_a_closed_shell_is_collected(tmp_path: Path) -> None:
    async with ip_session(tmp_path) as session:
        await session.run("1 + 1")
        shell = weakref.ref(session.shell)
        del session
    gc.collect()
    assert shell() is None


async def test_a_home_that_cannot_be_written_costs_one_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    occupied = tmp_path / "occupied"
    occupied.write_text("a file, no folder")
    with caplog.at_level(logging.WARNING):
        async with ip_session(tmp_path, ipython_dir=str(occupied / "ipython")) as session:
            assert await session.value("1 + 1") == "2"
            profile = session.shell.profile_dir.location
    assert "no place" in caplog.text
    assert not (tmp_path / profile).exists()


async def test_options_come_from_the_configuration(tmp_path: Path) -> None:
    config = Config()
    config.InteractiveShell.ast_node_interactivity = "all"
    config.IPShell.xmode = "Plain"
    async with ip_session(tmp_path, config=config) as session:
        ran = await session.run("1\n2\nfor i in range(2): i\n")
        assert [result["data"]["text/plain"] for result in ran.of("execute_result")] == ["1", "2", "0", "1"]
        assert session.shell.InteractiveTB.mode == "Plain"


async def test_the_banner_names_python_and_ipython(tmp_path: Path) -> None:
    async with ip_session(tmp_path) as session:
        banner = session.shell.banner
        assert banner.startswith("Python 3.")
        assert "IPython 9" in banner


@pytest.mark.filterwarnings("ignore:.*Completer.complete")
async def test_ipythons_own_complete_still_answers(tmp_path: Path) -> None:
    async with ip_session(tmp_path) as session:
        assert session.shell.complete("%timei", "%timei", 6) == ("%timei", ["%timeit", "%%timeit"])


# -- events ----------------------------------------------------------------------------------------------------


async def test_events_tell_of_a_cell_in_order(tmp_path: Path) -> None:
    async with ip_session(tmp_path) as session:
        code = """
        import functools
        events = get_ipython().events
        seen = []
        def note(name, *args):
            seen.append((name, args[0].success if name == "post_run_cell" else None))
        for name in ("pre_execute", "pre_run_cell", "post_execute", "post_run_cell"):
            events.register(name, functools.partial(note, name))
        """
        await session.run(code)
        await session.run("seen.clear()", silent=True)
        await session.run("1 / 0")
        assert await session.value("[name for name, _ in seen[:7]]") == str(
            [
                "post_execute",
                "pre_execute",
                "pre_run_cell",
                "post_execute",
                "post_run_cell",
                "pre_execute",
                "pre_run_cell",
            ]
        ).replace("', '", "',\n '")
        assert await session.value("seen[4]") == "('post_run_cell', False)"


async def test_a_callback_that_fails_is_shown_and_fails_nothing(tmp_path: Path) -> None:
    async with ip_session(tmp_path) as session:
        await session.run("def broken(): 1 / 0\nget_ipython().events.register('post_execute', broken)")
        ran = await session.run("5")
        assert (ran.status, ran.value) == ("ok", "5")
        assert ran.of("error")[0]["ename"] == "ZeroDivisionError"
