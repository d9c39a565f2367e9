"""The connection file: how clients find and trust a kernel.

It holds the signing key, so it is readable by its owner only from its first byte on, and it appears complete or not at
all: written beside its place and moved there. Whoever wrote it calls :meth:`ConnectionFile.remove` at the end, which
removes it only while it is still the very file that was written.

See "Connection files" in jupyter_client's documentation of kernels.
"""

from __future__ import annotations

import json
import os
import secrets
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, cast

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["ConnectionFile", "ConnectionFileError", "read_connection_file", "write_connection_file"]


class ConnectionFileError(Exception):
    """A connection file that cannot be read or written, or is not one; the text says what is wrong and where."""


class ConnectionFile(NamedTuple):
    """A connection file that we wrote.

    Attributes:
        path: absolute.
        created: False if a file of another was there before; then it is not ours to remove.
        inode: device and number of the very file that was written.
    """

    path: Path
    created: bool
    inode: tuple[int, int]

    def remove(self) -> None:
        """Remove the file if we created it and nobody has replaced it since. Idempotent; a lost file is no error."""
        if not self.created:
            return
        try:
            if _inode_of(self.path.lstat()) == self.inode:
                self.path.unlink()
        except (FileNotFoundError, NotADirectoryError):
            return


def write_connection_file(path: str | os.PathLike[str], info: Mapping[str, Any]) -> ConnectionFile:
    """Write ``info`` atomically, mode 0600. Bytes values are written as text.

    Raises:
        ConnectionFileError: if it cannot be written, such as for want of its folder; nothing is left behind then.
    """
    path = Path(path).absolute()
    try:
        return _write(path, info)
    except OSError as exc:
        reason = exc.strerror or str(exc)
        if not path.parent.is_dir():
            reason = f"there is no folder {path.parent}; make it, or give another place"
        msg = f"cannot write the connection file {path}: {reason}"
        raise ConnectionFileError(msg) from exc


def _write(path: Path, info: Mapping[str, Any]) -> ConnectionFile:
    created = not path.exists()
    text = json.dumps(
        {key: value.decode() if isinstance(value, bytes) else value for key, value in info.items()}, indent=2
    )
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text + "\n")
            status = os.fstat(file.fileno())
        draft.replace(path)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise
    return ConnectionFile(path, created, _inode_of(status))


def read_connection_file(path: str | os.PathLike[str]) -> dict[str, Any]:
    """The content of a connection file.

    Returns:
        its fields; ports are integers in range, both CURVE keys are there or none; other fields as they are.

    Raises:
        ConnectionFileError: if it is missing, unreadable or malformed.
    """
    path = Path(path)
    try:
        info = json.loads(path.read_bytes())
    except OSError as exc:
        msg = f"cannot read the connection file {path}: {exc.strerror}"
        raise ConnectionFileError(msg) from exc
    except ValueError as exc:
        msg = f"the connection file {path} is not JSON: {exc}"
        raise ConnectionFileError(msg) from exc
    if problem := _problem(info):
        msg = f"the connection file {path} is malformed: {problem}"
        raise ConnectionFileError(msg)
    return cast("dict[str, Any]", info)


_TEXTS = ("ip", "key", "transport", "signature_scheme", "kernel_name", "curve_publickey", "curve_secretkey")
_PORTS = ("hb_port", "shell_port", "iopub_port", "stdin_port", "control_port")
_MAX_PORT = 65535


def _problem(info: object) -> str | None:
    if not isinstance(info, dict):
        return f"it holds a {type(info).__name__}, not an object"
    fields = cast("dict[str, object]", info)
    for name in _TEXTS:
        if not isinstance(value := fields.get(name, ""), str):
            return f"{name} is a {type(value).__name__}, not a string"
    for name in _PORTS:
        value = fields.get(name, 0)
        if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= _MAX_PORT:
            return f"{name} is {value!r}, not a port number"
    if (transport := fields.get("transport", "tcp")) not in ("tcp", "ipc"):
        return f"transport is {transport!r}, neither 'tcp' nor 'ipc'"
    if bool(fields.get("curve_publickey")) != bool(fields.get("curve_secretkey")):
        return "it has half of a CURVE key pair; both curve_publickey and curve_secretkey are needed, or none"
    return None


def _inode_of(status: os.stat_result) -> tuple[int, int]:
    return status.st_dev, status.st_ino
