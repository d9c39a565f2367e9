"""Magics, each run in a cell."""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from async_kernel.common import PACKAGE_FOLDER
from async_kernel.shell.magics import packages
from tests.shell.kernels import ip_session

pytestmark = pytest.mark.anyio


# -- IPython's own ---------------------------------------------------------------------------------------------

RUN = {
    "%time": ("%time 6 * 7", "42", "Wall time"),
    "%%time": ("%%time\nx = 6\nx * 7", "42", "Wall time"),
    "%timeit": ("%timeit -n1 -r1 1", None, "per loop"),
    "%%timeit": ("%%timeit -n1 -r1 x = 1\nx", None, "per loop"),
    "%pwd": ("%pwd", repr(str(Path.cwd())), ""),
    "%who": ("mine = 1\n%who", None, "mine"),
    "%who_ls": ("mine = 1\n%who_ls", "['mine']", ""),
    "%whos": ("mine = 1\n%whos", None, "mine"),
    "%env": ("%env HOME", repr(os.environ["HOME"]), ""),
    "%lsmagic": ("%lsmagic", None, ""),
    "%alias": ("%alias greet echo hello\n%greet", None, "hello"),
    "%precision": ("%precision 2\n3.14159", "3.14", ""),
    "%pprint": ("%pprint", None, "Pretty printing"),
    "%pdef": ("def f(a): pass\n%pdef f", None, "f(a)"),
    "%psearch": ("mine = 1\n%psearch min*", None, ""),
    "%prun": ("%prun -q sum(range(3))", None, ""),
    "%load_ext": ("%load_ext autoreload\n%autoreload 2", None, ""),
    "%reload_ext": ("%reload_ext autoreload", None, ""),
    "%logstate": ("%logstate", None, "Logging"),
    "%macro": ("a = 1\n%macro m 1", None, "Macro"),
    "%xmode": ("%xmode Plain", None, "Plain"),
    "%colors": ("%colors nocolor", None, ""),
    "%reset": ("gone = 1\n%reset -f\n'gone' in globals()", "False", ""),
    "%reset_selective": ("gone = 1\n%reset_selective -f gone\n'gone' in globals()", "False", ""),
    "%xdel": ("get_ipython().run_cell('1')\ngone = 1\n%xdel gone\n'gone' in globals()", "False", ""),
    "%config": ("%config IPShell.xmode", "'Context'", ""),
    "%dhist": ("%dhist", None, "Directory"),
    "%%html": ("%%html\n<b>x</b>", None, ""),
    "%%javascript": ("%%javascript\n1", None, ""),
    "%%markdown": ("%%markdown\n# x", None, ""),
    "%%latex": ("%%latex\nx", None, ""),
    "%%svg": ("%%svg\n<svg/>", None, ""),
    "%autocall": ("%autocall 1", None, "Automatic calling"),
    "%automagic": ("%automagic", None, "Automagic"),
    "%pdb": ("%pdb off", None, "Automatic pdb"),
    "%alias_magic": ("%alias_magic t time", None, "Created"),
    "%doctest_mode": ("%doctest_mode", None, "Doctest mode"),
    "%dropped": ("%dropped", None, "refused requests"),
    "%sc": ("%sc -l files=echo a\nfiles", "['a']", ""),
    "%rehashx": ("%rehashx", None, ""),
    "%code_wrap": ("%code_wrap --list", None, ""),
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("code", "value", "text"), RUN.values(), ids=RUN.keys())
async def test_it_runs(tmp_path: Path, code: str, value: str | None, text: str) -> None:
    async with ip_session(tmp_path) as session:
        ran = await session.run(code)
        assert ran.status == "ok", "\n".join(ran.reply["traceback"])
        if value is not None:
            assert ran.value == value
        assert text in ran.text()


