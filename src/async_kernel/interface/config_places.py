"""Where configuration files may lie, told by looking, without an import: nearly every start finds that there are none.

Asking jupyter_core for its folders, or IPython for its profile, costs ten milliseconds and more. So the folders that
may count are looked through first, rather too many than too few; only if something lies there, the libraries are asked.
"""

from __future__ import annotations

import os
import site
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["SUFFIXES", "config_names", "ipython_files", "may_have_jupyter_files"]

SUFFIXES = (".py", ".json")


def config_names(kernel_name: str) -> list[str]:
    """What configuration files are called, without suffix: those of every kernel, then those of the one so named."""
    return list(dict.fromkeys(("async_kernel_config", f"{kernel_name.replace('-', '_')}_config")))


def may_have_jupyter_files(kernel_name: str) -> bool:
    """Whether a configuration file for a kernel of that name may lie in one of Jupyter's folders."""
    if "JUPYTER_PLATFORM_DIRS" in os.environ:
        return True  # only the library knows the folders
    files = [name + suffix for name in config_names(kernel_name) for suffix in SUFFIXES]
    return any(os.path.exists(f"{folder}/{file}") for folder in _jupyter_folders() for file in files)  # noqa: PTH110 -- at each start


def _jupyter_folders() -> Iterator[str]:
    yield from filter(None, os.environ.get("JUPYTER_CONFIG_PATH", "").split(os.pathsep))
    yield os.environ.get("JUPYTER_CONFIG_DIR") or os.path.expanduser("~/.jupyter")  # noqa: PTH111 -- no error without a home
    for prefix in (site.getuserbase(), sys.prefix, "/usr/local", ""):
        yield f"{prefix}/etc/jupyter"
    if "PROGRAMDATA" in os.environ:  # on Windows
        yield f"{os.environ['PROGRAMDATA']}/jupyter"


def ipython_files() -> Iterator[Path]:
    """Whatever may configure an IPython application of the default profile."""
    home = Path.home()
    own = (
        Path(os.environ.get("IPYTHONDIR", "")) if "IPYTHONDIR" in os.environ else home / ".ipython",
        Path(os.environ.get("XDG_CONFIG_HOME", home / ".config")) / "ipython",
    )
    shared = (
        Path(sys.prefix, "etc"),
        Path("/usr/local/etc"),
        Path("/etc"),
        Path(os.environ.get("PROGRAMDATA", "/etc")),
    )
    for folder in (*(path.expanduser() / "profile_default" for path in own), *(path / "ipython" for path in shared)):
        for suffix in SUFFIXES:
            yield from folder.glob(f"*config{suffix}")
