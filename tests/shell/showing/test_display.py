"""What cells display, and that no repr can break a message."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import pytest
from traitlets.config import Config

from tests.shell.kernels import ip_session

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.anyio


# -- results ---------------------------------------------------------------------------------------------------


async def test_results_are_kept_as_out_and_underscores(tmp_path: Path) -> None:
    async with ip_session(tmp_path) as session:
        for code in ("'one'", "'two'", "'three'"):
            await session.run(code)
        assert await session.value("_, __, ___, _2, Out[1], Out") == (
            "('three', 'two', 'one', 'two', 'one', {1: 'one', 2: 'two', 3: 'three'})"
        )


async def test_a_variable_of_the_user_called_underscore_is_kept(tmp_path: Path) -> None:
    async with ip_session(tmp_path) as session:
        await session.run("_ = 'mine'")
        await session.run("5")
        assert await session.value("_") == "'mine'"


async def test_a_semicolon_at_the_end_silences_the_result(tmp_path: Path) -> None:
    async with ip_session(tmp_path) as session:
        for code in ("5;", "5;  # why", "x = ';'\n5;\n\n"):
            ran = await session.run(code)
            assert (ran.status, ran.of("execute_result")) == ("ok", [])
        assert await session.value("';'") == "';'"


async def test_none_is_not_shown(tmp_path: Path) -> None:
    async with ip_session(tmp_path) as session:
        assert (await session.run("None")).of("execute_result") == []


@pytest.mark.parametrize(
    ("mode", "shown"),
    [
        ("all", ["1", "2", "3"]),
        ("last", ["2", "3"]),
        ("last_expr", []),
        ("none", []),
    ],
)
async def test_interactivity_says_what_is_shown(tmp_path: Path, mode: str, shown: list[str]) -> None:
    async with ip_session(tmp_path) as session:
        await session.run(f"get_ipython().ast_node_interactivity = {mode!r}")
        ran = await session.run("1\nif True:\n    2\n    for i in [3]:\n        i\n    def f():\n        4\n    f()")
        assert [result["data"]["text/plain"] for result in ran.of("execute_result")] == shown


async def test_last_assignment_is_shown_when_asked(tmp_path: Path) -> None:
    async with ip_session(tmp_path) as session:
        await session.run("get_ipython().ast_node_interactivity = 'last_expr_or_assign'")
        for code, value in (("x = 5", "5"), ("x += 1", "6"), ("y: int = 7", "7"), ("x, y = 1, 2", None), ("8", "8")):
            assert (await session.run(code)).value == value


async def test_an_unknown_interactivity_is_an_error_that_is_shown(tmp_path: Path) -> None:
    async with ip_session(tmp_path) as session:
        ran = await session.run("await get_ipython().run_ast_nodes([__import__('ast').Pass()], 'x', 'sometimes')")
        assert (ran.value, ran.of("error")[0]["ename"]) == ("True", "ValueError")


# -- displays --------------------------------------------------------------------------------------------------


async def test_display_publishes_with_its_metadata(tmp_path: Path) -> None:
    async with ip_session(tmp_path) as session:
        ran = await session.run("display({'text/plain': 'p', 'text/html': '<b>'}, raw=True, metadata={'a': 1})")
        expected = {"data": {"text/plain": "p", "text/html": "<b>"}, "metadata": {"a": 1}, "transient": {}}
        assert ran.of("display_data") == [expected]


async def test_a_display_is_updated_by_its_id(tmp_path: Path) -> None:
    async with ip_session(tmp_path) as session:
        ran = await session.run("handle = display(1, display_id='it')\nhandle.update(2)")
        [first], [second] = ran.of("display_data"), ran.of("update_display_data")
        assert (first["transient"], second["transient"]) == ({"display_id": "it"}, {"display_id": "it"})
        assert (first["data"]["text/plain"], second["data"]["text/plain"]) == ("1", "2")


@pytest.mark.parametrize("wait", [True, False])
async def test_output_is_cleared(tmp_path: Path, wait: bool) -> None:
    async with ip_session(tmp_path) as session:
        ran = await session.run(f"from IPython.display import clear_output\nclear_output(wait={wait})")
        assert ran.of("clear_output") == [{"wait": wait}]


async def test_displays_and_prints_keep_their_order(tmp_path: Path) -> None:
    async with ip_session(tmp_path) as session:
        ran = await session.run("print('a')\ndisplay(1)\nprint('b')\n2")
        kinds = [kind for kind in ran.kinds if kind not in ("execute_input", "execute_reply")]
        assert [kind for i, kind in enumerate(kinds) if i == 0 or kinds[i - 1] != kind] == [
            "stream",
            "display_data",
            "stream",
            "execute_result",
        ]


async def test_images_leave_as_base64(tmp_path: Path) -> None:
    async with ip_session(tmp_path) as session:
        code = """
        class Picture:
            def _repr_png_(self): return b"\\x89PNG"
            def _repr_svg_(self): return "<svg/>"
            def _repr_mimebundle_(self, **kwargs):
                return {"application/pdf": b"%PDF", "text/x": b"\\xc3\\xa4"}
        Picture()
        """
        data = (await session.run(code)).of("execute_result")[0]["data"]
        assert data["image/png"] == "iVBORw=="
        assert data["image/svg+xml"] == "<svg/>"
        assert data["application/pdf"] == "JVBERg=="
        assert data["text/x"] == "ä"


async def test_a_display_from_a_background_task_goes_to_the_cell_that_started_it(tmp_path: Path) -> None:
    async with ip_session(tmp_path) as session:
        code = """
        import anyio
        go, done = anyio.Event(), anyio.Event()
        async def later():
            await go.wait()
            display("late")
            done.set()
        nursery.start_soon(later)
        """
        first = await session.run(code)
        second = await session.run("go.set()\nawait done.wait()")
        assert second.of("display_data") == []
        assert [one.kind for one in session.wire.of(first.request)][-1] == "display_data"


async def test_inline_figures_are_displayed_at_the_end_of_their_cell(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("matplotlib")
    monkeypatch.setenv("MPLBACKEND", "module://matplotlib_inline.backend_inline")
    for _ in range(2):  # the second kernel of a process shows them, too
        async with ip_session(tmp_path) as session:
            ran = await session.run("%matplotlib inline\nimport matplotlib.pyplot as plt\nplt.plot([1, 2]);")
            assert [set(shown["data"]) for shown in ran.of("display_data")] == [{"text/plain", "image/png"}]
            later = await session.run("plt.plot([2, 1]);")
            assert len(later.of("display_data")) == 1


# -- hooks -----------------------------------------------------------------------------------------------------


async def test_a_publish_hook_may_keep_or_change_what_is_published(tmp_path: Path) -> None:
    async with ip_session(tmp_path) as session:
        code = """
        kept = []
        def keep(message):
            kept.append(message["content"]["data"]["text/plain"])
        def mark(message):
            message["metadata"]["marked"] = True
            return message
        pub = get_ipython().display_pub
        pub.register_hook(keep)
        display(1)
        removed = pub.unregister_hook(keep), pub.unregister_hook(keep)
        pub.register_hook(mark)
        display(2)
        pub.unregister_hook(mark)
        display(3)
        """
        ran = await session.run(code)
        assert [(s.content["data"]["text/plain"], s.metadata) for s in ran.sent if s.kind == "display_data"] == [
            ("2", {"marked": True}),
            ("3", {}),
        ]
        assert await session.value("kept, removed") == "(['1'], (True, False))"


async def test_a_result_hook_sees_results_only(tmp_path: Path) -> None:
    async with ip_session(tmp_path) as session:
        code = "seen = []\nhook = lambda m: seen.append(m['msg_type'])\nget_ipython().displayhook.register_hook(hook)"
        await session.run(code)
        assert (await session.run("display(1)\n2")).kinds == ["execute_input", "display_data", "execute_reply"]
        await session.run("get_ipython().displayhook.unregister_hook(hook)")
        assert await session.value("seen") == "['execute_result']"


# -- reprs that are no good --------------------------------------------------------------------------------------


RUBBISH = {
    "raises": "def _repr_html_(self): 1 / 0",
    "exits": "def __repr__(self): raise SystemExit",
    "recurses": "def __repr__(self): return repr(self)",
    "returns None": "def __repr__(self): return None",
    "bundle of objects": "def _repr_mimebundle_(self, **k): return {'application/json': {'a': object()}}",
    "bundle that is none": "def _repr_mimebundle_(self, **k): return 5",
    "metadata of sets": "def _repr_mimebundle_(self, **k): return {'text/plain': 'x'}, {'text/plain': {1, 2}}",
    "lone surrogates": "def __repr__(self): return '\\ud800'",
    "not a number": "def _repr_mimebundle_(self, **k): return {'application/json': float('nan')}",
    "keys of numbers": "def _repr_mimebundle_(self, **k): return {'application/json': {1: {(1, 2): 3}}}",
    "a cycle": "def _repr_mimebundle_(self, **k):\n    a = []; a.append(a)\n    return {'application/json': a}",
    "big integers": "def _repr_mimebundle_(self, **k): return {'application/json': 2 ** 100}",
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("body", RUBBISH.values(), ids=RUBBISH.keys())
async def test_a_bad_repr_breaks_nothing(tmp_path: Path, body: str) -> None:
    async with ip_session(tmp_path) as session:
        ran = await session.run(f"class Odd:\n  {body}\nOdd()", stop_on_error=False, user_expressions={"odd": "Odd()"})
        assert ran.status in ("ok", "error")
        displayed = await session.run("display(Odd())", stop_on_error=False)
        assert displayed.status in ("ok", "error")
        assert await session.value("1 + 1") == "2"


async def test_a_repr_that_raises_is_shown_and_the_text_is_there_all_the_same(tmp_path: Path) -> None:
    async with ip_session(tmp_path) as session:
        ran = await session.run("class Odd:\n  def _repr_html_(self): 1 / 0\n  def __repr__(self): return 'odd'\nOdd()")
        assert (ran.status, ran.value) == ("ok", "odd")
        assert ran.of("error")[0]["ename"] == "ZeroDivisionError"


async def test_the_output_cache_forgets_the_oldest(tmp_path: Path) -> None:
    async with ip_session(tmp_path) as session:
        await session.run("import warnings; warnings.simplefilter('ignore'); get_ipython().displayhook.cache_size = 4")
        for number in range(8):
            await session.run(str(number))
        assert int(str(await session.value("len(Out)"))) <= 5


@pytest.mark.parametrize("size", [0, 1])
async def test_without_a_cache_results_are_shown_and_forgotten(tmp_path: Path, size: int) -> None:
    config = Config()
    config.InteractiveShell.cache_size = size
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that the cache is too small to be one
        async with ip_session(tmp_path, config=config) as session:
            assert await session.value("6 * 7") == "42"
            assert await session.value("Out, '_1' in globals()") == "({}, False)"


async def test_displays_are_remembered_when_asked(tmp_path: Path) -> None:
    async with ip_session(tmp_path) as session:
        await session.run("ip = get_ipython(); ip.display_pub.store_display_history = True")
        await session.run("display(1)\n2")
        assert (
            await session.value("[o.output_type for o in ip.history_manager.outputs[2]]")
            == "['display_data', 'execute_result']"
        )
