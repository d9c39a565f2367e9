"""Whether windows can be shown at all, asked before anything runs."""

from __future__ import annotations

from async_kernel.platforms.displays import has_display

__all__ = ["check_display"]


def check_display(host: str, variables: tuple[str, ...], otherwise: str = "") -> None:
    """See whether a display is named.

    Args:
        host: who asks, for the message.
        variables: the environment variables that may name one, where windows come from X11 or Wayland.
        otherwise: what else can be done, for the message.

    Raises:
        RuntimeError: if there is none.
    """
    if has_display(*variables):
        return
    names = " nor ".join(variables)
    unset = f"neither {names} is set" if len(variables) > 1 else f"{names} is not set"
    ways = ["in a desktop session", "under xvfb-run", otherwise.removeprefix("start ")]
    text = ", ".join(ways[:2]) + f", or {ways[2]}" if otherwise else " or ".join(ways[:2])
    msg = f"--host={host} needs a display, and there is none ({unset}): start the kernel {text}"
    raise RuntimeError(msg)
