# PYTHON_ARGCOMPLETE_OK
"""The command ``async-kernel``: install, uninstall, list and start kernels.

``start`` is what kernelspecs call, so it is the short path: it reads the options once, to find the launcher, and hands
over. The launcher's interface reads the same command line with traitlets. Everything else goes through argparse, and a
trait or flag that argparse does not know is stored in the kernelspec as it was given.

What went wrong is one line on stderr. Exit codes: 2 for a wrong command line, 1 for all else.
"""

from __future__ import annotations

import ast
import re
import sys
from typing import TYPE_CHECKING, Any, NoReturn, cast

from async_kernel.arguments import without_leftovers
from async_kernel.kernelspec import (
    DEFAULT_KERNEL_NAME,
    DEFAULT_LAUNCHER,
    get_kernel_dir,
    get_kernel_info,
    import_launcher,
    make_argv,
    remove_kernelspec,
    write_kernel_spec,
)

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence
    from pathlib import Path

__all__ = ["command_line", "to_flags_and_settings"]

PROG = "async-kernel"
WRONG_OPTIONS = 2
FAILED = 1

_FOR_THE_INTERFACE = ("--help-all", "--show-config", "--show-config-json")
"""Options that the interface answers, with or without ``start``."""

_NEGATIVE_NUMBER = re.compile(r"-\.?\d")

_MADE_BY = re.compile(rf"^({PROG}: |\[\w+\] \w+ \| )")
"""What stands before a message: ours, or that of a logger."""

_EPILOG = """\
uninstall takes names, too: async-kernel uninstall my-asyncio my-trio

Options for install only: --launcher=package.module.function starts the kernel in your own way, --env NAME=value and
--metadata key=value go into the kernelspec.

Every other option is one of the kernel's, and install stores it in the kernelspec:

  async-kernel install --name=my-asyncio --backend=asyncio --timeout=5
  async-kernel start --backend=trio --no-quiet

async-kernel --help-all describes them all, --show-config shows what the configuration files set.
"""


class UsageError(ValueError):
    """The command line is wrong; the text says what to do."""


# -- options ---------------------------------------------------------------------------------------------------


def to_flags_and_settings(args: Sequence[str]) -> tuple[list[str], dict[str, Any]]:
    """Sort options into flags and settings.

    ``--key=value`` and ``--key value`` set ``key``, ``--key a=1 --key b=2`` sets it to a dict, and ``--key=1 --key=2``
    to a list; an option without a value is a flag. Values are Python literals where they read as one, otherwise text.

    Raises:
        ValueError: if something is not an option.
    """
    flags: list[str] = []
    settings: dict[str, Any] = {}
    waiting = list(args)
    while waiting:
        option = waiting.pop(0)
        key, equals, text = option.lstrip("-").partition("=")
        if not option.startswith("-") or not key:
            msg = f"{option!r} is not an option; options start with '-'."
            raise UsageError(msg)
        if equals:
            _put(settings, key, _literal(text))
        elif waiting and (not waiting[0].startswith("-") or _NEGATIVE_NUMBER.match(waiting[0])):
            _put(settings, key, _value(waiting.pop(0)))
        else:
            flags.append(key)
    return flags, settings


def _put(settings: dict[str, Any], key: str, value: Any) -> None:
    if key not in settings:
        settings[key] = value
        return
    before = settings[key]
    if isinstance(before, dict) and isinstance(value, dict):
        cast("dict[Any, Any]", before).update(cast("dict[Any, Any]", value))
    elif isinstance(before, list):
        cast("list[Any]", before).append(value)
    else:
        settings[key] = [before, value]


def _value(text: str) -> Any:
    item, equals, value = text.partition("=")
    return {item: _literal(value)} if equals and item.isidentifier() else _literal(text)


def _literal(text: str) -> Any:
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return text


# -- the command ---------------------------------------------------------------------------------------------


