"""Ports for kernels whose client chooses them.

Between the choice of a port and the kernel's bind lies the start of a process, which takes seconds on a busy machine:
two test processes that each look for a free port then now and then choose the same. So each owns a block of ports as
long as it lives, below those that the system gives to anybody, and goes through it in order: a port comes again only
after all others, when nobody of its last kernel is left to connect to it.
"""

from __future__ import annotations

import socket
from functools import cache
from itertools import cycle, islice

FIRST, LAST, SIZE = 15_000, 32_000, 1_000
"""Where blocks lie, and the number of ports in each."""


class PortBlock:
    """A range of ports that one process has for itself: whoever holds its first port owns all of them.

    Raises:
        RuntimeError: if other processes own all blocks.
    """

    def __init__(self) -> None:
        for first in range(FIRST, LAST, SIZE):
            # Not SO_REUSEADDR: a port that somebody has bound already is refused, whether he listens or not.
            owner = socket.socket()
            try:
                owner.bind(("127.0.0.1", first))
            except OSError:
                owner.close()
                continue
            self._owner = owner
            """Held, and closed by the end of this process."""
            self._ports = cycle(range(first + 1, first + SIZE))
            return
        raise RuntimeError(f"no block of ports is free between {FIRST} and {LAST}: too many test processes run")

    def take(self, number: int) -> list[int]:
        """The next ports of the block that nobody listens at.

        Raises:
            RuntimeError: if there are fewer.
        """
        found = list(islice(filter(_is_free, islice(self._ports, SIZE - 1)), number))
        if len(found) < number:
            raise RuntimeError(f"only {len(found)} of {number} ports are free")
        return found


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


_block = cache(PortBlock)


def free_ports(number: int) -> list[int]:
    """Ports that nobody listens at, and that no other test process will choose."""
    return _block().take(number)
