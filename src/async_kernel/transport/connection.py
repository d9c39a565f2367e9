"""Where the five sockets of a kernel are: endpoints, how they are bound, and the ports that came out.

A port of 0 is chosen by binding: the operating system gives one and it is read back, so that nobody can take it between
choosing and binding. ``tcp`` addresses are ``tcp://ip:port``; ``ipc`` addresses ``ipc://ip-port``, where ``ip`` is a
path prefix: clients (jupyter_client) form them the same way.

An :class:`Endpoints` binds sockets for its channels and removes, on :meth:`Endpoints.close`, the files and the
directory that this made. One thread owns it; errors say which channel and which port.
"""

from __future__ import annotations

import contextlib
import errno
import ipaddress
import os
import socket as sockets
import stat
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

import zmq

from async_kernel.platforms.ipc import MAX_IPC_PATH_BYTES

if TYPE_CHECKING:
    from typing import Any

    from async_kernel.typing import Channel

__all__ = ["BindError", "CurveError", "CurveKeys", "Endpoints", "PortInUseError", "Ports", "Transport", "is_loopback"]

Transport = Literal["tcp", "ipc"]

_LOCALHOST: Final = "127.0.0.1"
_MAX_IPC_NUMBER: Final = 1000


class BindError(OSError):
    """A socket could not be bound; the text names channel and address."""


class CurveError(Exception):
    """Encryption cannot be had with these keys, or here; the text says why."""


class PortInUseError(BindError):
    """Somebody else has the port; the text names channel and port."""


class Ports(NamedTuple):
    """The port of each channel, as bound (for ipc: the number at the end of the path)."""

    hb: int = 0
    shell: int = 0
    iopub: int = 0
    stdin: int = 0
    control: int = 0

    def as_connection_info(self) -> dict[str, int]:
        """The ports under their names in a connection file."""
        return {f"{name}_port": port for name, port in self._asdict().items()}


class CurveKeys:
    """A CurveZMQ server key pair, Z85-encoded (40 bytes each).

    Raises:
        CurveError: if one of them is no such key, or they do not belong together.
    """

    def __init__(self, public: bytes, secret: bytes) -> None:
        self.public = public
        self.secret = secret
        try:
            derived = zmq.curve_public(secret)
        except (ValueError, zmq.ZMQError):
            derived = b""
        if derived != public:
            msg = (
                "the CURVE keys are no pair: curve_publickey and curve_secretkey must come from one zmq.curve_keypair()"
            )
            raise CurveError(msg)

    @classmethod
    def new(cls) -> CurveKeys:
        """A new pair.

        Raises:
            CurveError: if the ZMQ library here was built without CURVE.
        """
        if not zmq.has("curve"):
            msg = "encryption was asked for, and the ZMQ library here was built without it; install another pyzmq"
            raise CurveError(msg)
        return cls(*zmq.curve_keypair())


def is_loopback(ip: str) -> bool:
    """Whether only this machine can reach a tcp address that is listened at."""
    if ip == "localhost":
        return True
    try:
        return ipaddress.ip_address(ip.strip("[]")).is_loopback
    except ValueError:
        return False


