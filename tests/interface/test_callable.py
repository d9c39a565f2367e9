"""A kernel without sockets: what its host hands in and what it gets back, on both backends."""

from __future__ import annotations

import json
import logging
import threading
from typing import TYPE_CHECKING, Any

import anyio
import pytest

from async_kernel.interface import BaseInterface, start_kernel_callable_interface
from async_kernel.interface.callable import CallableInterface
from async_kernel.kernel import Kernel
from async_kernel.lifetime.loop_token import current_loop_token
from async_kernel.typing import Backend
from tests.interface.callable_host import Host, callable_kernel, kinds, reply_in, text_in, the_interface

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from pathlib import Path

pytestmark = pytest.mark.anyio


@pytest.fixture(params=["trio", "asyncio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(autouse=True)
def ipython_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path))


@pytest.fixture
async def host() -> AsyncGenerator[Host]:
    async with callable_kernel() as host:
        yield host


# -- what comes back -------------------------------------------------------------------------------------


async def test_a_cell_sends_its_messages_in_their_order() -> None:
    async with callable_kernel() as host:
        messages = await host.execute("print(1);2")
    assert kinds(messages) == ["busy", "execute_input", "stream", "execute_result", "execute_reply", "idle"]


async def test_messages_have_the_parent_and_the_session_of_their_request() -> None:
    async with callable_kernel() as host:
        messages = await host.execute("print(1)")
    assert {m["header"]["session"] for m in messages} == {"host"}
    assert {m["parent_header"]["msg_type"] for m in messages} == {"execute_request"}


async def test_messages_say_their_channel() -> None:
    async with callable_kernel() as host:
        host.answers.append("x")
        messages = await host.execute("input()", allow_stdin=True)
        info = await host.idle(host.request("kernel_info_request", channel="control"))
    channels = {m["header"]["msg_type"]: m["channel"] for m in [*messages, *info]}
    assert channels == {
        "status": "iopub",
        "execute_input": "iopub",
        "input_request": "stdin",
        "execute_result": "iopub",
        "execute_reply": "shell",
        "kernel_info_reply": "control",
    }


async def test_a_reply_is_ok_unless_it_says_otherwise() -> None:
    async with callable_kernel() as host:
        good, bad = await host.execute("1"), await host.execute("1 / 0")
    assert (reply_in(good)["status"], reply_in(bad)["status"], reply_in(bad)["ename"]) == (
        "ok",
        "error",
        "ZeroDivisionError",
    )


async def test_an_output_of_another_thread_is_sent_in_the_kernels_thread() -> None:
    threads: set[int] = set()
    async with callable_kernel() as host:
        send = host.send
        wire = the_interface().wire

        def noting(*args: Any) -> str | None:
            threads.add(threading.get_ident())
            return send(*args)

        wire._send = noting
        messages = await host.execute("await Caller().to_thread(print, 'from a thread')")
    assert (text_in(messages), threads) == ("from a thread\n", {threading.get_ident()})


async def test_the_request_after_a_failing_cell_is_aborted() -> None:
    async with callable_kernel() as host:
        host.request("execute_request", code="1 / 0", stop_on_error=True)
        messages = await host.execute("print('not run')")
    assert (reply_in(messages)["status"], text_in(messages)) == ("aborted", "")


async def test_tags_reach_the_cell() -> None:
    async with callable_kernel() as host:
        code = "from async_kernel import utils; print(utils.get_tags())"
        request = host.request("execute_request", code=code, metadata={"tags": ["slow"]})
        assert text_in(await host.idle(request)) == "['slow']\n"


# -- buffers ---------------------------------------------------------------------------------------------

COMM = """
import comm
seen = []
def opened(comm, message):
    @comm.on_msg
    def reply(message):
        seen.append((type(message["buffers"][0]).__name__, bytes(message["buffers"][0])))
        comm.send({"n": 1}, buffers=[b"back", memoryview(b"twice")])
comm.get_comm_manager().register_target("echo", opened)
"""


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
async def test_buffers_travel_beside_the_json(kind: Any) -> None:
    async with callable_kernel() as host:
        await host.execute(COMM)
        await host.idle(host.request("comm_open", comm_id="c", target_name="echo", data={}))
        messages = await host.idle(host.request("comm_msg", comm_id="c", data={}, buffers=None))
        assert "comm_msg" not in kinds(messages)  # it had no buffer, and the callback failed
        given = kind(b"there")
        message = host.request("comm_msg", comm_id="c", data={}, buffers=[given])
        (answer,) = [m for m in await host.idle(message) if m["header"]["msg_type"] == "comm_msg"]
        seen = await host.execute("print(seen)")
    assert [bytes(buffer) for buffer in answer["buffers"]] == [b"back", b"twice"]
    assert "buffers" not in answer["content"]
    assert text_in(seen) == "[('bytes', b'there')]\n"


async def test_a_message_without_buffers_has_none() -> None:
    async with callable_kernel() as host:
        messages = await host.execute("print(1)")
    assert [m["buffers"] for m in messages] == [None] * len(messages)


