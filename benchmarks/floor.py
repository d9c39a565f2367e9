"""The floor: a kernel that parses, signs and answers, and does nothing else.

No Python process behind ZMQ can answer faster with JSON and signatures, so its figures are the physical
limit that the real kernels are compared with. It runs alone, as ``python floor.py CONNECTION_FILE``.
"""

from __future__ import annotations

import hmac
import sys
import uuid
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
import zmq

KINDS = {"shell": zmq.ROUTER, "control": zmq.ROUTER, "stdin": zmq.ROUTER, "hb": zmq.REP, "iopub": zmq.PUB}
INFO = {"status": "ok", "protocol_version": "5.5", "implementation": "floor", "language_info": {"name": "python"}}


def serve(connection: dict[str, Any]) -> None:
    key, session, context = connection["key"].encode(), uuid.uuid4().hex, zmq.Context[zmq.Socket[bytes]]()
    sockets = {name: context.socket(kind) for name, kind in KINDS.items()}
    for name, socket in sockets.items():
        socket.set_hwm(0)
        socket.bind(f"tcp://{connection['ip']}:{connection[name + '_port']}")

    def sign(parts: list[bytes]) -> bytes:
        return hmac.digest(key, b"".join(parts), "sha256").hex().encode()

    def send(name: str, to: bytes, msg_type: str, content: object, parent: bytes, *buffers: bytes) -> None:
        header = {"msg_id": uuid.uuid4().hex, "msg_type": msg_type, "session": session, "username": ""}
        header |= {"date": datetime.now(UTC).isoformat(), "version": "5.5"}
        parts = [orjson.dumps(header), parent, b"{}", orjson.dumps(content)]
        sockets[name].send_multipart([to, b"<IDS|MSG>", sign(parts), *parts, *buffers], copy=not buffers)

    poller, names = zmq.Poller(), {socket: name for name, socket in sockets.items()}
    for name in ("shell", "control", "hb"):
        poller.register(sockets[name], zmq.POLLIN)
    while True:
        for socket, _ in poller.poll():
            frames: list[bytes] = socket.recv_multipart()
            if (name := names[socket]) == "hb":
                socket.send_multipart(frames)
                continue
            client, _, signature, parent, *rest = frames
            assert hmac.compare_digest(signature, sign([parent, *rest[:3]]))
            msg_type, content = orjson.loads(parent)["msg_type"], orjson.loads(rest[2])
            send("iopub", b"status", "status", {"execution_state": "busy"}, parent)
            if msg_type == "execute_request":
                send("iopub", b"execute_input", "execute_input", {"code": content["code"]}, parent)
            if msg_type == "comm_msg":
                send("iopub", b"comm_msg", "comm_msg", content, parent, *rest[3:])
            else:
                answer = INFO if msg_type == "kernel_info_request" else {"status": "ok", "execution_count": 1}
                send(name, client, msg_type.replace("request", "reply"), answer, parent)
            send("iopub", b"status", "status", {"execution_state": "idle"}, parent)
            if msg_type == "shutdown_request":
                return context.destroy(linger=1000)


if __name__ == "__main__":
    serve(orjson.loads(Path(sys.argv[1]).read_bytes()))
