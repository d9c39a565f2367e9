"""Classes and code that were written against the documentation: shells with ``do_execute``, names of the kernel."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import anyio
import pytest
from traitlets import TraitError

from async_kernel.interface.ip_app import IPApp
from async_kernel.interface.zmq import ZMQInterface
from async_kernel.protocol.errors import RequestError
from async_kernel.shell import BaseShell, IPShell
from async_kernel.slot import slot
from tests.interface.callable_host import callable_kernel, kinds, reply_in, text_in, the_interface

if TYPE_CHECKING:
    from pathlib import Path

    from async_kernel.interface import BaseInterface

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("free_slot")]

HERE = __name__


class Shouting(IPShell):
    """Changes the code of a cell and its options."""

    async def do_execute(self, code: str, **options: Any) -> Any:
        reply = await super().do_execute(code.replace("quiet", "LOUD"), **options)
        return {**reply, "user_expressions": {"tags": options["tags"], "cell": options["cell_id"]}}


def ask() -> str:
    return input("? ")


class Language(BaseShell):
    """Does all of a cell itself."""

    async def do_execute(self, code: str, *, silent: bool = False, **_: Any) -> Any:
        if code == "fail":
            raise LookupError(code)
        if code == "wait":
            print("waiting")
            await anyio.sleep_forever()
        if not silent:
            self.parent.iopub_send("execute_input", content={"code": code, "execution_count": self.execution_count})
        self.execution_count += 1
        print(ask() if code == "ask" else code)
        return {"status": "ok"}


class Prefixed(BaseShell):
    """Leaves the cell to the shell after a change."""

    def run(self, code: str) -> Any:
        return int(code)

    async def do_execute(self, code: str, **options: Any) -> Any:
        return await super().do_execute("1" + code, **options)


def chosen(shell: type[Any]) -> dict[str, Any]:
    return {"shell_class": f"{HERE}.{shell.__name__}"}


async def test_do_execute_of_an_ipshell_changes_the_code() -> None:
    async with callable_kernel(chosen(Shouting)) as host:
        messages = await host.idle(
            host.request(
                "execute_request", code="print('quiet'); 1", metadata={"cellId": "c1", "tags": ["timeout=9", "mine"]}
            )
        )
        failed = await host.execute("1 / 0")
        silent = await host.execute("quiet = 5", silent=True)
    assert kinds(messages) == ["busy", "execute_input", "stream", "execute_result", "execute_reply", "idle"]
    assert text_in(messages) == "LOUD\n"
    reply = reply_in(messages)
    assert (reply["status"], reply["execution_count"]) == ("ok", 1)
    assert reply["user_expressions"] == {"tags": ["timeout=9", "mine"], "cell": "c1"}
    assert (reply_in(failed)["status"], reply_in(failed)["ename"]) == ("error", "ZeroDivisionError")
    assert kinds(silent) == ["busy", "execute_reply", "idle"]


async def test_do_execute_of_a_language_does_all() -> None:
    async with callable_kernel(chosen(Language)) as host:
        host.answers.append("typed")
        messages = await host.execute("ask", allow_stdin=True)
        failed = await host.execute("fail")
    assert [kind for kind in kinds(messages) if kind != "input_request"] == [
        "busy",
        "execute_input",
        "stream",
        "execute_reply",
        "idle",
    ]
    assert text_in(messages) == "typed\n"
    assert (reply_in(messages)["status"], reply_in(messages)["execution_count"]) == ("ok", 1)
    assert kinds(failed) == ["busy", "error", "execute_reply", "idle"]
    assert (reply_in(failed)["status"], reply_in(failed)["ename"]) == ("error", "LookupError")


async def test_do_execute_has_a_deadline_and_the_next_cell_runs() -> None:
    async with callable_kernel({**chosen(Language), "timeout": 0.3}) as host:
        cut = await host.execute("wait")
        after = await host.execute("x")
    assert (reply_in(cut)["status"], reply_in(cut)["ename"]) == ("error", "TimeoutError")
    assert text_in(after) == "x\n"


async def test_do_execute_of_a_small_language_goes_on_with_run() -> None:
    async with callable_kernel(chosen(Prefixed)) as host:
        messages = await host.execute("2")
        failed = await host.execute("x")
    (result,) = [m["content"] for m in messages if m["header"]["msg_type"] == "execute_result"]
    assert result["data"] == {"text/plain": "12"}
    assert reply_in(failed)["ename"] == "ValueError"


async def test_do_execute_is_for_cells_only() -> None:
    async with callable_kernel():
        with pytest.raises(RuntimeError, match="and none is"):
            await the_interface().kernel.main_shell.do_execute("1")


async def test_the_main_shell_is_there_when_the_kernel_has_started() -> None:
    interface = ZMQInterface()
    with pytest.raises(RuntimeError, match="before it has started"):
        _ = interface.kernel.main_shell
    async with interface:
        assert interface.kernel.main_shell is interface.kernel.shell is interface.kernel.get_shell()


async def test_the_kernel_has_the_callers_of_the_interface() -> None:
    async with ZMQInterface() as interface:
        kernel = interface.kernel
        assert kernel.callers is interface.callers
        assert await kernel.caller.call_soon(threading.get_ident) == threading.get_ident()


async def test_cells_ask_the_kernel_what_libraries_ask_ipykernels() -> None:
    code = """\