async def test_bare_names_of_magics_work(tmp_path: Path) -> None:
    async with ip_session(tmp_path) as session:
        assert await session.value("pwd") == repr(str(Path.cwd()))
        assert (await session.run("time 5")).value == "5"
        await session.run("pwd = 'mine'")
        assert await session.value("pwd") == "'mine'"


async def test_run_executes_a_script_in_the_namespace(tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text("import sys\nprint('ran', __name__, sys.argv[1:])\nleft = 5\n")
    async with ip_session(tmp_path) as session:
        ran = await session.run(f"%run {tmp_path}/script.py a b\nleft")
        assert (ran.text(), ran.value) == ("ran __main__ ['a', 'b']\n", "5")


async def test_run_executes_ipython_scripts_and_notebooks(tmp_path: Path) -> None:
    nbformat = pytest.importorskip("nbformat")
    (tmp_path / "script.ipy").write_text("%time 1\nleft = 5\n")
    cells = [nbformat.v4.new_code_cell("inside = 6"), nbformat.v4.new_code_cell("print(inside)")]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), tmp_path / "book.ipynb")
    async with ip_session(tmp_path) as session:
        assert "Wall time" in (await session.run(f"%run {tmp_path}/script.ipy")).text()
        assert (await session.run(f"%run {tmp_path}/book.ipynb\nleft, inside")).text() == "6\n"


async def test_an_error_in_a_script_fails_no_cell_but_is_shown(tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text("def f():\n    1 / 0\nf()\n")
    async with ip_session(tmp_path) as session:
        ran = await session.run(f"%run {tmp_path}/script.py")
        assert ran.of("error")[0]["ename"] == "ZeroDivisionError"
        assert "script.py" in "".join(ran.of("error")[0]["traceback"])


async def test_autoreload_reloads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    module = tmp_path / "reloaded_module.py"
    module.write_text("value = 1\n")
    async with ip_session(tmp_path) as session:
        await session.run("%load_ext autoreload\n%autoreload 2\nimport reloaded_module")
        module.write_text("value = 22\n")
        os.utime(module, (4e9, 4e9))
        assert await session.value("reloaded_module.value") == "22"
        await session.run("%unload_ext autoreload")
    sys.modules.pop("reloaded_module", None)


async def test_load_and_save_and_writefile(tmp_path: Path) -> None:
    async with ip_session(tmp_path) as session:
        await session.run(f"%%writefile {tmp_path}/written.py\nx = 5\n")
        [payload] = (await session.run(f"%load {tmp_path}/written.py")).reply["payload"]
        assert (payload["source"], payload["replace"]) == ("set_next_input", True)
        assert payload["text"].endswith("x = 5\n")
        await session.run(f"%save -f {tmp_path}/saved.py 1")
        assert "%%writefile" not in (tmp_path / "saved.py").read_text().splitlines()[0]


async def test_logstart_logs_the_session(tmp_path: Path) -> None:
    async with ip_session(tmp_path) as session:
        await session.run(f"%logstart -o {tmp_path}/log.py over")
        await session.run("6 * 7")
        await session.run("%logstop")
    log = (tmp_path / "log.py").read_text()
    assert "6 * 7" in log
    assert "42" in log


async def test_extensions_may_register_magics(tmp_path: Path) -> None:
    async with ip_session(tmp_path) as session:
        code = """
        from IPython.core.magic import register_line_magic, register_cell_magic
        @register_line_magic
        def shout(line): return line.upper()
        @register_cell_magic
        def count(line, cell): return len(cell.splitlines())
        """
        await session.run(code)
        assert (await session.run("%shout hi")).value == "'HI'"
        assert (await session.run("%%count\na\nb")).value == "2"


async def test_debug_reads_its_commands_from_the_client(tmp_path: Path) -> None:
    async with ip_session(tmp_path) as session:
        await session.run("def f(inner):\n    return 1 / inner\nf(0)", stop_on_error=False)
        cell = session.begin("# thread\n%debug")
        prompts = []
        for line in ("p inner", "up", "q"):
            _, prompt, answer, _ = await session.wire.question()
            prompts.append(prompt)
            answer.set_result(line)
        ran = await session.end(cell)
        assert ran.status == "ok"
        assert prompts == ["ipdb> "] * 3
        assert "\n0\n" in ran.text() or "0\n" in ran.text()
        assert PACKAGE_FOLDER not in ran.text()


async def test_breakpoint_reads_its_commands_from_the_client(tmp_path: Path) -> None:
    async with ip_session(tmp_path) as session:
        cell = session.begin("# thread\nx = 5\nbreakpoint()\ny = 6")
        _, prompt, answer, _ = await session.wire.question()
        answer.set_result("p x * 100")
        _, _, answer, _ = await session.wire.question()
        answer.set_result("c")
        ran = await session.end(cell)
        assert (ran.status, "db" in prompt.lower()) == ("ok", True)
        assert "500" in ran.text()
        assert await session.value("y") == "6"


async def test_quitting_a_debugger_ends_the_cell_quietly(tmp_path: Path) -> None:
    async with ip_session(tmp_path) as session:
        cell = session.begin("# thread\nbreakpoint()\nprint('not' + ' here')")
        _, _, answer, _ = await session.wire.question()
        answer.set_result("q")
        ran = await session.end(cell)
        assert (ran.of("error"), "not here" in ran.text()) == ([], False)


async def test_an_interrupt_ends_a_debugger(tmp_path: Path) -> None:
    async with ip_session(tmp_path) as session:
        cell = session.begin("# thread\nbreakpoint()\nprint('not' + ' here')")
        await session.wire.question()
        session.interrupt(cell)
        ran = await session.end(cell)
        assert "not here" not in ran.text()
        assert await session.value("1") == "1"


# -- that await ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "code",
    [
        "%time await anyio.sleep(0) or 7",
        "%%time\nawait anyio.sleep(0)\n7",
        "x = %time await value()\nx",
        "%%time\nasync with scope() as v:\n    pass\nv",
    ],
)
async def test_time_awaits(tmp_path: Path, code: str) -> None:
    async with ip_session(tmp_path) as session:
        setup = """
        import anyio
        from contextlib import asynccontextmanager
        async def value():
            await anyio.sleep(0)
            return 7
        @asynccontextmanager
        async def scope():
            yield 7
        """
        await session.run(setup)
        ran = await session.run(code)
        assert (ran.value, "Wall time" in ran.text()) == ("7", True)


