"""The kernels of docs/custom-kernels.md, installed as it says and used by jupyter_client."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from jupyter_client import KernelManager
from jupyter_client.kernelspec import KernelSpecManager

from tests.docs.blocks import blocks
from tests.e2e.harness.client import Client

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from tests.e2e.harness.client import Result

    Start = Callable[..., Client]

ROOT = Path(__file__).parents[2]
SECONDS = 1.0
PATIENCE = 60 * SECONDS
BLOCKS = list(blocks(ROOT, "docs/custom-kernels.md"))
WITHOUT_IPYTHON = """
import sys
for name in ("IPython", "async_kernel.shell.ipshell", "async_kernel.interface.ip_app"):
    sys.modules[name] = None  # importing it fails
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the files and the kernelspecs of the page are."""
    place = tmp_path_factory.mktemp("custom")
    for block in BLOCKS:
        if block.how == "file":
            (place / block.name).write_text(block.code, "utf-8")
    (place / "without").mkdir()
    (place / "without" / "sitecustomize.py").write_text(WITHOUT_IPYTHON)
    commands = [
        [sys.executable, "-P", "-m", "async_kernel", *shlex.split(line)[1:], f"--prefix={place}"]
        for block in BLOCKS
        if block.language == "shell"
        for line in block.code.splitlines()
    ]
    commands.append([sys.executable, str(place / "install_squares.py"), str(place)])
    for command in commands:
        subprocess.run(command, env=environment(place), cwd=place, check=True, capture_output=True)
    return place


def environment(place: Path, *more: str) -> dict[str, str]:
    homes = {name: str(place / name.lower()) for name in ("JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR")}
    path = os.pathsep.join([*more, str(place)])
    return {**os.environ, **homes, "JUPYTER_NO_CONFIG": "1", "PYTHONPATH": path}


@contextmanager
def kernels(place: Path, folder: Path) -> Generator[Start]:
    """Starts kernels of the page, until it is left."""
    specs = KernelSpecManager(kernel_dirs=[str(place / "share/jupyter/kernels")], ensure_native_kernel=False)
    with ExitStack() as stack:

        def start(name: str, *path: str) -> Client:
            manager = KernelManager(
                kernel_name=name, kernel_spec_manager=specs, connection_file=str(folder / f"{name}.json")
            )
            with (folder / "log").open("w") as log:
                manager.start_kernel(env=environment(place, *path), cwd=str(folder), stdout=log, stderr=log)
            stack.callback(manager.shutdown_kernel, now=True)
            client = Client(Path(manager.connection_file), explain=(folder / "log").read_text)
            stack.callback(client.close)
            client.ready()
            return client

        yield start


@pytest.fixture
def start(place: Path, tmp_path: Path) -> Generator[Start]:
    """Starts kernels for one test."""
    with kernels(place, tmp_path) as start:
        yield start


@pytest.fixture(scope="module")
def rpn(place: Path, tmp_path_factory: pytest.TempPathFactory) -> Generator[Client]:
    """The small language, in a process where IPython cannot be imported. What tests push stays on its stack."""
    with kernels(place, tmp_path_factory.mktemp("rpn")) as start:
        yield start("rpn", str(place / "without"))


def top(cell: Result) -> str:
    """The newest number on the stack."""
    assert cell.text is not None, cell
    return cell.text.split()[-1]


def test_the_small_language_is_short_enough_to_read() -> None:
    (code,) = [block.code for block in BLOCKS if block.name == "rpn.py"]
    assert len(code.splitlines()) < 60


def test_the_small_language_runs_without_ipython(rpn: Client) -> None:
    info = rpn.request("kernel_info_request").reply
    assert (info["language_info"]["name"], info["banner"].split(":")[0]) == ("rpn", "A stack, numbers and words")
    cell = rpn.run("1 3 4 + .")
    assert (cell.stdout, top(cell)) == ("7.0\n", "1")
    assert cell.kinds == ["busy", "execute_input", "stdout", "execute_result", "idle"]
    assert rpn.run("2").reply["execution_count"] == cell.reply["execution_count"] + 1


def test_its_errors_are_shown_from_its_own_code_on(rpn: Client) -> None:
    failed = rpn.run(". " * 99)
    assert (failed.status, failed.error) == ("error", ("IndexError", ". finds nothing on the stack"))
    (error,) = failed.of("error")
    assert "async_kernel" not in "".join(error["traceback"])
    assert "rpn.py" in "".join(error["traceback"])


def test_what_waits_behind_its_errors_is_aborted(rpn: Client) -> None:
    cells = [rpn.start("? x"), rpn.start("1")]
    rpn.question(cells[0])
    rpn.request("kernel_info_request")  # behind the second cell, which waits now
    rpn.answer("5")
    assert [rpn.result(cell).status for cell in cells] == ["error", "aborted"]


def test_it_asks_its_user(rpn: Client) -> None:
    asking = rpn.start("? 2 *")
    assert rpn.question(asking)["content"]["prompt"] == "number: "
    rpn.answer("21")
    assert top(rpn.result(asking)) == "42"


def test_it_is_interrupted_while_it_asks(rpn: Client) -> None:
    asking = rpn.start("?")
    rpn.question(asking)
    rpn.interrupt()
    assert rpn.result(asking).error == ("KeyboardInterrupt", "")
    assert top(rpn.run("1")) == "1"


def test_it_answers_questions_about_code(rpn: Client) -> None:
    assert rpn.request("complete_request", {"code": "3 .", "cursor_pos": 3}).reply["matches"] == ["."]
    found = rpn.request("inspect_request", {"code": "3 +", "cursor_pos": 3}).reply
    assert (found["found"], found["data"]["text/plain"].split(":")[0]) == (True, "a b +")
    assert rpn.request("inspect_request", {"code": "x", "cursor_pos": 1}).reply["found"] is False
    assert [rpn.request("is_complete_request", {"code": code}).reply["status"] for code in ("1", "1 \\")] == [
        "complete",
        "incomplete",
    ]
    history = {"hist_access_type": "tail", "n": 3, "raw": True, "output": False}
    assert rpn.request("history_request", history).reply["history"] == []


def test_user_expressions_are_code_of_its_language(rpn: Client) -> None:
    values = rpn.run("1", user_expressions={"good": "2", "bad": "x"}).reply["user_expressions"]
    assert values["good"]["data"]["text/plain"].endswith("1 2")
    assert (values["bad"]["status"], values["bad"]["ename"]) == ("error", "ValueError")


def test_a_silent_cell_shows_and_counts_nothing(rpn: Client) -> None:
    silent = rpn.run("5", silent=True)
    assert silent.kinds == ["busy", "idle"]
    assert rpn.run("6").reply["execution_count"] == silent.reply["execution_count"] + 1


def test_a_shell_with_its_own_transform_cell(start: Start) -> None:
    signs = start("signs")
    assert [signs.run(code).text for code in ("2 × 3 ÷ 4", "2 + 3", "%timeit_not_there")] == ["1.5", "5", None]


def test_an_echo_kernel(start: Start) -> None:
    echo = start("echo")
    info = echo.request("kernel_info_request").reply
    said = (info["implementation"], info["banner"], info["help_links"], info["language_info"]["name"])
    assert said == ("echo", "I say what you say.", [], "echo")
    assert echo.run("anything (at all").stdout == "anything (at all\n"


def test_an_interface_that_prepares_something(start: Start) -> None:
    assert start("company").run("company").text == "'ACME'"


def test_a_launcher_by_its_dotted_name(start: Start) -> None:
    assert start("launched").run("hello").stdout == "hello\n"


def test_a_launcher_saved_beside_the_kernelspec(start: Start, place: Path) -> None:
    (place / "install_squares.py").unlink()
    squares = start("squares")
    assert squares.run("12").text == "144"
    assert squares.run("x").error == ("ValueError", "invalid literal for int() with base 10: 'x'")


def test_a_shell_of_another_language_runs_in_the_everyday_interface(place: Path, start: Start) -> None:
    command = [sys.executable, "-P", "-m", "async_kernel", "install", "--name=everyday", "--shell_class=rpn.RPNShell"]
    subprocess.run([*command, f"--prefix={place}"], env=environment(place), check=True, capture_output=True)
    assert start("everyday").run("6 7 *").text == "42"


def test_a_shell_sees_the_tags_of_a_cell(start: Start) -> None:
    client = start("drafts")
    draft = {"tags": ["draft"]}
    assert client.run("1 / 0", metadata=draft).stdout == "a draft\n"
    assert client.run("1 + 1").text == "2"
    blocked = client.start("# run\nprint('in')\nwhile True: pass", metadata=draft)
    client.printed(blocked, "in")
    client.interrupt()
    assert client.result(blocked).error == ("KeyboardInterrupt", "")


BUSY_SHELL = """
from async_kernel.shell import BaseShell

class BusyShell(BaseShell):
    async def do_execute(self, code, *, silent=False, **options):
        print(code)
        while code == "busy":
            pass
        return {"status": "ok"}
"""


def test_a_shell_that_does_all_of_a_cell_is_interrupted_in_the_middle(place: Path, start: Start) -> None:
    (place / "busy.py").write_text(BUSY_SHELL)
    options = ["--shell_class=busy.BusyShell", "--interface_class=async_kernel.interface.zmq.ZMQInterface"]
    install = [sys.executable, "-P", "-m", "async_kernel", "install", "--name=busy", f"--prefix={place}", *options]
    subprocess.run(install, env=environment(place), check=True, capture_output=True)
    client = start("busy")
    cell = client.start("busy")
    client.printed(cell, "busy")
    client.interrupt()
    error = client.result(cell).error
    assert error is not None
    assert error[0] == "KeyboardInterrupt"
    assert client.run("next").stdout == "next\n"
