from __future__ import annotations

import pickle

import pytest

from async_kernel.protocol.tags import tag_value
from async_kernel.typing import Backend, Hosts, NoValue, RunMode, Tags


@pytest.mark.parametrize("mode", RunMode)
def test_a_run_mode_is_the_first_line_of_such_a_cell(mode: RunMode) -> None:
    assert f"{mode}" == f"# {mode.name}"


@pytest.mark.parametrize("same", ["task", "# task", "<RunMode.task: 'task'>", RunMode.task])
def test_a_run_mode_is_equal_to_what_names_it(same: str) -> None:
    assert (RunMode.task == same, RunMode.task != same, RunMode.thread == same) == (True, False, False)


def test_a_run_mode_can_be_looked_up_by_its_name() -> None:
    assert (RunMode("task"), {"task": 1}[RunMode.task], RunMode.task == 1) == (RunMode.task, 1, False)


@pytest.mark.parametrize(
    ("tag", "same"),
    [
        (Tags.timeout, ["timeout=", "timeout=5", "timeout", "TIMEOUT = 5", Tags.timeout]),
        (Tags.stop_on_error, ["stop-on-error", "stop_on_error=False", "stop-on_error=1"]),
        (Tags.raises_exception, ["raises-exception", "raises_exception"]),
    ],
)
def test_a_tag_is_equal_to_its_spellings(tag: Tags, same: list[str]) -> None:
    assert [(tag == each, tag != each) for each in same] == [(True, False)] * len(same)


@pytest.mark.parametrize("other", ["time", "timeout2", "raises-exception", "", 5])
def test_a_tag_is_not_equal_to_others(other: object) -> None:
    assert Tags.timeout != other


def test_a_tag_finds_its_value() -> None:
    assert tag_value(["other", "timeout=2.5"], Tags.timeout, 0.0) == 2.5


@pytest.mark.parametrize(
    ("gui", "host"), [("tk", Hosts.tk), ("TkAgg", Hosts.tk), ("qt6", Hosts.qt), ("inline", None), (None, None)]
)
def test_a_gui_names_its_host(gui: str | None, host: Hosts | None) -> None:
    assert Hosts.from_gui(gui) is host


def test_no_value_is_one_object() -> None:
    assert (pickle.loads(pickle.dumps(NoValue)) is NoValue, repr(NoValue)) == (True, "NoValue")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("# task", RunMode.task),
        ("thread", RunMode.thread),
        ("# thread\nx = 1", RunMode.thread),
        (RunMode.task, RunMode.task),
        ("x = 1", "nothing"),
        (None, "nothing"),
        ("# thread name=worker", {"name": "worker"}),
        (
            "# thread name=w backend=asyncio protected=True",
            {"name": "w", "backend": Backend.asyncio, "protected": True},
        ),
    ],
    ids=["comment", "word", "first line", "itself", "code", "no text", "named", "options"],
)
def test_a_text_asks_for_a_run_mode(text: object, expected: object) -> None:
    assert RunMode.to_runmode(text, "nothing") == expected


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("name=w colour=red", "is no option of a thread"),
        ("backend=trio", "no name="),
        ("name=w protected=5", "True or"),
    ],
)
def test_options_of_a_thread_that_are_none_are_refused(line: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        RunMode.line_to_options(line)


def test_the_value_of_a_tag() -> None:
    assert (Tags.get_string("timeout=5"), Tags.get_string("timeout", "none")) == ("5", "none")
    assert (Tags.get_float("timeout=5.5"), Tags.get_float("timeout", 3.0)) == (5.5, 3.0)
    assert [Tags.get_bool(f"stop-on-error={text}") for text in ("true", "False", "1", "")] == [True, False, True, True]
    for wrong in (Tags.get_bool, Tags.get_float):
        with pytest.raises(ValueError, match="must have"):
            wrong("tag=perhaps")