async def test_time_awaits_in_the_middle_of_a_cell(tmp_path: Path) -> None:
    async with ip_session(tmp_path) as session:
        ran = await session.run("import anyio\nfor i in range(2):\n    %time await anyio.sleep(0)\ni")
        assert (ran.value, ran.text().count("Wall time")) == ("1", 2)


async def test_time_that_awaits_shows_where_it_failed(tmp_path: Path) -> None:
    async with ip_session(tmp_path) as session:
        ran = await session.run("%%time\nimport anyio\nawait anyio.sleep(0)\n1 / 0")
        assert (ran.reply["ename"], "Wall time" in ran.text()) == ("ZeroDivisionError", True)
        assert "async_kernel" not in "".join(ran.reply["traceback"])
        quiet = await session.run("%time --no-raise-error await nothing")
        assert (quiet.status, quiet.of("error")[0]["ename"]) == ("ok", "NameError")


async def test_capture_keeps_what_its_cell_shows(tmp_path: Path) -> None:
    async with ip_session(tmp_path) as session:
        code = "%%capture kept\nimport sys\nprint('out')\nprint('err', file=sys.stderr)\ndisplay('shown')\n42"
        ran = await session.run(code)
        assert ran.kinds == ["execute_input", "execute_reply"]
        assert await session.value("kept.stdout, kept.stderr, [o.data['text/plain'] for o in kept.outputs]") == (
            "('out\\n', 'err\\n', [\"'shown'\", '42'])"
        )
        shown = await session.run("kept()")
        assert (shown.text(), shown.text("stderr"), len(shown.of("display_data"))) == ("out\n", "err\n", 2)


