"""Where a kernel is and with which key: the options, and the information that clients connect by.

:class:`ConnectionFileMixin` has the options and methods of jupyter_client's class of that name, for a kernel. It is not
that class, because importing jupyter_client would take a sixth of a kernel's start and 8 MB (see
:mod:`~async_kernel.transport.plain_session`); but it is configured in its name, as configuration files do it
(``c.ConnectionFileMixin.transport``), and what a kernel rarely does is done by jupyter_client's methods.

The session is in two forms for the same reason. The kernel itself serves with the plain one; a real
``jupyter_client.session.Session`` of the same key and identity is made when somebody asks for
:attr:`ConnectionFileMixin.session`, and the kernel serves with that one if it was asked for before the start, or if
there are options for ``Session``.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from traitlets import Bool, Bytes, CaselessStrEnum, Instance, Int, Unicode, default, observe, validate
from traitlets.config import LoggingConfigurable

from async_kernel.common import MethodNotSupported
from async_kernel.transport.connection_file import ConnectionFileError
from async_kernel.transport.plain_session import PlainSession, user_name

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from async_kernel.interface.session import AsyncSession

__all__ = ["ConnectionFileMixin", "make_runtime_dir", "runtime_dir", "says"]

_PORTS = ("shell_port", "stdin_port", "iopub_port", "hb_port", "control_port")


class LateInstance(Instance[Any]):
    """An Instance whose class is imported when there is a value, and not with every object that has the trait."""

    def instance_init(self, obj: Any) -> None:
        """Nothing: not yet."""

    def validate(self, obj: Any, value: Any) -> Any:
        self._resolve_classes()
        return super().validate(obj, value)


def _by_jupyter_client(name: str) -> Callable[..., Any]:
    def method(self: ConnectionFileMixin, *args: Any, **kwargs: Any) -> Any:
        from jupyter_client.connect import ConnectionFileMixin as Original  # noqa: PLC0415 -- see the module

        return getattr(Original, name)(self, *args, **kwargs)

    method.__name__ = name
    method.__doc__ = f"See ``jupyter_client.connect.ConnectionFileMixin.{name}``."
    return method


class ConnectionFileMixin(LoggingConfigurable):
    """Options and methods of a kernel's connection."""

    connection_file: Unicode[str, str | bytes] = Unicode("").tag(config=True)
    "The JSON file that says where the sockets are; without one, a file is made in Jupyter's runtime folder."
    transport: CaselessStrEnum[Any] = CaselessStrEnum(["tcp", "ipc"], default_value="tcp").tag(config=True)
    "How clients connect: over tcp, or by sockets in the file system (ipc)."
    ip: Unicode[str, str | bytes] = Unicode().tag(config=True)
    "The address to listen at; not given: 127.0.0.1. All but the loopback let other machines in: use --encrypt."
    hb_port: Int[int, int] = Int(0).tag(config=True)
    "The port of the heartbeat channel; 0 takes a free one."
    shell_port: Int[int, int] = Int(0).tag(config=True)
    "The port of the shell channel; 0 takes a free one."
    iopub_port: Int[int, int] = Int(0).tag(config=True)
    "The port of the iopub channel; 0 takes a free one."
    stdin_port: Int[int, int] = Int(0).tag(config=True)
    "The port of the stdin channel; 0 takes a free one."
    control_port: Int[int, int] = Int(0).tag(config=True)
    "The port of the control channel; 0 takes a free one."
    curve_publickey: Bytes = Bytes(None, allow_none=True)
    curve_secretkey: Bytes = Bytes(None, allow_none=True)
    kernel_name: Unicode[str, str | bytes] = Unicode()
    data_dir: Unicode[str, str | bytes] = Unicode()
    session: LateInstance = LateInstance("async_kernel.interface.session.AsyncSession")

    _connection_file_written = Bool(False)
    _bound = False
    _random_port_names: list[str] | None = None
    _plain: PlainSession | None = None
    _made: AsyncSession | None = None

    @default("data_dir")
    def _default_data_dir(self) -> str:
        from jupyter_core.paths import jupyter_data_dir  # noqa: PLC0415 -- rarely asked for

        return jupyter_data_dir()

    def _ip_default(self) -> str:
        """The loopback address; for ipc the connection file without its suffix and with ``-ipc``."""
        if self.transport == "ipc":
            return f"{os.path.splitext(self.connection_file)[0] or 'kernel'}-ipc"  # noqa: PTH122 -- as clients form it
        return "127.0.0.1"

    @observe("ip")
    def _ip_changed(self, change: Any) -> None:
        if change["new"] == "*":
            self.ip = "0.0.0.0"

    @property
    def ports(self) -> list[int]:
        """The ports of shell, stdin, iopub, heartbeat and control."""
        return [getattr(self, name) for name in _PORTS]

    # -- the session -------------------------------------------------------------------------------------------

    @property
    def plain_session(self) -> PlainSession:
        """The key and identity of this kernel, as long as nobody has asked for :attr:`session`."""
        if self._plain is None:
            self._plain = PlainSession(os.urandom(32).hex().encode(), user_name())
        return self._plain

    @property
    def serving_session(self) -> PlainSession | AsyncSession:
        """What the codec serves with."""
        if self._made is None and self._session_options():
            return self.session
        return self._made or self.plain_session

    @default("session")
    def _default_session(self) -> AsyncSession:
        from async_kernel.interface.session import AsyncSession  # noqa: PLC0415 -- see the module

        plain, options = self.plain_session, self._session_options()
        ours = {name: getattr(plain, name) for name in ("session", "username", "key", "signature_scheme")}
        if "keyfile" in options:
            del ours["key"]
        self._made = session = AsyncSession(**{name: value for name, value in ours.items() if name not in options})
        return session

    def _session_options(self) -> dict[str, object]:
        sections = cast("dict[str, dict[str, object]]", self.config)
        return {**sections.get("Session", {}), **sections.get("AsyncSession", {})}

    @observe("session")
    def _session_changed(self, change: Any) -> None:
        self._made = change["new"]

    # -- the information that clients connect by ---------------------------------------------------------------

    def get_connection_info(self, session: bool = False) -> dict[str, Any]:
        """What a connection file says: transport, ip, ports, key and signature scheme, CURVE keys if there are some.

        Args:
            session: give a clone of the session instead of key and signature scheme.
        """
        info: dict[str, Any] = {"transport": self.transport, "ip": self.ip}
        info.update((name, getattr(self, name)) for name in _PORTS)
        if session:
            info["session"] = self.session.clone()
        else:
            serving = self.serving_session
            info |= {"signature_scheme": serving.signature_scheme, "key": serving.key}
        keys = {"curve_publickey": self.curve_publickey, "curve_secretkey": self.curve_secretkey}
        if all(keys.values()):
            info.update((name, key.decode()) for name, key in keys.items())
        return info

    @validate("connection_file")
    def _check_connection_file(self, proposal: Any) -> str:
        path: str = proposal["value"]
        if self._bound and path != self.connection_file:
            msg = f"The sockets are bound: it is too late to set the connection file to {path!r}."
            raise RuntimeError(msg)
        return path

    def load_connection_info(self, info: Mapping[str, Any]) -> None:
        """Take addresses and keys from what a connection file says; ports that are set already stay.

        Raises:
            ConnectionFileError: if its signature scheme is none.
            RuntimeError: if the sockets are there already.
        """
        if self._bound:
            msg = "The sockets are bound: it is too late to configure the connection."
            raise RuntimeError(msg)
        self.transport = info.get("transport", self.transport)
        self.ip = info.get("ip") or self._ip_default()
        for name in _PORTS:
            if getattr(self, name) == 0 and name in info:
                setattr(self, name, info[name])
        serving = self.serving_session
        try:
            if "signature_scheme" in info:
                serving.signature_scheme = info["signature_scheme"]
        except ValueError as exc:
            raise ConnectionFileError(str(exc)) from exc
        if "key" in info:
            serving.key = _bytes(info["key"])
        if "curve_publickey" in info and "curve_secretkey" in info:
            self.curve_publickey, self.curve_secretkey = (
                _bytes(info["curve_publickey"]),
                _bytes(info["curve_secretkey"]),
            )

    load_connection_file: Callable[..., Any] = _by_jupyter_client("load_connection_file")
    write_connection_file: Callable[..., Any] = _by_jupyter_client("write_connection_file")
    cleanup_connection_file: Callable[..., Any] = _by_jupyter_client("cleanup_connection_file")
    cleanup_ipc_files: Callable[..., Any] = _by_jupyter_client("cleanup_ipc_files")
    cleanup_random_ports: Callable[..., Any] = _by_jupyter_client("cleanup_random_ports")
    _record_random_port_names = _by_jupyter_client("_record_random_port_names")

    def _not_a_client(self, *_: Any, **__: Any) -> Any:
        """Not for a kernel.

        Raises:
            MethodNotSupported: always.
        """
        msg = "an interface is the kernel's side; make a client with jupyter_client"
        raise MethodNotSupported(msg)

    blocking_client = _not_a_client
    connect_control = _not_a_client
    connect_hb = _not_a_client
    connect_iopub = _not_a_client
    connect_shell = _not_a_client
    connect_stdin = _not_a_client


def _bytes(value: str | bytes) -> bytes:
    return value.encode() if isinstance(value, str) else value


def runtime_dir() -> Path:
    """Where connection files are that nobody has given a place."""
    from jupyter_core.paths import jupyter_runtime_dir  # noqa: PLC0415 -- clients give whole paths

    return Path(jupyter_runtime_dir())


def make_runtime_dir(folder: Path) -> None:
    """Jupyter's own folder is made by whoever needs it first; any other one is the user's to make."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as exc:
        msg = f"cannot make Jupyter's runtime folder {folder}: {exc.strerror}; set JUPYTER_RUNTIME_DIR to another one"
        raise ConnectionFileError(msg) from exc


def says(written: dict[str, Any], info: dict[str, Any]) -> bool:
    """Whether a connection file has all that a client needs of ``info``."""

    def text(value: Any) -> Any:
        return value.decode() if isinstance(value, bytes) else value

    needed = ("transport", "ip", "key", "hb_port", "shell_port", "iopub_port", "stdin_port", "control_port")
    return all(text(written.get(name)) == text(info.get(name)) for name in needed)
