"""The base of all interfaces: options, the one of a process, life, messages."""

from __future__ import annotations

import os
import sys
import threading
from datetime import UTC, datetime
from typing import Any

import anyio
import pytest
from anyio.to_thread import run_sync

from async_kernel import Interface, Kernel
from async_kernel.interface import BaseInterface
from async_kernel.interface.base import DictValueLiteralEval, extract_header
from async_kernel.interface.callable import CallableInterface
from async_kernel.lifetime.loop_token import current_loop_token
from async_kernel.lifetime.pending import PendingCancelled
from async_kernel.protocol.request import current_request
from async_kernel.shell import BaseShell, IPShell
from async_kernel.slot import slot
from async_kernel.typing import Backend, Channel, Hosts, Tags
from tests.fakes import execute

pytestmark = pytest.mark.usefixtures("free_slot")


def new(*args: Any, **kwargs: Any) -> Any:
    """An interface that needs no sockets."""
    return CallableInterface(*args, **kwargs)


# -- options ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("trait", "default"),
    [
        ("name", "async"),
        ("host_options", {}),
        ("backend", Backend.trio),
        ("backend_options", {}),
        ("kernel_class", Kernel),
        ("shell_class", IPShell),
        ("quiet", True),
        ("launcher", ""),
    ],
)
def test_a_trait_has_its_default_and_is_configurable(trait: str, default: Any) -> None:
    assert getattr(new(), trait) == default
    assert trait in BaseInterface.class_trait_names(config=True)


def test_the_host_is_none_unless_asked_for() -> None:
    interface: Any = Interface()
    assert (interface.host, "host" in BaseInterface.class_trait_names(config=True)) == (None, True)


@pytest.mark.parametrize(
    ("argument", "name", "value"),
    [
        ("--name=x", "name", "x"),
        ("-n=x", "name", "x"),
        ("--launcher=a.b", "launcher", "a.b"),
        ("--kernel_class=async_kernel.kernel.Kernel", "kernel_class", Kernel),
        ("--shell_class=async_kernel.shell.base.BaseShell", "shell_class", BaseShell),
        ("--interface_class=async_kernel.interface.ip_app.IPApp", "interface_class", CallableInterface),
        ("--quiet", "quiet", True),
        ("--no-quiet", "quiet", False),
        ("--log-level=ERROR", "log_level", 40),
        ("--debug", "log_level", 10),
    ],
)
def test_an_alias_or_flag_sets_its_trait(argument: str, name: str, value: Any) -> None:
    assert getattr(new([argument]), name) == value


@pytest.mark.parametrize(
    ("arguments", "section", "name", "value"),
    [
        (["--timeout=5"], "BaseShell", "timeout", 5.0),
        (
            ["--help_links={'text': 'Ours', 'url': 'https://example.org'}"],
            "Kernel",
            "help_links",
            [{"text": "Ours", "url": "https://example.org"}],
        ),
        (
            ["--supported_features=one", "--supported_features=two"],
            "Kernel",
            "supported_features",
            ["one", "two"],
        ),
    ],
)
def test_an_alias_sets_what_is_not_the_interfaces(arguments: list[str], section: str, name: str, value: object) -> None:
    interface = new(arguments)
    if section == "Kernel":
        assert getattr(interface.kernel, name) == value
    else:
        assert interface.config[section][name] == value


@pytest.mark.parametrize("flag", ["--show-config", "--show-config-json"])
def test_inherited_flags_are_there(flag: str) -> None:
    interface = new([flag])
    assert interface.show_config or interface.show_config_json


def test_argv_not_given_is_none_and_none_is_that_of_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["async-kernel", "--name=of-the-process"])
    names: list[str] = []
    for argv in ((), (None,), (["--name=mine"],)):
        interface = new(*argv)
        names.append(interface.name)
        interface.stop()
    assert names == ["async", "of-the-process", "mine"]


def test_traits_are_keywords_and_the_command_line_wins() -> None:
    interface = new(["--name=said"], name="given", quiet=False)
    assert (interface.name, interface.quiet) == ("said", False)