async def test_capture_awaits(tmp_path: Path) -> None:
    async with ip_session(tmp_path) as session:
        ran = await session.run(
            "%%capture kept\nimport anyio\nawait anyio.sleep(0)\nprint('after')\n%time await anyio.sleep(0)"
        )
        assert ran.kinds == ["execute_input", "execute_reply"]
        assert (await session.value("kept.stdout")).startswith("'after\\nCPU time")


async def test_capture_takes_no_output_of_other_cells(tmp_path: Path) -> None:
    async with ip_session(tmp_path) as session:
        await session.run("import anyio\nbegun, go = anyio.Event(), anyio.Event()")
        capturing = session.begin("%%capture kept\nbegun.set()\nprint('mine')\nawait go.wait()\nprint('still mine')")
        other = session.begin("# task\nawait begun.wait()\nprint('other')\ndisplay('other')\ngo.set()")
        ran = await session.end(other)
        await session.end(capturing)
        assert (ran.text(), len(ran.of("display_data"))) == ("other\n", 1)
        assert await session.value("kept.stdout, kept.outputs") == "('mine\\nstill mine\\n', [])"


async def test_capture_gives_the_very_streams_back(tmp_path: Path) -> None:
    async with ip_session(tmp_path) as session:
        before = sys.stdout, sys.stderr
        await session.run("%%capture\n1 / 0")
        assert (sys.stdout, sys.stderr) == before


async def test_capture_options_and_semicolon(tmp_path: Path) -> None:
    async with ip_session(tmp_path) as session:
        ran = await session.run("%%capture kept --no-stdout --no-display\nprint('out')\n5")
        assert (ran.text(), ran.value) == ("out\n", "5")
        assert await session.value("kept.stdout, kept.outputs") == "('', [])"
        await session.run("%%capture kept\n5;")
        assert await session.value("'kept' in globals()") == "False"


async def test_ipythons_capture_output_works(tmp_path: Path) -> None:
    async with ip_session(tmp_path) as session:
        code = """
        from IPython.utils.capture import capture_output
        with capture_output() as kept:
            print("out")
            display("shown")
            get_ipython().run_cell("42")
        print(kept.stdout, [o.data["text/plain"] for o in kept.outputs])
        """
        ran = await session.run(code)
        assert ran.text() == "out\n [\"'shown'\", '42']\n"
        assert ran.of("display_data") == ran.of("execute_result") == []


async def test_autoawait_says_what_is_so(tmp_path: Path, anyio_backend: str) -> None:
    async with ip_session(tmp_path) as session:
        assert (
            await session.run("%autoawait")
        ).text() == f"Autoawait is on: cells run in the kernel's {anyio_backend} loop.\n"
        await session.run("%autoawait off")
        assert (await session.run("%autoawait")).text().startswith("Autoawait is off")
        await session.run("%autoawait on")
        assert (await session.run("%autoawait curio")).reply["ename"] == "UsageError"


# -- scripts ---------------------------------------------------------------------------------------------------


async def test_a_script_streams_and_fails(tmp_path: Path) -> None:
    async with ip_session(tmp_path) as session:
        ran = await session.run("%%bash\necho out\necho err >&2\nexit 4", stop_on_error=False)
        assert (ran.text(), ran.text("stderr"), ran.reply["ename"]) == ("out\n", "err\n", "CalledProcessError")
        assert await session.value("_exit_code") == "4"
        assert (await session.run("%%bash --no-raise-error\nexit 4")).status == "ok"


@pytest.mark.parametrize("magic", ["sh", "script sh", "bash", "python3", "script python3 -u"])
async def test_scripts_of_several_programs(tmp_path: Path, magic: str) -> None:
    async with ip_session(tmp_path) as session:
        code = "print('hi')" if "python" in magic else "echo hi"
        assert (await session.run(f"%%{magic}\n{code}")).text() == "hi\n"


