"""The connection file: where the kernel shall listen, chosen by the client as Jupyter's own launcher does."""

from __future__ import annotations

import contextlib
import socket
import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import orjson

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Connection"]

CHANNELS = ("shell", "iopub", "stdin", "control", "hb")


@dataclass(frozen=True, slots=True)
class Connection:
    """Five ports on the loopback interface and the key that signs."""

    ports: dict[str, int]
    key: str = field(default_factory=lambda: uuid.uuid4().hex)
    ip: str = "127.0.0.1"

    @classmethod
    def choose(cls) -> Connection:
        """Five ports that were free a moment ago."""
        with contextlib.ExitStack() as held:
            ports: dict[str, int] = {}
            for name in CHANNELS:
                listener = held.enter_context(socket.socket())
                listener.bind(("127.0.0.1", 0))
                ports[name] = listener.getsockname()[1]
            return cls(ports)

    def url(self, channel: str) -> str:
        return f"tcp://{self.ip}:{self.ports[channel]}"

    def write(self, path: Path) -> None:
        """Write the connection file."""
        ports = {f"{name}_port": port for name, port in self.ports.items()}
        content = {**ports, "ip": self.ip, "transport": "tcp", "key": self.key, "signature_scheme": "hmac-sha256"}
        path.write_bytes(orjson.dumps({**content, "kernel_name": ""}))
