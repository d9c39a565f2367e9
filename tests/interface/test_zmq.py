"""The interface over ZMQ, entry by entry of what is documented."""

from __future__ import annotations

import gc
import json
import stat
import sys
from pathlib import Path
from typing import Any

import pytest
import zmq

from async_kernel.common import MethodNotSupported
from async_kernel.interface.base import BaseInterface
from async_kernel.interface.callable import CallableInterface
from async_kernel.interface.zmq import ZMQInterface
from async_kernel.typing import Backend, Hosts
from tests.e2e.harness.ports import free_ports

pytestmark = pytest.mark.usefixtures("free_slot")


def connection_info(path: Path) -> dict[str, Any]:
    """What a connection file says that only its user can read."""
    assert stat.S_IMODE(path.stat().st_mode) == 0o600 or sys.platform == "win32"
    return json.loads(path.read_text("utf-8"))


def new(*args: Any, **kwargs: Any) -> Any:
    return ZMQInterface(*args, **kwargs)


@pytest.mark.parametrize(
    ("argument", "name", "value"),
    [
        ("-f=/x/c.json", "connection_file", "/x/c.json"),
        ("--connection_file=/x/c.json", "connection_file", "/x/c.json"),
        ("--host=tk", "host", Hosts.tk),
        ("--host_options=a=1", "host_options", {"a": 1}),
        ("--backend=asyncio", "backend", Backend.asyncio),
        ("--backend_options=strict_exception_groups=False", "backend_options", {"strict_exception_groups": False}),
        ("--ip=127.0.0.2", "ip", "127.0.0.2"),
        ("--hb=5001", "hb_port", 5001),
        ("--shell=5002", "shell_port", 5002),
        ("--iopub=5003", "iopub_port", 5003),
        ("--stdin=5004", "stdin_port", 5004),
        ("--control=5005", "control_port", 5005),
        ("--transport=TCP", "transport", "tcp"),
    ],
)
def test_an_alias_sets_its_trait(argument: str, name: str, value: Any) -> None:
    assert getattr(new([argument]), name) == value


def test_the_defaults_of_the_traits() -> None:
    interface = new()
    assert (interface.transport, interface.connection_file, interface.ip) == ("tcp", "", "127.0.0.1")
    assert interface.ports == [0] * 5
    assert (interface.curve_publickey, interface.curve_secretkey) == (None, None)
    assert type(interface.session).__name__ == "AsyncSession"


def test_keys_are_for_the_connection_file_only() -> None:
    assert not {"curve_publickey", "curve_secretkey"} & set(ZMQInterface.class_trait_names(config=True))


@pytest.mark.skipif(sys.platform != "linux", reason="ipc is for Linux")
@pytest.mark.parametrize(
    ("arguments", "name"), [([], "kernel-ipc"), (["-f=/x/kernel-5.json"], "kernel-5-ipc")], ids=["none", "file"]
)
def test_sockets_of_ipc_are_called_after_the_connection_file(arguments: list[str], name: str) -> None:
    assert Path(new(["--transport=ipc", *arguments]).ip).name == name


def test_the_summary_says_where_clients_find_it() -> None:
    assert new(["-f=/x/c.json"]).summary.endswith("connection_file='/x/c.json'")


@pytest.mark.parametrize(
    "method", ["blocking_client", "connect_control", "connect_hb", "connect_iopub", "connect_shell", "connect_stdin"]
)
def test_a_kernel_is_no_client(method: str) -> None:
    with pytest.raises(MethodNotSupported):
        getattr(new(), method)()


@pytest.mark.anyio
async def test_the_connection_file_is_written_for_its_user_and_removed() -> None:
    async with new() as interface:
        path = Path(interface.connection_file)
        info = connection_info(path)
        assert [info[f"{name}_port"] for name in ("shell", "stdin", "iopub", "hb", "control")] == interface.ports
        assert 0 not in interface.ports
    with pytest.raises(FileNotFoundError):
        connection_info(path)


@pytest.mark.anyio
async def test_once_it_is_open_it_is_too_late_to_change_the_connection() -> None:
    async with new() as interface:
        interface.connection_file = interface.connection_file  # the same is none
        with pytest.raises(RuntimeError, match="too late to set the connection file"):
            interface.connection_file = "another.json"
        with pytest.raises(RuntimeError, match="too late to configure"):
            interface.load_connection_info({"shell_port": 1})


@pytest.mark.anyio
async def test_a_connection_file_that_exists_is_loaded_and_stays(tmp_path: Path) -> None:
    ports = free_ports(5)
    names = ("shell", "iopub", "stdin", "control", "hb")
    info = {f"{name}_port": port for name, port in zip(names, ports, strict=True)}
    path = tmp_path / "connection.json"
    path.write_text(json.dumps({**info, "ip": "127.0.0.1", "transport": "tcp", "key": "secret"}), "utf-8")
    path.chmod(0o600)
    async with new([f"-f={path}"]) as interface:
        assert (interface.shell_port, interface.session.key) == (ports[0], b"secret")
    assert connection_info(path)["key"] == "secret"


def contexts() -> set[zmq.Context[Any]]:
    """All that there are. Looked for by type: objects may lie, and a weak proxy whose object has gone raises."""
    return {each for each in gc.get_objects() if issubclass(type(each), zmq.Context)}


@pytest.mark.anyio
async def test_all_sockets_are_of_one_context_that_ends_with_the_interface() -> None:
    before = contexts()
    interface = new()
    context = interface._zmq_context
    async with interface:
        assert interface._zmq_context is context
        assert not context.closed
        assert contexts() - before == {context}
        with pytest.raises(AttributeError, match="fixed"):
            interface._zmq_context = object()
    assert context.closed


@pytest.mark.anyio
async def test_a_socket_of_the_users_that_is_left_open_keeps_nobody_waiting() -> None:
    async with new() as interface:
        left_open = interface._zmq_context.socket(zmq.PUSH)
        left_open.connect("inproc://nobody")
    assert left_open.closed


def test_a_context_that_was_only_looked_at_ends_with_the_interface() -> None:
    interface = new()
    context = interface._zmq_context
    interface.stop()
    assert context.closed


def test_an_interface_without_sockets_has_no_context() -> None:
    assert BaseInterface._zmq_context is None
    assert CallableInterface()._zmq_context is None
