"""The examples of docs/farther.md: clusters of processes, used from cells of both backends."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.docs.blocks import Block, blocks

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.e2e.harness.client import Client, Result
    from tests.e2e.harness.process import KernelProcess

ROOT = Path(__file__).parents[2]
PAGE = list(blocks(ROOT, "docs/farther.md"))
MINUTE = 60.0


def examples(heading: str, backend: str) -> list[tuple[Block, str]]:
    """The cells of a section for a backend, and what each shows; nothing where the page does not say."""
    lines = (ROOT / "docs/farther.md").read_text("utf-8").splitlines()
    starts = [number for number, line in enumerate(lines) if line.startswith("## ")] + [len(lines)]
    start = lines.index(f"## {heading}")
    end = next(number for number in starts if number > start)
    here = [block for block in PAGE if start < block.line <= end]
    return [
        (block, following.code if following.language == "text" else "")
        for block, following in zip(here, [*here[1:], Block("", 0, "", "", "")], strict=True)
        if block.how == "farther" and block.name in ("", backend)
    ]


def shown(result: Result) -> str:
    """What a cell shows, without colours and empty ends of lines; progress bars are not to be seen."""
    text = result.stdout + (result.text or "")
    return re.sub(r"\x1b\[[\d;]*m| +$", "", text, flags=re.MULTILINE)


@pytest.fixture
def client(start: Callable[..., KernelProcess]) -> Client:
    return start().client()


@pytest.mark.parametrize("heading", ["Dask", "ipyparallel"])
def test_the_examples_show_what_they_should(client: Client, backend: str, heading: str) -> None:
    cells = examples(heading, backend)
    results = [client.run(block.code, timeout=MINUTE) for block, _ in cells]
    assert [result.error for result in results] == [None] * len(cells)
    expected = [(str(block), text.strip()) for block, text in cells if text]
    assert [
        (str(block), shown(result).strip()) for (block, text), result in zip(cells, results, strict=True) if text
    ] == expected


def test_a_gather_is_interrupted(client: Client) -> None:
    client.run("from distributed import Client, LocalCluster\nimport time", timeout=MINUTE)
    client.run("cluster = LocalCluster(n_workers=1, dashboard_address=None); dask = Client(cluster)", timeout=MINUTE)
    running = client.start("print('ready'); dask.submit(time.sleep, 3600).result()")
    client.printed(running, "ready", timeout=MINUTE)
    client.interrupt()
    assert client.result(running).error == ("KeyboardInterrupt", "")
    assert client.run("dask.submit(sum, [1, 2]).key; 'next'").text == "'next'"


def test_a_cluster_ends_with_the_kernel(start: Callable[..., KernelProcess]) -> None:
    kernel = start()
    client = kernel.client()
    client.run("from distributed import Client, LocalCluster", timeout=MINUTE)
    client.run("dask = Client(LocalCluster(n_workers=2, dashboard_address=None))", timeout=MINUTE)
    assert len(kernel.children()) >= 2
    client.send("shutdown_request", {"restart": False}, channel="control")
    assert kernel.exit_code(MINUTE) == 0  # three processes end, each of which takes seconds of a busy machine
    for child in kernel.children():
        child.wait(MINUTE)
