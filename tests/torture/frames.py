"""Frames as nobody should send them: real messages with bits flipped, cut, doubled, swapped; signed again or not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from tests.torture.messages import CONTENTS, DELIM, to_json, valid_parts

if TYPE_CHECKING:
    import random

__all__ = ["Mutator"]


class Signs(Protocol):
    """What of a Session is needed."""

    def sign(self, msg_list: list[bytes]) -> bytes: ...


# A flipped bit may not make code of a cell that means something.
TYPES = [name for name in CONTENTS if name not in ("execute_request", "shutdown_request", "interrupt_request")]


class Mutator:
    """Makes frames without end, the same ones from the same random numbers."""

    def __init__(self, rng: random.Random, session: Signs) -> None:
        self._rng = rng
        self._session = session
        self._parts = [list(map(to_json, valid_parts(name, "m"))) for name in TYPES]

    def frames(self) -> list[bytes]:
        """A message with a few faults; one in eight is nothing but noise."""
        rng = self._rng
        if rng.random() < 0.12:
            return [rng.randbytes(rng.randrange(60)) for _ in range(rng.randrange(1, 9))]
        parts = list(rng.choice(self._parts))
        for _ in range(rng.randrange(3)):
            at = rng.randrange(len(parts))
            parts[at] = self._byte_fault(parts[at])
        if rng.random() < 0.1:
            parts += [rng.randbytes(5)] * rng.randrange(3)
        frames = [DELIM, self._session.sign(parts[:4]), *parts]
        if rng.random() < 0.5:
            self._frame_fault(frames)
        return frames

    def _byte_fault(self, data: bytes) -> bytes:
        rng = self._rng
        at = rng.randrange(len(data) + 1)
        match rng.randrange(6):
            case 0:
                return data[:at]
            case 1:
                return data[:at] + rng.randbytes(rng.randrange(1, 4)) + data[at:]
            case 2:
                return data[:at] + data[at + 1 :]
            case 3:
                return (
                    data[:at] + bytes([data[at] ^ 1 << rng.randrange(8)]) + data[at + 1 :] if at < len(data) else data
                )
            case 4:
                return (
                    data[:at]
                    + rng.choice([b"null", b"[]", b"{}", b'"', b"1e999", b"NaN", b"\\ud800", b"\xff", b"-0", b"\x00"])
                    + data[at + rng.randrange(6) :]
                )
            case _:
                return data + data

    def _frame_fault(self, frames: list[bytes]) -> None:
        rng = self._rng
        at = rng.randrange(len(frames))
        match rng.randrange(5):
            case 0:
                del frames[at:]
                frames.append(b"")
            case 1:
                del frames[at]
            case 2:
                frames.insert(at, frames[at])
            case 3:
                other = rng.randrange(len(frames))
                frames[at], frames[other] = frames[other], frames[at]
            case _:
                frames[at] = self._byte_fault(frames[at])
