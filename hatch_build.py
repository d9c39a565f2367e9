"""Build hook: puts the kernelspec ``async-trio`` into every wheel, the editable one of ``pip install -e`` too.

It is written by the package's own ``kernelspec.py``, which is loaded alone: nothing that the package needs at run time
is there yet when it is built.
"""

from __future__ import annotations

import importlib.util
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class KernelspecHook(BuildHookInterface[Any]):
    """Writes the kernelspec into a scratch folder for as long as the wheel is built."""

    _scratch: tempfile.TemporaryDirectory[str] | None = None

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Add the kernelspec to the files that installing puts under ``sys.prefix``."""
        if self.target_name != "wheel":
            return
        kernelspec = load_kernelspec(Path(self.root))
        name = kernelspec.DEFAULT_KERNEL_NAME
        self._scratch = tempfile.TemporaryDirectory()
        spec_dir = kernelspec.write_kernel_spec(
            path=Path(self._scratch.name) / name,
            name=name,
            display_name=f"Python 3 ({name})",
            # A wheel does not know its Python yet; clients put that of the environment in place of "python".
            command=["python", *kernelspec.DEFAULT_COMMAND[1:]],
            backend="trio",
        )
        build_data["shared_data"][str(spec_dir)] = f"share/jupyter/kernels/{name}"

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        """Remove the scratch folder."""
        if self._scratch is not None:
            self._scratch.cleanup()


def load_kernelspec(root: Path) -> Any:
    """The module ``async_kernel.kernelspec``, without its package."""
    spec = importlib.util.spec_from_file_location("kernelspec", root / "src" / "async_kernel" / "kernelspec.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