def command_line() -> NoReturn:
    """Run the command that ``sys.argv`` says.

    Raises:
        SystemExit: always; the code is 0 if all went well.
    """
    import os  # noqa: PLC0415 -- already there, but not named in the short path

    args = sys.argv[1:]
    if "_ARGCOMPLETE" in os.environ:
        _complete()
    try:
        if args[:1] == ["start"] or any(arg in _FOR_THE_INTERFACE for arg in args):
            _start(args)
        else:
            _manage(args)
    except UsageError as exc:
        _fail(exc, WRONG_OPTIONS)
    except KeyboardInterrupt:
        pass
    sys.exit(0)


def _fail(error: object, code: int) -> NoReturn:
    """Say in one line what went wrong, and exit."""
    text = " ".join(str(error).split()) or type(error).__name__
    sys.stderr.write(f"{PROG}: {text}\n")
    sys.exit(code)


def _start(args: list[str]) -> None:
    """Hand over to the launcher, which reads ``sys.argv`` itself."""
    flags, settings = to_flags_and_settings(without_leftovers(args[1:] if args[0] in _ACTIONS else args))
    try:
        launcher = import_launcher(str(settings.get("launcher", "")))
    except (ImportError, ValueError) as exc:
        _fail(exc, FAILED)
    launcher(settings | {"flags": flags})


def _manage(args: list[str]) -> None:
    parser = _parser()
    options, others = parser.parse_known_args(args)
    if options.version:
        from importlib.metadata import version  # noqa: PLC0415 -- slow to import, and rarely wanted

        sys.stdout.write(f"{version('async-trio')}\n")
        return
    action = "list" if options.list else options.action
    if action is None and not others:
        parser.print_help()
        return
    if action not in _ACTIONS:
        what = f"{action!r} is not a command" if action else f"{others[0]!r} needs a command"
        msg = f"{what}: use {', '.join(_ACTIONS)}; see {PROG} --help."
        raise UsageError(msg)
    try:
        _ACTIONS[action](options, others)
    except UsageError:
        raise
    except ValueError as exc:
        raise UsageError(str(exc)) from exc
    except OSError as exc:
        _fail(f"{exc.strerror}: {exc.filename}" if exc.strerror else exc, FAILED)
    except ImportError as exc:
        _fail(exc, FAILED)


def _install(options: argparse.Namespace, others: list[str]) -> None:
    flags, settings = to_flags_and_settings(others)
    spec = {key: settings.pop(key) for key in _SPEC_OPTIONS if key in settings}
    for key, value in spec.items():
        if not isinstance(value, _SPEC_OPTIONS[key]):
            msg = f"--{key} cannot be {value!r}; see {PROG} --help."
            raise UsageError(msg)
    if spec.get("launcher", "") in ("", DEFAULT_LAUNCHER) and (flags or settings):
        _check(options.name, flags, settings)
    spec |= {"name": options.name, "display_name": options.display_name, **_place(options)}
    spec_dir = write_kernel_spec(**spec, flags=flags, **settings)
    sys.stdout.write(f"Installed the kernel {options.name!r} in {spec_dir}\n")


_SPEC_OPTIONS: dict[str, type] = {
    "launcher": str,
    "command": str,
    "connection_file": str,
    "env": dict,
    "metadata": dict,
    "language": str,
    "resources": str,
}
"""What the kernelspec itself can have beside its name and place: keyword arguments of write_kernel_spec."""


def _check(name: str, flags: list[str], settings: dict[str, Any]) -> None:
    """Let the kernel itself say whether it would start with these options: nothing wrong shall be stored."""
    import subprocess  # noqa: PLC0415 -- only here
    import tempfile  # noqa: PLC0415

    reserved = sorted({"flags", "path"} & set(settings))
    if reserved:
        msg = f"--{reserved[0]} is not an option; see {PROG} --help."
        raise UsageError(msg)
    argv = make_argv(connection_file="", name=name, flags=[*flags, "show-config-json"], **settings)
    with tempfile.TemporaryDirectory() as nowhere:
        done = subprocess.run(argv, capture_output=True, text=True, cwd=nowhere, check=False)  # noqa: S603 -- our own Python
    if done.returncode:
        lines = done.stderr.strip().splitlines() or [f"the kernel ended with exit code {done.returncode}"]
        raise UsageError(_MADE_BY.sub("", lines[-1]))


