"""ipywidgets 8 itself, with the front end's part played by messages: sliders, interact, Output, async callbacks."""

from __future__ import annotations

from contextlib import asynccontextmanager
from itertools import groupby
from typing import TYPE_CHECKING, Any

import pytest

from tests.fakes import execute, request
from tests.shell.kernels import ip_session

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from pathlib import Path

    from async_kernel.protocol.request import Request
    from tests.shell.kernels import Session

pytestmark = [pytest.mark.anyio, pytest.mark.filterwarnings("default::DeprecationWarning")]

START = """
import anyio, ipywidgets
from ipywidgets import *
slider = IntSlider(max=100)
out = Output()
"""


@pytest.fixture(params=["trio", "asyncio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    return request.param


@asynccontextmanager
async def widgets(home: Path) -> AsyncGenerator[Session]:
    """A kernel where widgets have been imported."""
    async with ip_session(home) as session:
        assert (await session.run(START)).status == "ok"
        yield session


async def front_end(session: Session, widget: str, *, subshell_id: str | None = None, **data: Any) -> Request:
    """What the front end's model of a widget sends; ``value=5`` is a change of its state."""
    ran = await session.run("", user_expressions={"id": f"{widget}.model_id"})
    comm_id = ran.reply["user_expressions"]["id"]["data"]["text/plain"].strip("'")
    data = data if "method" in data else {"method": "update", "state": data, "buffer_paths": []}
    sent = request("comm_msg", comm_id=comm_id, data=data)
    if subshell_id is not None:
        sent.header["subshell_id"] = sent.shell_id = subshell_id
    session.kernel.submit(sent)
    await session.wire.idle(sent)
    return sent


async def click(session: Session, button: str, **where: Any) -> Request:
    return await front_end(session, button, method="custom", content={"event": "click"}, **where)


async def background(session: Session) -> None:
    await session.run("await session.all_ended()")


def errors(session: Session) -> list[tuple[str, str | None]]:
    return [(sent.content["evalue"], sent.parent) for sent in session.wire.sent if sent.kind == "error"]


def captures(session: Session, sender: Request) -> list[str]:
    """The states of Output widgets' ``msg_id`` that left while ``sender`` was served: whose output they collect."""
    updates = [sent.content["data"].get("state", {}) for sent in session.wire.of(sender) if sent.kind == "comm_msg"]
    return [state["msg_id"] for state in updates if "msg_id" in state]


async def test_a_widget_is_displayed_by_its_model(tmp_path: Path) -> None:
    async with widgets(tmp_path) as session:
        ran = await session.run("slider")
        (shown,) = ran.of("execute_result")
        view = shown["data"]["application/vnd.jupyter.widget-view+json"]
        assert f"'{view['model_id']}'" == await session.value("slider.model_id")


async def test_a_slider_is_observed(tmp_path: Path) -> None:
    async with widgets(tmp_path) as session:
        await session.run("slider.observe(lambda change: print(change.old, change.new), 'value')")
        moved = await front_end(session, "slider", value=5)
        assert session.wire.text(moved) == "0 5\n"
        assert await session.value("slider.value") == "5"


async def test_a_cell_awaits_a_change(tmp_path: Path) -> None:
    async with widgets(tmp_path) as session:
        waiting = session.begin(
            "moved = anyio.Event()\nslider.observe(lambda change: moved.set(), 'value')\nprint('asks')\n"
            "await moved.wait()\nslider.value"
        )
        await session.printed(waiting, "asks")
        sent = request("comm_msg", comm_id=session.shell.user_ns["slider"].model_id, data=_update(value=7))
        session.kernel.submit(sent)
        assert (await session.end(waiting)).value == "7"


def _update(**state: Any) -> dict[str, Any]:
    return {"method": "update", "state": state, "buffer_paths": []}


async def test_binary_state_goes_both_ways(tmp_path: Path) -> None:
    async with widgets(tmp_path) as session:
        ran = await session.run("image = Image(value=b'first')")
        (opened,) = [s for s in ran.sent if s.kind == "comm_open" and "value" in str(s.content["data"]["buffer_paths"])]
        assert [bytes(buffer) for buffer in opened.buffers] == [b"first"]
        sent = request("comm_msg", comm_id=session.shell.user_ns["image"].model_id)
        sent.content["data"] = {"method": "update", "state": {}, "buffer_paths": [["value"]]}
        sent.buffers = [memoryview(b"second")]
        session.kernel.submit(sent)
        await session.wire.idle(sent)
        assert await session.value("bytes(image.value)") == "b'second'"


@pytest.mark.parametrize(
    "code",
    [
        "slider.observe(lambda change: 1 / 0, 'value')",
        "interact(lambda x: 1 / 0, x=slider); None",
        "async def fail(change): 1 / 0\nslider.observe(fail, 'value')",
    ],
)
async def test_errors_of_callbacks_are_shown_in_the_cell_that_made_the_widget(tmp_path: Path, code: str) -> None:
    async with widgets(tmp_path) as session:
        made = await session.run(f"slider = IntSlider(max=100)\n{code}")
        before = len(errors(session))  # interact calls it at once
        moved = await front_end(session, "slider", value=5)
        await background(session)
        interacts = "interact" in code  # it collects all that belongs to the message in its own Output widget
        expected = moved.msg_id if interacts else made.request.msg_id
        assert errors(session)[before:] == [("division by zero", expected)]


async def test_interact_collects_output_in_its_own_widget(tmp_path: Path) -> None:
    async with widgets(tmp_path) as session:
        ran = await session.run("@interact(x=slider)\ndef show(x):\n    print('x is', x)\n    return x * 2")
        assert "x is 0" in ran.text()
        moved = await front_end(session, "slider", value=21)
        assert (session.wire.text(moved), captures(session, moved)) == ("x is 21\n", [moved.msg_id, ""])
        shown = [sent.content["data"]["text/plain"] for sent in session.wire.of(moved) if sent.kind == "display_data"]
        assert shown == ["42"]


async def test_interact_takes_async_functions(tmp_path: Path) -> None:
    """What they print belongs to the cell: front ends forget the slider's message as soon as it is served."""
    async with widgets(tmp_path) as session:
        ran = await session.run(
            "slider = IntSlider(max=100)\n"
            "@interact(x=slider)\nasync def show(x):\n    print('x is', x)\n    await anyio.sleep(0)\n    return x * 2"
        )
        await background(session)
        await front_end(session, "slider", value=21)
        assert "Still running" not in ran.text("stderr")
        await background(session)
        cell = ran.request
        assert session.wire.text(cell) == "x is 0\nx is 21\n"
        assert captures(session, cell) == [cell.msg_id, "", cell.msg_id, ""]
        shown = [sent.content["data"]["text/plain"] for sent in session.wire.of(cell) if sent.kind == "display_data"]
        assert shown[-1] == "42"


async def test_the_next_call_of_an_async_interact_cancels_the_one_before(tmp_path: Path) -> None:
    async with widgets(tmp_path) as session:
        await session.run(
            "done = []\n@interact(x=slider)\nasync def show(x):\n    if x == 1:\n        await anyio.sleep_forever()\n"
            "    done.append(x)"
        )
        for value in (1, 2):
            await front_end(session, "slider", value=value)
        await background(session)
        assert await session.value("done") == "[0, 2]"
        assert errors(session) == []


async def test_async_observers_are_supervised_and_can_be_removed(tmp_path: Path) -> None:
    async with widgets(tmp_path) as session:
        await session.run(
            "seen = []\nasync def see(change):\n    await anyio.sleep(0)\n    seen.append(change.new)\n"
            "slider.observe(see, 'value')\nslider.observe(see, 'value')"
        )
        await front_end(session, "slider", value=5)
        await background(session)
        await session.run("slider.value = 6\nslider.unobserve(see, 'value')\nslider.value = 7")
        await background(session)
        assert await session.value("seen") == "[5, 6]"


async def test_async_click_handlers_are_supervised_and_can_be_removed(tmp_path: Path) -> None:
    async with widgets(tmp_path) as session:
        await session.run(
            "clicks = []\nbutton = Button()\n"
            "async def clicked(b):\n    await anyio.sleep(0)\n    clicks.append(b is button)\nbutton.on_click(clicked)"
        )
        await click(session, "button")
        await background(session)
        await session.run("button.on_click(clicked, remove=True)")
        await click(session, "button")
        assert await session.value("clicks") == "[True]"


async def test_async_callbacks_are_let_go_when_the_kernel_ends(tmp_path: Path) -> None:
    import traitlets
    from ipywidgets import CallbackDispatcher, Widget, interactive

    before = CallbackDispatcher.register_callback, interactive.update
    async with ip_session(tmp_path) as session:
        await session.run(START)
        assert CallbackDispatcher.register_callback is not before[0]
    assert (CallbackDispatcher.register_callback, interactive.update) == before
    assert Widget._add_notifiers is traitlets.HasTraits._add_notifiers


OUTPUTS = {
    "a cell": "with out:\n    print('inside')",
    "a cell that awaits": "with out:\n    await anyio.sleep(0)\n    print('inside')",
    "a function": "@out.capture()\ndef f(): print('inside')\nf()",
    "a task": (
        "async def work():\n    with out:\n        await anyio.sleep(0)\n        print('inside')\n"
        "nursery.start_soon(work)\nawait session.all_ended()"
    ),
    "a child of the cell": (
        "async def work():\n    with out:\n        await anyio.sleep(0)\n        print('inside')\n"
        "async with anyio.create_task_group() as group: group.start_soon(work)"
    ),
    "a thread": (
        "import threading\ndef work():\n    with out: print('inside')\n"
        "thread = threading.Thread(target=work)\nthread.start()\nthread.join()"
    ),
    "a cell beside": "# task\nwith out:\n    await anyio.sleep(0)\n    print('inside')",
    "a cell in a thread": "# thread\nwith out: print('inside')",
    "a task that outlives": (
        "async def work():\n    with out:\n        await anyio.sleep(0)\n        print('inside')\n"
        "nursery.start_soon(work)\nawait session.all_ended()"
    ),
    "a worker": "def work():\n    with out: print('inside')\nawait anyio.to_thread.run_sync(work)",
}


@pytest.mark.parametrize("where", OUTPUTS)
async def test_output_widgets_collect(tmp_path: Path, where: str) -> None:
    async with widgets(tmp_path) as session:
        ran = await session.run(OUTPUTS[where])
        assert (ran.status, ran.text()) == ("ok", "inside\n")
        assert captures(session, ran.request) == [ran.request.msg_id, ""]
        kinds = [sent.kind for sent in ran.sent if sent.kind in ("comm_msg", "stream")]
        assert [kind for kind, _ in groupby(kinds)] == ["comm_msg", "stream", "comm_msg"]  # the text is in between


async def test_an_error_inside_an_output_widget_goes_into_it(tmp_path: Path) -> None:
    async with widgets(tmp_path) as session:
        await session.run("def fail(change):\n    with out: 1 / 0\nslider.observe(fail, 'value')")
        moved = await front_end(session, "slider", value=5)
        assert errors(session) == [("division by zero", moved.msg_id)]


async def test_a_cell_that_waits_in_an_output_widget_is_interrupted(tmp_path: Path) -> None:
    async with widgets(tmp_path) as session:
        cell = session.begin("with out:\n    print('waits')\n    await anyio.sleep_forever()\nprint('went on')")
        await session.printed(cell, "waits")
        session.interrupt(cell)
        ran = await session.end(cell)
        assert (ran.reply["ename"], "went on" in ran.text()) == ("KeyboardInterrupt", False)
        assert [parent for _, parent in errors(session)] == [cell.msg_id]  # once, and no cancellation


async def test_progress_bars_of_tqdm_are_widgets(tmp_path: Path) -> None:
    async with widgets(tmp_path) as session:
        pytest.importorskip("tqdm")
        ran = await session.run(
            "from tqdm.notebook import tqdm\nfor i in tqdm(range(3)): pass\ntype(tqdm(range(1))).__name__"
        )
        assert (ran.status, ran.value) == ("ok", "'tqdm_notebook'")
        values = [
            sent.content["data"]["state"]["value"]
            for sent in ran.sent
            if sent.kind == "comm_msg" and "value" in sent.content["data"].get("state", {})
        ]
        assert 3.0 in values


async def test_progress_of_rich_is_displayed(tmp_path: Path) -> None:
    async with widgets(tmp_path) as session:
        pytest.importorskip("rich")
        ran = await session.run("from rich.progress import track\nfor i in track(range(3), 'works'): pass")
        assert (ran.status, ran.text("stderr")) == ("ok", "")
        assert any("works" in str(shown["data"]) for shown in ran.of("display_data") + ran.of("update_display_data"))


@asynccontextmanager
async def widgets_in_a_subshell(home: Path) -> AsyncGenerator[tuple[Session, str]]:
    """Buttons ``main`` and ``sub`` that say in whose thread they are clicked; the first is made by the main shell."""
    async with widgets(home) as session:
        made = request("create_subshell_request", channel="control")
        session.kernel.submit(made)
        subshell_id = (await session.wire.reply_to(made)).content["subshell_id"]
        await session.run(
            "import threading\n"
            "def button():\n"
            "    made = Button()\n"
            "    made.on_click(lambda _: print('main' if threading.current_thread() is home else 'sub'))\n"
            "    return made\n"
            "home = threading.current_thread()\n"
            "main = button()"
        )
        await run_in(session, subshell_id, "sub = button(); theirs = threading.current_thread()")
        yield session, subshell_id


async def run_in(session: Session, subshell_id: str, code: str) -> None:
    cell = execute(code)
    cell.header["subshell_id"] = cell.shell_id = subshell_id
    session.kernel.submit(cell)
    assert (await session.wire.reply_to(cell)).content["status"] == "ok"


async def delete(session: Session, subshell_id: str) -> None:
    deletion = request("delete_subshell_request", channel="control", subshell_id=subshell_id)
    session.kernel.submit(deletion)
    assert (await session.wire.reply_to(deletion)).content["status"] == "ok"


@pytest.mark.parametrize("header", ["none", "the subshell's"])
async def test_a_widget_is_clicked_in_the_shell_that_made_it(tmp_path: Path, header: str) -> None:
    async with widgets_in_a_subshell(tmp_path) as (session, subshell_id):
        named = None if header == "none" else subshell_id  # JupyterLab sends all in a subshell of its own making
        for button in ("main", "sub"):
            clicked = await click(session, button, subshell_id=named)
            assert session.wire.text(clicked) == f"{button}\n"


async def test_a_widget_that_answers_stays_in_its_shell(tmp_path: Path) -> None:
    async with widgets_in_a_subshell(tmp_path) as (session, subshell_id):
        await run_in(
            session,
            subshell_id,
            "number = IntSlider()\n"
            "def say(change):\n"
            "    number.description = str(change['new'])\n"
            "    print(threading.current_thread() is theirs)\n"
            "number.observe(say, 'value')",
        )
        for value in (1, 2):
            changed = await front_end(session, "number", value=value)
            assert session.wire.text(changed) == "True\n"


async def test_a_widget_goes_to_the_shell_that_has_last_changed_it(tmp_path: Path) -> None:
    async with widgets_in_a_subshell(tmp_path) as (session, subshell_id):
        await run_in(session, subshell_id, "main.description = 'changed'")
        assert session.wire.text(await click(session, "main")) == "sub\n"


async def test_widgets_of_a_deleted_subshell_are_the_main_shells(tmp_path: Path) -> None:
    async with widgets_in_a_subshell(tmp_path) as (session, subshell_id):
        await delete(session, subshell_id)
        assert session.wire.text(await click(session, "sub")) == "main\n"
