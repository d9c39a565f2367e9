"""The command line, read strictly: what is not understood is refused in one line, before anything has started.

traitlets by itself warns of an unknown alias, says nothing of an unknown ``--Class.trait``, and meets a wrong value
only when the object that has the trait is made. :class:`StrictLoader`, which an interface reads its command line with,
refuses all three and ends the process with exit code 2, as argparse does.
"""

from __future__ import annotations

import importlib
import os
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NoReturn, cast

from traitlets import HasTraits, TraitError, TraitType
from traitlets.config import Application, Config, Configurable
from traitlets.config.loader import ArgumentError, DeferredConfig, KVArgParseConfigLoader, LazyConfigValue

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator

__all__ = [
    "WRONG_OPTIONS",
    "OptionError",
    "StrictCommandLine",
    "StrictLoader",
    "check_options",
    "check_values",
    "refuse",
]

WRONG_OPTIONS = 2
"""The exit code for a wrong command line, by the convention of POSIX tools and argparse."""

_BRING_CLASSES = ("async_kernel.shell.ipshell", "async_kernel.interface.session", "IPython.core.completer")

_EXTENSION_OPTIONS = ("extensions", "extra_extensions")


class OptionError(Exception):
    """An option that a class does not take; the text says which and why."""


def refuse(text: str) -> NoReturn:
    """Say on stderr what is wrong with the command line, and exit.

    Raises:
        SystemExit: with code 2.
    """
    sys.stderr.write(f"async-kernel: {' '.join(text.split())}\n")
    raise SystemExit(WRONG_OPTIONS)


class StrictLoader(KVArgParseConfigLoader):
    """Loads what traitlets would, and refuses what it would let pass."""

    def load_config(self, *args: Any, **kwargs: Any) -> Config:
        """The options of the command line.

        Raises:
            SystemExit: with code 2, if they are wrong.
        """
        try:
            options = super().load_config(*args, **kwargs)
        except ArgumentError as exc:
            refuse(str(exc))
        check_options(options, self.classes)
        return options

    def _create_parser(self) -> None:
        super()._create_parser()
        self.parser.error = self._refuse

    def _argcomplete(self, classes: list[Any], subcommands: Any) -> None:
        """Complete the command line if a shell asks for it; else argcomplete is not even imported (5 ms of a start)."""
        if "_ARGCOMPLETE" in os.environ:
            super()._argcomplete(classes, subcommands)

    def _refuse(self, message: str) -> NoReturn:
        option, found, problem = message.removeprefix("argument ").partition(": ")
        if message.startswith("unrecognized arguments: "):
            option, found, problem = message.split()[2], "found", ""
        if not found:
            refuse(message)
        name = option.lstrip("-")
        if "." not in name and name not in self._names():
            self._handle_unrecognized_alias(name)
        refuse(f"{option}: {problem}; see async-kernel --help-all.")

    def _handle_unrecognized_alias(self, arg: str) -> NoReturn:
        close = _suggestion(arg, self._names(), "--")
        refuse(f"{'-' if len(arg) == 1 else '--'}{arg} is not an option{close}; see async-kernel --help-all.")

    def _names(self) -> list[str]:
        names: list[str] = []
        for keys in cast("Iterable[str | tuple[str, ...]]", [*self.aliases, *self.flags]):
            names.extend([keys] if isinstance(keys, str) else keys)
        return names