def _uninstall(options: argparse.Namespace, others: list[str]) -> None:
    names = [word for word in others if not word.startswith("-")]
    if not names or options.name != DEFAULT_KERNEL_NAME:
        names.append(options.name)
    _no_more([word for word in others if word.startswith("-")])
    folder = get_kernel_dir(**_place(options))
    # Those that are not there first: they are refused, and then none has been removed.
    for name in sorted(dict.fromkeys(names), key=lambda name: (folder / name).is_dir()):
        remove_kernelspec(folder, name)
        sys.stdout.write(f"Removed the kernel {name!r} from {folder}\n")


def _list(options: argparse.Namespace, others: list[str]) -> None:
    _no_more(others)
    place = _place(options)
    folders: list[Path] = (
        [get_kernel_dir(**place)] if any(place.values()) else [get_kernel_dir(), get_kernel_dir(user=True)]
    )
    rows = [("NAME", "DISPLAY NAME", "FOLDER")]
    for folder in dict.fromkeys(folders):
        for name, spec in get_kernel_info(folder).items():
            rows.append((name, str(spec.get("display_name", "")), str(folder / name)))
    if len(rows) == 1:
        sys.stdout.write(f"No kernels in {' or '.join(map(str, folders))}\n")
        return
    widths = [max(len(row[column]) for row in rows) for column in range(2)]
    for name, display_name, folder in rows:
        sys.stdout.write(f"{name:{widths[0]}}  {display_name:{widths[1]}}  {folder}\n")


def _no_more(others: list[str]) -> None:
    if others:
        msg = f"{others[0]!r} is not understood here; see {PROG} --help."
        raise UsageError(msg)


def _place(options: argparse.Namespace) -> dict[str, Any]:
    return {"user": options.user, "prefix": options.prefix, "folder": options.folder}


_ACTIONS: dict[str, Any] = {"install": _install, "uninstall": _uninstall, "list": _list, "start": None}


def _parser() -> argparse.ArgumentParser:
    import argparse  # noqa: PLC0415 -- the short path does without

    class Parser(argparse.ArgumentParser):
        def error(self, message: str) -> NoReturn:
            raise UsageError(message)

    parser = Parser(
        prog=PROG,
        description="Install, start and list kernels for Jupyter that run on trio or asyncio.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("action", nargs="?", metavar="command", help="install, uninstall, list or start")
    parser.add_argument("-n", "--name", default=DEFAULT_KERNEL_NAME, help="the kernel's name (default: %(default)s)")
    parser.add_argument(
        "--display-name", "--display_name", default="", help="what menus show (default: made from the name)"
    )
    parser.add_argument("-u", "--user", action="store_true", help="the place: the user's own folder")
    parser.add_argument("--prefix", default="", help="the place: an environment (default: the one of this Python)")
    parser.add_argument("--folder", default="", help="the place: a folder called 'kernels'")
    parser.add_argument("-l", "--list", action="store_true", help="list the installed kernels")
    parser.add_argument("-V", "--version", action="store_true", help="print the version")
    parser.add_argument("--help-all", action="store_true", help="describe every option of the kernel")
    parser.add_argument("--show-config", action="store_true", help="show the configuration, and where it comes from")
    parser.add_argument("--show-config-json", action="store_true", help="the same as JSON")
    return parser


def _complete() -> None:
    """Answer the shell's request for completions, if argcomplete is installed; then the process ends."""
    try:
        import argcomplete  # noqa: PLC0415  -- optional
    except ImportError:
        return
    from async_kernel.interface.ip_app import IPApp  # noqa: PLC0415 -- its options complete too

    parser = _parser()
    for names in [*IPApp.aliases, *IPApp.flags]:
        for name in [names] if isinstance(names, str) else names:
            option = f"-{name}" if len(name) == 1 else f"--{name}"
            if option not in parser._option_string_actions:  # noqa: SLF001 -- argparse does not tell otherwise
                parser.add_argument(option, nargs="?")
    next(action for action in parser._actions if action.dest == "action").choices = list(_ACTIONS)  # noqa: SLF001
    argcomplete.autocomplete(parser)
