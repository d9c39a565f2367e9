"""Receiving clients while the kernel is still being imported, in a process that a command started.

A client asks for kernel_info first, and shows the kernel as ready when it is answered. To answer needs no kernel, if
it is certain what the kernel will say: an IPython kernel that its connection file says all of, started with none but
harmless options, where no configuration file could say otherwise. Then :func:`clients_received` opens a
:class:`~async_kernel.channels.reception.Reception`, some 50 ms after the start instead of 200, and the interface
takes over from it (:func:`take`). In all other cases clients wait until the kernel is there.

Only :mod:`async_kernel.interface.launch` calls :func:`clients_received`. What it imports is imported before anything
else in the process and must stay small: no traitlets, no trio, no IPython.
"""

from __future__ import annotations

import importlib.util
import os
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from async_kernel.interface.config_places import ipython_files, may_have_jupyter_files
from async_kernel.interface.early_history import early_history
from async_kernel.transport.connection_file import ConnectionFileError, read_connection_file

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping

    from async_kernel.channels.reception import Arrivals, Reception
    from async_kernel.channels.settings import IOSettings

__all__ = ["clients_received", "ipython_banner", "is_receiving", "take"]

_HARMLESS: Final = {"connection_file", "f", "name", "backend", "backend_options", "timeout", "flags"}
"""Options that change nothing of how clients connect and of what they are told of the kernel."""
_HARMLESS_FLAGS: Final = {"quiet", "no-quiet"}
PATIENCE_S: Final = 0.15
"""Seconds in which what is needed here must be imported: 75 ms where nothing else runs, a third of the kernel's time.

Where it takes longer, it would take too long from the first answer to those that need the kernel: a client may take one
that says what it is and then says nothing for stuck.
"""
_CHANNELS: Final = ("hb", "shell", "iopub", "stdin", "control")


class _Early(NamedTuple):
    reception: Reception
    join: Callable[[], None]


_early: _Early | None = None


@contextmanager
def clients_received(options: Mapping[str, Any]) -> Generator[None]:
    """Receive clients until the interface takes over, or the block ends.

    Args:
        options: of the command line.
    """
    global _early
    reception = reception_for(options)
    if reception is None:
        yield
        return
    from async_kernel.lifetime.plain_thread import plain_thread  # noqa: PLC0415 -- see the module

    with plain_thread(reception.serve, name="async-kernel reception", end=reception.end) as join:
        _early = _Early(reception, join)
        try:
            yield
        finally:
            if is_receiving():  # the kernel did not come so far
                _early = None
                join()
                reception.close()


def is_receiving() -> bool:
    """Whether clients are received, and the interface has not taken over."""
    return _early is not None


def take(settings: IOSettings, session: object) -> Arrivals | None:
    """What the reception leaves to the interface's I/O loop; None if there was none.

    Args:
        settings: of the loop. If they are not those of the reception, it is closed.
        session: likewise.
    """
    global _early
    early, _early = _early, None
    if early is None:
        return None
    early.join()
    reception = early.reception
    secret = ("key", "signature_scheme")
    theirs, ours = ([getattr(each, name) for name in secret] for each in (reception.codec.session, session))
    if settings == reception.settings and theirs == ours:
        return reception.hand_over()
    reception.close()
    return None


def reception_for(options: Mapping[str, Any]) -> Reception | None:
    """For a kernel of these options; None if it is not certain what it would say, or this machine is slow."""
    began = time.monotonic()
    file = options.get("connection_file") or options.get("f")
    plain = _HARMLESS.issuperset(options) and _HARMLESS_FLAGS.issuperset(options.get("flags", ()))
    if not plain or not isinstance(file, str) or not Path(file).is_absolute():
        return None
    try:
        connection = read_connection_file(Path(file))
    except (ConnectionFileError, OSError):
        return None  # the interface says what is wrong with it
    ports: list[int] = [connection.get(f"{channel}_port", 0) for channel in _CHANNELS]
    certain = (
        all(ports)
        and connection.get("transport", "tcp") == "tcp"
        and connection.get("key")
        and "curve_secretkey" not in connection
        and "pydevd" not in sys.modules  # a debugger has started us: the kernel has none then
        and not may_have_jupyter_files(str(options.get("name", "async")))
        and not any(ipython_files())
    )
    banner = ipython_banner() if certain else None
    if banner is None:
        return None

    from async_kernel.channels.reception import Reception  # noqa: PLC0415 -- it imports zmq, for good cause only
    from async_kernel.channels.settings import IOSettings  # noqa: PLC0415
    from async_kernel.protocol.kernel_info import kernel_info_content  # noqa: PLC0415
    from async_kernel.transport.codec import Codec  # noqa: PLC0415
    from async_kernel.transport.connection import Ports, is_loopback  # noqa: PLC0415
    from async_kernel.transport.plain_session import PlainSession, user_name  # noqa: PLC0415

    ip = connection.get("ip") or "127.0.0.1"
    if not is_loopback(ip):
        return None  # with a warning, if it is not encrypted
    if time.monotonic() - began > PATIENCE_S:
        return None
    session = PlainSession(connection["key"].encode(), user_name())
    try:
        session.signature_scheme = connection.get("signature_scheme", session.signature_scheme)
    except ValueError:
        return None
    debugger = importlib.util.find_spec("debugpy") is not None
    settings = IOSettings(ip=ip, ports=Ports(**dict(zip(_CHANNELS, ports, strict=True))))
    answers = {"history_request": early_history}
    return Reception(settings, Codec(session), kernel_info_content(banner, debugger=debugger), answers)


def ipython_banner() -> str | None:
    """The banner that IPython will have; None if it cannot be known without importing IPython, which takes 100 ms."""
    package = importlib.util.find_spec("IPython")
    if package is None or not package.submodule_search_locations or "SOURCE_DATE_EPOCH" in os.environ:
        return None
    core = Path(package.submodule_search_locations[0], "core")
    try:
        version: str = _data_module(core / "release.py").version
        tip: str = _data_module(core / "tips.py").pick_tip()
    except (AttributeError, OSError):
        return None
    return (
        f"Python {sys.version.splitlines()[0]}\n"
        "Type 'copyright', 'credits' or 'license' for more information\n"
        f"IPython {version} -- An enhanced Interactive Python. Type '?' for help.\n"
        f"Tip: {tip}\n"
    )


def _data_module(path: Path) -> Any:
    """A module of IPython that imports nothing of IPython, without the package around it."""
    spec = importlib.util.spec_from_file_location(f"_{path.stem}_of_ipython", path)
    if spec is None or spec.loader is None:
        raise FileNotFoundError(path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