def test_classes_are_keywords() -> None:
    class MyShell(BaseShell[Any]):
        pass

    interface = new(kernel_class=Kernel, shell_class=MyShell)
    assert (interface.kernel_class, interface.shell_class) == (Kernel, MyShell)


def test_the_class_is_said_in_the_end() -> None:
    assert new().interface_class is CallableInterface


def test_the_frame_of_the_last_interrupt_is_none() -> None:
    assert (BaseInterface.last_interrupt_frame, new().last_interrupt_frame) == (None, None)


def test_an_unknown_option_exits_and_leaves_the_slot_free(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit_info:
        new(["--no-such-thing"])
    assert (exit_info.value.code, BaseInterface.initialized()) == (2, False)
    assert "no-such-thing" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("items", "expected"),
    [
        (["a=1", "b=x"], {"a": 1, "b": "x"}),
        (["a=True", "b=[1, 2]"], {"a": True, "b": [1, 2]}),
        (["a='x y'"], {"a": "x y"}),
        (["a=(1,"], {"a": "(1,"}),
        (["a=x-y"], {"a": "x-y"}),
    ],
)
def test_values_of_dicts_are_literals_where_they_are_ones(items: list[str], expected: dict[str, Any]) -> None:
    assert DictValueLiteralEval().from_string_list(items) == expected


def test_options_of_the_library_are_read_as_literals() -> None:
    interface: Any = Interface(
        ["--backend=asyncio", "--backend_options=use_uvloop=False", "--backend_options=debug=True"]
    )
    assert (interface.backend, interface.backend_options) == (
        Backend.asyncio,
        {"use_uvloop": False, "debug": True},
    )


@pytest.mark.parametrize(
    ("arguments", "options"),
    [
        (["--backend=trio"], {}),
        (["--backend=asyncio"], {"use_uvloop": True}),
        (["--backend=asyncio", "--backend_options", "use_uvloop=False"], {"use_uvloop": False}),
        (["--backend=asyncio", "--host=tk"], {}),
    ],
)
def test_uvloop_is_used_when_it_is_installed_and_asyncio_was_chosen(arguments: list[str], options: Any) -> None:
    pytest.importorskip("uvloop")
    interface: Any = Interface(arguments)
    assert interface._run_settings().backend_options == options


def test_hosts_are_named() -> None:
    interface: Any = Interface(["--host=qt", "--host_options", "module=PyQt6"])
    assert (interface.host, interface.host_options) == (Hosts.qt, {"module": "PyQt6"})


@pytest.mark.anyio
async def test_the_library_that_runs_here_is_the_backend() -> None:
    assert new().backend is Backend(current_loop_token().backend)


# -- help ------------------------------------------------------------------------------------------------


def test_help_of_a_trait_is_the_text_below_it(capsys: pytest.CaptureFixture[str]) -> None:
    new().print_help(classes=True)
    printed = " ".join(capsys.readouterr().out.split())
    assert "The kernel's name" in printed or "The name of the kernel, as in its kernelspec." in printed
    assert "--BaseShell.timeout" in printed


# -- environment -----------------------------------------------------------------------------------------


def test_variables_are_set_unless_they_are_and_put_back() -> None:
    interface = new()
    during = os.environ["MPLBACKEND"], os.environ["UV_PROJECT_ENVIRONMENT"]
    interface.stop()
    assert during == ("module://matplotlib_inline.backend_inline", sys.prefix)
    assert {"MPLBACKEND", "UV_PROJECT_ENVIRONMENT"} & set(os.environ) == set()


def test_variables_that_are_set_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MPLBACKEND", "agg")
    monkeypatch.setenv("UV_PROJECT_ENVIRONMENT", "")
    interface = new()
    assert (os.environ["MPLBACKEND"], os.environ["UV_PROJECT_ENVIRONMENT"]) == ("agg", sys.prefix)
    interface.stop()
    assert (os.environ["MPLBACKEND"], os.environ["UV_PROJECT_ENVIRONMENT"]) == ("agg", "")


# -- the one of the process ------------------------------------------------------------------------------


