"""The command ``async-kernel``: what each of its commands does, and what it says when it cannot."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from async_kernel import command
from async_kernel.command import command_line, to_flags_and_settings
from async_kernel.kernelspec import get_kernel_info, make_argv

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


class Done(NamedTuple):
    code: int
    out: str
    err: str


Run = "Callable[..., Done]"


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs the command line in this process."""

    def run(*args: str) -> Done:
        monkeypatch.setattr(sys, "argv", ["async-kernel", *args])
        with pytest.raises(SystemExit) as exit_:
            command_line()
        return Done(exit_.value.code or 0, *capsys.readouterr())

    return run


@pytest.fixture
def kernels(tmp_path: Path) -> Path:
    return tmp_path / "kernels"


@pytest.fixture
def argv_of(kernels: Path) -> Callable[[str], list[str]]:
    """The options in an installed kernelspec, beside those that all have."""

    def argv_of(name: str) -> list[str]:
        usual = make_argv(name=name)
        argv = get_kernel_info(kernels)[name]["argv"]
        assert argv[: len(usual)] == usual
        return argv[len(usual) :]

    return argv_of


# -- options -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("args", "expected"),
    [
        ([], ([], {})),
        (["--quiet"], (["quiet"], {})),
        (["--timeout=5"], ([], {"timeout": 5})),
        (["--timeout", "5.5"], ([], {"timeout": 5.5})),
        (["--timeout", "-1"], ([], {"timeout": -1})),
        (["-f", "c.json", "--debug"], (["debug"], {"f": "c.json"})),
        (["--quiet", "--BaseShell.timeout=3"], (["quiet"], {"BaseShell.timeout": 3})),
        (["--backend_options", "a=1", "--backend_options", "b=x"], ([], {"backend_options": {"a": 1, "b": "x"}})),
        (["--ext=a", "--ext=b", "--ext=c"], ([], {"ext": ["a", "b", "c"]})),
        (["--code=x=1"], ([], {"code": "x=1"})),
        (["--file=/a b/c=d"], ([], {"file": "/a b/c=d"})),
        (["--text="], ([], {"text": ""})),
        (["--text=None"], ([], {"text": None})),
    ],
)
def test_options_are_sorted_into_flags_and_settings(
    args: list[str], expected: tuple[list[str], dict[str, Any]]
) -> None:
    assert to_flags_and_settings(args) == expected


@pytest.mark.parametrize("args", [["x"], ["--a=1", "x"], ["--"], ["-"], ["--=x"]])
def test_what_is_not_an_option_is_refused(args: list[str]) -> None:
    with pytest.raises(ValueError, match="is not an option"):
        to_flags_and_settings(args)


@pytest.mark.parametrize(
    "args",
    [
        ["--backend_options=a=1", "--backend_options=b=x"],
        ["--ext=a", "--ext=b"],
        ["--InteractiveShellApp.code_to_run=x = {'a': 1}"],
        ["-n=x", "--debug"],
        ["--timeout=-1.5"],
    ],
)
def test_options_are_written_as_they_were_read(args: list[str]) -> None:
    flags, settings = to_flags_and_settings(args)

    assert make_argv(command=(), flags=flags, **settings)[2:] == args


# -- help ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("args", [[], ["--help"], ["-h"], ["install", "--help"]])
def test_help(run: Run, args: list[str]) -> None:
    done = run(*args)

    assert (done.code, done.err) == (0, "")
    assert done.out.startswith("usage: async-kernel")
    assert all(word in done.out for word in ("install", "uninstall", "list", "start", "--help-all"))


@pytest.mark.parametrize("args", [["--version"], ["-V"]])
def test_version(run: Run, args: list[str]) -> None:
    assert run(*args) == Done(0, f"{version('async-trio')}\n", "")


@pytest.mark.parametrize(
    "args",
    [
        ["frobnicate"],
        ["--frobnicate"],
        ["--timeout=5"],
        ["install", "extra"],
        ["install", "--name=a/b"],
        ["install", "--name"],
        ["install", "--name=..", "--user"],
        ["install", "--user", "--prefix=x"],
        ["install", "--folder=x"],
        ["install", "--launcher=nodots"],
        ["install", "--env=x"],
        ["install", "--flags=x"],
        ["install", "--path=x"],
        ["uninstall", "--timeout=5"],
        ["list", "everything"],
    ],
)
def test_a_wrong_command_line_is_one_line_and_exit_code_2(run: Run, args: list[str]) -> None:
    done = run(*args)

    assert (done.code, done.out, done.err.count("\n")) == (2, "", 1)
    assert done.err.startswith("async-kernel: ")


# -- install, list, uninstall -------------------------------------------------------------------------------------


