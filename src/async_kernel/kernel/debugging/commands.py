"""What a debug_request asks for, and what is answered: the commands of Jupyter are served here, others go to debugpy.

The commands that the Debug Adapter Protocol does not have are those of Jupyter's messaging protocol
(https://jupyter-client.readthedocs.io/en/stable/messaging.html#debug-request).
"""

from __future__ import annotations

import keyword
import linecache
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import anyio

from async_kernel.common import PACKAGE_FOLDER
from async_kernel.kernel.debugging import inside
from async_kernel.kernel.debugging.connection import HANDSHAKE
from async_kernel.kernel.debugging.variables import OWN_REFERENCES
from async_kernel.lifetime.pending import Pending
from async_kernel.platforms.users import is_our_folder
from async_kernel.protocol.errors import RequestError
from async_kernel.shell.running.cell_files import HASH_METHOD, HASH_SEED, SUFFIX, cell_file, cell_folder

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from async_kernel.kernel.debugging.debugger import Debugger

__all__ = ["COMMANDS", "FORWARDED", "NEED_STOP", "answer", "needs_attach"]

Message = dict[str, Any]

FORWARDED = frozenset(
    {
        "completions",
        "configurationDone",
        "continue",
        "evaluate",
        "exceptionInfo",
        "goto",
        "gotoTargets",
        "next",
        "pause",
        "scopes",
        "setBreakpoints",
        "setExceptionBreakpoints",
        "setExpression",
        "setFunctionBreakpoints",
        "setVariable",
        "stackTrace",
        "stepIn",
        "stepInTargets",
        "stepOut",
        "threads",
        "variables",
    }
)
"""What debugpy answers. ``launch`` is not among them, and nothing that would end the process."""

NEED_STOP = frozenset(
    {
        "continue",
        "exceptionInfo",
        "goto",
        "gotoTargets",
        "next",
        "scopes",
        "setExpression",
        "setVariable",
        "stepIn",
        "stepInTargets",
        "stepOut",
        "variables",
    }
)
"""What is about something that is stopped. debugpy would answer *continue* at the next stop only, would take a step for
one that is to begin anywhere, and describes frames that are gone.
"""


def needs_attach(command: str, arguments: Message) -> bool:
    """Whether a session must be open."""
    if command == "variables":
        return not _is_own(arguments)
    if command == "richInspectVariables":
        return arguments.get("frameId") is not None
    return command in FORWARDED or command == "copyToGlobals"


async def answer(debugger: Debugger, command: str, arguments: Message, sent: Callable[[], object]) -> Message:
    """The body of the response.

    Args:
        debugger: the kernel's.
        command: one of those above.
        arguments: of the command.
        sent: called when the request is on its way to debugpy, if it goes there.

    Raises:
        RequestError: if there is none; says why.
        ConnectionLostError: if debugpy has gone.
    """
    handler = COMMANDS.get(command)
    return await (handler(debugger, arguments) if handler else _forward(debugger, command, arguments, sent))


async def _forward(debugger: Debugger, command: str, arguments: Message, sent: Callable[[], object]) -> Message:
    if command == "variables" and _is_own(arguments):
        return await _in_helper(debugger, lambda: {"variables": debugger.variables.children(arguments)})
    if command in NEED_STOP and not debugger.stopped:
        msg = f"{command} needs something that is stopped, and nothing is"
        raise RequestError(msg)
    if command == "continue":
        return await debugger.resume(arguments, sent=sent)
    if command == "stackTrace":
        whole = {name: value for name, value in arguments.items() if name not in ("startFrame", "levels")}
        return _page(_without_machinery(await debugger.ask(command, whole, sent=sent)), arguments)
    body = await debugger.ask(command, arguments, sent=sent)
    if command == "setBreakpoints":
        path: str = cast("Message", arguments.get("source") or {}).get("path", "")
        debugger.breakpoints[path] = arguments.get("breakpoints") or []
        if not debugger.breakpoints[path]:
            del debugger.breakpoints[path]
    elif command in ("setExceptionBreakpoints", "setFunctionBreakpoints"):
        debugger.other_breakpoints[command] = arguments
    return body


