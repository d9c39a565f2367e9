"""%pip, %uv and %conda, which install for real: a package of one line, into an environment made for the test."""

from __future__ import annotations

import base64
import hashlib
import os
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.e2e.harness.process import start_kernel

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from tests.e2e.harness.client import Client
    from tests.e2e.harness.process import KernelProcess
    from tests.e2e.harness.subject import Subject

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="where programs of an environment lie")


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A virtual environment that sees the packages of this one, without pip."""
    folder = tmp_path_factory.mktemp("environment")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    site = Path(sysconfig.get_path("purelib", vars={"base": str(folder), "platbase": str(folder)}))
    (site / "others.pth").write_text(f"import site; site.addsitedir({sysconfig.get_path('purelib')!r})\n")
    return folder


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A package of one module, ``pear_tree``."""
    path = tmp_path_factory.mktemp("wheels") / "pear_tree-1.0-py3-none-any.whl"
    info = "pear_tree-1.0.dist-info"
    files = {
        "pear_tree.py": "fruit = 'pear'\n",
        f"{info}/METADATA": "Metadata-Version: 2.1\nName: pear-tree\nVersion: 1.0\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(
        f"{name},sha256={base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).decode().rstrip('=')},\n"
        for name, text in files.items()
    )
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in {**files, f"{info}/RECORD": f"{record}{info}/RECORD,,\n"}.items():
            archive.writestr(name, text)
    return path


@pytest.fixture
def start_there(subject: Subject, environment: Path, tmp_path: Path) -> Generator[Callable[..., Client]]:
    """``start_there(**env)`` starts a kernel in the environment, which has none of the packages of a former test."""
    kernels: list[KernelProcess] = []

    def start_there(**env: str) -> Client:
        kernel = start_kernel(subject, folder=tmp_path, env=env, python=str(environment / "bin" / "python"))
        kernels.append(kernel)
        client = kernel.client()
        client.run("import sys, os")
        return client

    yield start_there
    for kernel in kernels:
        kernel.end()
    for path in environment.glob("lib/python*/site-packages/pear_tree*"):
        shutil.rmtree(path) if path.is_dir() else path.unlink()


def is_installed(client: Client, environment: Path) -> bool:
    """Whether the package is in the environment of the kernel, and can be imported without a restart."""
    result = client.run("import pear_tree; pear_tree.__file__")
    return result.text is not None and Path(result.text.strip("'")).is_relative_to(environment)


def without(*names: str) -> str:
    """Code that lets these modules be none."""
    return f"sys.modules.update(dict.fromkeys({names!r}))"


def test_pip_installs_into_the_environment_of_the_kernel(
    start_there: Callable[..., Client], environment: Path, wheel: Path
) -> None:
    if find_spec("pip") is None:
        pytest.importorskip("ensurepip", reason="there is neither pip nor ensurepip")
        subprocess.run([environment / "bin" / "python", "-m", "ensurepip"], check=True, capture_output=True)
    client = start_there()
    installed = client.run(f"%pip install --no-index --no-deps {wheel}")
    assert installed.status == "ok"
    assert "Successfully installed pear-tree-1.0" in installed.stdout
    assert "restart the kernel" in installed.stdout
    assert is_installed(client, environment)
    failed = client.run("%pip install --no-index nothing-of-this-name")
    assert "No matching distribution" in failed.stdout + failed.stderr
    assert "restart the kernel" not in failed.stdout


def test_uv_beside_all_environments_installs_into_that_of_the_kernel(
    start_there: Callable[..., Client],
    environment: Path,
    wheel: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("UV_PYTHON", raising=False)  # nox sets it for its sessions, and whoever sets it is obeyed
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    if shutil.which("uv", path=path) is None:
        pytest.skip("uv is neither installed here nor on the PATH")
    client = start_there(UV_CACHE_DIR=str(tmp_path / "cache"), PATH=path)
    client.run(without("uv"))  # not as a module
    installed = client.run(f"%uv pip install --offline --no-deps {wheel}")
    assert "pear-tree==1.0" in installed.stdout + installed.stderr
    assert is_installed(client, environment)
    assert "UV_PYTHON" not in client.value("list(os.environ)")


def test_a_package_manager_that_is_not_there_is_named_with_a_way_out(start_there: Callable[..., Client]) -> None:
    client = start_there(PATH="/nowhere")
    client.run(without("pip", "uv"))
    pip, uv, conda = (client.run(f"%{name} install pear-tree") for name in ("pip", "uv", "conda"))
    assert "pip is not installed in the environment of this kernel" in pip.stderr
    assert "%uv pip" in pip.stderr
    assert "uv is neither installed" in uv.stderr
    assert "%pip install uv" in uv.stderr
    assert conda.error == (
        "ValueError",
        "The python kernel does not appear to be a conda environment.  Please use ``%pip install`` instead.",
    )
    assert client.run("'lives'").text == "'lives'"


CONDA = """#!/bin/sh
echo conda "$@"
"""
"""Stands in for conda, which no package index has: it says what it is asked for."""


def test_conda_is_asked_for_the_environment_of_the_kernel_and_asks_nothing(
    start_there: Callable[..., Client], environment: Path
) -> None:
    history, program = environment / "conda-meta" / "history", environment / "bin" / "conda"
    history.parent.mkdir(exist_ok=True)
    history.write_text("# cmd: conda create\n")
    program.write_text(CONDA)
    program.chmod(0o755)
    try:
        client = start_there()
        assert (
            f"conda install --yes --prefix {environment} pear-tree\n" in client.run("%conda install pear-tree").stdout
        )
    finally:
        shutil.rmtree(history.parent)
        program.unlink()
