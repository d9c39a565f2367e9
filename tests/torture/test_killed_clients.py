"""Clients that are killed (kill -9) in every phase of every request: the kernel serves on, and keeps nothing."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import psutil
import pytest

from tests.e2e.harness.client import wait_for
from tests.torture.messages import CONTENTS
from tests.torture.scale import LONG, of, record

if TYPE_CHECKING:
    from tests.e2e.harness.client import Client
    from tests.e2e.harness.process import KernelProcess

pytestmark = pytest.mark.parametrize("backend", of(short=["trio"], long=["trio", "asyncio"]), scope="module")

PHASES = {
    "as soon as it is connected": "",
    "after it has sent": "kc.execute('x = 1')",
    "while its cell runs": "kc.execute('import time; time.sleep(0.2)'); until('busy')",
    "while its cell prints": "kc.execute('for n in range(200_000): print(n)'); until('stream')",
    "while its cell asks": "kc.execute('input()', allow_stdin=True); kc.get_stdin_msg(timeout=30)",
    "while its cell awaits": "kc.execute('import anyio; await anyio.sleep(0.2)'); until('busy')",
    "while it is behind with reading": "kc.execute('print(\"x\" * 10_000_000)'); until('execute_input')",
    "after the reply": "kc.execute('1'); kc.get_shell_msg(timeout=30)",
    "with many requests under way": "[kc.execute('1') for _ in range(200)]; until('busy')",
    "on control": "kc.control_channel.send(kc.session.msg('kernel_info_request'))",
}
VICTIM = """
import sys
from jupyter_client.blocking.client import BlockingKernelClient
kc = BlockingKernelClient(connection_file=sys.argv[1])
kc.load_connection_file()
kc.start_channels(hb=False)
kc.wait_for_ready(timeout=30)
def until(kind):
    while True:
        msg = kc.get_iopub_msg(timeout=30)
        if kind in (msg["msg_type"], msg["content"].get("execution_state")): return
{phase}
print("now", flush=True)
sys.stdin.read()
"""


@pytest.mark.parametrize("phase", PHASES)
def test_a_client_is_killed(kernel: KernelProcess, client: Client, ours: None, phase: str) -> None:
    source = VICTIM.format(phase=PHASES[phase])
    command = [sys.executable, "-c", source, str(kernel.connection_file)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as victim:
        assert victim.stdout is not None
        said = victim.stdout.readline()
        victim.kill()
    assert said == b"now\n"
    if "asks" in phase:
        client.interrupt()  # nobody can answer any more
        client.run("")  # may be aborted with what waits behind the interrupted cell
    result = client.run("6 * 7", timeout=60)
    assert result.text == "42"
    wait_for(lambda: client.request("kernel_info_request", channel="control").status == "ok", "an answer")
    assert kernel.alive


# Every request, and every moment of its life that a client can know of.

REQUESTS = [name for name in CONTENTS if name not in ("shutdown_request", "execute_reply", "no_such_request")] + [
    "create_subshell_request"
]
ON_CONTROL = {"interrupt_request", "debug_request", "cancel_request", "drop_counts_request"}
HAVE_NO_REPLY = {"comm_open", "comm_msg", "comm_close", "input_reply"}
MOMENTS = ["half of it is sent", "it is sent", "busy", "reply", "idle"]
RAW = """
import socket, sys, zmq
port, iopub, moment, *frames = sys.argv[1:]
frames = [bytes.fromhex(frame) for frame in frames]
msg_id = frames.pop(0)
if moment == "half of it is sent":  # as ZeroMQ sends it: a greeting, a handshake, and two frames of six
    raw = socket.create_connection(("127.0.0.1", int(port)))
    raw.sendall(b"\\xff" + bytes(8) + b"\\x7f\\x03\\x00NULL" + bytes(48))
    raw.recv(64, socket.MSG_WAITALL)
    ready = b"\\x05READY\\x0bSocket-Type\\x00\\x00\\x00\\x06DEALER\\x08Identity\\x00\\x00\\x00\\x00"
    raw.sendall(b"\\x04" + bytes([len(ready)]) + ready)
    for frame in frames[:2]: raw.sendall(b"\\x01" + bytes([len(frame)]) + frame)
    raw.sendall(b"\\x01\\xff" + frames[2][:20])
else:
    context = zmq.Context()
    sub, dealer = context.socket(zmq.SUB), context.socket(zmq.DEALER)
    sub.subscribe(b"")
    sub.connect("tcp://127.0.0.1:" + iopub)
    sub.recv_multipart()  # the welcome
    dealer.connect("tcp://127.0.0.1:" + port)
    dealer.send_multipart(frames)
    where = dealer if moment == "reply" else sub
    word = b"_reply" if moment == "reply" else b'"%b"' % moment.encode()
    while moment != "it is sent":
        came = b"".join(where.recv_multipart())
        if word in came and msg_id in came: break
print("now", flush=True)
sys.stdin.read()
"""


def test_a_client_is_killed_in_every_moment_of_every_request(
    own_kernel: KernelProcess, ours: None, backend: str
) -> None:
    client = own_kernel.client()
    process = psutil.Process(own_kernel.pid)
    for name in REQUESTS:  # what is made once is made
        served(client, name)
    remove_subshells(client)
    descriptors, threads = process.num_fds(), process.num_threads()
    killed = 0
    for number, name in enumerate(REQUESTS):
        for at, moment in enumerate(MOMENTS):
            if (LONG or (number % len(MOMENTS)) == at) and not (moment == "reply" and name in HAVE_NO_REPLY):
                kill(client, name, moment)
                killed += 1
                for channel in ("shell", "control"):
                    assert client.request("kernel_info_request", channel=channel).status == "ok"
                client.received.clear()
    remove_subshells(client)
    assert client.run("6 * 7").text == "42"
    wait_for(lambda: process.num_fds() <= descriptors, f"{descriptors} descriptors, as before")
    wait_for(lambda: process.num_threads() <= threads, f"{threads} threads, as before")
    record("clients killed in the middle of a request", backend=backend, clients=killed)


def served(client: Client, name: str) -> None:
    """Send a request that has no fault, and wait until it is done."""
    msg_id = client.send(name, CONTENTS.get(name, {}), channel="control" if name in ON_CONTROL else "shell")
    client.until(lambda: "idle" in client.so_far(msg_id).kinds, f"the end of {name}")


def remove_subshells(client: Client) -> None:
    for subshell in client.request("list_subshell_request", channel="control").reply["subshell_id"]:
        client.request("delete_subshell_request", {"subshell_id": subshell}, channel="control")


def kill(client: Client, name: str, moment: str) -> None:
    """Let a client of its own send a request, and kill it then."""
    session = client.kc.session
    message = session.msg(name, CONTENTS.get(name, {}))
    port = client.kc.control_port if name in ON_CONTROL else client.kc.shell_port
    frames = [message["header"]["msg_id"].encode(), *session.serialize(message)]
    words = [str(port), str(client.kc.iopub_port), moment, *(frame.hex() for frame in frames)]
    with subprocess.Popen([sys.executable, "-c", RAW, *words], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as victim:
        assert victim.stdout is not None
        said = victim.stdout.readline()
        victim.kill()
    assert said == b"now\n"
