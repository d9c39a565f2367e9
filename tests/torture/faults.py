"""What user code can do to its kernel, and what must hold then: the table of docs/faults.md, which a test compares."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["FAULTS", "Fault"]

Holds = Literal["well", "mute", "no sigint", "no threads", "ends"]


@dataclass(frozen=True)
class Fault:
    """One row.

    Attributes:
        code: of the cell. It may await; ``{run}`` is replaced by the backend's ``run``.
        ends: how the cell ends: ``ok``, or the name of its error; the exit code of the process if it dies of it.
            Several: which of them is a matter of luck.
        holds: ``well``: the next cells are as if nothing had happened; ``mute``: but for what they print;
            ``no sigint``: but that the user's own handler is asked when a blocking cell is interrupted; ``no threads``:
            but for subshells, whose cells are aborted with the reason; ``ends``: cells fail, and it ends when told.
        on: the only backend that it is tried on.
    """

    code: str
    ends: str | int | tuple[str | int, ...] = "ok"
    holds: Holds = "well"
    on: str | None = None


LITTLE_MEMORY = (
    "import resource, psutil\n"
    "limit = psutil.Process().memory_info().vms + (300 << 20)\n"
    "resource.setrlimit(resource.RLIMIT_AS, (limit, -1))\n"
)

FAULTS = {
    "recursion without end": Fault("def f(): return f()\nf()", "RecursionError"),
    "10 000 deep recursion": Fault("def f(n): return f(n - 1) if n else 0\nf(10_000)", "RecursionError"),
    "a recursion limit that is low": Fault(
        "import sys\nsys.setrecursionlimit(400)\ndef f(): return f()\nf()", "RecursionError"
    ),
    "MemoryError, one big": Fault("bytes(1 << 50)", "MemoryError"),
    "MemoryError, address space full": Fault(
        f"{LITTLE_MEMORY}def f():\n    kept = []\n    while True: kept.append(bytearray(1 << 20))\nf()", "MemoryError"
    ),
    "MemoryError, full of what is kept": Fault(
        f"{LITTLE_MEMORY}kept = []\nwhile True: kept.append(bytearray(1 << 20))", "MemoryError", "no threads"
    ),
    "descriptors 1 and 2 closed": Fault("import os\nos.close(1)\nos.close(2)"),
    "sys.stdout replaced": Fault("import io, sys\nsys.stdout = io.StringIO()", holds="mute"),
    "sys.stdout deleted": Fault("import sys\ndel sys.stdout", holds="mute"),
    "sys.stdout closed": Fault("import sys\nsys.stdout.close()\nsys.stderr.close()"),
    "os._exit": Fault("import os\nos._exit(7)", 7),
    "killed": Fault("import os, signal\nos.kill(os.getpid(), signal.SIGKILL)", -9),
    "segmentation fault": Fault("import ctypes\nctypes.string_at(0)", -11),
    "os.fork": Fault("import os\nif (pid := os.fork()) == 0: print('child')\nelse: os.waitpid(pid, 0)"),
    "os.fork, child fails": Fault("import os\nif (pid := os.fork()) == 0: 1/0\nelse: os.waitpid(pid, 0)"),
    "os.fork, child exits": Fault("import os, sys\nif (pid := os.fork()) == 0: sys.exit(3)\nelse: os.waitpid(pid, 0)"),
    **{
        f"multiprocessing, {method}": Fault(
            f"import multiprocessing\nwith multiprocessing.get_context({method!r}).Pool(2) as pool:\n"
            "    assert pool.map(abs, [-1, -2, -3]) == [1, 2, 3]"
        )
        for method in ("fork", "spawn", "forkserver")
    },
    "signal.signal(SIGINT, SIG_IGN)": Fault(
        "import signal\nsignal.signal(signal.SIGINT, signal.SIG_IGN)", holds="no sigint"
    ),
    "signal.signal(SIGINT, f)": Fault(
        "import signal\nsignal.signal(signal.SIGINT, lambda *_: None)", holds="no sigint"
    ),
    "signal.signal(SIGTERM, SIG_IGN)": Fault("import signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)"),
    "signal.set_wakeup_fd(-1)": Fault("import signal\nsignal.set_wakeup_fd(-1)"),
    "gc.disable": Fault("import gc\ngc.disable()"),
    "sys.setswitchinterval": Fault("import sys\nsys.setswitchinterval(0.5)"),
    "threading.settrace": Fault("import threading\nthreading.settrace(lambda *_: None)"),
    "threading.settrace that fails": Fault("import threading\nthreading.settrace(lambda *_: 1/0)"),
    "sys.setprofile": Fault(
        "import sys, threading\nsys.setprofile(lambda *_: None)\nthreading.setprofile(lambda *_: None)"
    ),
    "asyncio.run on trio": Fault("import asyncio\nasyncio.run(asyncio.sleep(0))", on="trio"),
    "asyncio.run on asyncio": Fault("import asyncio\nasyncio.run(asyncio.sleep(0))", "RuntimeError", on="asyncio"),
    "trio.run on trio": Fault("import trio\ntrio.run(trio.sleep, 0)", "RuntimeError", on="trio"),
    "trio.run on asyncio": Fault("import trio\ntrio.run(trio.sleep, 0)", on="asyncio"),
    "sys.modules, ours removed": Fault(
        "import sys\nfor name in list(sys.modules):\n    if name.startswith('async_kernel'): del sys.modules[name]"
    ),
    "sys.modules cleared": Fault("import sys\nsys.modules.clear()", holds="ends"),
    "sys.modules of other things": Fault("import sys\nsys.modules['json'] = sys.modules['orjson'] = None"),
    "builtins.input deleted": Fault("import builtins\ndel builtins.input"),
    "builtins.print replaced": Fault("import builtins\nbuiltins.print = None", holds="mute"),
    "sys.path and os.environ cleared": Fault("import sys, os\nsys.path.clear()\nos.environ.clear()"),
    "a folder that has gone": Fault("import os, tempfile\nos.chdir(d := tempfile.mkdtemp())\nos.rmdir(d)"),
    "warnings are errors": Fault("import warnings\nwarnings.simplefilter('error')"),
    "logging shut down": Fault("import logging\nlogging.shutdown()\nlogging.disable()"),
    "the clock jumps": Fault("import time\ntime.time = lambda: 1e10\ntime.time_ns = lambda: 10**19"),
    "no descriptors left": Fault(
        "import os\nkept = []\ntry:\n    while True: kept.append(os.dup(0))\nexcept OSError: pass", holds="no threads"
    ),
    "excepthook and displayhook replaced": Fault(
        "import sys\nsys.excepthook = sys.displayhook = None", holds="no threads"
    ),
    "a thread that ends with SystemExit": Fault(
        "import sys, threading\nt = threading.Thread(target=sys.exit)\nt.start()\nt.join()"
    ),
    "sys.exit in a finalizer": Fault("import gc, sys\nclass A:\n    def __del__(self): sys.exit(3)\nA()\ngc.collect()"),
    "sys.settrace": Fault("import sys\nsys.settrace(lambda *_: None)"),
    "faulthandler.dump_traceback_later": Fault(
        "import faulthandler, os\nfaulthandler.dump_traceback_later(1, file=open(os.devnull, 'w'))"
    ),
    "zmq removed from sys.modules": Fault("import sys\ndel sys.modules['zmq']"),
    "the asyncio policy replaced": Fault(
        "import asyncio, warnings\nwarnings.simplefilter('ignore')\n"
        "asyncio.set_event_loop_policy(asyncio.DefaultEventLoopPolicy())"
    ),
    "signal.alarm": Fault("import signal, time\nsignal.alarm(1)\ntime.sleep(60)", -14),
    "an error of 10 MB": Fault("raise ValueError('x' * 10_000_000)", "ValueError"),
    "a display hook that recurses": Fault(
        "class A:\n    def __repr__(self): return repr(self)\nA()", ("ok", "RecursionError")
    ),
    "binary garbage as metadata": Fault(
        "from IPython.display import display\n"
        "display({'text/plain': 'x'}, raw=True, metadata={'a': b'\\xff\\x00', 'b': object()})",
        ("ok", "TypeError", "ValueError"),
    ),
    "a thread that forks": Fault(
        "import os, threading\ndef f():\n    if (pid := os.fork()) == 0: os._exit(0)\n    os.waitpid(pid, 0)\n"
        "t = threading.Thread(target=f)\nt.start()\nt.join()"
    ),
}
