"""Sessions for working on async-trio: ``nox`` runs the tests, ``nox -l`` lists what else there is."""

from __future__ import annotations

import ctypes.util
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import nox

PYTHONS = ["3.11", "3.12", "3.13", "3.14"]

PARALLEL = ["-n", str(min(8, (os.cpu_count() or 1) + 1)), "--dist", "loadfile"]
"""How tests run: the files in parallel, one more than there are cores since many tests wait for a process."""

nox.needs_version = ">=2025.5.1"
nox.options.default_venv_backend = "uv|virtualenv"
nox.options.download_python = "never"
nox.options.error_on_missing_interpreters = False
nox.options.reuse_venv = "yes"

PATIENT = {"UV_HTTP_RETRIES": "10", "UV_HTTP_TIMEOUT": "120", "PIP_RETRIES": "10", "PIP_DEFAULT_TIMEOUT": "120"}
"""How installers treat a network that stumbles; whoever has set one of these knows better."""


def install(session: nox.Session, *what: str) -> None:
    """Install; once more if it fails, for an index may answer wrongly for a moment, and installers retry not all."""
    env = {name: os.environ.get(name, value) for name, value in PATIENT.items()}
    try:
        session.install(*what, env=env)
    except nox.command.CommandFailed:
        session.warn("The installation has failed: once more.")
        session.install(*what, env=env)


def offer_pyenv_versions() -> None:
    """Let ``python3.12`` and the like find what pyenv has installed, not only what it has selected."""
    if shutil.which("pyenv") is None or "PYENV_VERSION" in os.environ:
        return
    listed = subprocess.run(["pyenv", "versions", "--bare"], capture_output=True, text=True, check=False).stdout.split()
    newest: dict[str, str] = {}
    for version in listed:
        found = re.fullmatch(r"(3\.\d+)\.\d+", version)
        if found and found[1] in PYTHONS:
            newest[found[1]] = max(
                newest.get(found[1], ""), version, key=lambda text: [int(part or 0) for part in text.split(".")]
            )
    if newest:
        os.environ["PYENV_VERSION"] = ":".join(newest.values())


def oldest_and_newest() -> list[str]:
    """The test sessions of the oldest and the newest Python that is here: what lies between follows from both."""
    here = [version for version in PYTHONS if runs(f"python{version}")]
    return [f"tests-{version}" for version in dict.fromkeys([*here[:1], *here[-1:]])] or ["tests"]


def runs(python: str) -> bool:
    """Whether a Python is there, and not only a shim that says it is not."""
    found = shutil.which(python)
    return found is not None and subprocess.run([found, "-V"], capture_output=True, check=False).returncode == 0


offer_pyenv_versions()
nox.options.sessions = oldest_and_newest()


@nox.session(python=PYTHONS)
def tests(session: nox.Session) -> None:
    """Run the tests."""
    install(session, ".[test]")
    session.run("pytest", *PARALLEL, *session.posargs)


@nox.session
def pyodide(session: nox.Session) -> None:
    """Run a kernel without sockets in Pyodide, the Python of browsers, under Node; needs npm.

    Prints what the kernel sent for each request, as tests/interface/test_without_sockets.py expects it of CPython.
    """
    folder = Path(session.create_tmp())
    site = folder / "site"
    install(session, "pip")
    session.run("python", "-m", "pip", "install", "-q", "--no-deps", "--upgrade", f"--target={site}", *WITHOUT_SOCKETS)
    session.run("npm", "install", f"--prefix={folder}", "pyodide@314", external=True)
    root, program = Path.cwd(), Path("tests/pyodide/run.mjs").resolve()
    with session.chdir(folder):
        session.run("node", str(program), str(root), str(root / "src"), "site", external=True)


WITHOUT_SOCKETS = [
    "anyio",
    "asttokens",
    "attrs",
    "comm",
    "executing",
    "idna",
    "ipython",
    "ipython-pygments-lexers",
    "jedi",
    "jupyter-core",
    "matplotlib-inline",
    "outcome",
    "parso",
    "platformdirs",
    "prompt-toolkit",
    "pure-eval",
    "pygments",
    "sniffio",
    "stack-data",
    "traitlets",
    "typing-extensions",
    "wcwidth",
]
"""What a kernel without sockets needs; nothing of it is compiled."""


@nox.session(python=PYTHONS[0])
def minimums(session: nox.Session) -> None:
    """Run the tests with the oldest dependencies allowed."""
    install(session, "--resolution=lowest-direct", ".[test]")
    session.run("pytest", *PARALLEL, *session.posargs)


# The sessions that follow run real programs beside the kernel. What they need of the system is installed where that can
# be done, see needs(); the names are Debian's.

QT = {
    "EGL": "libegl1",
    "GL": "libgl1",
    "X11": "libx11-6",
    "dbus-1": "libdbus-1-3",
    "fontconfig": "libfontconfig1",
    "gthread-2.0": "libglib2.0-0",
    "xkbcommon": "libxkbcommon0",
}
"""Libraries of the system that Qt cannot be imported without, and their packages."""

QT_ON_X = {
    "X11-xcb": "libx11-xcb1",
    "xcb-cursor": "libxcb-cursor0",
    "xcb-icccm": "libxcb-icccm4",
    "xcb-image": "libxcb-image0",
    "xcb-keysyms": "libxcb-keysyms1",
    "xcb-randr": "libxcb-randr0",
    "xcb-render-util": "libxcb-render-util0",
    "xcb-shape": "libxcb-shape0",
    "xcb-sync": "libxcb-sync1",
    "xcb-util": "libxcb-util1",
    "xcb-xfixes": "libxcb-xfixes0",
    "xcb-xkb": "libxcb-xkb1",
    "xkbcommon-x11": "libxkbcommon-x11-0",
}
"""Those that its windows on X need as well."""


