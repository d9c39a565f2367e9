"""The callers of an interface: loops that a program, and what extends a kernel, can have functions called in."""

from __future__ import annotations

from async_kernel.lifetime.caller import Caller
from async_kernel.typing import Channel

__all__ = ["InterfaceCallers"]


class InterfaceCallers(dict[Channel, Caller]):
    """By channel, once the interface is entered.

    ``shell`` is the Caller of the loop that cells run in. ``control`` is a child of it with a thread and a loop of its
    own, which answers while cells block; it is started when it is first asked for. Both stop with the interface.
    """

    def __missing__(self, channel: Channel) -> Caller:
        shell = self.get(Channel.shell)
        if channel != Channel.control or shell is None:
            raise KeyError(channel)
        return self.setdefault(Channel.control, shell.get(name="Control", protected=True))