# -- input -----------------------------------------------------------------------------------------------


async def test_input_is_what_send_returns() -> None:
    async with callable_kernel() as host:
        host.answers += ["Ada", "secret"]
        messages = await host.execute(
            "from getpass import getpass\nprint(input('name? '), getpass('word? '))", allow_stdin=True
        )
    asked = [m for m in messages if m["requires_reply"]]
    assert [m["content"] for m in asked] == [
        {"prompt": "name? ", "password": False},
        {"prompt": "word? ", "password": True},
    ]
    assert text_in(messages) == "Ada secret\n"


async def test_text_is_out_before_the_question() -> None:
    async with callable_kernel() as host:
        host.answers.append("yes")
        messages = await host.execute("print('Sure', end=''); answer = input('? ')", allow_stdin=True)
    assert kinds(messages)[2:4] == ["stream", "input_request"]


async def test_input_from_a_thread_is_asked_in_the_kernels_thread() -> None:
    async with callable_kernel() as host:
        host.answers.append("Ada")
        messages = await host.execute("print(await Caller().to_thread(input, 'name? '))", allow_stdin=True)
    assert text_in(messages) == "Ada\n"


async def test_input_that_is_not_allowed_is_an_error_of_the_cell() -> None:
    async with callable_kernel() as host:
        messages = await host.execute("input()", allow_stdin=False)
    assert reply_in(messages)["ename"] == "StdinNotImplementedError"


async def test_a_missing_answer_is_an_error_of_the_cell() -> None:
    async with callable_kernel() as host:
        host.answers.append(None)
        messages = await host.execute("input()", allow_stdin=True)
    assert reply_in(messages)["ename"] == "AssertionError"


async def test_input_request_asks_without_a_cell_only_to_refuse() -> None:
    async with callable_kernel():
        with pytest.raises((LookupError, RuntimeError)):
            the_interface().input_request("name? ")


# -- bad input -------------------------------------------------------------------------------------------

HEADER = {"msg_id": "1", "msg_type": "kernel_info_request"}


@pytest.mark.parametrize(
    ("message", "error", "says"),
    [
        ("{", ValueError, "Expecting"),
        ("", ValueError, "Expecting"),
        ("[]", ValueError, "a message must be a JSON object, not list"),
        (json.dumps({"header": HEADER}), KeyError, "channel"),
        (json.dumps({"channel": "shell"}), KeyError, "header"),
        (json.dumps({"channel": "shell", "header": {"msg_id": "1"}}), KeyError, "msg_type"),
        (json.dumps({"channel": "shell", "header": {"msg_type": "x"}}), KeyError, "msg_id"),
        (json.dumps({"channel": "shell", "header": {"msg_id": 1, "msg_type": "x"}}), ValueError, "must be a string"),
        (json.dumps({"channel": "iopub", "header": HEADER}), ValueError, "shell and control, not iopub"),
        (json.dumps({"channel": "shall", "header": HEADER}), ValueError, "shall"),
        (json.dumps({"channel": "shell", "header": "x"}), ValueError, "header of a message must be a JSON object"),
        (json.dumps({"channel": "shell", "header": HEADER, "content": 3}), ValueError, "content of a message must"),
    ],
)
async def test_what_is_no_message_is_told_to_whoever_handed_it_in(
    host: Host, message: str, error: type[Exception], says: str
) -> None:
    before = len(host.sent)
    with pytest.raises(error, match=says):
        host.handlers["handle_msg"](message, None)
    assert host.sent[before:] == []
    assert reply_in(await host.execute("1"))["status"] == "ok"


async def test_an_unknown_message_type_is_only_logged(host: Host, caplog: pytest.LogCaptureFixture) -> None:
    the_interface().log.propagate = True
    with caplog.at_level(logging.WARNING):
        messages = await host.idle(host.request("frob_request"))
    assert (kinds(messages), "frob_request" in caplog.text) == (["busy", "idle"], True)


async def test_a_send_that_fails_loses_that_message_only(caplog: pytest.LogCaptureFixture) -> None:
    async with callable_kernel() as host:
        wire = the_interface().wire
        send = host.send

        def failing(text: str, *args: Any) -> str | None:
            if json.loads(text)["header"]["msg_type"] == "stream":
                raise OSError("the page is gone")
            return send(text, *args)

        wire._send = failing
        messages = await host.execute("print(1);2")
    assert kinds(messages) == ["busy", "execute_input", "execute_result", "execute_reply", "idle"]
    assert "the page is gone" in caplog.text


# -- life ------------------------------------------------------------------------------------------------


async def test_the_kernel_runs_on_the_library_that_runs_here() -> None:
    async with callable_kernel():
        assert the_interface().backend is Backend(current_loop_token().backend)


async def test_subshells_have_the_backend_of_the_kernel() -> None:
    async with callable_kernel() as host:
        created = reply_in(await host.idle(host.request("create_subshell_request", channel="control")))
        code = "from sniffio import current_async_library as library\nprint(library())"
        message = {
            "channel": "shell",
            "header": {"msg_id": "in-subshell", "msg_type": "execute_request", "subshell_id": created["subshell_id"]},
            "content": {"code": code},
        }
        host.handlers["handle_msg"](json.dumps(message), None)
        text = text_in(await host.idle("in-subshell"))
    assert text == f"{current_loop_token().backend}\n"