def test_there_is_one_of_whatever_class() -> None:
    assert not BaseInterface.initialized()
    interface = new()
    assert (BaseInterface.initialized(), Interface.initialized()) == (True, True)
    with pytest.raises(RuntimeError, match="already exists"):
        Interface()
    assert BaseInterface.instance() is interface


def test_instance_never_makes_one() -> None:
    with pytest.raises(RuntimeError, match="does not exist"):
        BaseInterface.instance()
    assert not BaseInterface.initialized()


def test_instance_of_another_class_is_a_type_error() -> None:
    new()
    with pytest.raises(TypeError, match="is a CallableInterface, not a IPApp"):
        Interface.instance()


def test_an_instance_is_not_cleared_but_stopped() -> None:
    with pytest.raises(NotImplementedError):
        BaseInterface.clear_instance()


def test_it_is_initialized_once() -> None:
    interface = new()
    with pytest.raises(RuntimeError, match="Already initialized!"):
        interface.initialize([])


def test_a_failing_init_leaves_the_slot_free() -> None:
    class Failing(CallableInterface[Any]):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            raise OSError("no")

    with pytest.raises(OSError, match="no"):
        Failing()
    assert not BaseInterface.initialized()


def test_the_summary_says_name_and_backend() -> None:
    assert new(name="x").summary == "name='x' backend='trio'"


# -- life ------------------------------------------------------------------------------------------------


@pytest.mark.anyio
async def test_it_is_started_inside_and_stopped_after() -> None:
    async with Interface() as interface:
        inside = interface.started.done(), interface.stopping.done(), interface.stopped.done()
        assert await interface.started is None
    assert inside == (True, False, False)
    assert (interface.stopping.done(), interface.stopped.done(), BaseInterface.initialized()) == (True, True, False)


@pytest.mark.anyio
async def test_a_waiter_that_gives_up_changes_nothing() -> None:
    async with Interface() as interface:
        with anyio.move_on_after(0):
            await interface.stopping
        with pytest.raises(TimeoutError):
            await interface.stopping.wait(timeout=0)
        assert not interface.stopping.done()


@pytest.mark.anyio
async def test_stop_is_for_any_thread_and_any_number_of_times() -> None:
    async with Interface() as interface:
        await run_sync(interface.stop)
        interface.stop()
        await anyio.sleep_forever()
    interface.stop()
    assert interface.stopped.done()


@pytest.mark.anyio
async def test_an_exception_of_the_body_leaves_as_itself() -> None:
    with pytest.raises(OSError, match=r"^mine$"):
        async with Interface():
            raise OSError("mine")
    assert not BaseInterface.initialized()


@pytest.mark.anyio
async def test_one_that_was_used_is_not_used_again() -> None:
    interface = Interface()
    async with interface:
        pass
    with pytest.raises(RuntimeError, match="Stopped early"):
        async with interface:
            pass


@pytest.mark.anyio
async def test_entering_it_twice_is_refused() -> None:
    async with Interface() as interface:
        with pytest.raises(RuntimeError, match="has already been entered"):
            async with interface:
                pass


def test_stopped_before_it_started_it_never_starts() -> None:
    interface = new()
    interface.stop()
    assert (interface.started.cancelled(), BaseInterface.initialized()) == (True, False)
    with pytest.raises(PendingCancelled, match="Stopped early"):
        interface.started.result()
    with pytest.raises(RuntimeError, match="not the global instance"):
        interface.start()


@pytest.mark.anyio
async def test_the_backend_is_what_runs_it_whatever_was_asked_for() -> None:
    other = Backend.asyncio if current_loop_token().backend == Backend.trio else Backend.trio
    async with Interface(backend=other) as interface:
        assert interface.backend == current_loop_token().backend


@pytest.mark.anyio
async def test_run_ends_when_it_is_stopped_and_says_so() -> None:
    interface, told = Interface(), []
    async with anyio.create_task_group() as group:
        group.start_soon(lambda: interface.run(stopped=lambda: told.append("stopped")))
        await interface.started
        interface.stop()
    assert told == ["stopped"]