def test_install_list_and_uninstall(run: Run, kernels: Path) -> None:
    spec_dir = kernels / "mine"
    folder = f"--folder={kernels}"

    assert run("install", folder, "--name=mine", "--display-name=My kernel") == Done(
        0, f"Installed the kernel 'mine' in {spec_dir}\n", ""
    )
    assert run("list", folder) == Done(0, f"NAME  DISPLAY NAME  FOLDER\nmine  My kernel     {spec_dir}\n", "")
    assert run("uninstall", folder, "-n", "mine") == Done(0, f"Removed the kernel 'mine' from {kernels}\n", "")
    assert run("-l", folder) == Done(0, f"No kernels in {kernels}\n", "")


def test_install_makes_async_trio_unless_told_otherwise(run: Run, kernels: Path) -> None:
    run("install", f"--folder={kernels}")

    assert list(get_kernel_info(kernels)) == ["async-trio"]


@pytest.mark.parametrize(
    ("option", "variable", "inside"),
    [("--prefix", None, "share/jupyter/kernels"), ("--user", "JUPYTER_DATA_DIR", "kernels")],
)
def test_install_and_list_know_the_places(
    option: str, variable: str | None, inside: str, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if variable:
        monkeypatch.setenv(variable, str(tmp_path))
    place = option if variable else f"{option}={tmp_path}"
    run("install", place)

    assert list(get_kernel_info(tmp_path / inside)) == ["async-trio"]
    assert str(tmp_path / inside / "async-trio") in run("list", place).out


def test_list_shows_this_environment_and_the_user(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JUPYTER_DATA_DIR", str(tmp_path / "user"))
    monkeypatch.setattr(sys, "prefix", str(tmp_path / "environment"))
    run("install", "--name=here")
    run("install", "--name=there", "--user")

    assert [line.split()[0] for line in run("list").out.splitlines()] == ["NAME", "here", "there"]


def test_install_stores_traits_and_flags(run: Run, kernels: Path, argv_of: Callable[[str], list[str]]) -> None:
    done = run(
        "install",
        f"--folder={kernels}",
        "--name=my-asyncio",
        "--backend=asyncio",
        "--timeout",
        "5",
        "--backend_options",
        "use_uvloop=False",
        "--IPCompleter.use_jedi=False",
        "--no-quiet",
    )

    assert (done.code, done.err) == (0, "")
    assert argv_of("my-asyncio") == [
        "--backend=asyncio",
        "--timeout=5",
        "--backend_options=use_uvloop=False",
        "--IPCompleter.use_jedi=False",
        "--no-quiet",
    ]


def test_install_stores_what_the_kernelspec_itself_can_have(run: Run, kernels: Path) -> None:
    run("install", f"--folder={kernels}", "--env", "STAGE=testing", "--env", "LEVEL=5", "--metadata", "debugger=True")
    spec = get_kernel_info(kernels)["async-trio"]

    assert (spec["env"], spec["metadata"]) == ({"STAGE": "testing", "LEVEL": "5"}, {"debugger": True})


def test_install_twice_is_the_same_as_once(run: Run, kernels: Path) -> None:
    once = run("install", f"--folder={kernels}")

    assert run("install", f"--folder={kernels}") == once


@pytest.mark.parametrize(
    ("option", "says"),
    [
        ("--tiemout=5", "--tiemout is not an option (did you mean --timeout?)"),
        ("--no-quite", "--no-quite is not an option (did you mean --no-quiet?)"),
        ("--timeout=soon", "expected a float, not the str 'soon'"),
        ("--BaseShell.timout=5", "BaseShell has no such option (did you mean --BaseShell.timeout?)"),
        ("--backend=curio", "expected any of ['asyncio', 'trio']"),
    ],
)
def test_a_kernelspec_that_could_not_start_is_not_installed(option: str, says: str, run: Run, kernels: Path) -> None:
    run("install", f"--folder={kernels}", "--name=mine")
    before = get_kernel_info(kernels)
    done = run("install", f"--folder={kernels}", "--name=mine", option)

    assert (done.code, done.out, done.err.count("\n")) == (2, "", 1)
    assert says in done.err
    assert get_kernel_info(kernels) == before


def test_a_launcher_that_does_not_import_is_not_installed(run: Run, kernels: Path) -> None:
    done = run("install", f"--folder={kernels}", "--launcher=no_such_module.launch")

    assert done == Done(
        1,
        "",
        "async-kernel: The launcher 'no_such_module.launch' cannot be imported: "
        "ModuleNotFoundError: No module named 'no_such_module'\n",
    )
    assert not kernels.exists()


def test_uninstalling_what_is_not_there_says_what_is(run: Run, kernels: Path) -> None:
    run("install", f"--folder={kernels}", "--name=mine")

    assert run("uninstall", f"--folder={kernels}", "--name=yours") == Done(
        1, "", f"async-kernel: There is no kernelspec 'yours' in '{kernels}'; found: mine.\n"
    )


def test_uninstall_takes_names(run: Run, kernels: Path) -> None:
    folder = f"--folder={kernels}"
    for name in ("mine", "yours", "theirs", "ours"):
        run("install", folder, f"--name={name}")

    assert run("uninstall", folder, "mine", "yours", "mine", "--name=ours").code == 0
    assert list(get_kernel_info(kernels)) == ["theirs"]


def test_uninstall_removes_none_of_several_if_one_is_not_there(run: Run, kernels: Path) -> None:
    folder = f"--folder={kernels}"
    run("install", folder, "--name=mine")

    done = run("uninstall", folder, "mine", "yours")
    assert (done.code, done.out) == (1, "")
    assert "There is no kernelspec 'yours'" in done.err
    assert list(get_kernel_info(kernels)) == ["mine"]


def test_a_place_that_cannot_be_written_is_one_line_and_exit_code_1(run: Run, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    done = run("install", f"--folder={tmp_path / 'file' / 'kernels'}")

    assert done == Done(1, "", f"async-kernel: Not a directory: {tmp_path / 'file' / 'kernels'}\n")


# -- start -------------------------------------------------------------------------------------------------------


def remember(settings: dict[str, Any]) -> None:
    remembered.append(settings)


def fail(settings: dict[str, Any]) -> None:
    raise KeyboardInterrupt


remembered: list[dict[str, Any]] = []


@pytest.fixture
def launchers(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names that launchers are imported by; what they get is remembered."""
    asked: list[str] = []
    remembered.clear()

    def import_launcher(launcher: str) -> Callable[[dict[str, Any]], None]:
        asked.append(launcher)
        return fail if launcher == "interrupted" else remember

    monkeypatch.setattr(command, "import_launcher", import_launcher)
    return asked


def test_start_hands_the_settings_to_the_launcher(run: Run, launchers: list[str]) -> None:
    done = run("start", "--connection_file=c.json", "--launcher=my.launch", "--timeout=5", "--no-quiet")

    assert (done, launchers) == (Done(0, "", ""), ["my.launch"])
    assert remembered == [{"connection_file": "c.json", "launcher": "my.launch", "timeout": 5, "flags": ["no-quiet"]}]


def test_start_leaves_out_what_console_programs_append(run: Run, launchers: list[str]) -> None:
    run("start", "--timeout=5", "-f", "c.json", "script.py")

    assert remembered == [{"timeout": 5, "f": "c.json", "flags": []}]


@pytest.mark.parametrize("option", ["--help-all", "--show-config", "--show-config-json"])
@pytest.mark.parametrize("before", [[], ["start"]])
def test_questions_about_the_configuration_go_to_the_usual_launcher(
    option: str, before: list[str], run: Run, launchers: list[str]
) -> None:
    run(*before, option)

    assert (launchers, remembered) == ([""], [{"flags": [option.removeprefix("--")]}])


def test_an_interrupted_start_is_no_error(run: Run, launchers: list[str]) -> None:
    assert run("start", "--launcher=interrupted") == Done(0, "", "")


def test_start_says_when_its_launcher_does_not_import(run: Run) -> None:
    done = run("start", "--launcher=no_such_module.launch")

    assert (done.code, done.out, done.err.count("\n")) == (1, "", 1)


# -- as processes ------------------------------------------------------------------------------------------------


def python(*args: str, **environment: str) -> Done:
    done = subprocess.run(
        [sys.executable, "-P", *args], capture_output=True, text=True, check=False, env={**os.environ, **environment}
    )
    return Done(done.returncode, done.stdout, done.stderr)


def test_the_module_is_the_command() -> None:
    assert python("-m", "async_kernel", "--version") == Done(0, f"{version('async-trio')}\n", "")


@pytest.mark.parametrize("wrong", ["--tiemout=5", "--timeout=soon", "--Foo.bar=1"])
def test_a_kernel_that_is_started_wrongly_says_so_in_one_line(wrong: str) -> None:
    done = python("-m", "async_kernel", "start", wrong)

    assert (done.code, done.out, done.err.count("\n")) == (2, "", 1)


def test_show_config_json_is_json() -> None:
    done = python("-m", "async_kernel", "--show-config-json", "--timeout=5")

    assert (done.code, done.err) == (0, "")
    assert json.loads(done.out)["BaseShell"] == {"timeout": 5.0}


def test_the_way_to_start_imports_no_more_than_it_needs() -> None:
    code = "import sys, async_kernel.command; print(*sys.modules)"

    assert {"argparse", "traitlets", "IPython", "zmq", "trio"} & set(python("-c", code).out.split()) == set()


def test_the_shell_completes_commands_and_options(tmp_path: Path) -> None:
    pytest.importorskip("argcomplete")
    answer = tmp_path / "answer"
    line = "async-kernel install --backend"
    python(
        "-c",
        "import sys; sys.argv = ['async-kernel']; from async_kernel.command import command_line; command_line()",
        _ARGCOMPLETE="1",
        _ARGCOMPLETE_IFS="\n",
        _ARGCOMPLETE_STDOUT_FILENAME=str(answer),
        COMP_LINE=line,
        COMP_POINT=str(len(line)),
    )

    assert sorted(word.strip() for word in answer.read_text().split("\n")) == ["--backend", "--backend_options"]
