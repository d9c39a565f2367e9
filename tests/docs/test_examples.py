"""Every example of the README and the documentation runs as it is written."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from jupyter_client import BlockingKernelClient, KernelManager
from jupyter_client.kernelspec import KernelSpecManager

from async_kernel.kernelspec import write_kernel_spec
from tests.docs.blocks import Block, blocks, blocks_of

if TYPE_CHECKING:
    from collections.abc import Generator

ROOT = Path(__file__).parents[2]
SECONDS = 1.0
PATIENCE = 60 * SECONDS
"""Far more than any example takes; reaching it is a failure."""

BLOCKS = list(blocks(ROOT, "README.md", "docs/**/*.md"))
PYTHON = [block for block in BLOCKS if block.language == "python"]
COMMANDS = [
    pytest.param(line, id=f"{block}-{line}")
    for block in BLOCKS
    if block.language == "shell"
    for line in block.code.splitlines()
    if line.startswith("async-kernel") and "start" not in line
]


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """Empty homes, so that examples neither find nor leave anything; they find the files among them."""
    (tmp_path / "files").mkdir()
    for block in BLOCKS:
        if block.how == "file":
            (tmp_path / "files" / block.name).write_text(block.code, "utf-8")
    homes = {name: str(tmp_path / name.lower()) for name in ("JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR")}
    return {**os.environ, **homes, "JUPYTER_NO_CONFIG": "1", "PYTHONPATH": str(tmp_path / "files")}


@pytest.fixture
def program(request: pytest.FixtureRequest, tmp_path: Path) -> list[str]:
    file = tmp_path / "example.py"
    file.write_text(request.param.code, "utf-8")
    return [sys.executable, "-W", "default", "-X", "faulthandler", str(file)]


@pytest.mark.parametrize(
    "program", [block for block in PYTHON if block.how == "program" and not block.serves], indirect=True, ids=str
)
def test_a_program_runs(program: list[str], environment: dict[str, str], tmp_path: Path) -> None:
    done = subprocess.run(
        program, env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=PATIENCE, check=False
    )

    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("program", [block for block in PYTHON if block.serves], indirect=True, ids=str)
def test_a_program_opens_itself_to_a_client(program: list[str], environment: dict[str, str], tmp_path: Path) -> None:
    """A client attaches by the printed file, runs a cell in the program, and ends the block by a shutdown request."""
    with subprocess.Popen(
        [program[0], "-u", *program[1:]],
        env=environment,
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None
            *command, connection_file = process.stdout.readline().split()
            assert command == ["jupyter", "console", "--existing"]
            client = BlockingKernelClient(connection_file=connection_file)
            client.load_connection_file()
            client.start_channels()
            client.wait_for_ready(PATIENCE)
            reply = client.execute_interactive("1 + 1", timeout=PATIENCE)
            client.shutdown()
            client.stop_channels()
            process.wait(PATIENCE)
            _, errors = process.communicate()
        finally:
            process.kill()

    assert (reply["content"]["status"], process.returncode, errors) == ("ok", 0, "")
    assert not Path(connection_file).exists()


@pytest.fixture
def client(
    backend: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, environment: dict[str, str]
) -> Generator[BlockingKernelClient]:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    write_kernel_spec(folder=tmp_path / "kernels", name="async-trio", backend=backend)
    specs = KernelSpecManager(kernel_dirs=[str(tmp_path / "kernels")], ensure_native_kernel=False)
    manager = KernelManager(kernel_name="async-trio", kernel_spec_manager=specs)
    manager.start_kernel()
    client = manager.blocking_client()
    client.start_channels()
    try:
        client.wait_for_ready(PATIENCE)
        yield client
    finally:
        client.stop_channels()
        manager.shutdown_kernel()


def files_of_cells() -> list[tuple[str, str]]:
    """The files that have cells, on each backend; those that name no backend speak of trio."""
    on_trio = {block.file for block in PYTHON if block.how == "cell"}
    on_asyncio = {block.file for block in PYTHON if block.how == "asyncio"} | {"docs/showing.md"}
    return [*((file, "trio") for file in sorted(on_trio)), *((file, "asyncio") for file in sorted(on_asyncio))]


@pytest.mark.parametrize(("file", "backend"), files_of_cells())
def test_cells_run_in_one_kernel(file: str, backend: str, client: BlockingKernelClient) -> None:
    cells = [block for block in PYTHON if block.file == file and block.how in ("cell", "fails", backend)]
    replies = [client.execute_interactive(block.code, timeout=PATIENCE)["content"] for block in cells]

    outcomes = [(block.line, reply.get("ename", "ok")) for block, reply in zip(cells, replies, strict=True)]
    assert outcomes == [(block.line, block.name or "ok") for block in cells]


@pytest.mark.parametrize("line", COMMANDS)
def test_a_command_runs(line: str, environment: dict[str, str], tmp_path: Path) -> None:
    """In an environment that has the kernel ``my-asyncio``, for the commands that want one."""
    command = [sys.executable, "-P", "-m", "async_kernel"]
    here = f"--prefix={tmp_path}"
    subprocess.run([*command, "install", "--name=my-asyncio", here], env=environment, check=True, capture_output=True)
    args = shlex.split(line)[1:]
    done = subprocess.run([*command, *args, here], env=environment, capture_output=True, text=True, check=False)

    assert (done.returncode, done.stderr) == (0, "")


def test_every_block_of_python_is_run() -> None:
    assert {block.how for block in PYTHON} <= {"program", "cell", "file", "trio", "asyncio", "fails", "farther"}
    assert len(PYTHON) >= 8


def test_ci_runs_what_the_readme_says() -> None:
    readme = [block.code.strip() for block in BLOCKS if block.file == "README.md" and "nox" in block.code]

    assert readme == [line for line in (ROOT / ".ci" / "run").read_text("utf-8").splitlines() if line in readme]
    assert len(readme) == 1


def test_blocks_are_found_with_their_line_and_their_comment() -> None:
    text = "a\n```python\n1\n```\n\n<!-- example: file x.py -->\n```python title='x'\n2\n3\n```\n```text\n4\n```\n"
    text += '=== "trio"\n\n    <!-- example: trio -->\n    ```python\n    if 5:\n        6\n    ```\n'

    assert list(blocks_of(text, "f")) == [
        Block("f", 2, "python", "program", "1\n"),
        Block("f", 7, "python", "file", "2\n3\n", "x.py"),
        Block("f", 11, "text", "program", "4\n"),
        Block("f", 17, "python", "trio", "if 5:\n    6\n"),
    ]


@pytest.mark.parametrize("file", sorted({block.file for block in BLOCKS}))
def test_links_lead_somewhere(file: str) -> None:
    text = (ROOT / file).read_text("utf-8")
    targets = re.findall(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)|src=\"([^\":]+)\"", text)

    assert [
        target for pair in targets for target in pair if target and not (ROOT / file).parent.joinpath(target).exists()
    ] == []


@pytest.mark.parametrize("start", ["README.md", "docs/index.md"])
def test_every_page_is_linked_from_the_first_one(start: str) -> None:
    pages = {str(page.relative_to(ROOT / "docs")) for page in (ROOT / "docs").rglob("*.md")} - {"index.md"}
    if start == "README.md":
        pages.remove("reference/index.md")  # is made from docstrings, and nothing to read on a forge
    text = (ROOT / start).read_text("utf-8")

    assert [page for page in sorted(pages) if f"{page})" not in text] == []


def test_the_menu_has_every_page() -> None:
    menu = re.findall(r"^  - (\S+\.md)$", (ROOT / "mkdocs.yml").read_text("utf-8"), re.MULTILINE)

    assert sorted(menu) == sorted(str(page.relative_to(ROOT / "docs")) for page in (ROOT / "docs").rglob("*.md"))
