"""What an installation brings: the wheel is built once, and looked into."""

from __future__ import annotations

import ast
import importlib.metadata
import json
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import async_kernel
from async_kernel.kernelspec import METADATA

if TYPE_CHECKING:
    from collections.abc import Generator

ROOT = Path(__file__).parents[1]
SPEC = "share/jupyter/kernels/async-trio"


@pytest.fixture(scope="module", params=["standard", "editable"])
def wheel(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Generator[zipfile.ZipFile]:
    """The wheel that ``pip install`` makes, and that of ``pip install -e``."""
    folder = tmp_path_factory.mktemp("wheel")
    # The build backend's own entry points, called as pip calls them.
    hook = "build_editable" if request.param == "editable" else "build_wheel"
    code = f"import hatchling.build, sys; hatchling.build.{hook}(sys.argv[1])"
    subprocess.run([sys.executable, "-c", code, str(folder)], cwd=ROOT, check=True, capture_output=True)
    (file,) = folder.glob("*.whl")
    with zipfile.ZipFile(file) as wheel:
        yield wheel


def read_spec(wheel: zipfile.ZipFile) -> dict[str, Any]:
    (name,) = (name for name in wheel.namelist() if name.endswith(f"{SPEC}/kernel.json"))
    return json.loads(wheel.read(name))


def test_it_brings_the_kernelspec(wheel: zipfile.ZipFile) -> None:
    files = {name.partition(".data/data/")[2] for name in wheel.namelist() if ".data/data/" in name}

    assert files == {f"{SPEC}/{file}" for file in ("kernel.json", "logo-32x32.png", "logo-64x64.png", "logo-svg.svg")}


def test_the_kernelspec_starts_the_python_of_its_environment_safely(wheel: zipfile.ZipFile) -> None:
    assert read_spec(wheel) == {
        "argv": [
            "python",
            "-P",
            "-m",
            "async_kernel",
            "start",
            "--connection_file={connection_file}",
            "--name=async-trio",
            "--backend=trio",
        ],
        "env": {},
        "display_name": "Python 3 (async-trio)",
        "language": "python",
        "interrupt_mode": "message",
        "metadata": dict(METADATA),
        "kernel_protocol_version": "5.5",
    }


def test_it_brings_the_command_and_the_licence(wheel: zipfile.ZipFile) -> None:
    info = f"async_trio-{async_kernel.__version__}.dist-info"

    assert b"async-kernel = async_kernel.command:command_line" in wheel.read(f"{info}/entry_points.txt")
    assert wheel.read(f"{info}/licenses/LICENSE") == (ROOT / "LICENSE").read_bytes()


def test_it_brings_types_and_logos(wheel: zipfile.ZipFile) -> None:
    names = wheel.namelist()
    if any(name.endswith(".pth") for name in names):
        pytest.skip("an editable installation uses the files of the checkout")

    assert {"async_kernel/py.typed", "async_kernel/resources/logo-svg.svg"} <= set(names)
    assert {name.split("/")[0] for name in names} == {
        "async_kernel",
        f"async_trio-{async_kernel.__version__}.data",
        f"async_trio-{async_kernel.__version__}.dist-info",
    }


def project() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]


def imported_names(folder: str) -> set[str]:
    """The third-party modules that the modules in a folder import, anywhere in them."""
    found: set[str] = set()
    for file in (ROOT / folder).rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_bytes())):
            match node:
                case ast.Import(names=names):
                    found.update(alias.name.partition(".")[0] for alias in names)
                case ast.ImportFrom(module=str(module), level=0):
                    found.add(module.partition(".")[0])
                case _:
                    pass
    return found - sys.stdlib_module_names - {"async_kernel", "benchmarks", "tests"}


def undeclared(names: set[str], requirements: list[str]) -> set[str]:
    """The modules whose distribution is not among the requirements; modules that are not installed are left out."""
    declared = {re.split(r"[^\w-]", text)[0].lower() for text in requirements}
    distributions = importlib.metadata.packages_distributions()
    return {
        name
        for name in names
        if name in distributions and not {found.lower().replace("_", "-") for found in distributions[name]} & declared
    }


OPTIONAL = {"PyQt5", "PyQt6", "PySide2", "PySide6", "argcomplete", "debugpy", "matplotlib", "uvloop", "winloop"}
"""What is used if it is there."""


def test_what_the_package_imports_is_declared() -> None:
    names = imported_names("src") - OPTIONAL

    assert {"anyio", "zmq", "IPython", "trio"} <= names
    assert undeclared(names, project()["dependencies"]) == set()


def test_what_the_tests_import_is_declared() -> None:
    extras = project()["optional-dependencies"]
    tests = [*project()["dependencies"], *extras["test"], *extras["browser"], *extras["ecosystem"]]
    brought = {"PIL", "numpy", "executing", "qtpy", "websocket"}  # by matplotlib, stack-data, qtconsole, jupyter-server

    assert undeclared(imported_names("tests") - OPTIONAL - brought, tests) == set()


def test_every_dependency_has_a_minimum() -> None:
    extras = project()["optional-dependencies"].values()
    requirements = [*project()["dependencies"], *(text for texts in extras for text in texts)]

    assert [text for text in requirements if ">=" not in text and not text.startswith("async-trio[")] == []


def test_extras_that_are_named_exist() -> None:
    extras = project()["optional-dependencies"]
    named = {
        name
        for texts in extras.values()
        for text in texts
        for name in re.findall(r"\[([\w,]+)\]", text)
        if "async-trio" in text
    }

    assert {name for names in named for name in names.split(",")} - set(extras) == set()
