"""Comms of the ``comm`` package, both ways; their errors, their parents, their end."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import pytest

from tests.fakes import request
from tests.shell.kernels import ip_session

if TYPE_CHECKING:
    from pathlib import Path

    from async_kernel.protocol.request import Request
    from tests.fakes import Sent
    from tests.shell.kernels import Session

pytestmark = pytest.mark.anyio

ECHO = """
from comm import create_comm, get_comm_manager
def opened(comm, msg):
    comm.on_msg(lambda msg: comm.send({"echo": msg["content"]["data"]}, buffers=msg["buffers"]))
get_comm_manager().register_target("echo", opened)
"""


@pytest.fixture(params=["trio", "asyncio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    return request.param


async def serve(session: Session, msg_type: str, *, buffers: Any = (), **content: Any) -> tuple[Request, list[Sent]]:
    """Send a comm message; it, and what came of it."""
    sent = request(msg_type, **content)
    sent.buffers = buffers
    session.kernel.submit(sent)
    return sent, await session.wire.idle(sent)


def errors(session: Session) -> list[tuple[str, str | None]]:
    return [(sent.content["evalue"], sent.parent) for sent in session.wire.sent if sent.kind == "error"]


async def test_messages_go_both_ways_with_the_front_ends_parent(tmp_path: Path) -> None:
    async with ip_session(tmp_path) as session:
        await session.run(ECHO)
        await serve(session, "comm_open", comm_id="c", target_name="echo", data={})
        data = memoryview(b"bytes")
        asked, came = await serve(session, "comm_msg", comm_id="c", data={"x": 1}, buffers=[data])
        (answer,) = [sent for sent in came if sent.kind == "comm_msg"]
        assert (answer.content, answer.parent) == ({"comm_id": "c", "data": {"echo": {"x": 1}}}, asked.msg_id)
        assert answer.buffers[0] is data  # not copied


async def test_a_cell_opens_sends_and_closes(tmp_path: Path) -> None:
    async with ip_session(tmp_path) as session:
        ran = await session.run(
            "from comm import create_comm\n"
            "c = create_comm(target_name='there', data={'first': 1}, metadata={'m': 1}, comm_id='c')\n"
            "c.send({'second': 2})\nc.close({'third': 3})"
        )
        assert [sent.content for sent in ran.sent if sent.kind.startswith("comm")] == [
            {"comm_id": "c", "data": {"first": 1}, "target_name": "there", "target_module": None},
            {"comm_id": "c", "data": {"second": 2}},
            {"comm_id": "c", "data": {"third": 3}},
        ]
        assert (await session.ask("comm_info_request"))["comms"] == {}


async def test_the_front_end_closes(tmp_path: Path) -> None:
    async with ip_session(tmp_path) as session:
        await session.run(
            "from comm import create_comm\nc = create_comm(comm_id='c')\nseen = []\n"
            "c.on_close(lambda msg: seen.append(msg['content']['data']))"
        )
        _, came = await serve(session, "comm_close", comm_id="c", data={"why": "over"})
        assert await session.value("seen") == "[{'why': 'over'}]"
        assert [sent.kind for sent in came] == ["status", "status"]  # nobody is told what he said himself


async def test_an_unknown_target_is_closed_with_a_line_in_the_log(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with ip_session(tmp_path) as session:
        session.kernel.log.propagate = True
        with caplog.at_level(logging.WARNING):
            asked, came = await serve(session, "comm_open", comm_id="c", target_name="nowhere", data={})
        closed = [(sent.content["comm_id"], sent.parent) for sent in came if sent.kind == "comm_close"]
        assert closed == [("c", asked.msg_id)]
        assert "unknown target 'nowhere'" in caplog.text


async def test_an_unknown_comm_is_no_error_for_the_client(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with ip_session(tmp_path) as session:
        session.kernel.log.propagate = True
        with caplog.at_level(logging.WARNING):
            _, came = await serve(session, "comm_msg", comm_id="gone", data={})
        assert [sent.kind for sent in came] == ["status", "status"]
        assert "not open: gone" in caplog.text


async def test_errors_are_shown_in_the_cell_that_made_the_comm(tmp_path: Path) -> None:
    async with ip_session(tmp_path) as session:
        made = await session.run(
            "from comm import create_comm\nc = create_comm(comm_id='c')\nc.on_msg(lambda msg: 1 / 0)\n"
            "c.on_close(lambda msg: [][1])"
        )
        await session.run("'another cell'")
        await serve(session, "comm_msg", comm_id="c", data={})
        await serve(session, "comm_close", comm_id="c", data={})
        parent = made.request.msg_id
        assert errors(session) == [("division by zero", parent), ("list index out of range", parent)]


async def test_errors_of_a_target_are_shown_where_it_was_registered(tmp_path: Path) -> None:
    async with ip_session(tmp_path) as session:
        registered = await session.run(
            "from comm import get_comm_manager\ndef fail(comm, msg): 1 / 0\n"
            "get_comm_manager().register_target('fail', fail)"
        )
        _, came = await serve(session, "comm_open", comm_id="c", target_name="fail", data={})
        assert errors(session) == [("division by zero", registered.request.msg_id)]
        assert [sent.content["comm_id"] for sent in came if sent.kind == "comm_close"] == ["c"]


async def test_a_comm_that_a_callback_makes_belongs_to_the_same_cell(tmp_path: Path) -> None:
    async with ip_session(tmp_path) as session:
        made = await session.run(
            "from comm import create_comm\nc = create_comm(comm_id='c')\n"
            "def make(msg):\n    global d\n    d = create_comm(comm_id='d')\n    d.on_msg(lambda msg: 1 / 0)\n"
            "c.on_msg(make)"
        )
        await serve(session, "comm_msg", comm_id="c", data={})
        await serve(session, "comm_msg", comm_id="d", data={})
        assert errors(session) == [("division by zero", made.request.msg_id)]


async def test_an_async_callback_is_a_background_task(tmp_path: Path) -> None:
    async with ip_session(tmp_path) as session:
        made = await session.run(
            "import anyio\nfrom comm import create_comm\nc = create_comm(comm_id='c')\n"
            "async def slow(msg):\n    await anyio.sleep(0)\n    print('slow', msg['content']['data'])\n    1 / 0\n"
            "c.on_msg(slow)"
        )
        await serve(session, "comm_msg", comm_id="c", data=7)
        await session.run("await session.all_ended()")
        assert session.wire.text(made.request) == "slow 7\n"  # front ends have forgotten the message
        assert errors(session) == [("division by zero", made.request.msg_id)]


async def test_callbacks_run_while_a_cell_awaits(tmp_path: Path) -> None:
    async with ip_session(tmp_path) as session:
        await session.run(
            "import anyio\nfrom comm import create_comm\ncame = anyio.Event()\nc = create_comm(comm_id='c')\n"
            "c.on_msg(lambda msg: came.set())"
        )
        waiting = session.begin("await came.wait()\n'it came'")
        await serve(session, "comm_msg", comm_id="c", data={})
        assert (await session.end(waiting)).value == "'it came'"


async def test_callbacks_never_run_in_the_middle_of_synchronous_code(tmp_path: Path) -> None:
    async with ip_session(tmp_path) as session:
        order: list[str] = []
        session.shell.user_ns["order"] = order
        await session.run(
            "import anyio\nfrom comm import get_comm_manager\ncame = anyio.Event()\n"
            "def called(msg):\n  order.append('callback')\n  came.set()\n"
            "def opened(comm, msg): comm.on_msg(called)\n"
            "get_comm_manager().register_target('c', opened)"
        )
        await serve(session, "comm_open", comm_id="c", target_name="c", data={})
        message = request("comm_msg", comm_id="c", data={})
        session.shell.user_ns["arrive"] = lambda: session.kernel.submit(message)
        await session.run("arrive()\norder.append('code')\nawait came.wait()\norder.append('end')")
        await session.wire.idle(message)

        assert order == ["code", "callback", "end"]


async def test_the_nursery_is_there_in_callbacks(tmp_path: Path) -> None:
    async with ip_session(tmp_path) as session:
        await session.run(
            "import anyio\nfrom comm import create_comm\nc = create_comm(comm_id='c')\ngot = []\n"
            "async def work(): got.append(1)\n"
            "c.on_msg(lambda msg: nursery.start_soon(work))"
        )
        await serve(session, "comm_msg", comm_id="c", data={})
        assert await session.value("await session.all_ended()\ngot") == "[1]"


async def test_comms_are_closed_when_the_kernel_ends(tmp_path: Path) -> None:
    async with ip_session(tmp_path) as session:
        await session.run("from comm import create_comm\nc = create_comm(comm_id='c')")
        wire = session.wire
    assert [sent.content["comm_id"] for sent in wire.sent if sent.kind == "comm_close"] == ["c"]


async def test_a_comm_of_the_front_ends_is_where_its_messages_say(tmp_path: Path) -> None:
    async with ip_session(tmp_path) as session:
        await session.run(
            "import threading\n"
            "from comm import get_comm_manager\n"
            "home = threading.current_thread()\n"
            "def say(*_): print('main' if threading.current_thread() is home else 'subshell')\n"
            "get_comm_manager().register_target('here', lambda comm, _: (say(), comm.on_msg(say)))"
        )
        made = request("create_subshell_request", channel="control")
        session.kernel.submit(made)
        subshell_id = (await session.wire.reply_to(made)).content["subshell_id"]
        said: list[str] = []
        for msg_type, shell in (("comm_open", subshell_id), ("comm_msg", subshell_id), ("comm_msg", None)):
            sent = request(msg_type, comm_id="c", target_name="here", data={})
            sent.shell_id = shell
            session.kernel.submit(sent)
            await session.wire.idle(sent)
            said.append(session.wire.text(sent))
        assert said == ["subshell\n", "subshell\n", "main\n"]


async def test_a_comm_message_to_a_subshell_that_is_not_there_is_not_served(tmp_path: Path) -> None:
    async with ip_session(tmp_path) as session:
        await session.run(ECHO)
        sent = request("comm_open", comm_id="c", target_name="echo", data={})
        sent.shell_id = "nowhere"
        session.kernel.submit(sent)
        await session.wire.idle(sent)
        assert (session.wire.kinds(sent), list(session.kernel.comm_manager.comms)) == (["busy", "idle"], [])
