"""What user code asks about the kernel around it, and does to its own output."""

from __future__ import annotations

import io
import subprocess
import sys
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import anyio
import pytest
from traitlets import HasTraits, Int, TraitError

from async_kernel import utils
from async_kernel.protocol.request import current_request
from tests.fakes import execute
from tests.shell.kernels import ip_session

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

    from async_kernel.protocol.request import Request


@pytest.fixture(params=["trio", "asyncio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    return request.param


@contextmanager
def serving(request: Request | None) -> Generator[None]:
    token = current_request.set(request)
    try:
        yield
    finally:
        current_request.reset(token)


@pytest.fixture
def cell() -> Generator[Request]:
    """A request that is being served here."""
    request = execute("the code")
    request.metadata = {"cellId": "cell-1", "tags": ["timeout=5", "slow"]}
    request.header["subshell_id"] = "subshell-1"
    with serving(request):
        yield request


# -- outside ---------------------------------------------------------------------------------------------


def test_outside_a_kernel_there_is_none() -> None:
    with pytest.raises(RuntimeError, match="no kernel"):
        utils.get_kernel()
    assert utils.get_ipython() is None


def test_outside_a_request_there_is_no_job() -> None:
    with pytest.raises(LookupError):
        utils.get_job()


def test_outside_a_request_everything_is_empty() -> None:
    answers = (
        utils.get_parent_message(),
        utils.get_metadata(),
        utils.get_tags(),
        utils.get_tag_value("timeout", 1.5),
        utils.get_cell_id(),
        utils.get_subshell_id(),
    )
    assert answers == (None, {}, [], 1.5, None, None)


def test_importing_it_is_cheap() -> None:
    code = "import async_kernel.utils, sys; print(sorted({'IPython', 'trio', 'zmq'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout == "[]\n"


# -- in a request ----------------------------------------------------------------------------------------


def test_the_job_is_the_request(cell: Request) -> None:
    job = utils.get_job()
    assert (job["msg"]["header"], job["msg"]["content"]["code"], job["received_time"]) == (
        cell.header,
        "the code",
        cell.received,
    )
    assert utils.get_parent_message() == job["msg"]


def test_what_its_client_said_about_the_cell(cell: Request) -> None:
    answers = (
        utils.get_metadata(),
        utils.get_tags(),
        utils.get_tag_value("timeout", 0.0),
        utils.get_tag_value("slow", False),
        utils.get_tag_value("slow", 1, tags=[]),
        utils.get_cell_id(),
        utils.get_subshell_id(),
    )
    assert answers == (cell.metadata, ["timeout=5", "slow"], 5.0, True, 1, "cell-1", "subshell-1")


def test_another_job_can_be_asked_about(cell: Request) -> None:
    job = utils.get_job()
    with serving(None):
        answers = (utils.get_tags(job), utils.get_cell_id(job), utils.get_subshell_id(job))
    assert answers == (["timeout=5", "slow"], "cell-1", "subshell-1")


@pytest.mark.anyio
async def test_a_cell_can_ask(tmp_path: Path) -> None:
    async with ip_session(tmp_path) as session:
        ran = await session.run(
            "from async_kernel import utils\n"
            "assert utils.get_job()['msg']['header'] == utils.get_parent_message()['header']\n"
            "assert utils.get_ipython() is get_ipython()\n"
            "assert utils.get_kernel() is get_ipython().kernel\n"
            "utils.get_job()['msg']['header']['msg_id']"
        )
        assert (ran.status, ran.value) == ("ok", repr(ran.request.msg_id))


@pytest.mark.anyio
async def test_a_task_that_a_cell_started_can_ask(tmp_path: Path) -> None:
    async with ip_session(tmp_path) as session:
        ran = await session.run(
            "import anyio\n"
            "from async_kernel import utils\n"
            "async def ask(): print(utils.get_job()['msg']['header']['msg_id'])\n"
            "async with anyio.create_task_group() as group: group.start_soon(ask)"
        )
        assert ran.text() == f"{ran.request.msg_id}\n"


@pytest.mark.anyio
async def test_the_nursery_of_a_subshell_can_be_used_from_the_main_shell(tmp_path: Path) -> None:
    async with ip_session(tmp_path) as session:
        subshell = (await session.ask("create_subshell_request"))["subshell_id"]
        in_subshell = execute("import threading; there = threading.get_ident()")
        in_subshell.header["subshell_id"] = subshell
        session.kernel.submit(in_subshell)
        await session.wire.idle(in_subshell)
        ran = await session.run(
            "from async_kernel.lifetime.pending import Pending\n"
            "from async_kernel.utils import get_subshell_id, subshell_context\n"
            "ran_in = Pending()\n"
            "async def where(): ran_in.set_result(threading.get_ident())\n"
            f"with subshell_context({subshell!r}):\n"
            "    nursery.start_soon(where)\n"
            "    inside = get_subshell_id()\n"
            "(await ran_in) == there != threading.get_ident(), inside, get_subshell_id()"
        )
        assert ran.value == repr((True, subshell, None))


@pytest.mark.anyio
async def test_there_must_be_such_a_subshell(tmp_path: Path) -> None:
    async with ip_session(tmp_path):
        with pytest.raises(LookupError, match="no subshell 'x'"), utils.subshell_context("x"):
            pass


# -- output ----------------------------------------------------------------------------------------------


@pytest.mark.anyio
async def test_output_can_be_given_to_an_earlier_cell(tmp_path: Path) -> None:
    async with ip_session(tmp_path) as session:
        earlier = await session.run(
            "from async_kernel import utils\nfirst = utils.get_job()['msg']['header']['msg_id']"
        )
        later = await session.run(
            "with utils.redirect_output(first):\n    print('there')\n    display('there, too')\nprint('here')"
        )
        there = session.wire.of(earlier.request)[len(earlier.sent) :]
        assert [sent.kind for sent in there][-1] == "display_data"
        assert (session.wire.text(earlier.request).strip(), later.text()) == ("there", "here\n")


@pytest.mark.anyio
async def test_output_can_be_given_to_nobody(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    async with ip_session(tmp_path, launched=False) as session:
        ran = await session.run(
            "from async_kernel import utils\nwith utils.redirect_output(None):\n    print('out')\nprint('in')"
        )
        assert (ran.text(), capsys.readouterr().out) == ("in\n", "out\n")


@pytest.mark.anyio
async def test_output_given_to_nobody_is_not_the_last_cells(tmp_path: Path) -> None:
    async with ip_session(tmp_path) as session:
        ran = await session.run(
            "from async_kernel import utils\nwith utils.redirect_output(None):\n    print('out')\n    display('out')\n"
            "print('in')"
        )
        assert (ran.text(), ran.of("display_data")) == ("in\n", [])
        assert [sent.kind for sent in session.wire.sent if sent.parent is None][-2:] == ["stream", "display_data"]


@pytest.mark.anyio
async def test_output_can_be_given_to_messages_only(tmp_path: Path) -> None:
    async with ip_session(tmp_path) as session:
        ran = await session.run("from async_kernel import utils\nwith utils.redirect_output(5): print('out')")
        assert (ran.reply["ename"], ran.text()) == ("TypeError", "")


def test_output_outside_a_cell_cannot_be_given_to_a_message() -> None:
    with pytest.raises(LookupError), utils.redirect_output("a message"):
        pass


@pytest.mark.parametrize("name", ["stdout", "stderr"])
@pytest.mark.anyio
async def test_only_what_this_context_writes_is_redirected(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    redirect = {"stdout": utils.redirect_stdout, "stderr": utils.redirect_stderr}[name]
    original = getattr(sys, name)
    opened, written = anyio.Event(), anyio.Event()

    async def other() -> None:
        await opened.wait()
        print("elsewhere", file=getattr(sys, name))
        written.set()

    async with anyio.create_task_group() as group:
        group.start_soon(other)
        with redirect(io.StringIO()) as kept:
            opened.set()
            print("here", file=getattr(sys, name))
            await written.wait()
    captured = capsys.readouterr()
    assert (kept.getvalue(), getattr(captured, name.removeprefix("std"))) == ("here\n", "elsewhere\n")
    assert getattr(sys, name) is original


def test_redirections_can_be_nested(capsys: pytest.CaptureFixture[str]) -> None:
    with utils.redirect_stdout(io.StringIO()) as outer:
        with utils.redirect_stdout(io.StringIO()) as inner:
            print("inner")
        print("outer")
    assert (outer.getvalue(), inner.getvalue(), capsys.readouterr().out) == ("outer\n", "inner\n", "")


# -- errors and debuggers --------------------------------------------------------------------------------


def test_an_error_is_the_content_of_a_reply() -> None:
    content = utils.error_to_content(ValueError("no"))
    assert content == {"status": "error", "ename": "ValueError", "evalue": "no", "traceback": ["ValueError: no\n"]}


def test_a_thread_can_be_hidden_from_debuggers_and_shown_again() -> None:
    thread: Any = threading.Thread()
    marks = []
    for remove in (False, True):
        utils.mark_thread_pydev_do_not_trace(thread, remove=remove)
        marks.append(thread.pydev_do_not_trace)
    assert marks == [True, False]


def test_by_default_it_is_the_thread_that_asks() -> None:
    thread: Any = threading.current_thread()
    utils.mark_thread_pydev_do_not_trace()
    try:
        assert thread.pydev_do_not_trace is True
    finally:
        del thread.pydev_do_not_trace, thread.is_pydev_daemon_thread


class Engine(HasTraits):
    speed = Int(1)
    gear = "first"


class Car:
    def __init__(self) -> None:
        self.engine = Engine()


def test_a_setting_further_in_is_set() -> None:
    car = Car()
    assert utils.setattr_nested(car, "engine.gear", "second") == {"engine.gear": "second"}
    assert utils.setattr_nested(car, "engine.speed", "5") == {"engine.speed": 5}  # as on the command line
    assert (car.engine.gear, car.engine.speed) == ("second", 5)


def test_several_settings_are_set_in_their_order() -> None:
    car = Car()
    assert utils.apply_settings(car, {"engine.speed": 1, "engine.gear": "third"}) == {
        "engine.speed": 1,
        "engine.gear": "third",
    }


def test_a_setting_that_is_none_is_refused() -> None:
    with pytest.raises(AttributeError):
        utils.setattr_nested(Car(), "engine.colour", "red")
    with pytest.raises(TraitError):
        utils.setattr_nested(Car(), "engine.speed", 1.5)


def test_only_a_cell_says_what_is_shown() -> None:
    assert utils.show_result_enabled() is False
    with pytest.raises(LookupError, match="No cell runs"):
        utils.show_result()
