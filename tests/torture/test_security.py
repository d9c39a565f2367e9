"""Nobody gets in: what docs/threat-model.md says is defended, tried."""

from __future__ import annotations

import ast
import json
import os
import shutil
import stat
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import pytest
import zmq
from jupyter_client.session import Session

import async_kernel
from async_kernel.transport import codec as codec_module
from async_kernel.transport.codec import Codec, RemoteError
from async_kernel.typing import Channel
from tests.e2e.harness.process import KernelProcess
from tests.torture.kernels import KEY
from tests.torture.messages import DELIM, to_json, valid_parts
from tests.torture.scale import of

if TYPE_CHECKING:
    from collections.abc import Generator

    from tests.e2e.harness.client import Client
    from tests.e2e.harness.subject import Subject

SOURCE = Path(async_kernel.__file__).parent
FLOOD = of(short=25_000, long=100_000)
"""More than the limit of 20 000 requests that wait."""
SUBSCRIPTIONS = of(short=12_000, long=100_000)

both = pytest.mark.parametrize("backend", of(short=["trio"], long=["trio", "asyncio"]), scope="module")


# -- signatures


def signed(msg_type: str = "execute_request") -> list[bytes]:
    parts = list(map(to_json, valid_parts(msg_type, "m")))
    return [DELIM, Session(key=KEY).sign(parts), *parts]


FORGED = {
    "unsigned": lambda frames: [DELIM, b"", *frames[2:]],
    "half of the signature": lambda frames: [DELIM, frames[1][:32], *frames[2:]],
    "a longer signature": lambda frames: [DELIM, frames[1] + b"0", *frames[2:]],
    "in capitals": lambda frames: [DELIM, frames[1].upper() + b"", *frames[2:]],
    "of another key": lambda frames: [DELIM, Session(key=b"other").sign(frames[2:]), *frames[2:]],
    "of the empty key": lambda frames: [DELIM, Session(key=b"").sign(frames[2:]), *frames[2:]],
    "of another message": lambda frames: [DELIM, signed("kernel_info_request")[1], *frames[2:]],
    "parts in another order": lambda frames: [*frames[:3], *reversed(frames[3:6])],
    **{
        f"one bit of part {part} changed": lambda frames, part=part: [
            *frames[: part + 2],
            frames[part + 2][:-2] + bytes([frames[part + 2][-2] ^ 1]) + frames[part + 2][-1:],
            *frames[part + 3 :],
        ]
        for part in range(4)
    },
    **{f"cut to {size} frames": lambda frames, size=size: frames[:size] for size in range(6)},
    "signature as the first frame": lambda frames: frames[1:],
    "a latin-1 signature": lambda frames: [DELIM, b"\xff" * 64, *frames[2:]],
}


@pytest.mark.parametrize("forgery", FORGED)
def test_what_is_not_signed_with_the_key_is_refused(forgery: str) -> None:
    codec = Codec(Session(key=KEY))
    codec.decode(signed(), Channel.shell)
    with pytest.raises(RemoteError):
        Codec(Session(key=KEY)).decode(FORGED[forgery](signed()), Channel.shell)


@pytest.mark.parametrize("channel", list(Channel))
def test_what_was_received_before_is_refused_on_every_channel(channel: Channel) -> None:
    codec, frames = Codec(Session(key=KEY)), signed()
    codec.decode(frames, Channel.shell)
    with pytest.raises(RemoteError, match="replay"):
        codec.decode(frames, channel)


