"""What a kernel says of itself in a kernel_info_reply, as far as it is known without a kernel.

Pure data, so that it can be said before the kernel is imported (see :mod:`~async_kernel.channels.reception`).
"""

from __future__ import annotations

import platform
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from async_kernel.typing import Content

__all__ = ["HELP_LINKS", "LANGUAGE_INFO", "PROTOCOL_VERSION", "SUPPORTED_FEATURES", "kernel_info_content"]

PROTOCOL_VERSION = "5.5"
"""The messaging protocol that this kernel declares."""

LANGUAGE_INFO: dict[str, Any] = {
    "name": "python",
    "version": platform.python_version(),
    "mimetype": "text/x-python",
    "codemirror_mode": {"name": "ipython", "version": sys.version_info.major},
    "pygments_lexer": "ipython3",
    "nbconvert_exporter": "python",
    "file_extension": ".py",
}

HELP_LINKS: list[dict[str, str]] = [
    {"text": "Python Reference", "url": "https://docs.python.org/3/"},
    {"text": "Trio Reference", "url": "https://trio.readthedocs.io/"},
    {"text": "AnyIO Reference", "url": "https://anyio.readthedocs.io/"},
    {"text": "IPython Reference", "url": "https://ipython.readthedocs.io/"},
    {"text": "Jupyter Reference", "url": "https://docs.jupyter.org/"},
]
"""The default of the help menu's links."""

SUPPORTED_FEATURES: list[str] = ["kernel subshells"]
"""The default of the optional features of the messaging protocol that are declared."""


def kernel_info_content(
    banner: str,
    *,
    debugger: bool,
    language_info: Mapping[str, Any] | None = None,
    help_links: Sequence[Mapping[str, str]] = HELP_LINKS,
    supported_features: Sequence[str] = SUPPORTED_FEATURES,
) -> Content:
    """The content of a kernel_info_reply, without its status.

    Args:
        banner: what consoles print first.
        debugger: whether there can be one; it is a supported feature, then.
        language_info: empty or None: Python's.
        help_links: a list of ``{"text": …, "url": …}``.
        supported_features: optional parts of the protocol, beside the debugger.
    """
    from async_kernel import __version__  # noqa: PLC0415 -- it is looked up lazily

    return {
        "protocol_version": PROTOCOL_VERSION,
        "implementation": "async-trio",
        "implementation_version": __version__,
        "language_info": dict(language_info or LANGUAGE_INFO),
        "banner": banner,
        "help_links": help_links,
        "debugger": debugger,
        "supported_features": [*supported_features, *(["debugger"] if debugger else [])],
    }
