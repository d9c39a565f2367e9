"""What ``--help-all`` knows about each option."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import pytest
from traitlets import Bool, Int
from traitlets.config import Configurable

from async_kernel.interface.help_text import attribute_docs, fill_in_help


class Lamp(Configurable):
    on = Bool(False).tag(config=True)
    "Whether it shines."

    power = Int(5, help="In watts.").tag(config=True)
    "Not this."

    colour: int = 3
    """
    The colour,
    as a number.
    """

    def method(self) -> None: ...

    "Nothing's docstring."


def test_the_string_below_an_assignment_is_its_docstring() -> None:
    assert attribute_docs(Lamp) == {
        "on": "Whether it shines.",
        "power": "Not this.",
        "colour": "The colour,\nas a number.",
    }


def test_a_class_without_source_has_no_docstrings() -> None:
    assert attribute_docs(type("Unwritten", (), {})) == {}


def test_help_is_filled_in_where_there_is_none() -> None:
    fill_in_help([type("Lantern", (Lamp,), {})])

    assert [(name, Lamp.class_traits()[name].help) for name in ("on", "power")] == [
        ("on", "Whether it shines."),
        ("power", "In watts."),
    ]


@pytest.fixture(scope="module")
def help_all() -> str:
    done = subprocess.run(
        [sys.executable, "-P", "-m", "async_kernel", "--help-all"],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "COLUMNS": "120"},
    )
    assert done.stderr == ""
    return done.stdout


def test_no_option_is_without_help(help_all: str) -> None:
    """An option's help is what stands below it, other than its default and its choices."""
    unexplained = re.findall(r"^(--\w+\.\w+)=.*\n(?:    (?:Default|Choices): .*\n)*(?!    )", help_all, re.MULTILINE)

    assert unexplained == []


@pytest.mark.parametrize(
    "option",
    [
        "--backend=",
        "--timeout=",
        "--BaseInterface.quiet=",
        "--BaseShell.timeout=",
        "--Session.key=",
        "--Completer.use_jedi=",
    ],
)
def test_the_options_that_users_look_for_are_there(option: str, help_all: str) -> None:
    assert f"\n{option}" in help_all


def test_an_option_stands_once_at_the_class_that_brings_it(help_all: str) -> None:
    options = re.findall(r"^--(\w+)\.(\w+)[= ]", help_all, re.MULTILINE)
    homes: dict[str, set[str]] = {}
    for home, name in options:
        homes.setdefault(name, set()).add(home)
    assert homes["logging_config"] == {"Application"}
    assert homes["backend"] == {"BaseInterface"}
    assert len(options) == len(set(options))


def test_what_is_ours_comes_first(help_all: str) -> None:
    classes = re.findall(r"^(\w+)(?:\(.*\))? options\n-+$", help_all, re.MULTILINE)
    ours = {"BaseInterface", "ConnectionFileMixin", "ZMQInterface", "IPApp", "Kernel", "BaseShell", "IPShell"}
    assert ours <= set(classes)
    assert max(map(classes.index, ours)) < classes.index("InteractiveShell")


def test_a_default_is_said_as_a_user_would_write_it(help_all: str) -> None:
    assert "<Backend" not in help_all
    assert "%%magic" not in help_all