def test_a_signature_is_compared_in_constant_time(monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[tuple[Any, Any]] = []

    def compare(given: Any, right: Any) -> bool:
        compared.append((given, right))
        return False

    monkeypatch.setattr(codec_module, "compare_digest", compare)
    frames = signed()
    with pytest.raises(RemoteError, match="signature"):
        Codec(Session(key=KEY)).decode(frames, Channel.shell)
    assert compared == [(frames[1], frames[1])]


# -- the source


def calls(tree: ast.AST) -> Generator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            yield node.func.id
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        if isinstance(node, ast.ImportFrom):
            yield node.module or ""


def test_nothing_from_the_wire_is_unpickled_or_evaluated() -> None:
    found = {
        (str(path.relative_to(SOURCE)), name)
        for path in SOURCE.rglob("*.py")
        for name in calls(ast.parse(path.read_bytes()))
        if name in ("eval", "exec") or name.split(".")[0] in ("pickle", "marshal", "shelve", "cloudpickle", "dill")
    }
    assert found == {
        ("shell/running/run_cell.py", "eval"),  # the code of a cell
        ("shell/running/evaluating.py", "eval"),  # user_expressions, and magics that take an expression
        ("shell/magics/timing.py", "exec"),  # the code of %timeit
        ("kernelspec.py", "exec"),  # a file that the user names on the command line
    }


# -- what others on the machine can reach


@both
def test_it_listens_where_it_was_asked_to_and_nowhere_else(own_kernel: KernelProcess, ours: None) -> None:
    client = own_kernel.client()
    info = json.loads(own_kernel.connection_file.read_text())
    asked = {("127.0.0.1", info[f"{name}_port"]) for name in ("shell", "iopub", "stdin", "control", "hb")}
    client.run("import multiprocessing, threading, asyncio")
    client.request("create_subshell_request", channel="control")
    connections = psutil.Process(own_kernel.pid).net_connections(kind="all")
    listening = {tuple(c.laddr) for c in connections if c.status == psutil.CONN_LISTEN}
    named = {c.laddr for c in connections if isinstance(c.laddr, str) and c.laddr}
    assert (listening, named) == (asked, set())


@pytest.fixture
def open_folder() -> Generator[Path]:
    """A folder that everybody may enter and read."""
    folder = Path(tempfile.mkdtemp(prefix="open-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


SPY = """
import os, pathlib, socket, sys
for path in map(pathlib.Path, sys.argv[1:]):
    try:
        if path.is_dir(): os.listdir(path)
        elif path.is_socket(): socket.socket(socket.AF_UNIX).connect(str(path))
        else: path.read_bytes()
    except PermissionError: continue
    print(path)
"""


@pytest.mark.skipif(sys.platform == "win32" or os.geteuid() != 0, reason="only root can be somebody else")
@pytest.mark.parametrize("transport", ["tcp", "ipc"])
@both
def test_another_user_can_read_and_connect_to_nothing(
    subject: Subject, ours: None, open_folder: Path, transport: str
) -> None:
    runtime = open_folder / "runtime"
    environment = {"JUPYTER_RUNTIME_DIR": str(runtime), "TMPDIR": str(open_folder)}
    path = open_folder / "kernel.json"
    command = [*subject.command(str(path)), f"--transport={transport}"]
    with KernelProcess(command, path, env=environment, folder=open_folder) as kernel:
        assert kernel.client().run("1").text == "1"
        look(kernel, runtime, transport)


def look(kernel: KernelProcess, runtime: Path, transport: str) -> None:
    """As somebody else."""
    info = json.loads(kernel.connection_file.read_text())
    files = [kernel.connection_file, *([runtime] if runtime.exists() else [])]
    if transport == "ipc":
        sockets = [
            Path(f"{info['ip']}-{info[f'{name}_port']}") for name in ("shell", "iopub", "control", "stdin", "hb")
        ]
        assert all(stat.S_ISSOCK(path.stat().st_mode) for path in sockets)
        files += sockets
    python = shutil.which("python3", path="/usr/bin:/bin") or sys.executable
    spy = subprocess.run(
        [python, "-c", SPY, *map(str, files)], user="nobody", capture_output=True, text=True, check=False, cwd="/"
    )
    assert (spy.returncode, spy.stdout) == (0, ""), spy.stderr


# -- floods


@both
def test_requests_without_end_are_refused_with_words_and_the_rest_answered(
    own_kernel: KernelProcess, ours: None
) -> None:
    client = own_kernel.client()
    client.run("done = False")
    blocking = client.start("import time\nprint('ready', flush=True)\nwhile not done: time.sleep(0.01)")
    client.printed(blocking, "ready")
    with zmq.Context() as context, context.socket(zmq.DEALER) as dealer:
        dealer.linger = 0
        dealer.sndhwm = dealer.rcvhwm = 0
        dealer.connect(f"tcp://127.0.0.1:{client.kc.shell_port}")
        session = Session(key=client.kc.session.key)
        for _ in range(FLOOD):
            content = {"code": "", "silent": True, "store_history": False, "stop_on_error": False}
            dealer.send_multipart(session.serialize(session.msg("execute_request", content)))
        replies = [reply(session, dealer) for _ in range(FLOOD - 20_000)]
        assert {(each["status"], each["ename"]) for each in replies} == {("error", "RequestError")}
        assert "20000 requests wait" in replies[0]["evalue"]
        # The kernel can be talked to meanwhile, and counts. (A client has to read what the others were told first.)
        client.result(client.send("kernel_info_request", channel="control"), timeout=300)
        assert client.request("drop_counts_request", channel="control").reply["refused_requests"] == FLOOD - 20_000
        subshell = client.request("create_subshell_request", channel="control").reply["subshell_id"]
        free = {"code": "done = True", "silent": True, "store_history": False}
        client.result(client.send("execute_request", free, subshell_id=subshell), timeout=60)
        assert client.result(blocking, timeout=60).status == "ok"
        assert {reply(session, dealer)["status"] for _ in range(20_000)} == {"ok"}
    assert client.run("6 * 7").text == "42"
    assert own_kernel.log.count("Requests are refused") == 1


def reply(session: Session, dealer: Any) -> dict[str, Any]:
    assert dealer.poll(60_000)
    _, frames = session.feed_identities(dealer.recv_multipart())
    return session.unpack(frames[4])


@both
def test_subscriptions_without_end_are_not_welcomed(own_kernel: KernelProcess, ours: None) -> None:
    client = own_kernel.client()
    with zmq.Context() as context, context.socket(zmq.SUB) as subscriber:
        subscriber.linger = 0
        subscriber.rcvhwm = subscriber.sndhwm = 0
        subscriber.connect(f"tcp://127.0.0.1:{client.kc.iopub_port}")
        for number in range(SUBSCRIPTIONS):
            subscriber.subscribe(b"topic %d" % number)
        for _ in range(9_000):
            assert subscriber.poll(60_000)
            subscriber.recv_multipart()
        assert client.run("6 * 7", timeout=60).text == "42"
        while subscriber.poll(0):
            subscriber.recv_multipart()
        refused = client.request("drop_counts_request", channel="control").reply["bad_messages"]
        assert refused >= SUBSCRIPTIONS - 10_000
    late = own_kernel.client()
    assert late.run("6 * 7").text == "42"


@both
def test_a_header_without_end_is_refused(client: Client, ours: None) -> None:
    before = client.request("drop_counts_request", channel="control").reply["bad_messages"]
    client.send("kernel_info_request", odd="x" * 100_000)
    client.send("kernel_info_request", odd="x" * 10_000_000)
    client.send("kernel_info_request", **{f"odd{n}": n for n in range(100_000)})
    client.nothing_more()
    assert client.request("drop_counts_request", channel="control").reply["bad_messages"] == before + 3