class Endpoints:
    """Binds the sockets of one kernel.

    Args:
        transport: tcp or ipc.
        ip: tcp: the address of an interface, ``localhost``, ``*`` or ``0.0.0.0`` for all. ipc: a path prefix; the
            directory is made, for its owner only (0700), if it is missing. Empty: loopback, or a new private
            directory. :attr:`ip` has what it became.
        curve: if given, only clients that know the public key get in.
    """

    def __init__(self, transport: Transport = "tcp", ip: str = "", curve: CurveKeys | None = None) -> None:
        self.transport: Transport = transport
        self.ip: str = ip or (_LOCALHOST if transport == "tcp" else "")
        self.curve = curve
        self._files: list[Path] = []
        self._directory: Path | None = None

    def bind(self, socket: zmq.Socket[Any], channel: Channel, port: int) -> int:
        """Bind ``socket`` and return the port.

        Args:
            socket: with its other options set.
            channel: for error messages.
            port: 0 to have one chosen.

        Raises:
            PortInUseError: if the port is taken.
            BindError: if the address cannot be bound for another reason.
        """
        if self.curve is not None:
            socket.curve_publickey = self.curve.public
            socket.curve_secretkey = self.curve.secret
            socket.curve_server = True
        return (
            self._bind_tcp(socket, channel, port) if self.transport == "tcp" else self._bind_ipc(socket, channel, port)
        )

    def close(self) -> None:
        """Remove the ipc files and the directory that :meth:`bind` made, after closing the sockets. Idempotent."""
        while self._files:
            self._files.pop().unlink(missing_ok=True)
        if self._directory is not None:
            with contextlib.suppress(OSError):  # somebody put another file there: theirs to remove
                self._directory.rmdir()
            self._directory = None

    def _bind_tcp(self, socket: zmq.Socket[Any], channel: Channel, port: int) -> int:
        host = _LOCALHOST if self.ip == "localhost" else self.ip.strip("[]")
        if ":" in host:
            socket.ipv6 = True
            host = f"[{host}]"
        address = f"tcp://{host}:{port or '*'}"
        try:
            socket.bind(address)
        except zmq.ZMQError as exc:
            if exc.errno == zmq.EADDRINUSE:
                msg = (
                    f"port {port} of the {channel} channel is in use already ({address}); "
                    "start the kernel again if its client chose the port, or choose another"
                )
                raise PortInUseError(exc.errno, msg) from exc
            msg = f"the {channel} channel cannot listen at {address}: {exc.strerror}"
            raise BindError(exc.errno, msg) from exc
        return int(socket.get_string(zmq.LAST_ENDPOINT).rpartition(":")[2])

    def _bind_ipc(self, socket: zmq.Socket[Any], channel: Channel, port: int) -> int:
        if not self.ip:
            self._directory = Path(tempfile.mkdtemp(prefix="async-kernel-"))  # 0700
            self.ip = str(self._directory / "kernel")
        directory = Path(self.ip).parent
        if not directory.exists():
            directory.mkdir(mode=0o700, parents=True)
            self._directory = directory
        # ZMQ silently replaces a file that is there; only one that a dead kernel left may be replaced.
        for number in [port] if port else range(1, _MAX_IPC_NUMBER):
            path = Path(f"{self.ip}-{number}")
            if (length := len(os.fsencode(path))) > MAX_IPC_PATH_BYTES:
                msg = (
                    f"the ipc path of the {channel} channel has {length} bytes and may have {MAX_IPC_PATH_BYTES}; "
                    f"choose a shorter directory: {path}"
                )
                raise BindError(errno.ENAMETOOLONG, msg)
            if _is_free(path):
                break
        else:
            what = f"ipc number {port}" if port else "every ipc number"
            msg = f"{what} of the {channel} channel is in use already (ipc://{self.ip}-{port or '*'})"
            raise PortInUseError(zmq.EADDRINUSE, msg)
        try:
            socket.bind(f"ipc://{path}")
        except zmq.ZMQError as exc:
            msg = f"the {channel} channel cannot listen at ipc://{path}: {exc.strerror}"
            raise BindError(exc.errno, msg) from exc
        self._files.append(path)
        path.chmod(0o600)
        return number


def _is_free(path: Path) -> bool:
    """Whether nobody listens at ``path``, and binding there would replace nothing but a dead socket."""
    try:
        if not stat.S_ISSOCK(path.lstat().st_mode):
            return False
        with sockets.socket(sockets.AF_UNIX) as probe:
            probe.setblocking(False)
            probe.connect(os.fspath(path))
    except (FileNotFoundError, ConnectionRefusedError):
        return True
    except OSError:
        return False
    return False
