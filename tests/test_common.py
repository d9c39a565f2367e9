from __future__ import annotations

import gc
import logging
import threading
import weakref
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from async_kernel.common import Fixed, KernelInterrupt, MethodNotSupported, import_item


class Thing:
    pass


def owner_with(**attributes: Any) -> Any:
    """An instance of a class with these attributes."""
    return type("Owner", (), attributes)()


class TestFixed:
    def test_it_is_made_when_it_is_first_looked_at(self) -> None:
        made: list[str] = []
        owner = owner_with(thing=Fixed(lambda: made.append("made")))
        before = list(made)
        _ = owner.thing, owner.thing
        assert (before, made) == ([], ["made"])

    def test_each_instance_has_its_own(self) -> None:
        cls = type(owner_with(thing=Fixed(Thing)))
        first, second = cls(), cls()
        assert first.thing is first.thing
        assert first.thing is not second.thing

    @pytest.mark.parametrize("maker", [Thing, lambda: Thing(), lambda info: Thing(), f"{__name__}.Thing"])
    def test_what_can_make_it(self, maker: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(__import__("sys").modules, __name__, __import__("types").SimpleNamespace(Thing=Thing))
        assert isinstance(owner_with(thing=Fixed(maker)).thing, Thing)

    def test_its_maker_is_told_whose_it_is(self) -> None:
        owner = owner_with(thing=Fixed(lambda info: info))
        assert owner.thing == {"name": "thing", "owner": owner}

    def test_a_maker_with_defaults_is_not_told(self) -> None:
        assert owner_with(thing=Fixed(lambda number=1: number)).thing == 1

    def test_somebody_can_be_told_that_it_is_made(self) -> None:
        told: list[Any] = []
        owner = owner_with(thing=Fixed(Thing, created=told.append))
        _ = owner.thing, owner.thing
        assert told == [{"name": "thing", "owner": owner, "obj": owner.thing}]

    def test_the_class_has_the_descriptor(self) -> None:
        fixed = Fixed(Thing)
        assert type(owner_with(thing=fixed)).thing is fixed

    def test_it_cannot_be_set(self) -> None:
        owner = owner_with(thing=Fixed(Thing))
        with pytest.raises(AttributeError, match="'thing' of a Owner is fixed: it cannot be set"):
            owner.thing = 1

    def test_it_cannot_be_deleted(self) -> None:
        owner = owner_with(thing=Fixed(Thing))
        with pytest.raises(AttributeError, match="it cannot be deleted"):
            del owner.thing

    @pytest.mark.parametrize(("mode", "warnings"), [("ignore", []), ("log", [logging.WARNING])])
    def test_setting_it_can_be_without_effect(
        self, mode: Any, warnings: list[int], caplog: pytest.LogCaptureFixture
    ) -> None:
        owner = owner_with(thing=Fixed(Thing, mode=mode))
        thing = owner.thing
        owner.thing = 1
        assert (owner.thing, [record.levelno for record in caplog.records]) == (thing, warnings)

    def test_there_are_three_modes(self) -> None:
        mode: Any = "raises"
        with pytest.raises(ValueError, match="mode is 'raises'"):
            Fixed(Thing, mode=mode)

    def test_it_cannot_need_itself(self) -> None:
        owner = owner_with(thing=Fixed(lambda info: info["owner"].thing))
        with pytest.raises(RuntimeError, match="'thing' of a Owner was needed to make itself"):
            _ = owner.thing

    def test_it_may_need_another(self) -> None:
        owner = owner_with(one=Fixed(lambda info: [info["owner"].two]), two=Fixed(lambda: "two"))
        assert owner.one == ["two"]

    def test_a_failure_is_not_kept(self) -> None:
        results: list[Any] = [Thing()]

        def make() -> Thing:
            if len(results) == 1:
                results.append("failed")
                raise OSError
            return results[0]

        owner = owner_with(thing=Fixed(make))
        with pytest.raises(OSError):  # noqa: PT011
            _ = owner.thing
        assert owner.thing is results[0]

    def test_something_that_makes_nothing_is_refused(self) -> None:
        number: Any = 1
        with pytest.raises(TypeError, match="1 makes nothing"):
            Fixed(number)

    def test_a_name_of_something_that_makes_nothing_is_refused(self) -> None:
        owner = owner_with(thing=Fixed("sys.path"))
        with pytest.raises(TypeError, match=r"'sys.path' makes nothing: it is a list"):
            _ = owner.thing

    def test_threads_get_the_same(self) -> None:
        threads = 4
        made: list[Thing] = []
        barrier = threading.Barrier(threads)

        def make() -> Thing:
            made.append(Thing())
            return made[-1]

        cls = type(owner_with(thing=Fixed(make)))
        owners = [cls() for _ in range(100)]

        def look() -> list[Thing]:
            things: list[Thing] = []
            for owner in owners:
                barrier.wait()
                things.append(owner.thing)
            return things

        with ThreadPoolExecutor(threads) as pool:
            jobs = [pool.submit(look) for _ in range(threads)]
            seen = [job.result() for job in jobs]
        assert seen == [made] * threads

    def test_it_dies_with_its_owner_even_if_it_knows_it(self) -> None:
        owner = owner_with(thing=Fixed(lambda info: [info["owner"]]))
        alive = weakref.ref(owner)
        owner.thing.append(owner)
        del owner
        gc.collect()
        assert alive() is None


class TestImportItem:
    @pytest.mark.parametrize(
        ("name", "module", "attribute"),
        [("os.path.join", "os.path", "join"), ("collections.abc", "collections", "abc"), ("json", "json", None)],
    )
    def test_what_a_name_stands_for(self, name: str, module: str, attribute: str | None) -> None:
        expected = __import__("importlib").import_module(module)
        assert import_item(name) is (expected if attribute is None else getattr(expected, attribute))

    @pytest.mark.parametrize("name", ["no_such_module", "no_such_module.name", "os.path.no_such_name"])
    def test_a_name_of_nothing(self, name: str) -> None:
        with pytest.raises(ImportError):
            import_item(name)


def test_an_interrupt_can_be_caught_by_its_documented_name() -> None:
    with pytest.raises(KernelInterrupt):
        raise KeyboardInterrupt


def test_what_is_not_supported_is_an_exception_of_its_own() -> None:
    assert MethodNotSupported.__bases__ == (Exception,)