def _is_own(arguments: Message) -> bool:
    reference = arguments.get("variablesReference")
    return isinstance(reference, int) and reference >= OWN_REFERENCES


def _without_machinery(body: Message) -> Message:
    """A stack without the frames below those of the user: the kernel's, and the library's that runs the loop."""
    frames: list[Message] = body.get("stackFrames") or []
    files: list[str] = [cast("Message", frame.get("source") or {}).get("path") or "" for frame in frames]
    cut = next((number for number, file in enumerate(files) if file.startswith(str(PACKAGE_FOLDER))), len(frames))
    return {**body, "stackFrames": frames[:cut], "totalFrames": cut} if cut else body


def _page(body: Message, arguments: Message) -> Message:
    """The frames that were asked for. VS Code asks for the innermost first, and for more when it has shown it."""
    start, levels = _number(arguments, "startFrame"), _number(arguments, "levels")
    return {**body, "stackFrames": (body.get("stackFrames") or [])[start : start + levels if levels else None]}


# -- the session -----------------------------------------------------------------------------------------


async def _initialize(debugger: Debugger, arguments: Message) -> Message:
    await debugger.ask("pydevdAuthorize", {})  # a session that was closed has logged out
    return await debugger.ask("initialize", {**HANDSHAKE["initialize"], **arguments})


async def _attach(debugger: Debugger, arguments: Message) -> Message:
    """Open a session; the process is traced from now on."""
    if debugger.attached:
        return {}
    await debugger.ask("pydevdAuthorize", {})
    rules = [{"path": str(Path(PACKAGE_FOLDER) / "**"), "include": False}]
    settings = {"justMyCode": debugger.kernel.debug_just_my_code, **arguments, "rules": rules}
    await debugger.ask("attach", settings)
    debugger.attached = True
    debugger.take_breakpoint_calls()
    await debugger.ask("configurationDone", {})
    return {}


async def _detach(debugger: Debugger, arguments: Message) -> Message:
    """``disconnect`` and ``terminate``: the session ends, and the kernel never does."""
    await debugger.detach()
    return {}


async def _debug_info(debugger: Debugger, arguments: Message) -> Message:
    return {
        "isStarted": debugger.attached,
        "hashMethod": HASH_METHOD,
        "hashSeed": HASH_SEED,
        "tmpFilePrefix": str(cell_folder()) + os.sep,
        "tmpFileSuffix": SUFFIX,
        "breakpoints": [{"source": path, "breakpoints": each} for path, each in debugger.breakpoints.items()],
        "stoppedThreads": sorted(debugger.stopped),
        "richRendering": True,
        "exceptionPaths": ["Python Exceptions"],
        "copyToGlobals": True,
    }


# -- sources ---------------------------------------------------------------------------------------------


async def _dump_cell(debugger: Debugger, arguments: Message) -> Message:
    """Write a cell's text to the file that its code is called after: debugpy wants to see what it stops in."""
    code = _text(arguments, "code")
    path = Path(cell_file(code))
    _write(path, code)
    debugger.files.add(path)
    return {"sourcePath": str(path)}


def _write(path: Path, code: str) -> None:
    try:
        _make_private(path.parent)
        path.write_text(code, "utf-8", "replace")
    except OSError as exc:
        msg = f"the cell cannot be written for the debugger: {exc}"
        raise RequestError(msg) from exc


def _make_private(folder: Path) -> None:
    """Make the folder, where nobody else can have put anything.

    Raises:
        OSError: if somebody else has made it.
    """
    try:
        folder.mkdir(mode=0o700)
    except FileExistsError:
        if not is_our_folder(folder):
            msg = f"{folder} belongs to somebody else"
            raise PermissionError(msg) from None


async def _source(debugger: Debugger, arguments: Message) -> Message:
    return {"content": _read(_text(arguments.get("source") or {}, "path"))}


def _read(path: str) -> str:
    try:
        return Path(path).read_text("utf-8", "replace")
    except OSError as exc:
        if lines := linecache.getlines(path):
            return "".join(lines)
        msg = f"there is no source: {exc}"
        raise RequestError(msg) from exc


