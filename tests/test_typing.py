from __future__ import annotations

import pickle

import pytest

from async_kernel.protocol.tags import tag_value
from async_kernel.typing import Hosts, NoValue, RunMode, Tags


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
