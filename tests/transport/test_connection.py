from __future__ import annotations

import socket as sockets
import stat
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import zmq

from async_kernel.transport.connection import BindError, CurveKeys, Endpoints, PortInUseError, Ports
from async_kernel.typing import Channel

if TYPE_CHECKING:
    from tests.sockets import OwningContext


def reaches(context: OwningContext, address: str, message: bytes, server: zmq.Socket[bytes]) -> bytes:
    client = context.socket(zmq.DEALER)
    client.connect(address)
    client.send(message)
    assert server.poll(5000)
    return server.recv_multipart()[-1]


def test_a_chosen_port_is_the_port(context: OwningContext) -> None:
    endpoints, socket = Endpoints(), context.socket(zmq.ROUTER)
    port = endpoints.bind(socket, Channel.shell, 0)
    assert reaches(context, f"tcp://127.0.0.1:{port}", b"hello", socket) == b"hello"


def test_a_taken_port_is_named_with_its_channel(context: OwningContext) -> None:
    with sockets.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(PortInUseError, match=f"port {port} of the stdin channel is in use"):
            Endpoints().bind(context.socket(zmq.ROUTER), Channel.stdin, port)


def test_an_impossible_address_is_named(context: OwningContext) -> None:
    with pytest.raises(BindError, match=r"shell channel cannot listen at tcp://192\.0\.2\.1"):
        Endpoints(ip="192.0.2.1").bind(context.socket(zmq.ROUTER), Channel.shell, 0)


@pytest.mark.parametrize("ip", ["localhost", "0.0.0.0", "*", "::1", "[::1]"])
def test_the_usual_ways_to_write_an_address_work(context: OwningContext, ip: str) -> None:
    assert Endpoints(ip=ip).bind(context.socket(zmq.ROUTER), Channel.shell, 0) > 0


def test_ipc_sockets_lie_in_a_private_directory_and_go_with_it(context: OwningContext) -> None:
    endpoints, first, second = Endpoints("ipc"), context.socket(zmq.ROUTER), context.socket(zmq.ROUTER)
    ports = [endpoints.bind(first, Channel.shell, 0), endpoints.bind(second, Channel.control, 0)]
    directory = Path(endpoints.ip).parent
    received = reaches(context, f"ipc://{endpoints.ip}-{ports[1]}", b"hello", second)
    mode = stat.S_IMODE(directory.stat().st_mode)
    first.close(0)
    second.close(0)
    endpoints.close()
    assert (ports, received, mode, directory.exists()) == ([1, 2], b"hello", 0o700, False)


def test_a_directory_that_was_there_stays(context: OwningContext, tmp_path: Path) -> None:
    endpoints, socket = Endpoints("ipc", str(tmp_path / "kernel")), context.socket(zmq.ROUTER)
    endpoints.bind(socket, Channel.shell, 7)
    files = [path.name for path in tmp_path.iterdir()]
    socket.close(0)
    endpoints.close()
    assert (files, list(tmp_path.iterdir())) == (["kernel-7"], [])


def test_a_living_ipc_socket_is_not_replaced(context: OwningContext, tmp_path: Path) -> None:
    first, second = Endpoints("ipc", str(tmp_path / "kernel")), Endpoints("ipc", str(tmp_path / "kernel"))
    first.bind(context.socket(zmq.ROUTER), Channel.shell, 1)
    with pytest.raises(PortInUseError, match="ipc number 1 of the shell channel"):
        second.bind(context.socket(zmq.ROUTER), Channel.shell, 1)
    assert second.bind(context.socket(zmq.ROUTER), Channel.shell, 0) == 2


def test_the_socket_of_a_dead_kernel_is_replaced(context: OwningContext, tmp_path: Path) -> None:
    with sockets.socket(sockets.AF_UNIX) as dead:
        dead.bind(str(tmp_path / "kernel-1"))
    assert Endpoints("ipc", str(tmp_path / "kernel")).bind(context.socket(zmq.ROUTER), Channel.shell, 1) == 1


def test_a_file_that_is_no_socket_is_not_replaced(context: OwningContext, tmp_path: Path) -> None:
    file = tmp_path / "kernel-1"
    file.write_text("precious")
    with pytest.raises(PortInUseError):
        Endpoints("ipc", str(tmp_path / "kernel")).bind(context.socket(zmq.ROUTER), Channel.shell, 1)
    assert file.read_text() == "precious"


def test_an_ipc_path_that_is_too_long_says_so(context: OwningContext, tmp_path: Path) -> None:
    prefix = str(tmp_path / ("x" * 120))
    with pytest.raises(BindError, match="choose a shorter directory") as raised:
        Endpoints("ipc", prefix).bind(context.socket(zmq.ROUTER), Channel.shell, 1)
    assert not isinstance(raised.value, PortInUseError)


def test_with_curve_keys_only_clients_that_know_the_public_key_get_in(
    context: OwningContext,
) -> None:
    public, secret = zmq.curve_keypair()
    endpoints, server = Endpoints(curve=CurveKeys(public, secret)), context.socket(zmq.ROUTER)
    port = endpoints.bind(server, Channel.shell, 0)
    stranger, friend = context.socket(zmq.DEALER), context.socket(zmq.DEALER)
    friend.curve_publickey, friend.curve_secretkey = zmq.curve_keypair()
    friend.curve_serverkey = public
    for client, text in ((stranger, b"stranger"), (friend, b"friend")):
        client.connect(f"tcp://127.0.0.1:{port}")
        with suppress(zmq.Again):  # a stranger may have been turned away already
            client.send(text, zmq.NOBLOCK)
    assert server.poll(5000)
    assert (server.recv_multipart()[-1], server.poll(0)) == (b"friend", 0)


def test_ports_have_their_names_in_a_connection_file() -> None:
    assert Ports(1, 2, 3, 4, 5).as_connection_info() == {
        "hb_port": 1,
        "shell_port": 2,
        "iopub_port": 3,
        "stdin_port": 4,
        "control_port": 5,
    }
