"""The ways to a kernel: tcp and ipc, encrypted and not, each with jupyter_client's own managers and clients."""

from __future__ import annotations

import asyncio
import json
import os
import stat
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import zmq
from jupyter_client.asynchronous.client import AsyncKernelClient
from jupyter_client.blocking.client import BlockingKernelClient
from jupyter_client.manager import KernelManager

from tests.e2e.harness.client import wait_for

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from tests.e2e.harness.process import KernelProcess
    from tests.e2e.harness.subject import Subject

pytestmark = pytest.mark.usefixtures("ours")

PORTS = ("shell_port", "iopub_port", "stdin_port", "control_port", "hb_port")
KINDS = {
    "shell_port": zmq.DEALER,
    "control_port": zmq.DEALER,
    "stdin_port": zmq.DEALER,
    "iopub_port": zmq.SUB,
    "hb_port": zmq.REQ,
}


def runs_code(client: BlockingKernelClient) -> bool:
    """Whether a client of jupyter_client's gets its answers on all five channels."""
    client.start_channels()
    try:
        client.wait_for_ready(timeout=30)  # shell, iopub and heartbeat
        client.allow_stdin = True
        shown: list[str] = []
        client.execute_interactive(
            "print(input('who? '))",
            timeout=30,
            allow_stdin=True,
            output_hook=lambda msg: shown.append(msg["content"].get("text", "")),
            stdin_hook=lambda _: client.input("you"),
        )
        control = client.session.msg("kernel_info_request")
        client.control_channel.send(control)
        reply = client.control_channel.get_msg(timeout=30)
        wait_for(client.hb_channel.is_beating, "the heartbeat")  # it may have been sent before anybody listened
        return ("".join(shown), reply["content"]["status"]) == ("you\n", "ok")
    finally:
        client.stop_channels()


def client_of(path: Path) -> BlockingKernelClient:
    client = BlockingKernelClient(connection_file=str(path))
    client.load_connection_file()
    return client


@pytest.fixture
def manage(subject: Subject, tmp_path: Path) -> Generator[Callable[..., KernelManager]]:
    """Starts a kernel by jupyter_client's manager."""
    managers: list[KernelManager] = []

    def start(**options: Any) -> KernelManager:
        manager = KernelManager(kernel_name=subject.name, connection_file=str(tmp_path / "k.json"), **options)
        managers.append(manager)
        manager.start_kernel(env={**os.environ, **subject.home.environment}, stderr=subprocess.DEVNULL)
        return manager

    yield start
    for manager in managers:
        if manager.has_kernel:
            manager.shutdown_kernel(now=True)


def test_a_manager_asks_for_encryption(manage: Callable[..., KernelManager]) -> None:
    manager = manage(transport_encryption="required")
    assert json.loads(Path(manager.connection_file).read_text())["curve_publickey"]
    assert runs_code(manager.client())
    manager.shutdown_kernel()


def test_ipc_by_a_manager(manage: Callable[..., KernelManager], tmp_path: Path) -> None:
    manager = manage(transport="ipc")
    assert runs_code(manager.client())
    sockets = [path for path in tmp_path.iterdir() if path.is_socket()]
    assert [stat.S_IMODE(path.stat().st_mode) for path in sockets] == [0o600] * 5
    manager.shutdown_kernel()
    assert [path for path in tmp_path.iterdir() if path.is_socket()] == []


