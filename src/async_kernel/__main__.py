"""``python -m async_kernel``: the same as the command ``async-kernel``."""

from __future__ import annotations

from async_kernel.command import command_line

if __name__ == "__main__":
    command_line()
