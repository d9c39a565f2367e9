"""The strict reading of the command line."""

from __future__ import annotations

from typing import Any, ClassVar

import pytest
from traitlets import Bool, Dict, Float, Int, List, Type, Unicode
from traitlets.config import Config, Configurable

from async_kernel.interface.options import StrictLoader, check_options


class Oven(Configurable):
    heat = Int(0, max=300).tag(config=True)
    recipe = Type("collections.OrderedDict", klass=dict).tag(config=True)
    made_in = Unicode("")


class PizzaOven(Oven):
    stone = Bool(True).tag(config=True)
    doors = List(Int()).tag(config=True)
    dishes = Dict(per_key_traits={"size": Float()}).tag(config=True)
    extensions = List(Unicode()).tag(config=True)


class Kitchen:
    aliases: ClassVar[dict[Any, str]] = {("heat", "t"): "Oven.heat", "dishes": "PizzaOven.dishes"}
    flags: ClassVar[dict[str, Any]] = {"hot": ({"Oven": {"heat": 250}}, "Bake pizza.")}


def load(*argv: str) -> Config:
    return StrictLoader(list(argv), Kitchen.aliases, Kitchen.flags, classes=[PizzaOven]).load_config()


@pytest.mark.parametrize(
    ("argv", "expected"),
    [
        (["--heat=200"], {"heat": 200}),
        (["-t", "200"], {"heat": 200}),
        (["--hot"], {"heat": 250}),
        (["--Oven.heat=200"], {"heat": 200}),
        (["--PizzaOven.stone=False"], {"stone": False}),
        (["--PizzaOven.doors=1", "--PizzaOven.doors=2"], {"doors": [1, 2]}),
        (["--dishes", "size=1.5", "--dishes", "name=Margherita"], {"dishes": {"size": 1.5, "name": "Margherita"}}),
        (["--Oven.recipe=builtins.dict"], {"recipe": dict}),
        (["--Oven.stone=False"], {}),
    ],
)
def test_what_is_right_arrives(argv: list[str], expected: dict[str, Any]) -> None:
    oven = PizzaOven(config=load(*argv))

    assert {name: getattr(oven, name) for name in expected} == expected


@pytest.mark.parametrize(
    ("argv", "says"),
    [
        (["--heet=5"], "--heet is not an option (did you mean --heat?)"),
        (["--heet", "5"], "--heet is not an option (did you mean --heat?)"),
        (["--hott"], "--hott is not an option (did you mean --hot?)"),
        (["-z"], "-z is not an option; see"),
        (["--zzz=5", "--heat=5"], "--zzz is not an option; see"),
        (["--heat"], "expected one argument"),
        (["--heat=warm"], "'heat' trait of an Oven instance expected an int, not the str 'warm'"),
        (["--heat=301"], "should not be greater than 300"),
        (["--Owen.heat=5"], "--Owen.heat: there is no class Owen (did you mean Oven?)."),
        (["--Oven.haet=5"], "Oven has no such option (did you mean --Oven.heat?)"),
        (["--Oven.made_in=Napoli"], "Oven has no such option"),
        (["--PizzaOven.stone=maybe"], "maybe"),
        (["--PizzaOven.doors=wide"], "wide"),
        (["--dishes", "size=big"], "big"),
        (["--Oven.recipe=no.such"], "could not be imported"),
        (["--Oven.recipe=builtins.int"], "expected a subclass of 'builtins.dict'"),
    ],
)
def test_what_is_wrong_is_refused_in_one_line(argv: list[str], says: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as refused:
        load(*argv)
    out, err = capsys.readouterr()

    assert (refused.value.code, out, err.count("\n"), err[:14]) == (2, "", 1, "async-kernel: ")
    assert says in err


def test_an_unknown_class_may_be_that_of_an_extension() -> None:
    config = load("--PizzaOven.extensions=pans", "--Pan.size=3")

    assert config.Pan.size.get_value(Int()) == 3


def test_the_parts_of_ipython_are_known() -> None:
    check_options(Config({"IPCompleter": {"use_jedi": False}}), [PizzaOven])
