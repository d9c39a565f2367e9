"""The options of the ROUTER sockets, shell, control and stdin, set before they are bound.

- ``ROUTER_HANDOVER``: a client that comes back under its identity (after a broken connection) takes it over, instead of
  being ignored until the old connection is found dead.
- ``ROUTER_MANDATORY``: a reply for a client that has gone is an error that we see and count, not silence. It is not an
  error of the kernel.
- ``SNDHWM`` 0: a ROUTER drops what exceeds the mark, and there is nobody to hold back: a client may ask 5000 questions
  before it reads the first answer. What bounds it is that TCP gives up a client that does not read
  (``TCP_USER_TIMEOUT``, on Linux).
- ``RCVHWM``: bursts only, since the I/O loop reads always; then TCP holds the client back.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import zmq

if TYPE_CHECKING:
    from async_kernel.channels.settings import IOSettings

__all__ = ["configure_router"]


def configure_router(socket: zmq.Socket[bytes], settings: IOSettings) -> None:
    """Set the options of a ROUTER socket, before it is bound; see the module for the reasons."""
    socket.setsockopt(zmq.ROUTER_HANDOVER, 1)
    socket.setsockopt(zmq.ROUTER_MANDATORY, 1)
    socket.setsockopt(zmq.SNDHWM, 0)
    socket.setsockopt(zmq.RCVHWM, settings.request_high_water_mark)
    socket.setsockopt(zmq.TCP_MAXRT, round(settings.stalled_client_s * 1000))
