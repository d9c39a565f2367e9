"""Kernelspecs: the folders by which Jupyter clients find and start this kernel.

A kernelspec is a folder ``<data>/kernels/<name>`` with a ``kernel.json``, logos and, when the launcher is a function of
the user's, that function's source in ``launcher.py``. It is written whole into a folder beside its place and then
swapped in: a client sees the old one or the new one, and a failure leaves the old one as it was.

Python is started with its safe path (``-P``), so that a ``random.py`` in the notebook's folder cannot shadow what the
kernel imports. This module needs the standard library only (the wheel's build hook loads it alone); jupyter_core is
imported for the user's data folder.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import json
import os
import re
import shlex
import shutil
import sys
import tempfile
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from types import ModuleType

__all__ = [
    "CUSTOM_LAUNCHER_SEPARATOR",
    "DEFAULT_COMMAND",
    "DEFAULT_KERNEL_NAME",
    "DEFAULT_LAUNCHER",
    "PROTOCOL_VERSION",
    "RESOURCES",
    "expand_path",
    "get_kernel_dir",
    "get_kernel_info",
    "import_launcher",
    "make_argv",
    "remove_kernelspec",
    "validate_name",
    "write_kernel_spec",
]

PROTOCOL_VERSION = "5.5"
"""The messaging protocol that the kernel speaks (JEP 66 wants it in the kernelspec)."""

DEFAULT_KERNEL_NAME = "async-trio"
"""The kernelspec that an installation brings, and that ``async-kernel install`` writes unless told otherwise."""

DEFAULT_LAUNCHER = "launch_interface"
"""Stands for ``async_kernel.interface.launch_interface``."""

DEFAULT_COMMAND = (sys.executable, "-P", "-m", "async_kernel", "start")

CUSTOM_LAUNCHER_SEPARATOR = "↤"
"""``<file>↤<function>`` names a launcher by the file that its source was saved to."""

RESOURCES = Path(__file__).parent / "resources"
"""The logos."""

METADATA: Mapping[str, Any] = {"debugger": True, "concurrent": True, "supported_encryption": ["curve"]}
"""What JupyterLab (``debugger``) and jupyter_client (``supported_encryption``) may expect of the kernel."""

_NAME = re.compile(r"[a-z0-9._\-]+", re.IGNORECASE)


def validate_name(name: str) -> str:
    """The name, if a kernelspec can have it.

    Raises:
        ValueError: if it has other characters than letters, digits, ``.``, ``_`` and ``-``, or would leave its folder.
    """
    if not _NAME.fullmatch(name) or not name.strip("."):
        msg = f"{name!r} is no name for a kernel: use letters, digits, '.', '_' and '-'."
        raise ValueError(msg)
    return name


def expand_path(path: str | os.PathLike[str]) -> Path:
    """A path with ``~`` (and on Windows ``%VARIABLE%``) replaced by what it stands for."""
    text = os.fspath(path)
    return Path(os.path.expandvars(text) if os.name == "nt" else text).expanduser()


# -- argv ----------------------------------------------------------------------------------------------------


def make_argv(
    *,
    connection_file: str = "{connection_file}",
    name: str = "async",
    launcher: str = "",
    command: str | Sequence[str] = DEFAULT_COMMAND,
    flags: Iterable[str] = (),
    **kwargs: Any,
) -> list[str]:
    """The command line that starts a kernel.

    Args:
        connection_file: where the kernel finds its ports; as it stands, clients fill it in.
        name: the kernel's name.
        launcher: what starts the kernel, see :func:`import_launcher`; left out when empty.
        command: what comes before the options; a string is split as a shell would.
        flags: options without a value, without their dashes.
        **kwargs: options with a value: aliases (``timeout=5``) or traits (``**{"BaseShell.timeout": 5}``). The items
            of a dict become one ``--option=key=value`` each, those of a list one ``--option=item`` each (so an empty
            one, which a command line cannot say, leaves the option at its default).

    Raises:
        ValueError: if the name is none.
    """
    if isinstance(command, str):
        command = shlex.split(command)
    argv = [*command, f"--connection_file={connection_file}", f"--name={validate_name(name)}"]
    if launcher:
        argv.append(f"--launcher={launcher}")
    for key, value in kwargs.items():
        argv.extend(f"{_dashed(key)}={text}" for text in _option_texts(value))
    argv.extend(_dashed(flag) for flag in flags)
    return argv


def _dashed(option: str) -> str:
    return f"-{option}" if len(option) == 1 else f"--{option}"


def _option_texts(value: Any) -> list[str]:
    """How a value is written on a command line that traitlets reads: containers item by item."""
    if isinstance(value, dict):
        return [f"{key}={item}" for key, item in cast("dict[Any, Any]", value).items()]
    if isinstance(value, list | tuple | set | frozenset):
        return [str(item) for item in cast("Iterable[Any]", value)]
    return [str(value)]


# -- folders ---------------------------------------------------------------------------------------------------


def get_kernel_dir(*, folder: str | Path = "", prefix: str | Path = "", user: bool = False) -> Path:
    """The folder that holds kernelspecs; at most one argument may be given.

    Args:
        folder: the folder itself; its last part must be ``kernels``, or Jupyter would not look into it.
        prefix: an environment's root, instead of the running Python's.
        user: the user's own folder.

    Raises:
        ValueError: if more than one is given, or the folder has another name.
    """
    if bool(folder) + bool(prefix) + bool(user) > 1:
        msg = "The place of the kernelspec is ambiguous: give one of user, prefix and folder."
        raise ValueError(msg)
    if user:
        from jupyter_core.paths import jupyter_data_dir  # noqa: PLC0415 -- slow to import, and rarely wanted

        return Path(jupyter_data_dir()) / "kernels"
    if folder:
        kernel_dir = expand_path(folder)
        if kernel_dir.name != "kernels":
            msg = f"Jupyter looks for kernelspecs in folders called 'kernels', which {str(kernel_dir)!r} is not."
            raise ValueError(msg)
        return kernel_dir
    return expand_path(prefix or sys.prefix) / "share" / "jupyter" / "kernels"


def get_kernel_info(kernel_dir: str | Path) -> dict[str, dict[str, Any]]:
    """What the ``kernel.json`` of every kernelspec in a folder says, by name; unreadable ones are left out."""
    found: dict[str, dict[str, Any]] = {}
    for file in sorted(Path(kernel_dir).glob("*/kernel.json")):
        try:
            spec: Any = json.loads(file.read_text("utf-8"))
        except (OSError, ValueError):
            continue
        if isinstance(spec, dict) and not file.parent.name.startswith("."):
            found[file.parent.name] = cast("dict[str, Any]", spec)
    return found


def remove_kernelspec(kernel_dir: str | Path, name: str) -> Path:
    """Remove a kernelspec.

    Returns:
        The folder that was removed.

    Raises:
        ValueError: if the name is none.
        FileNotFoundError: if there is no such kernelspec; it names those that there are.
    """
    spec_dir = Path(kernel_dir) / validate_name(name)
    if not spec_dir.is_dir():
        names = ", ".join(get_kernel_info(kernel_dir)) or "none"
        msg = f"There is no kernelspec {name!r} in {str(kernel_dir)!r}; found: {names}."
        raise FileNotFoundError(msg)
    _remove(spec_dir)
    return spec_dir


def _remove(spec_dir: Path) -> None:
    if spec_dir.is_symlink():
        spec_dir.unlink()
    else:
        shutil.rmtree(spec_dir)


# -- writing -----------------------------------------------------------------------------------------------------


def write_kernel_spec(
    *,
    path: str | Path | None = None,
    name: str = "async",
    display_name: str = "",
    user: bool = False,
    prefix: str | Path = "",
    folder: str | Path = "",
    launcher: str | Callable[[dict[str, Any]], Any] = "",
    command: str | Sequence[str] = DEFAULT_COMMAND,
    connection_file: str = "{connection_file}",
    env: Mapping[str, str] | None = None,
    metadata: Mapping[str, Any] | None = None,
    language: str = "python",
    resources: str | Path = RESOURCES,
    flags: Iterable[str] = (),
    **kwargs: Any,
) -> Path:
    """Write a kernelspec, in place of one of the same name if there is one.

    Args:
        path: the kernelspec's folder; not given, it is ``name`` in ``get_kernel_dir(user=, prefix=, folder=)``.
        name: the kernel's name.
        display_name: what menus show; by default ``Python <version> (<name>)``.
        user: see :func:`get_kernel_dir`.
        prefix: see :func:`get_kernel_dir`.
        folder: see :func:`get_kernel_dir`.
        launcher: what starts the kernel: a name for :func:`import_launcher`, or a function of one parameter, the
            settings as a dict. A function's source is saved in the kernelspec, so it must do its imports itself.
        command: see :func:`make_argv`.
        connection_file: see :func:`make_argv`.
        env: environment variables for the kernel.
        metadata: in place of the usual metadata.
        language: the language of the cells.
        resources: a folder whose files are copied in; the usual one has the logos.
        flags: see :func:`make_argv`.
        **kwargs: see :func:`make_argv`.

    Returns:
        The kernelspec's folder.

    Raises:
        ValueError: if the name, the place or the launcher will not do.
        ImportError: if the launcher cannot be imported.
        OSError: if it cannot be written. After any error, what was there before is still there.
    """
    validate_name(name)
    if path is not None and (user or prefix or folder):
        msg = "The place of the kernelspec is ambiguous: give a path, or one of user, prefix and folder."
        raise ValueError(msg)
    spec_dir = expand_path(path) if path is not None else get_kernel_dir(user=user, prefix=prefix, folder=folder) / name
    spec_dir = spec_dir.absolute()
    source = function = ""
    if callable(launcher):
        source, function = _launcher_source(launcher), launcher.__name__
    elif launcher not in ("", DEFAULT_LAUNCHER):
        import_launcher(launcher)
    spec_dir.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{name}-", dir=spec_dir.parent) as scratch:
        new = Path(scratch) / "new"
        shutil.copytree(resources, new, ignore=shutil.ignore_patterns("__pycache__", "*.py"))
        if callable(launcher):
            (new / "launcher.py").write_text(source, "utf-8")
            import_launcher(f"{new / 'launcher.py'}{CUSTOM_LAUNCHER_SEPARATOR}{function}")
            launcher = f"{spec_dir / 'launcher.py'}{CUSTOM_LAUNCHER_SEPARATOR}{function}"
        spec = {
            "argv": make_argv(
                connection_file=connection_file, name=name, launcher=launcher, command=command, flags=flags, **kwargs
            ),
            "env": {key: str(value) for key, value in (env or {}).items()},
            "display_name": display_name or f"Python {sys.version_info.major}.{sys.version_info.minor} ({name})",
            "language": language,
            "interrupt_mode": "message",
            "metadata": dict(METADATA if metadata is None else metadata),
            "kernel_protocol_version": PROTOCOL_VERSION,
        }
        (new / "kernel.json").write_text(json.dumps(spec, indent=2, ensure_ascii=False) + "\n", "utf-8")
        _swap_in(new, spec_dir, Path(scratch) / "old")
    return spec_dir


def _swap_in(new: Path, place: Path, aside: Path) -> None:
    """Put ``new`` in its place; what was there goes aside, and comes back if that fails."""
    try:
        if _exists(place):
            place.rename(aside)
        new.rename(place)
    except BaseException:
        if _exists(aside) and not _exists(place):
            aside.rename(place)
        raise


def _exists(path: Path) -> bool:
    return path.is_symlink() or path.exists()


# -- launchers ---------------------------------------------------------------------------------------------------


def _launcher_source(launcher: Callable[..., Any]) -> str:
    """The source of a launcher as a module of its own."""
    name = getattr(launcher, "__name__", "")
    if not inspect.isfunction(launcher) or not name.isidentifier():
        msg = f"A launcher must be a function made by 'def', so that its source can be saved; {launcher!r} is not."
        raise ValueError(msg)
    if len(inspect.signature(launcher).parameters) != 1:
        msg = f"A launcher takes exactly one parameter, the settings; {name} takes {inspect.signature(launcher)}."
        raise ValueError(msg)
    if launcher.__closure__:
        names = ", ".join(launcher.__code__.co_freevars)
        msg = f"The launcher {name} uses {names} of the function around it, which its saved source will not have."
        raise ValueError(msg)
    try:
        source = textwrap.dedent(inspect.getsource(launcher))
    except (OSError, TypeError) as exc:
        msg = f"The source of the launcher {name} cannot be found."
        raise ValueError(msg) from exc
    # Annotations may use names that only the original module has.
    return f"from __future__ import annotations\n\n{source}"


def import_launcher(launcher: str = "") -> Callable[[dict[str, Any]], Any]:
    """The function that starts a kernel when called with the settings.

    Args:
        launcher: empty or ``launch_interface`` for :func:`async_kernel.interface.launch_interface`; a dotted name, also
            of a module in the working directory; or ``<file>↤<function>``.

    Raises:
        ImportError: if it cannot be imported.
        ValueError: if it is neither.
    """
    if launcher in ("", DEFAULT_LAUNCHER):
        # By its name, as any other launcher: it lives floors above, and importing it is what costs.
        return importlib.import_module("async_kernel.interface").launch_interface
    if CUSTOM_LAUNCHER_SEPARATOR in launcher:
        file, _, function = launcher.partition(CUSTOM_LAUNCHER_SEPARATOR)
        return _launcher_from_file(Path(file), function)
    module_name, _, function = launcher.rpartition(".")
    if not module_name:
        msg = f"{launcher!r} is no launcher: give the dotted name of a function, such as 'package.module.function'."
        raise ValueError(msg)
    found = getattr(_import_module(module_name, launcher), function, None)
    if not callable(found):
        msg = f"The launcher {launcher!r} cannot be imported: {module_name} has no function {function!r}."
        raise ImportError(msg, name=module_name)  # noqa: TRY004 -- it is the import that failed
    return found


def _import_module(name: str, launcher: str) -> ModuleType:
    """Import a module; one in the working directory too, which the safe path leaves out."""
    here = str(Path.cwd())
    try:
        try:
            return importlib.import_module(name)
        except ModuleNotFoundError as exc:
            if exc.name != name.partition(".")[0] or here in sys.path:
                raise
            # At the end, so that it shadows nothing; it stays, for what the launcher imports later.
            sys.path.append(here)
            importlib.invalidate_caches()
            return importlib.import_module(name)
    except Exception as exc:
        msg = f"The launcher {launcher!r} cannot be imported: {type(exc).__name__}: {exc}"
        raise ImportError(msg, name=name) from exc


def _launcher_from_file(file: Path, function: str) -> Callable[[dict[str, Any]], Any]:
    launcher = f"{file}{CUSTOM_LAUNCHER_SEPARATOR}{function}"
    namespace: dict[str, Any] = {"__name__": "async_kernel_launcher", "__file__": str(file)}
    try:
        exec(compile(ast.parse(file.read_bytes(), str(file)), str(file), "exec", dont_inherit=True), namespace)  # noqa: S102 -- the user's own
    except Exception as exc:
        msg = f"The launcher {launcher!r} cannot be loaded: {type(exc).__name__}: {exc}"
        raise ImportError(msg, path=str(file)) from exc
    if not callable(found := namespace.get(function)):
        msg = f"The launcher {launcher!r} cannot be loaded: the file has no function {function!r}."
        raise ImportError(msg, path=str(file))  # noqa: TRY004 -- it is the import that failed
    return found