async def test_a_script_may_go_to_variables(tmp_path: Path) -> None:
    async with ip_session(tmp_path) as session:
        ran = await session.run("%%bash --out o --err e\necho out\necho err >&2")
        assert (ran.text(), await session.value("o, e")) == ("", "('out\\n', 'err\\n')")


async def test_a_program_that_is_not_there(tmp_path: Path) -> None:
    async with ip_session(tmp_path) as session:
        assert "no_such_program" in (await session.run("%%script no_such_program\nx")).text()


async def test_background_scripts_end_with_the_kernel(tmp_path: Path) -> None:
    async with ip_session(tmp_path) as session:
        await session.run("%%bash --bg --out out --proc first\necho begun\nsleep 1000")
        assert await session.value("out.readline(), first.poll()") == "(b'begun\\n', None)"
        process = session.shell.user_ns["first"]
    assert process.returncode == -signal.SIGKILL
    assert process.stdout.closed


async def test_killbgscripts_ends_them(tmp_path: Path) -> None:
    async with ip_session(tmp_path) as session:
        await session.run("%%bash --bg --proc first\nsleep 1000")
        assert "killed" in (await session.run("%killbgscripts")).text()
        assert await session.value("first.returncode") == str(-signal.SIGKILL)


# -- of a kernel -----------------------------------------------------------------------------------------------


def exists(filename: str, text: str = "") -> bool:
    """Whether there is such a file, with ``text`` in it."""
    path = Path(filename)
    return path.exists() and text in path.read_text()


async def test_edit_opens_a_file_an_object_and_nothing(tmp_path: Path) -> None:
    sys.modules.pop("edited_module", None)
    source = tmp_path / "edited_module.py"
    source.write_text("\n\ndef f():\n    pass\n")
    async with ip_session(tmp_path) as session:
        await session.run(f"import sys; sys.path.insert(0, {str(tmp_path)!r}); from edited_module import f")
        [payload] = (await session.run("%edit f")).reply["payload"]
        assert payload == {"source": "edit_magic", "filename": str(source), "line_number": 3}
        [payload] = (await session.run(f"%edit -n 2 {source}")).reply["payload"]
        assert payload == {"source": "edit_magic", "filename": str(source), "line_number": 2}
        [payload] = (await session.run("%ed")).reply["payload"]
        assert exists(payload["filename"])
        [payload] = (await session.run("%edit 1")).reply["payload"]
        assert exists(payload["filename"], "edited_module")
    assert not exists(payload["filename"])


