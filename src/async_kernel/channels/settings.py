"""What the I/O loop is told: addresses, marks and times, with the reason for each number."""

from __future__ import annotations

from typing import Final, NamedTuple

from async_kernel.transport.connection import CurveKeys, Ports, Transport

__all__ = ["IOSettings"]

MIB: Final = 1 << 20
SECONDS: Final = 1.0
MILLISECONDS: Final = 1e-3


class IOSettings(NamedTuple):
    """Settings of an :class:`~async_kernel.channels.io_loop.IOLoop`.

    Attributes:
        transport: tcp or ipc.
        ip: see :class:`~async_kernel.transport.connection.Endpoints`.
        ports: the wanted ones; 0 has one chosen.
        curve: the server's key pair; None: no encryption.
        linger_ms: how long closed sockets may go on sending. What is left then belongs to clients that do not read.
            Healthy clients take everything in a millisecond, so this costs nothing with them.
        flush_s: how long closing waits for replies and output to leave our queues, in seconds.
        request_high_water_mark: requests that ZMQ holds for a socket that is not read. The I/O loop reads always, so
            this is reached by bursts only; then TCP holds back the client.
        output_high_water_mark: iopub messages that ZMQ holds for one client before output waits for it. Small, because
            a message may have a MiB and every client has its own queue; more would not be faster (measured).
        iopub_limit_bytes: output that may wait in our own queue before a printing thread is held up. Enough for a
            second of fast printing, too little to be noticed as memory.
        stalled_client_s: a client that takes nothing for so long, in seconds, is dropped. A slow client that reads is
            not: but ZMQ reads from the network again only after a client has taken half of its own queue (by default
            500 of 1000 messages), so that a client needs to take about 8 messages a second.
        first_subscriber_s: how long output waits for the first subscriber, in seconds: clients try to connect again
            every 0.1 to 0.2 s, and the machine may be busy starting both.
        stream_interval_s: the shortest time between two messages of coalesced output, in seconds.
        stream_line_s: how long the first write after a silence waits for the end of its line, in seconds: ``print``
            writes text and newline separately.
        chunk_chars: text of a stream message, at most. A 50 MB print shall not become one frame, for which client and
            kernel need memory at once.
    """

    transport: Transport = "tcp"
    ip: str = ""
    ports: Ports = Ports()
    curve: CurveKeys | None = None
    linger_ms: int = 500
    flush_s: float = 1 * SECONDS
    request_high_water_mark: int = 1000
    output_high_water_mark: int = 64
    iopub_limit_bytes: int = 32 * MIB
    stalled_client_s: float = 60 * SECONDS
    first_subscriber_s: float = 2 * SECONDS
    stream_interval_s: float = 50 * MILLISECONDS
    stream_line_s: float = 5 * MILLISECONDS
    chunk_chars: int = 1 * MIB