def test_ipc_of_its_own_is_private_where_others_can_look(start: Callable[..., KernelProcess], tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    kernel = start("--transport=ipc", writes_file=True)
    path = kernel.wait_connection_file()
    info = json.loads(path.read_text())
    folder = Path(info["ip"]).parent
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert runs_code(client_of(path))
    kernel.popen.terminate()
    assert kernel.exit_code() == 0
    assert not folder.exists()
    assert not path.exists()


def test_ipc_of_its_own_lies_beside_the_connection_file_where_nobody_can_look(
    start: Callable[..., KernelProcess], tmp_path: Path
) -> None:
    tmp_path.chmod(0o700)
    kernel = start("--transport=ipc", writes_file=True)
    path = kernel.wait_connection_file()
    assert json.loads(path.read_text())["ip"] == f"{path.with_suffix('')}-ipc"
    assert runs_code(client_of(path))
    kernel.popen.terminate()
    assert kernel.exit_code() == 0
    assert not [left for left in tmp_path.iterdir() if left.is_socket()]


def test_keys_of_its_own(start: Callable[..., KernelProcess]) -> None:
    kernel = start("--encrypt", writes_file=True)
    path = kernel.wait_connection_file()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert runs_code(client_of(path))


def test_an_async_client_is_let_in(start: Callable[..., KernelProcess]) -> None:
    path = start("--encrypt", writes_file=True).wait_connection_file()

    async def session() -> Any:
        client = AsyncKernelClient(connection_file=str(path))
        client.load_connection_file()
        client.start_channels()
        try:
            await client.wait_for_ready(timeout=30)
            return (await client.execute("6 * 7", reply=True, timeout=30))["content"]["status"]
        finally:
            client.stop_channels()

    assert asyncio.run(session()) == "ok"


@pytest.mark.parametrize("port", PORTS)
@pytest.mark.parametrize("keys", ["none", "of another server"])
def test_who_has_not_the_keys_gets_nothing(encrypted: KernelProcess, port: str, keys: str) -> None:
    info = json.loads(encrypted.connection_file.read_text())
    context = zmq.Context()
    try:
        with context.socket(KINDS[port]) as stranger, context.socket(zmq.PAIR) as events:
            stranger.linger = 0
            if keys != "none":
                stranger.curve_publickey, stranger.curve_secretkey = zmq.curve_keypair()
                stranger.curve_serverkey = zmq.curve_keypair()[0]
            if stranger.type == zmq.SUB:
                stranger.subscribe(b"")
            # The event says when the handshake has failed: nothing is waited for that may come later.
            failures = zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL | zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL
            stranger.monitor("inproc://events", failures | zmq.EVENT_DISCONNECTED)
            events.connect("inproc://events")
            stranger.connect(f"tcp://{info['ip']}:{info[port]}")
            assert events.poll(10_000), "it was let in"
            assert not stranger.poll(0)
            stranger.disable_monitor()
    finally:
        context.destroy(linger=0)


@pytest.fixture(scope="module")
def encrypted(subject: Subject, tmp_path_factory: pytest.TempPathFactory) -> Generator[KernelProcess]:
    from tests.e2e.harness.process import start_kernel

    with start_kernel(subject, "--encrypt", folder=tmp_path_factory.mktemp("encrypted"), writes_file=True) as kernel:
        kernel.wait_connection_file()
        yield kernel


# -- what is refused, in a line ------------------------------------------------------------------------------------


def changed(fields: dict[str, Any]) -> Callable[[Path], object]:
    """Changes a connection file."""
    return lambda path: path.write_text(json.dumps(json.loads(path.read_text()) | fields))


def refused(kernel: KernelProcess) -> str:
    """What it said when it did not start."""
    assert kernel.exit_code() == 1
    (line,) = kernel.log.splitlines()
    return line


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"curve_publickey": "x"}, "half of a CURVE key pair"),
        ({"curve_publickey": "x" * 40, "curve_secretkey": "y" * 40}, "the CURVE keys are no pair"),
        ({"shell_port": "many"}, "shell_port is 'many', not a port number"),
        ({"transport": "pigeon"}, "transport is 'pigeon'"),
        ({"ip": 7}, "ip is a int, not a string"),
    ],
)
def test_a_connection_file_that_is_wrong(
    start: Callable[..., KernelProcess], change: dict[str, Any], said: str
) -> None:
    assert said in refused(start(edit=changed(change)))


def test_a_connection_file_that_is_none(start: Callable[..., KernelProcess]) -> None:
    kernel = start(edit=lambda path: path.write_text("{"))
    assert f"the connection file {kernel.connection_file} is not JSON" in refused(kernel)


def test_a_connection_file_that_cannot_be_read(start: Callable[..., KernelProcess]) -> None:
    def put_a_folder_there(path: Path) -> None:
        path.unlink()
        path.mkdir()

    kernel = start(edit=put_a_folder_there)
    assert f"cannot read the connection file {kernel.connection_file}: Is a directory" in refused(kernel)
    kernel.connection_file.rmdir()


def test_an_ipc_path_that_is_too_long(start: Callable[..., KernelProcess], tmp_path: Path) -> None:
    said = refused(start("--transport=ipc", f"--ip={tmp_path / ('x' * 200)}", writes_file=True))
    assert "choose a shorter directory" in said


def test_encryption_that_the_client_does_not_know_of(start: Callable[..., KernelProcess]) -> None:
    assert "KernelManager.transport_encryption" in refused(start("--encrypt"))


# -- warnings ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "warns"), [(["--ip=0.0.0.0"], True), (["--ip=0.0.0.0", "--encrypt"], False), ([], False)]
)
def test_an_open_door_is_said_once(start: Callable[..., KernelProcess], options: list[str], warns: bool) -> None:
    kernel = start(*options, writes_file=True)
    client = BlockingKernelClient(connection_file=str(kernel.wait_connection_file()))
    client.load_connection_file()
    client.start_channels()
    try:
        client.wait_for_ready(timeout=30)
        client.shutdown()
        assert kernel.exit_code() == 0
    finally:
        client.stop_channels()
    assert kernel.log.count("Other machines can read all") == int(warns)


def test_an_empty_key_is_said(start: Callable[..., KernelProcess]) -> None:
    kernel = start(edit=changed({"key": ""}))
    wait_for(lambda: "Messages are not signed" in kernel.log, "the warning")