async def test_less_and_more_page_a_file(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("text of it\n")
    (tmp_path / "a.py").write_text("x = 1\n")
    async with ip_session(tmp_path) as session:
        for magic in ("less", "more"):
            [payload] = (await session.run(f"%{magic} {tmp_path}/a.txt")).reply["payload"]
            assert payload["data"]["text/plain"] == "text of it\n"
        [payload] = (await session.run(f"%less {tmp_path}/a.py")).reply["payload"]
        assert "\x1b[" in payload["data"]["text/plain"]
        assert (await session.run("%less", stop_on_error=False)).reply["ename"] == "UsageError"
        assert (await session.run("%less /no/such/file", stop_on_error=False)).reply["ename"] == "UsageError"


async def test_man_pages_or_says_that_there_is_none(tmp_path: Path) -> None:
    async with ip_session(tmp_path) as session:
        ran = await session.run("%man no_such_page_at_all")
        assert ran.reply["ename"] == "UsageError"


async def test_clear_clears_the_output(tmp_path: Path) -> None:
    async with ip_session(tmp_path) as session:
        assert (await session.run("%clear")).of("clear_output") == [{"wait": False}]


async def test_connect_info_prints_the_connection_file(tmp_path: Path) -> None:
    path = tmp_path / "kernel-1.json"
    path.write_text(json.dumps({"shell_port": 5555}))
    async with ip_session(tmp_path) as session:
        assert "no connection file" in (await session.run("%connect_info", stop_on_error=False)).text("stderr")
        session.shell.parent.connection_file = str(path)
        text = (await session.run("%connect_info")).text()
        assert '"shell_port": 5555' in text
        assert str(path) in text


async def test_qtconsole_says_what_is_missing(tmp_path: Path) -> None:
    async with ip_session(tmp_path) as session:
        session.shell.parent.connection_file = str(tmp_path / "k.json")
        ran = await session.run("import sys; sys.modules['qtconsole'] = None\n%qtconsole")
        sys.modules.pop("qtconsole", None)
        assert "not installed" in ran.text("stderr")


async def test_autosave_tells_the_notebook(tmp_path: Path) -> None:
    async with ip_session(tmp_path) as session:
        ran = await session.run("%autosave 60")
        assert ("60000" in ran.of("display_data")[0]["data"]["application/javascript"], ran.text()) == (
            True,
            "Autosaving every 60 seconds\n",
        )
        assert (await session.run("%autosave soon")).reply["ename"] == "UsageError"


@pytest.mark.parametrize("code", ["%gui qt", "%gui tk", "%matplotlib qt", "%matplotlib TkAgg", "%gui nonsense"])
async def test_a_gui_without_a_host_is_refused_with_the_way_to_have_one(tmp_path: Path, code: str) -> None:
    async with ip_session(tmp_path) as session:
        ran = await session.run(code)
        assert (ran.reply["ename"], "--host=" in ran.text("stderr")) == ("UsageError", True)


async def test_the_gui_of_the_host_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from async_kernel.event_loop.host import Host

    async with ip_session(tmp_path) as session:
        monkeypatch.setattr(Host, "current", lambda: SimpleNamespace(HOST="tk", MATPLOTLIB_GUIS=("tk",)))
        assert (await session.run("%gui tk")).status == "ok"
        assert session.shell.active_eventloop == "tk"
        assert "host runs windows of tk" in (await session.run("%gui qt")).text("stderr")


async def test_no_gui_is_always_there(tmp_path: Path) -> None:
    async with ip_session(tmp_path) as session:
        assert (await session.run("%gui")).status == "ok"


@pytest.mark.parametrize("magic", ["pip", "uv"])
async def test_packages_are_installed_for_this_python(
    tmp_path: Path, magic: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packages, "find_spec", lambda name: object())
    async with ip_session(tmp_path) as session:
        commands: list[str] = []
        session.shell.system = commands.append
        await session.run(f"%{magic} install something")
        assert commands == [f"{sys.executable} -m {magic} install something"]


@pytest.mark.parametrize(("magic", "advice"), [("pip", "%uv pip"), ("uv", "%pip install uv")])
async def test_a_package_manager_that_is_not_there_is_named_with_a_way_out(
    tmp_path: Path, magic: str, advice: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packages, "find_spec", lambda name: None)
    monkeypatch.setenv("PATH", "")
    async with ip_session(tmp_path) as session:
        ran = await session.run(f"%{magic} install something")
        assert ran.reply["ename"] == "UsageError"
        assert sys.prefix in ran.text("stderr")
        assert advice in ran.text("stderr")


async def test_conda_says_when_this_is_no_conda_environment(tmp_path: Path) -> None:
    async with ip_session(tmp_path) as session:
        if exists(f"{sys.prefix}/conda-meta/history"):
            pytest.skip("it is one")
        assert (await session.run("%conda install x")).reply["ename"] == "ValueError"


async def test_every_magic_can_be_listed_and_described(tmp_path: Path) -> None:
    async with ip_session(tmp_path) as session:
        listed: Any = session.shell.magics_manager.lsmagic_docs(brief=True)
        assert {"connect_info", "edit", "less", "time", "uv"} <= set(listed["line"])
        assert all(listed["line"][name] for name in ("connect_info", "edit", "time", "autoawait", "gui"))
        assert "paste" not in listed["line"]