@pytest.mark.anyio
async def test_run_says_so_after_a_failure_too() -> None:
    interface, told = new(), []
    with pytest.raises(RuntimeError, match="start_async"):
        await interface.run(stopped=lambda: told.append("stopped"))
    assert told == ["stopped"]


@pytest.mark.anyio
async def test_the_kernel_is_there_from_the_beginning_and_stays() -> None:
    interface = Interface()
    kernel = interface.kernel
    async with interface:
        assert interface.kernel is kernel
    with pytest.raises(AttributeError):
        setattr(interface, "kernel", None)  # noqa: B010


@pytest.mark.anyio
async def test_callers_are_filled_when_it_is_entered() -> None:
    interface = Interface()
    assert dict(interface.callers) == {}
    with pytest.raises(KeyError):
        interface.callers[Channel.control]
    async with interface:
        shell, control = interface.callers[Channel.shell], interface.callers[Channel.control]
        threads = [await caller.call_soon(threading.get_ident) for caller in (shell, control)]
        assert (threads[0], control.name, control.protected) == (threading.get_ident(), "Control", True)
        assert threads[1] != threads[0]
        assert interface.callers[Channel.control] == control
    assert (shell.running, control.running) == (False, False)


# -- messages --------------------------------------------------------------------------------------------


def test_the_base_carries_no_messages() -> None:
    interface: Any = BaseInterface()
    with pytest.raises((NotImplementedError, RuntimeError, LookupError)):
        interface.input_request("name? ")


def test_a_message_without_a_parent() -> None:
    message: Any = new().msg("status")
    header = message["header"]
    assert (header["session"], header["username"], header["version"], header["msg_type"]) == ("", "", "5.5", "status")
    assert datetime.now(UTC) >= header["date"]
    assert {name: message[name] for name in ("parent_header", "content", "metadata", "channel")} == {
        "parent_header": {},
        "content": {},
        "metadata": {},
        "channel": Channel.shell,
    }
    assert "buffers" not in message


def test_a_message_has_the_request_of_the_context_as_its_parent() -> None:
    interface, request = new(), execute("1")
    token = current_request.set(request)
    try:
        message: Any = interface.msg("status", channel=Channel.iopub)
    finally:
        current_request.reset(token)
    assert (message["parent_header"], message["header"]["session"]) == (request.header, "test-session")
    assert message["channel"] == Channel.iopub


@pytest.mark.parametrize("whole", [True, False])
def test_a_parent_is_a_message_or_its_header(whole: bool) -> None:
    header = {"msg_id": "1", "session": "s"}
    message: Any = new().msg("status", parent={"header": header} if whole else header)
    assert (message["parent_header"], message["header"]["session"]) == (header, "s")


def test_a_header_may_be_given() -> None:
    header: Any = {"msg_id": "mine", "msg_type": "status"}
    assert new().msg("status", header=header)["header"] is header


def test_what_is_neither_message_nor_header_has_no_header() -> None:
    assert (extract_header(None), extract_header({})) == ({}, {})
    with pytest.raises(KeyError):
        extract_header({"session": "x"})


@pytest.mark.anyio
async def test_what_is_published_before_the_start_is_sent_when_it_has_started() -> None:
    interface = Interface()
    sent: list[Any] = []
    interface.iopub_send("first", content={"n": 1})
    interface.iopub_send({"header": {"msg_type": "second"}, "content": {"n": 2}, "parent_header": {}})
    before = list(sent)
    async with interface:
        assert interface.wire is not None
        assert not interface._before_started
        publish = interface.wire.publish
        interface.wire.publish = lambda kind, content, **more: sent.append((kind, content, more["parent"]))  # type: ignore[method-assign]
        interface.iopub_send("third", content={"n": 3}, parent=None)
        interface.wire.publish = publish  # type: ignore[method-assign]
    assert (before, sent) == ([], [("third", {"n": 3}, None)])


def test_what_is_published_before_an_early_stop_is_dropped() -> None:
    interface = new()
    interface.stop()
    interface.iopub_send("first")
    assert interface._before_started == []


def test_no_interface_no_slot() -> None:
    assert (slot.get(), Tags.timeout == "timeout=3") == (None, True)
