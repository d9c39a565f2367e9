"""Plots of matplotlib's inline backend: shown in the cell that made them, whatever else runs."""

from __future__ import annotations

from base64 import b64decode
from typing import TYPE_CHECKING, Any

import pytest
from traitlets.config import Config

from tests.shell.kernels import ip_session

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

    from tests.shell.kernels import Ran, Session

pytest.importorskip("matplotlib")
pytestmark = [pytest.mark.anyio, pytest.mark.filterwarnings("default::DeprecationWarning")]

START = "%matplotlib inline\nimport anyio, threading\nimport matplotlib.pyplot as plt\nmay_end = anyio.Event()"
TITLES = "[axes.get_title() for n in plt.get_fignums() for axes in plt.figure(n).axes]"


@pytest.fixture(params=["trio", "asyncio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(autouse=True)
def backend_of_the_process() -> Generator[None]:
    """These tests leave matplotlib as they found it."""
    import matplotlib as mpl

    before = mpl.rcParams._get("backend")
    yield
    mpl.rcParams["backend"] = before


def plots(ran: Ran) -> int:
    return sum("image/png" in content["data"] for content in ran.of("display_data"))


def formats(ran: Ran) -> list[set[str]]:
    return [{mime for mime in content["data"] if mime != "text/plain"} for content in ran.of("display_data")]


async def begin(session: Session) -> None:
    assert (await session.run(START)).status == "ok"


async def test_figures_are_shown_and_closed_after_the_cell(tmp_path: Path) -> None:
    async with ip_session(tmp_path) as session:
        await begin(session)
        ran = await session.run("plt.plot([1, 2]); plt.figure(); plt.plot([2, 1]); None")
        assert (plots(ran), await session.value("plt.get_fignums()")) == (2, "[]")
        assert plots(await session.run("1")) == 0


async def test_a_figure_that_was_shown_is_not_shown_again(tmp_path: Path) -> None:
    async with ip_session(tmp_path) as session:
        await begin(session)
        ran = await session.run("plt.plot([1, 2])\nplt.show()\nprint('after')")
        assert (next(kind for kind in ran.kinds if kind in ("display_data", "stream")), plots(ran)) == (
            "display_data",
            1,
        )


async def test_figures_may_stay_open(tmp_path: Path) -> None:
    async with ip_session(tmp_path) as session:
        await begin(session)
        first = await session.run("%config InlineBackend.close_figures = False\nplt.title('stays'); None")
        assert (plots(first), await session.value(TITLES)) == (1, "['stays']")
        await session.run("%config InlineBackend.close_figures = True\nplt.close('all')")


async def test_formats_are_configured(tmp_path: Path) -> None:
    async with ip_session(tmp_path) as session:
        await begin(session)
        ran = await session.run("%config InlineBackend.figure_formats = ['svg', 'png']\nplt.plot([1]); None")
        assert formats(ran) == [{"image/svg+xml", "image/png"}]
        ran = await session.run("%config InlineBackend.figure_formats = 'svg'\nplt.plot([1]); None")
        assert formats(ran) == [{"image/svg+xml"}]


async def test_retina_figures_are_twice_as_fine_and_as_large(tmp_path: Path) -> None:
    async with ip_session(tmp_path) as session:
        await begin(session)
        shown: list[Any] = []
        for kind in ("png", "retina"):
            ran = await session.run(f"%config InlineBackend.figure_formats = ['{kind}']\nplt.plot([1]); None")
            shown += ran.of("display_data")
        plain, fine = (b64decode(one["data"]["image/png"])[16:24] for one in shown)
        widths = [int.from_bytes(size[:4], "big") for size in (plain, fine)]
        said = shown[1]["metadata"]["image/png"]["width"]
        assert (said, abs(widths[1] - 2 * widths[0]) <= 2) == (widths[1] // 2, True)


async def test_formats_are_configured_before_the_first_figure(tmp_path: Path) -> None:
    async with ip_session(tmp_path) as session:
        assert (await session.run("%config InlineBackend.figure_formats = ['svg']")).status == "ok"
        assert await session.value("%config InlineBackend.close_figures") == "True"
        await begin(session)
        assert formats(await session.run("plt.plot([1]); None")) == [{"image/svg+xml"}]


async def test_formats_are_configured_from_the_start(tmp_path: Path) -> None:
    config = Config({"InlineBackend": {"figure_formats": {"svg"}}})
    async with ip_session(tmp_path, config=config) as session:
        await begin(session)
        assert formats(await session.run("plt.plot([1]); None")) == [{"image/svg+xml"}]


async def test_an_error_while_drawing_is_shown_in_the_cell(tmp_path: Path) -> None:
    async with ip_session(tmp_path) as session:
        await begin(session)
        ran = await session.run("plt.title('$no_such{$'); None")
        assert ([error["ename"] for error in ran.of("error")], ran.status) == (["ValueError"], "ok")


WAITING = "plt.title('waiting')\nprint('drawn')\nawait may_end.wait()\nplt.plot([1]); {titles}"


@pytest.mark.parametrize("beside", ["# task\n", "# thread\n"])
async def test_plots_of_concurrent_cells_go_to_their_own_cells(tmp_path: Path, beside: str) -> None:
    """The one that begins first ends last, and neither sees the other's current figure."""
    async with ip_session(tmp_path) as session:
        await begin(session)
        waiting = session.begin(WAITING.format(titles=TITLES))
        await session.printed(waiting, "drawn")
        other = await session.run(f"{beside}plt.title('other')\nplt.plot([2]); {TITLES}")
        assert (plots(other), other.value) == (1, "['other']")
        await session.run("# task\nmay_end.set()")
        ended = await session.end(waiting)
        assert (plots(ended), ended.value) == (1, "['waiting']")


async def test_the_queue_takes_no_plots_of_a_concurrent_cell_along(tmp_path: Path) -> None:
    async with ip_session(tmp_path) as session:
        await begin(session)
        waiting = session.begin("# task\n" + WAITING.format(titles=TITLES))
        await session.printed(waiting, "drawn")
        other = await session.run(f"plt.plot([2]); {TITLES}")
        assert (plots(other), other.value) == (1, "['']")
        await session.run("may_end.set()")
        ended = await session.end(waiting)
        assert (plots(ended), ended.value) == (1, "['waiting']")


async def test_a_plot_of_a_thread_is_shown_by_its_cell(tmp_path: Path) -> None:
    async with ip_session(tmp_path) as session:
        await begin(session)
        code = "{0}thread = threading.Thread(target=plt.plot, args=[[1, 2]])\nthread.start()\nthread.join()"
        for beside in ("", "# task\n"):
            assert plots(await session.run(code.format(beside))) == 1


async def test_a_thread_that_outlives_its_cell_shows_its_plot_there(tmp_path: Path) -> None:
    async with ip_session(tmp_path) as session:
        await begin(session)
        cell = await session.run(
            "go = threading.Event()\ndef work():\n    go.wait()\n    plt.plot([1])\n    plt.show()\n"
            "thread = threading.Thread(target=work)\nthread.start()"
        )
        other = await session.run("go.set()\nawait anyio.to_thread.run_sync(thread.join)\nplt.plot([2]); None")
        shown = [sent.parent for sent in session.wire.sent if sent.kind == "display_data"]
        assert shown == [cell.request.msg_id, other.request.msg_id]


async def test_a_background_task_shows_its_plots_in_its_cell(tmp_path: Path) -> None:
    async with ip_session(tmp_path) as session:
        await begin(session)
        cell = await session.run(
            "async def work():\n    await may_end.wait()\n    plt.plot([1])\nnursery.start_soon(work)"
        )
        other = await session.run("plt.plot([2])\nmay_end.set()\nawait session.all_ended()")
        shown = [sent.parent for sent in session.wire.sent if sent.kind == "display_data"]
        assert shown == [cell.request.msg_id, other.request.msg_id]


async def test_pyplots_table_is_given_back(tmp_path: Path) -> None:
    from matplotlib._pylab_helpers import Gcf
    from matplotlib_inline import backend_inline

    before: Any = Gcf.figs, backend_inline.show
    async with ip_session(tmp_path) as session:
        await begin(session)
        assert Gcf.figs is not before[0]
    assert (Gcf.figs is before[0], backend_inline.show is before[1]) == (True, True)


async def test_an_interactive_figure_is_a_widget(tmp_path: Path) -> None:
    pytest.importorskip("ipympl")
    async with ip_session(tmp_path) as session:
        ran = await session.run(
            "%matplotlib widget\nimport matplotlib.pyplot as plt\nfigure, axes = plt.subplots()\n"
            "axes.set_title('first')\nfigure.canvas"
        )
        assert ran.status == "ok", ran.reply
        assert "application/vnd.jupyter.widget-view+json" in ran.of("execute_result")[0]["data"]
        kept = await session.value("plt.gca().get_title()")  # it is still there in the next cell
        assert kept == "'first'"
        assert (await session.run("plt.close('all')\n%matplotlib inline")).status == "ok"