async def test_the_host_learns_once_that_it_stopped() -> None:
    async with callable_kernel() as host:
        host.handlers["stop"]()
        host.handlers["stop"]()
        with anyio.fail_after(60):
            await host.stopped.wait()
    assert (host.stopped_calls, BaseInterface.initialized()) == (1, False)


async def test_a_client_may_stop_it() -> None:
    async with callable_kernel() as host:
        request = host.request("shutdown_request", channel="control", restart=False)
        reply = await host.until("shutdown_reply", request)
        with anyio.fail_after(60):
            await host.stopped.wait()
    assert reply["content"] == {"status": "ok", "restart": False}


async def test_a_waiting_cell_is_cut_short_when_it_stops() -> None:
    async with callable_kernel() as host:
        request = host.request("execute_request", code="import anyio; await anyio.sleep_forever()")
        await host.until("execute_input", request)
        host.handlers["stop"]()
        with anyio.fail_after(60):
            await host.stopped.wait()
        assert reply_in(host.of(request))["status"] == "error"


async def test_a_cell_is_interrupted_by_a_request() -> None:
    async with callable_kernel() as host:
        request = host.request("execute_request", code="import anyio; await anyio.sleep_forever()")
        await host.until("execute_input", request)
        host.request("interrupt_request", channel="control")
        assert reply_in(await host.idle(request))["ename"] == "KeyboardInterrupt"


class FailingKernel(Kernel[Any]):
    """Does not start."""

    async def serve(self) -> None:
        raise OSError("it does not start")


async def test_a_start_that_fails_is_told_to_whoever_starts_it_and_stopped_is_called() -> None:
    host = Host()
    interface: CallableInterface[Any] = CallableInterface(kernel_class=FailingKernel)
    with pytest.raises(OSError, match="it does not start"):
        await interface.start_async(send=host.send, stopped=host.on_stopped)
    assert (host.stopped_calls, BaseInterface.initialized()) == (1, False)
    with pytest.raises(OSError, match="it does not start"):
        await interface.stopped


async def test_entered_without_send_it_says_how_to_start_it() -> None:
    with pytest.raises(RuntimeError, match="start_async"):
        async with CallableInterface():
            pass
    assert not BaseInterface.initialized()


# -- settings --------------------------------------------------------------------------------------------


class Custom(CallableInterface[Any]):
    """An interface of somebody's own."""


async def test_settings_are_options_of_the_command_line() -> None:
    settings = {"name": "mine", "flags": ["no-quiet"], "BaseShell.timeout": 3}
    async with callable_kernel(settings):
        interface = the_interface()
        shell = interface.kernel.shell
        assert (interface.name, interface.quiet, shell.timeout) == ("mine", False, 3.0)


async def test_settings_take_aliases() -> None:
    async with callable_kernel({"timeout": 4}):
        interface = the_interface()
        assert interface.kernel.shell.timeout == 4.0


@pytest.mark.parametrize("by_name", [True, False])
async def test_settings_choose_the_class(by_name: bool) -> None:
    chosen: Any = f"{__name__}.Custom" if by_name else Custom
    async with callable_kernel({"interface_class": chosen}):
        interface = the_interface()
        assert type(interface).__name__ == "Custom"  # by its name it may be another import of this module


async def test_the_name_is_async_unless_it_is_given() -> None:
    async with callable_kernel():
        assert the_interface().name == "async"


async def test_an_option_that_is_none_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    host = Host()
    with pytest.raises(SystemExit):
        await start_kernel_callable_interface(send=host.send, stopped=host.on_stopped, settings={"timeuot": 3})
    assert ("timeuot" in capsys.readouterr().err, BaseInterface.initialized()) == (True, False)


async def test_a_host_with_windows_is_not_supported() -> None:
    async with callable_kernel():
        assert the_interface().host is None
        assert "host" not in CallableInterface.class_trait_names(config=True)
        assert "backend" not in CallableInterface.aliases


async def test_user_code_that_does_not_end_is_named_and_waited_for() -> None:
    told, free = anyio.Event(), anyio.Event()
    token = current_loop_token()

    class Told(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if "stubborn" in record.getMessage():
                token.call_soon(told.set)

    async with callable_kernel({"BaseInterface.grace": 0.01}) as host:
        interface = the_interface()
        interface.log.addHandler(handler := Told())
        interface.kernel.shell.user_ns["free"] = free
        await host.execute(
            "import anyio\nasync def stubborn():\n    with anyio.CancelScope(shield=True): await free.wait()\n"
            "nursery.start_soon(stubborn)\nawait anyio.sleep(0)"
        )
        host.handlers["stop"]()
        await told.wait()
        assert not host.stopped.is_set()
        free.set()
        await host.stopped.wait()
        interface.log.removeHandler(handler)