kernel = get_ipython().kernel
unusual_name = 1
print(kernel.raw_input("name: "), kernel.getpass("secret: "))
print(kernel.do_complete("unusual_na")["matches"], kernel.do_inspect("unusual_name")["found"])
print(kernel.do_is_complete("for x in y:")["status"], kernel.do_history("tail", n=1)["status"])
shell = get_ipython()
print(shell.is_mainshell, shell.subshell_id)
"""
    async with callable_kernel() as host:
        host.answers += ["Ada", "pw"]
        messages = await host.execute(code, allow_stdin=True)
    assert text_in(messages).splitlines() == ["Ada pw", "['unusual_name'] True", "incomplete ok", "True None"]
    asked = [m["content"] for m in messages if m["header"]["msg_type"] == "input_request"]
    assert asked == [{"prompt": "name: ", "password": False}, {"prompt": "secret: ", "password": True}]


async def test_a_subshell_is_asked_for_by_its_id() -> None:
    async with ZMQInterface() as interface:
        kernel = interface.kernel
        subshell_id = kernel.create_subshell()
        assert kernel.get_shell(subshell_id) is kernel.main_shell
        with pytest.raises(RequestError, match="no subshell 'none'"):
            kernel.get_shell("none")


async def test_the_kernel_interrupts_its_cell() -> None:
    async with callable_kernel() as host:
        cell = host.request("execute_request", code="import anyio\nprint('in')\nawait anyio.sleep_forever()")
        await host.until("stream", cell)
        the_interface().kernel.do_interrupt()
        assert reply_in(await host.idle(cell))["ename"] == "KeyboardInterrupt"


class Asking(BaseShell):
    """Answers questions about code with the thread that is asked."""

    def run(self, code: str) -> Any:
        return threading.get_ident()

    def is_complete(self, code: str) -> Any:
        return {"status": "complete", "indent": str(threading.get_ident())}


@pytest.mark.parametrize("option", [[], ["is_complete_request"]])
async def test_questions_may_be_answered_in_the_thread_of_the_cells(option: list[str]) -> None:
    settings: dict[str, Any] = {**chosen(Asking), **({"Kernel.handle_in_shell_thread": option} if option else {})}
    async with callable_kernel(settings) as host:
        reply = reply_in(await host.idle(host.request("is_complete_request", code="x")))
        assert (int(reply["indent"]) == threading.get_ident()) is bool(option)


def test_only_some_types_of_messages_may_be_served_there(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        ZMQInterface(["--Kernel.handle_in_shell_thread=shutdown_request"])
    assert "shutdown_request" in capsys.readouterr().err


@pytest.mark.parametrize("cls", [ZMQInterface, IPApp])
def test_a_keyword_with_a_wrong_value_is_the_programs_error(cls: type[BaseInterface[Any]]) -> None:
    with pytest.raises(TraitError, match="ip"):
        cls(ip=5)
    with pytest.raises(TypeError, match="has no option 'nonsense'"):
        cls(nonsense=5)
    assert slot.get() is None


def test_keywords_are_traits_whether_options_or_not(tmp_path: Path) -> None:
    interface = IPApp(curve_publickey=b"x" * 40, ip="127.0.0.2", name="mine")
    assert (interface.curve_publickey, interface.ip, interface.name) == (b"x" * 40, "127.0.0.2", "mine")
