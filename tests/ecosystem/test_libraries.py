"""Libraries that people use in notebooks and that look at what runs them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.e2e.harness.client import Client
    from tests.e2e.harness.process import KernelProcess

MINUTES = 60.0
"""What the first import of these may take on a busy machine."""


@pytest.fixture
def client(start: Callable[..., KernelProcess], tmp_path: Path) -> Client:
    return start(env={"IPYTHONDIR": str(tmp_path / "ipython")}).client()  # where numba keeps what is of notebooks


def run(client: Client, code: str) -> Any:
    """Run a cell that shall succeed."""
    result = client.run(code, timeout=5 * MINUTES)
    assert result.error is None, result.error
    return result


def test_numba_keeps_what_it_has_compiled(client: Client) -> None:
    ran = run(client, "import numba\n@numba.njit(cache=True)\ndef double(n): return 2 * n\ndouble(21), double.stats")
    assert "cache_path='" in ran.text


def test_line_profiler_shows_the_lines_of_a_cell(client: Client) -> None:
    run(client, "%load_ext line_profiler\ndef work():\n    number = 20\n    return number + 1")
    (payload,) = run(client, "%lprun -f work work()").reply["payload"]
    assert "return number + 1" in payload["data"]["text/plain"]


def test_plotly_sends_no_scripts(client: Client) -> None:
    ran = run(client, "import plotly.graph_objects as go\ngo.Figure(data=[go.Bar(y=[1, 2])])")
    assert [list(content["data"]) for content in ran.of("display_data")] == [["application/vnd.plotly.v1+json"]]


def test_bokeh_pushes_to_the_notebook(client: Client) -> None:
    run(client, "from bokeh.io import output_notebook, push_notebook, show\nfrom bokeh.plotting import figure")
    run(client, "output_notebook()\nplot = figure()\nline = plot.line([1, 2], [3, 4])")
    run(client, "handle = show(plot, notebook_handle=True)\nline.glyph.line_width = 5")
    pushed = run(client, "push_notebook(handle=handle)").of("comm_msg")
    assert any("line_width" in str(content["data"]) for content in pushed)


def test_asyncio_can_be_nested(start: Callable[..., KernelProcess], backend: str) -> None:
    plain = [] if backend == "trio" else ["--backend_options=use_uvloop=False"]
    client = start(*plain).client()
    run(client, "import asyncio, nest_asyncio\nnest_asyncio.apply()")
    ran = run(client, "async def answer():\n    await asyncio.sleep(0)\n    return 42\nasyncio.run(answer())")
    assert ran.text == "42"
