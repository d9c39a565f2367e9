"""The kernel under test: kernelspecs for each backend, in a Jupyter home that nobody else uses.

By default it is this project's kernel, installed by its own ``write_kernel_spec``. ``--kernel-under-test=ipykernel``
runs the same tests against ipykernel, to see that a test can pass, and what clients are used to.
"""

from __future__ import annotations

import json
import os
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

OURS = "async-trio"
BACKENDS = ("trio", "asyncio")


@dataclass(frozen=True)
class Home:
    """Folders of a user who has nothing yet: Jupyter's and IPython's files, and the kernelspecs of the subject.

    Attributes:
        kernel: the kernel under test, ``async-trio`` or ``ipykernel``.
    """

    root: Path
    kernel: str

    @property
    def environment(self) -> dict[str, str]:
        """What makes Jupyter, IPython and their programs use these folders."""
        return {
            "JUPYTER_CONFIG_DIR": str(self.root / "config"),
            "JUPYTER_DATA_DIR": str(self.root / "data"),
            "JUPYTER_RUNTIME_DIR": str(self.root / "runtime"),
            "JUPYTER_PREFER_ENV_PATH": "0",
            "IPYTHONDIR": str(self.root / "ipython"),
            "MPLCONFIGDIR": str(self.root / "matplotlib"),
            "PYDEVD_DISABLE_FILE_VALIDATION": "1",
            "PYTHONFAULTHANDLER": "1",
        }

    @contextmanager
    def applied(self) -> Generator[None]:
        """This process lives there, while open."""
        before = {name: os.environ.get(name) for name in self.environment}
        os.environ.update(self.environment)
        try:
            yield
        finally:
            for name, value in before.items():
                if value is None:
                    del os.environ[name]
                else:
                    os.environ[name] = value


@dataclass(frozen=True)
class Subject:
    """The kernel under test on one backend."""

    home: Home
    backend: str

    @property
    def is_ours(self) -> bool:
        return self.home.kernel == OURS

    @property
    def name(self) -> str:
        """Its name for clients that look for kernelspecs."""
        return f"subject-{self.backend}"

    @property
    def spec(self) -> dict[str, Any]:
        return json.loads((self._folder / "kernel.json").read_text())

    @property
    def _folder(self) -> Path:
        return self.home.root / "data" / "kernels" / self.name

    def command(self, connection_file: str) -> list[str]:
        """The kernelspec's argv, with its connection file."""
        return [part.replace("{connection_file}", connection_file) for part in self.spec["argv"]]


def make_home(root: Path, kernel: str) -> Home:
    """Make the folders and install the kernelspecs."""
    home = Home(root, kernel)
    kernels = root / "data" / "kernels"
    for folder in (root / "config", root / "runtime", root / "ipython", kernels):
        folder.mkdir(parents=True)
    for backend in BACKENDS:
        subject = Subject(home, backend)
        if kernel == OURS:
            from async_kernel.kernelspec import write_kernel_spec

            write_kernel_spec(folder=str(kernels), name=subject.name, backend=backend)
            continue
        spec = {
            "argv": [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"],
            "display_name": subject.name,
            "language": "python",
        }
        (kernels / subject.name).mkdir()
        (kernels / subject.name / "kernel.json").write_text(json.dumps(spec))
    return home
