"""What the system tells of a TCP connection that has ended: Linux, whether it was given up, and what was not taken."""

from __future__ import annotations

import socket as sockets
import struct
import sys
from typing import Final, NamedTuple

__all__ = ["GIVES_UP_STALLED", "Untaken", "untaken"]

GIVES_UP_STALLED: Final = sys.platform == "linux"
"""Whether the system gives up a connection that takes nothing for a time that can be set (TCP_USER_TIMEOUT), and tells
of it here."""

_TCP_CLOSE: Final = 7  # linux/net/tcp_states.h
# struct tcp_info of linux/tcp.h: eight bytes, then 32-bit numbers; times in milliseconds.
_STATE, _RETRANSMITS = 0, 2
_LAST_DATA_SENT, _LAST_ACK_RECEIVED, _NOT_SENT, _INFO_BYTES = 44, 56, 144, 148


class Untaken(NamedTuple):
    """What the other end of a connection that was given up has left.

    Attributes:
        size: bytes that were written for it and never left this machine.
        silence: the seconds for which it took nothing; 0 for one that left by itself.
    """

    size: int = 0
    silence: float = 0.0


def untaken(connection: sockets.socket) -> Untaken:
    """What was left of a connection that has ended; nothing where the system does not tell."""
    if not GIVES_UP_STALLED or connection.family not in (sockets.AF_INET, sockets.AF_INET6):
        return Untaken()
    try:
        info = connection.getsockopt(sockets.IPPROTO_TCP, sockets.TCP_INFO, _INFO_BYTES)
    except OSError:
        return Untaken()
    if len(info) < _INFO_BYTES or info[_STATE] != _TCP_CLOSE:
        return Untaken()
    sent, acknowledged, waiting = (
        struct.unpack_from("=I", info, offset)[0] for offset in (_LAST_DATA_SENT, _LAST_ACK_RECEIVED, _NOT_SENT)
    )
    # Its window stayed shut, or its machine no longer answers. Whoever was killed has taken something shortly before.
    silence = max(sent if waiting else 0, acknowledged if info[_RETRANSMITS] else 0)
    return Untaken(waiting, silence / 1000)
