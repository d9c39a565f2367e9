"""Configuration files: which are read, in what order, and how one that is wrong is refused.

What comes later wins:

1. ``async_kernel_config``, then ``NAME_config`` with the kernel's name, in Jupyter's folders (``jupyter --paths``);
2. what a subclass reads, such as those of IPython's profile (:mod:`~async_kernel.interface.ip_app`);
3. the file that ``--config`` names;
4. the command line.

Each ends in ``.py`` or ``.json``. A file that cannot be read, that fails, or that sets an option to a value which the
option does not take, keeps the interface from being made: :class:`ConfigFileError` says the place in a sentence.
Sections and options that nobody here has may be meant for other programs, and are passed over.
"""

from __future__ import annotations

import json
import traceback
from json import JSONDecodeError
from pathlib import Path
from textwrap import shorten
from typing import TYPE_CHECKING, Any, cast

from traitlets.config import Application, Config
from traitlets.config.loader import ConfigFileNotFound, JSONFileConfigLoader, PyFileConfigLoader

from async_kernel.interface.config_places import SUFFIXES, config_names, may_have_jupyter_files
from async_kernel.interface.options import OptionError, check_values, refuse

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["ConfigFileError", "ReadsConfigFiles"]


class ConfigFileError(Exception):
    """A configuration file that cannot be used; the text says which, where, and what to do."""

    def __init__(self, path: str, line: int | None, problem: str) -> None:
        place = path if line is None else f"{path}, line {line}"
        super().__init__(f"{place}: {problem.rstrip('.')}; mend this configuration file, or move it away")


class PythonFile(PyFileConfigLoader):
    """A configuration file in Python."""

    def load_config(self) -> Config:
        """Run it.

        Raises:
            ConfigFileNotFound: if there is none.
            ConfigFileError: if it fails, or what it says is wrong.
        """
        try:
            config = super().load_config()
            check_values(config)
        except (ConfigFileNotFound, ConfigFileError):
            raise
        except OptionError as exc:
            raise ConfigFileError(self.full_filename, None, str(exc)) from None
        except SyntaxError as exc:
            raise ConfigFileError(exc.filename or self.full_filename, exc.lineno, exc.msg) from None
        except (Exception, SystemExit) as exc:
            # A file that exits would end the kernel in silence, and an embedding program with it.
            frames = traceback.extract_tb(exc.__traceback__)
            lines = [frame.lineno for frame in frames if frame.filename == self.full_filename]
            said = "".join(traceback.format_exception_only(exc)).strip()
            raise ConfigFileError(self.full_filename, lines[-1] if lines else None, said) from exc
        return config


class JSONFile(JSONFileConfigLoader):
    """A configuration file in JSON."""

    def load_config(self) -> Config:
        """Read it.

        Raises:
            ConfigFileNotFound: if there is none.
            ConfigFileError: if it is none, or what it says is wrong.
        """
        try:
            config = super().load_config()
            check_values(config)
        except (ConfigFileNotFound, ConfigFileError):
            raise
        except JSONDecodeError as exc:
            raise ConfigFileError(self.full_filename, exc.lineno, f"no JSON: {exc.msg}") from None
        except TypeError:
            raise ConfigFileError(self.full_filename, None, "it has to hold a JSON object") from None
        except (OptionError, OSError, ValueError) as exc:
            raise ConfigFileError(self.full_filename, None, str(exc)) from exc
        return config

    def _convert_to_config(self, dictionary: dict[str, Any]) -> Config:
        """The configuration; a section that is no object would set nothing, and nobody would say so."""
        for name, value in dictionary.items() if isinstance(dictionary, dict) else ():  # pyright: ignore[reportUnnecessaryIsInstance] -- JSON may hold anything
            if name[:1].isupper() and not isinstance(value, dict):
                what = shorten(json.dumps(value), 40, placeholder=" ...")
                msg = f'{name}: a section has to be a JSON object such as {{"option": value}}, not {what}'
                raise ConfigFileError(self.full_filename, None, msg)
        return super()._convert_to_config(dictionary)


class ReadsConfigFiles:
    """Reading them, a mixin of the base of all interfaces."""

    python_config_loader_class = PythonFile
    json_config_loader_class = JSONFile

    if TYPE_CHECKING:
        extra_config_file: Any

    def load_jupyter_config(self) -> list[str]:
        """Load what lies in Jupyter's folders.

        Returns:
            the folders, the most important first; none if nothing can be there.
        """
        kernel: str = getattr(self, "name")  # noqa: B009 -- declared here, it would not be IPython's
        if not may_have_jupyter_files(kernel):
            return []
        from jupyter_core.paths import jupyter_config_path  # noqa: PLC0415 -- see config_places

        folders = jupyter_config_path()
        for name in config_names(kernel):
            self._load(name, folders)
        return folders

    def load_extra_config(self, folders: Sequence[str]) -> None:
        """Load the file that ``--config`` names: a path from here, or a file in one of ``folders``.

        Raises:
            SystemExit: if it is nowhere.
        """
        if wanted := cast("str", self.extra_config_file):
            # As traitlets looks for it: either suffix will do.
            names = [Path(wanted).with_suffix(suffix) for suffix in SUFFIXES] if Path(wanted).name else []
            for folder in (Path.cwd(), *map(Path, folders)):
                if any((folder / name).is_file() for name in names):
                    path = folder / wanted
                    self._load(path.name, [str(path.parent)])
                    return
            refuse(f"--config: there is no configuration file {wanted!r} (.py or .json); give the path of one.")

    def _load(self, name: str, folders: Sequence[str]) -> None:
        Application.load_config_file(cast("Application", self), name, path=folders)