@nox.session
def gui(session: nox.Session) -> None:
    """Run the tests of kernels with windows, on a display that nobody looks at."""
    needs(session, {"Xvfb": "xvfb"}, QT | QT_ON_X)
    install(session, ".[test,gui]", "pillow")
    session.run("python", "-c", "import tkinter", silent=True)
    session.run("pytest", "tests/event_loop", *session.posargs)


@nox.session
def browsers(session: nox.Session) -> None:
    """Run the tests in JupyterLab and Notebook 7 in a browser; ``--pictures=folder`` keeps what they look like."""
    needs(session, {"chromedriver": "chromium-driver"}, {})
    install(session, ".[test,browser]", "pip")
    session.run("pytest", "tests/browser", *PARALLEL, *session.posargs)


@nox.session
def ecosystem(session: nox.Session) -> None:
    """Run the tests with qtconsole, euporie, Kernel Gateway, Dask and ipyparallel; ``--pictures=folder`` as above."""
    needs(session, {}, QT)
    install(session, ".[test,ecosystem]")
    session.run("pytest", "tests/ecosystem", *session.posargs)


@nox.session
def torture(session: nox.Session) -> None:
    """Prove in the long form that nothing is lost and nobody gets in; two hours, or minutes with ``-- --scale=0.1``.

    Prints a table of figures, and draws the leak run to docs/pictures/leaks.svg. Other arguments are pytest's.
    """
    install(session, ".[test,bench]")
    scales = [each.partition("=")[2] for each in session.posargs if each.startswith("--scale=")]
    rest = [each for each in session.posargs if not each.startswith("--scale=")]
    results = Path(session.create_tmp()) / "torture.jsonl"
    results.unlink(missing_ok=True)
    settings = {"TORTURE": "long", "TORTURE_SCALE": (scales or ["1"])[-1], "TORTURE_RESULTS": str(results.resolve())}
    long = ["-v", "-o", "faulthandler_timeout=7200", "-o", "console_output_style=times"]
    try:
        session.run("pytest", "tests/torture", *long, *rest, env=settings)
    finally:
        if results.exists():
            session.run("python", "-m", "tests.torture.report", str(results), "docs/pictures/leaks.svg")


def needs(session: nox.Session, programs: dict[str, str], libraries: dict[str, str]) -> None:
    """Have what a session needs of the system, or end it: it could only skip its tests.

    The administrator of a Debian gets it installed; others are told how. In CI, whose machine is what it is, the
    session is skipped, which the summary says.

    Args:
        session: the session.
        programs: what is run, and the packages that bring it.
        libraries: what packages of Python load, without ``lib`` and ``.so``, and the packages that bring them.
    """
    if sys.platform != "linux":
        libraries = {}
    missing = missing_of_system(programs, libraries)
    if missing and shutil.which("apt-get") and os.geteuid() == 0:
        apt = ["apt-get", "-qq", "-o", "Acquire::Retries=3"]
        quiet = {"DEBIAN_FRONTEND": "noninteractive"}
        for command in (["update"], ["install", "-y", "--no-install-recommends", *missing]):
            session.run(*apt, *command, external=True, env=quiet, success_codes=range(256))
        missing = missing_of_system(programs, libraries)
    if missing:
        end = session.skip if os.environ.get("CI") else session.error
        end(f"{', '.join(missing.values())} not found. Debian: apt install {' '.join(missing)}")


def missing_of_system(programs: dict[str, str], libraries: dict[str, str]) -> dict[str, str]:
    """The packages to install, and what is not found for want of each."""
    found = {package: name for name, package in programs.items() if shutil.which(name) is None}
    return found | {
        package: f"lib{name}" for name, package in libraries.items() if ctypes.util.find_library(name) is None
    }


@nox.session
def coverage(session: nox.Session) -> None:
    """Run the tests and show what they do not reach."""
    install(session, ".[test]")
    session.run("coverage", "erase")
    session.run("coverage", "run", "-m", "pytest", *session.posargs)
    session.run("coverage", "combine")
    session.run("coverage", "report")


@nox.session
def lint(session: nox.Session) -> None:
    """Check style."""
    install(session, ".[lint]")
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")
    # A second reader: what it finds is to be looked at. It cannot know that a kernel hands its users' exceptions on.
    session.run("flake8-async", *map(str, Path("src").rglob("*.py")), success_codes=[0, 1])


@nox.session
def types(session: nox.Session) -> None:
    """Check types."""
    install(session, ".[types]")
    session.run("pyright")
    session.run("pyright", "--verifytypes", "async_kernel", "--ignoreexternal")


@nox.session
def docs(session: nox.Session) -> None:
    """Build the documentation and the news."""
    install(session, ".[docs]")
    session.run("towncrier", "build", "--draft", "--version", "next")
    session.run("mkdocs", "build", *session.posargs)


@nox.session
def bench(session: nox.Session) -> None:
    """Measure kernels side by side; ``nox -s bench -- --help`` shows how."""
    install(session, ".[bench]")
    session.run("python", "-m", "benchmarks", *session.posargs)
