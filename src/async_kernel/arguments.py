"""What a kernel's command line may hold beside options. Read by the command and by the interface, which must agree."""

from __future__ import annotations

__all__ = ["without_leftovers"]


def without_leftovers(args: list[str]) -> list[str]:
    """``args`` without words that are neither an option nor the value of one.

    Jupyter's console programs append what they do not understand themselves to the kernel's command, as ``jupyter run
    script.py`` does with the script.
    """
    kept: list[str] = []
    for arg in args:
        if arg.startswith("-") or (kept and kept[-1].startswith("-") and "=" not in kept[-1]):
            kept.append(arg)
    return kept