async def _modules(debugger: Debugger, arguments: Message) -> Message:
    found = [
        {"id": number, "name": name, "path": file}
        for number, (name, module) in enumerate(sorted(dict(sys.modules).items()))
        if isinstance(file := getattr(module, "__file__", None), str) and file.endswith(".py")
    ]
    start, count = _number(arguments, "startModule"), _number(arguments, "moduleCount")
    return {"modules": found[start : start + count if count else None], "totalModules": len(found)}


# -- variables -------------------------------------------------------------------------------------------


async def _inspect_variables(debugger: Debugger, arguments: Message) -> Message:
    """The variables of the user's namespace, while nothing need be stopped."""
    shell: Any = debugger.kernel.shell
    return await _in_helper(debugger, lambda: {"variables": debugger.variables.of_namespace(shell)})


async def _rich_inspect(debugger: Debugger, arguments: Message) -> Message:
    """A variable as a notebook shows it, of a frame that is stopped or of the user's namespace."""
    name, shell = _identifier(arguments, "variableName"), debugger.kernel.shell
    frame: Any = arguments.get("frameId")
    if frame is None or not debugger.stopped:
        return await _in_helper(debugger, lambda: inside.bundle_of_name(shell, name))
    with inside.expected() as (token, results):
        await debugger.ask(
            "evaluate",
            {"expression": f"{inside.CALL}.put_bundle({token!r}, {name})", "frameId": frame, "context": "watch"},
        )
    if not results:
        msg = f"{name} could not be shown"
        raise RequestError(msg)
    return results[0]


async def _copy_to_globals(debugger: Debugger, arguments: Message) -> Message:
    """Make a variable of a stopped frame a variable of the user's namespace."""
    source, target = _identifier(arguments, "srcVariableName"), _identifier(arguments, "dstVariableName")
    expression = f"{inside.CALL}.put_global({target!r}, {source})"
    await debugger.ask(
        "evaluate", {"expression": expression, "frameId": arguments.get("srcFrameId"), "context": "watch"}
    )
    return {}


def _text(arguments: Message, name: str) -> str:
    value = arguments.get(name)
    if not isinstance(value, str):
        msg = f"{name} must be a str"
        raise RequestError(msg)
    return value


def _number(arguments: Message, name: str) -> int:
    value = arguments.get(name) or 0
    if not isinstance(value, int) or value < 0:
        msg = f"{name} must be a number that is not negative"
        raise RequestError(msg)
    return value


def _identifier(arguments: Message, name: str) -> str:
    """An argument that becomes a part of an expression: nothing but a name may get there."""
    value = _text(arguments, name)
    if not value.isidentifier() or keyword.iskeyword(value):
        msg = f"{name} must be the name of a variable, not {value!r}"
        raise RequestError(msg)
    return value


async def _in_helper(debugger: Debugger, fn: Callable[[], Message]) -> Message:
    """Call in the thread that answers questions about code: it may run the user's ``__repr__``, which takes time."""
    found: Pending[Message] = Pending()

    def call() -> None:
        try:
            found.set_result(fn())
        except BaseException as exc:  # noqa: BLE001 -- user code; told to the client
            found.set_exception(exc)

    debugger.kernel.questions.call_soon(call)
    try:
        return await found
    except RequestError:
        raise
    except anyio.get_cancelled_exc_class():
        raise
    except BaseException as exc:
        msg = f"{type(exc).__name__}: {exc}"
        raise RequestError(msg) from exc


COMMANDS: dict[str, Callable[[Debugger, Message], Awaitable[Message]]] = {
    "initialize": _initialize,
    "attach": _attach,
    "disconnect": _detach,
    "terminate": _detach,
    "debugInfo": _debug_info,
    "dumpCell": _dump_cell,
    "source": _source,
    "modules": _modules,
    "inspectVariables": _inspect_variables,
    "richInspectVariables": _rich_inspect,
    "copyToGlobals": _copy_to_globals,
}
"""What is answered here."""
