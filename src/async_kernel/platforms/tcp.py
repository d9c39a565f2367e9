"""What the system tells of a TCP connection: on Linux, how much the other end has taken, and how much waits for it."""

from __future__ import annotations

import socket as sockets
import struct
import sys
from typing import Final, NamedTuple

__all__ = ["TELLS_PROGRESS", "Progress", "progress"]

TELLS_PROGRESS: Final = sys.platform == "linux"
"""Whether the system tells."""

# struct tcp_info of linux/tcp.h.
_BYTES_ACKED, _NOT_SENT, _INFO_BYTES = 120, 144, 148


class Progress(NamedTuple):
    """How far the other end of a connection is.

    Attributes:
        taken: bytes that it has acknowledged since the connection was made.
        waiting: bytes that were written for it and have not left this machine.
    """

    taken: int
    waiting: int


def progress(connection: sockets.socket) -> Progress | None:
    """How far the other end is; None if that is not told, or the connection has ended."""
    if not TELLS_PROGRESS or connection.family not in (sockets.AF_INET, sockets.AF_INET6):
        return None
    try:
        info = connection.getsockopt(sockets.IPPROTO_TCP, sockets.TCP_INFO, _INFO_BYTES)
    except OSError:
        return None
    if len(info) < _INFO_BYTES:
        return None
    (taken,), (waiting,) = struct.unpack_from("=Q", info, _BYTES_ACKED), struct.unpack_from("=I", info, _NOT_SENT)
    return Progress(taken, waiting)
