"""Kernelspecs: where they go, what is in them, and what is left when writing fails."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from traitlets.config.loader import KVArgParseConfigLoader

from async_kernel import kernelspec
from async_kernel.kernelspec import (
    CUSTOM_LAUNCHER_SEPARATOR,
    RESOURCES,
    expand_path,
    get_kernel_dir,
    get_kernel_info,
    import_launcher,
    make_argv,
    remove_kernelspec,
    validate_name,
    write_kernel_spec,
)

if TYPE_CHECKING:
    from collections.abc import Callable

START = [sys.executable, "-P", "-m", "async_kernel", "start"]


@pytest.fixture
def kernels(tmp_path: Path) -> Path:
    return tmp_path / "kernels"


def launch_quietly(settings: dict[str, Any]) -> dict[str, Any]:
    return settings | {"quiet": True}


def launch_from_anywhere(settings: NotImportedHere) -> Any:  # noqa: F821  # pyright: ignore[reportUndefinedVariable]
    return settings


def names(folder: Path) -> list[str]:
    return sorted(file.name for file in folder.iterdir())


def tree(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in sorted(folder.rglob("*")) if file.is_file()}


# -- names and argv ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["async-trio", "Python3.11_x", "a"])
def test_a_name_of_letters_digits_dots_dashes_and_underscores_is_good(name: str) -> None:
    assert validate_name(name) == name


@pytest.mark.parametrize("name", ["", "a b", "a/b", "ä", "a\n", ".", "..", "...", "a\\b", "a:b"])
def test_other_names_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match="no name for a kernel"):
        validate_name(name)


def test_argv_without_options() -> None:
    assert make_argv() == [*START, "--connection_file={connection_file}", "--name=async"]


def test_argv_has_launcher_options_and_flags_in_this_order() -> None:
    argv = make_argv(
        connection_file="c.json",
        name="n",
        launcher="package.launch",
        command=("py",),
        flags=["no-quiet"],
        timeout=5,
        **{"BaseShell.timeout": 3},
    )

    assert argv == [
        "py",
        "--connection_file=c.json",
        "--name=n",
        "--launcher=package.launch",
        "--timeout=5",
        "--BaseShell.timeout=3",
        "--no-quiet",
    ]


def test_a_command_may_be_one_string() -> None:
    assert make_argv(command="py -m 'my kernel'")[:3] == ["py", "-m", "my kernel"]


def test_a_one_letter_option_has_one_dash() -> None:
    assert make_argv(command=(), n="x", flags=["h"])[-2:] == ["-n=x", "-h"]


def test_argv_refuses_a_bad_name() -> None:
    with pytest.raises(ValueError, match="no name for a kernel"):
        make_argv(name="a/b")


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"a": 1, "b": "x y"}, {"a": "1", "b": "x y"}),
        (["one", "two"], ["one", "two"]),
        ({}, {}),
        ([], []),
        (["only"], ["only"]),
    ],
)
def test_traitlets_reads_containers_as_they_were(value: Any, expected: Any) -> None:
    from traitlets import Dict, List
    from traitlets.config import Configurable

    class Thing(Configurable):
        box = (Dict() if isinstance(value, dict) else List()).tag(config=True)

    argv = make_argv(command=(), **{"Thing.box": value})[2:]
    loader = KVArgParseConfigLoader(argv, classes=[Thing])

    assert Thing(config=loader.load_config()).box == expected


# -- places -----------------------------------------------------------------------------------------------------


def test_the_place_is_the_environment_unless_told_otherwise() -> None:
    assert get_kernel_dir() == Path(sys.prefix, "share", "jupyter", "kernels")


def test_the_place_can_be_another_environment(tmp_path: Path) -> None:
    assert get_kernel_dir(prefix=tmp_path) == tmp_path / "share" / "jupyter" / "kernels"


def test_the_place_can_be_the_users(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JUPYTER_DATA_DIR", str(tmp_path))

    assert get_kernel_dir(user=True) == tmp_path / "kernels"


def test_the_place_can_be_given(kernels: Path) -> None:
    assert get_kernel_dir(folder=str(kernels)) == kernels


def test_a_folder_where_jupyter_does_not_look_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="folders called 'kernels'"):
        get_kernel_dir(folder=tmp_path / "other")


@pytest.mark.parametrize("places", [{"user": True, "prefix": "x"}, {"prefix": "x", "folder": "kernels"}])
def test_two_places_are_ambiguous(places: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="ambiguous"):
        get_kernel_dir(**places)


def test_a_tilde_is_the_home_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME" if os.name != "nt" else "USERPROFILE", str(tmp_path))

    assert expand_path("~/kernels") == tmp_path / "kernels"


@pytest.mark.skipif(os.name == "nt", reason="there, variables are expanded")
def test_a_percent_sign_is_part_of_a_path() -> None:
    assert expand_path("%HOME%/$HOME") == Path("%HOME%/$HOME")


# -- writing ----------------------------------------------------------------------------------------------------


def test_a_kernelspec_says_how_to_start_and_interrupt_the_kernel(kernels: Path) -> None:
    spec_dir = write_kernel_spec(folder=kernels, name="mine", backend="asyncio")

    assert json.loads((spec_dir / "kernel.json").read_text("utf-8")) == {
        "argv": [*START, "--connection_file={connection_file}", "--name=mine", "--backend=asyncio"],
        "env": {},
        "display_name": f"Python {sys.version_info.major}.{sys.version_info.minor} (mine)",
        "language": "python",
        "interrupt_mode": "message",
        "metadata": dict(kernelspec.METADATA),
        "kernel_protocol_version": "5.5",
    }


def test_a_kernelspec_has_the_logos(kernels: Path) -> None:
    spec_dir = write_kernel_spec(folder=kernels)

    assert names(spec_dir) == ["kernel.json", "logo-32x32.png", "logo-64x64.png", "logo-svg.svg"]


@pytest.mark.parametrize("size", [32, 64])
def test_a_logo_has_the_size_that_its_name_says(size: int) -> None:
    header = (RESOURCES / f"logo-{size}x{size}.png").read_bytes()[:24]

    assert (int.from_bytes(header[16:20]), int.from_bytes(header[20:24])) == (size, size)


def test_what_the_user_says_goes_into_the_kernelspec(kernels: Path, tmp_path: Path) -> None:
    (tmp_path / "logos").mkdir()
    (tmp_path / "logos" / "logo-svg.svg").write_text("<svg/>")
    spec_dir = write_kernel_spec(
        folder=kernels,
        display_name="Minä",
        env={"STAGE": "testing", "LEVEL": 5},  # type: ignore[dict-item]
        metadata={"debugger": True},
        language="finnish",
        resources=tmp_path / "logos",
    )
    spec = json.loads((spec_dir / "kernel.json").read_text("utf-8"))

    assert {key: spec[key] for key in ("display_name", "env", "metadata", "language")} == {
        "display_name": "Minä",
        "env": {"STAGE": "testing", "LEVEL": "5"},
        "metadata": {"debugger": True},
        "language": "finnish",
    }
    assert names(spec_dir) == ["kernel.json", "logo-svg.svg"]


def test_a_kernelspec_can_be_written_to_a_path(tmp_path: Path) -> None:
    assert write_kernel_spec(path=tmp_path / "deep" / "spec") == tmp_path / "deep" / "spec"


def test_a_path_and_a_place_are_ambiguous(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="ambiguous"):
        write_kernel_spec(path=tmp_path / "spec", user=True)


def test_jupyter_finds_it(kernels: Path) -> None:
    from jupyter_client.kernelspec import KernelSpecManager

    spec_dir = write_kernel_spec(folder=kernels, name="mine")
    manager = KernelSpecManager(kernel_dirs=[str(kernels)], ensure_native_kernel=False)

    assert manager.find_kernel_specs() == {"mine": str(spec_dir)}
    assert manager.get_kernel_spec("mine").interrupt_mode == "message"


def test_writing_twice_leaves_what_writing_once_does(kernels: Path) -> None:
    once = tree(write_kernel_spec(folder=kernels, name="mine", timeout=5))

    assert tree(write_kernel_spec(folder=kernels, name="mine", timeout=5)) == once
    assert names(kernels) == ["mine"]


def test_writing_replaces_the_whole_folder(kernels: Path) -> None:
    spec_dir = write_kernel_spec(folder=kernels, name="mine", launcher=launch_quietly)
    write_kernel_spec(folder=kernels, name="mine")

    assert not (spec_dir / "launcher.py").exists()


def test_writing_over_a_link_replaces_the_link(kernels: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "note").write_text("kept")
    kernels.mkdir()
    (kernels / "mine").symlink_to(elsewhere)
    spec_dir = write_kernel_spec(folder=kernels, name="mine")

    assert not spec_dir.is_symlink()
    assert tree(elsewhere) == {"note": b"kept"}


def fail_in_renaming(monkeypatch: pytest.MonkeyPatch) -> None:
    rename = Path.rename

    def refuse(self: Path, target: Path) -> Path:
        if self.name == "new":
            raise PermissionError(13, "not today", str(target))
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", refuse)


def fail_in_copying(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object, **kwargs: object) -> None:
        raise PermissionError(13, "not today")

    monkeypatch.setattr("shutil.copytree", refuse)


@pytest.mark.parametrize("fail", [fail_in_renaming, fail_in_copying])
@pytest.mark.parametrize("existing", [True, False])
def test_a_failure_leaves_all_as_it_was(
    fail: Callable[[pytest.MonkeyPatch], None], existing: bool, kernels: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kernels.mkdir()
    if existing:
        write_kernel_spec(folder=kernels, name="mine", timeout=5)
    before = tree(kernels)
    fail(monkeypatch)

    with pytest.raises(PermissionError):
        write_kernel_spec(folder=kernels, name="mine", timeout=6)

    assert tree(kernels) == before
    assert names(kernels) == (["mine"] if existing else [])


@pytest.mark.parametrize("wrong", [{"name": "a/b"}, {"launcher": "no.such.launcher"}, {"launcher": "nodots"}])
def test_what_is_wrong_from_the_start_makes_no_folder(wrong: dict[str, Any], kernels: Path) -> None:
    with pytest.raises((ValueError, ImportError)):
        write_kernel_spec(folder=kernels, **wrong)

    assert not kernels.exists()


# -- reading and removing ------------------------------------------------------------------------------------------


def test_the_kernels_of_a_folder_are_known_by_name(kernels: Path) -> None:
    write_kernel_spec(folder=kernels, name="b", display_name="B")
    write_kernel_spec(folder=kernels, name="a", display_name="A")
    (kernels / "broken").mkdir()
    (kernels / "broken" / "kernel.json").write_text("{")

    assert [(name, spec["display_name"]) for name, spec in get_kernel_info(kernels).items()] == [("a", "A"), ("b", "B")]


def test_a_folder_that_is_not_there_has_no_kernels(kernels: Path) -> None:
    assert get_kernel_info(kernels) == {}


def test_removing_removes_the_folder(kernels: Path) -> None:
    spec_dir = write_kernel_spec(folder=kernels, name="mine")

    assert remove_kernelspec(kernels, "mine") == spec_dir
    assert names(kernels) == []


def test_removing_a_link_leaves_what_it_points_to(kernels: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    kernels.mkdir()
    (kernels / "mine").symlink_to(elsewhere)
    remove_kernelspec(kernels, "mine")

    assert (names(kernels), elsewhere.is_dir()) == ([], True)


def test_removing_what_is_not_there_names_what_is(kernels: Path) -> None:
    write_kernel_spec(folder=kernels, name="mine")

    with pytest.raises(FileNotFoundError, match=r"no kernelspec 'yours' .* found: mine\."):
        remove_kernelspec(kernels, "yours")


def test_removing_never_leaves_the_folder(kernels: Path) -> None:
    kernels.mkdir()

    with pytest.raises(ValueError, match="no name for a kernel"):
        remove_kernelspec(kernels, "..")

    assert kernels.is_dir()


# -- launchers ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["", "launch_interface"])
def test_the_usual_launcher(name: str) -> None:
    from async_kernel.interface import launch_interface

    assert import_launcher(name) is launch_interface


def test_a_launcher_by_its_dotted_name() -> None:
    assert import_launcher("os.path.join") is os.path.join


def test_a_launcher_in_the_working_directory_shadows_nothing(tmp_path: Path) -> None:
    (tmp_path / "json.py").write_text("raise SystemExit('shadowed')")
    (tmp_path / "my_launcher.py").write_text("import json\ndef launch(settings): ...")
    code = "from async_kernel.kernelspec import import_launcher as i; print(i('my_launcher.launch').__module__)"
    done = subprocess.run([sys.executable, "-P", "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)

    assert (done.stdout, done.stderr) == ("my_launcher\n", "")


@pytest.mark.parametrize(
    ("launcher", "error", "says"),
    [
        ("launch", ValueError, "dotted name"),
        ("no_such_module.launch", ImportError, "No module named 'no_such_module'"),
        ("os.no_such_function", ImportError, "has no function 'no_such_function'"),
        ("os.sep", ImportError, "has no function 'sep'"),
        (f"nowhere.py{CUSTOM_LAUNCHER_SEPARATOR}launch", ImportError, "FileNotFoundError"),
    ],
)
def test_a_launcher_that_is_none(launcher: str, error: type[Exception], says: str) -> None:
    with pytest.raises(error, match=says):
        import_launcher(launcher)


@pytest.mark.parametrize(
    ("source", "says"), [("def f(", "SyntaxError"), ("1 / 0", "ZeroDivisionError"), ("x = 1", "no function 'launch'")]
)
def test_a_launcher_file_that_is_none(source: str, says: str, tmp_path: Path) -> None:
    (tmp_path / "launcher.py").write_text(source)

    with pytest.raises(ImportError, match=says):
        import_launcher(f"{tmp_path / 'launcher.py'}{CUSTOM_LAUNCHER_SEPARATOR}launch")


@pytest.mark.parametrize("launcher", [launch_quietly, launch_from_anywhere])
def test_a_function_is_saved_as_a_launcher(launcher: Callable[[Any], Any], kernels: Path) -> None:
    spec_dir = write_kernel_spec(folder=kernels, name="mine", launcher=launcher)
    (argument,) = (arg for arg in get_kernel_info(kernels)["mine"]["argv"] if arg.startswith("--launcher="))

    assert argument == f"--launcher={spec_dir / 'launcher.py'}{CUSTOM_LAUNCHER_SEPARATOR}{launcher.__name__}"
    saved = import_launcher(argument.removeprefix("--launcher="))
    assert saved({"a": 1}) == launcher({"a": 1})
    assert saved is not launcher


def test_a_function_that_cannot_be_saved_is_refused(kernels: Path) -> None:
    around = {}

    def closure(settings: Any) -> Any:
        return around

    def two(settings: Any, more: Any) -> None: ...

    anonymous: Any = lambda settings: settings  # noqa: E731

    for launcher, says in (
        (closure, "uses around"),
        (two, "exactly one parameter"),
        (anonymous, "made by 'def'"),
        (dict, "made by 'def'"),
    ):
        with pytest.raises(ValueError, match=says):
            write_kernel_spec(folder=kernels, launcher=launcher)
    assert not kernels.exists()


# -- weight -------------------------------------------------------------------------------------------------------


def test_importing_it_imports_no_kernel() -> None:
    code = "import sys, async_kernel.kernelspec; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert {"IPython", "zmq", "traitlets", "trio", "jupyter_core", "asyncio"} & set(done.stdout.split()) == set()


def test_the_protocol_version_is_the_kernels() -> None:
    from async_kernel.kernel.info import PROTOCOL_VERSION

    assert kernelspec.PROTOCOL_VERSION == PROTOCOL_VERSION