class StrictCommandLine(Application):
    """An application whose command line is read strictly, and whose help leaves nothing out."""

    classes: Any
    option_description: Any

    def flatten_flags(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """Leave options to the classes that they name: a subclass that is only defined must not get them instead."""
        classes, self.classes = self.classes, []
        try:
            return super().flatten_flags()
        finally:
            self.classes = classes

    def _create_loader(self, argv: Any, aliases: Any, flags: Any, classes: Any) -> StrictLoader:
        return StrictLoader(argv, aliases, flags, classes=classes, log=self.log)

    def print_help(self, classes: bool = False) -> None:
        """Print what the command line takes; ``classes`` says every trait of every class too."""
        from async_kernel.interface.help_text import fill_in_help, parts_of_ipython  # noqa: PLC0415 -- rarely wanted

        named: list[Any] = [getattr(self, name) for name in ("kernel_class", "shell_class")]
        # Its own classes: traitlets made a list of them before the last were imported.
        for cls in (*named, *type(self).classes, *parts_of_ipython()):
            if issubclass(cls, Configurable) and cls not in self.classes:
                self.classes.append(cls)
        fill_in_help([type(self), *self.classes])
        super().print_help(classes)

    def emit_help(self, classes: bool = False) -> Generator[str]:
        """The lines of the help."""
        from async_kernel.interface import help_text  # noqa: PLC0415 -- as above

        self.option_description = help_text.OPTIONS
        yield from self.emit_description()
        yield from self.emit_options_help()
        if classes:
            yield from ("Class options", "=============", *help_text.CLASS_OPTIONS.strip().splitlines(), "")
            yield from help_text.class_help(self._classes_with_config_traits())
        yield from self.emit_help_epilogue(classes)

    def _classes_with_config_traits(self, classes: Any = None) -> Generator[Any]:
        """The classes to be configured, without those that only stand between a class and its parent."""
        listed = list(super()._classes_with_config_traits(classes))
        for cls in listed:
            subclassed = any(issubclass(other, cls) for other in listed if other is not cls)
            if cls.class_own_traits(config=True) or not subclassed:
                yield cls


def check_options(options: Config, classes: Iterable[type[Configurable]]) -> None:
    """Refuse traits that no class has, and values that a trait does not take.

    Args:
        options: what the command line sets.
        classes: the configurable classes; all others that IPython brings count, too. A class that nobody knows is let
            pass when the command line loads extensions, since it may be theirs.

    Raises:
        SystemExit: with code 2.
    """
    sections = _sections(options)
    known = _known(sections, classes)
    extensions = any(name in section for section in sections.values() for name in _EXTENSION_OPTIONS)
    for section, settings in sections.items():
        if section not in known:
            if extensions:
                continue
            refuse(f"--{section}.{next(iter(settings))}: there is no class {section}{_suggestion(section, known)}.")
        for name, value in settings.items():
            trait = _find_trait(known[section], name)
            if trait is None:
                close = _suggestion(name, known[section].class_trait_names(config=True), f"--{section}.")
                refuse(f"--{section}.{name}: {section} has no such option{close}; see async-kernel --help-all.")
            try:
                _check_value(known[section], name, trait, value)
            except OptionError as exc:
                refuse(f"--{exc}")


def check_values(options: Config) -> None:
    """Check values of what is known here; the rest of a configuration file may be for other programs.

    Raises:
        OptionError: if a trait does not take its value.
    """
    sections = _sections(options)
    known = _known(sections, ())
    for section, settings in sections.items():
        for name, value in settings.items() if section in known else ():
            trait = _find_trait(known[section], name)
            if trait is not None and not isinstance(value, LazyConfigValue):
                _check_value(known[section], name, trait, value)


def _known(sections: Iterable[str], classes: Iterable[type[Configurable]]) -> dict[str, type[Configurable]]:
    """The configurable classes by name, those included that only IPython brings if any of the sections is another."""
    classes = list(classes)
    known = {cls.__name__: cls for cls in _with_parents(classes)}
    if not known.keys() >= set(sections):
        for brings_classes in _BRING_CLASSES:
            with suppress(ImportError):
                importlib.import_module(brings_classes)
        known |= {cls.__name__: cls for cls in _with_parents([*_subclasses(Configurable), *classes])}
    return known


def _sections(options: Config) -> dict[str, dict[str, Any]]:
    sections = cast("dict[str, Any]", options)
    return {name: section for name, section in sections.items() if isinstance(section, Config) and section}


def _subclasses(cls: type[Configurable]) -> Iterator[type[Configurable]]:
    for child in cls.__subclasses__():
        yield child
        yield from _subclasses(child)


def _with_parents(classes: Iterable[type[Configurable]]) -> Iterator[type[Configurable]]:
    for cls in classes:
        for parent in reversed(cls.__mro__):
            if issubclass(parent, Configurable):
                yield parent


def _find_trait(cls: type[Configurable], name: str) -> TraitType[Any, Any] | None:
    """The trait, also if only a subclass has it: options of a class go to its subclasses, too."""
    for candidate in (cls, *_subclasses(cls)):
        trait = candidate.class_traits(config=True).get(name)
        if trait is not None:
            return trait
    return None


def _check_value(cls: type[Configurable], name: str, trait: TraitType[Any, Any], value: Any) -> None:
    try:
        if isinstance(value, DeferredConfig):
            value = cast("Any", value).get_value(trait)
        # Validated as on assignment, with an object that only lends its name to the message.
        scratch = type(cls.__name__, (HasTraits,), {"__repr__": _named})()
        trait._validate(scratch, value)  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
    except (TraitError, ValueError, TypeError, ImportError) as exc:
        msg = f"{cls.__name__}.{name}: {exc}"
        raise OptionError(msg) from None


def _named(scratch: object) -> str:
    return type(scratch).__name__


def _suggestion(name: str, names: Iterable[str], dashes: str = "") -> str:
    import difflib  # noqa: PLC0415 -- only for who has mistyped something

    close = difflib.get_close_matches(name, list(names), n=1)
    return f" (did you mean {dashes}{close[0]}?)" if close else ""
