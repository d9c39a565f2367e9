"""A program that is to be run where nothing of sockets and trio can be imported: it plays a host and its kernel.

Prints, as JSON, what the kernel sent for each request, and which of the hidden packages were imported all the same.
"""

from __future__ import annotations

import json
import sys
from importlib.abc import MetaPathFinder
from typing import Any

HIDDEN = ("zmq", "trio", "jupyter_client", "orjson", "psutil", "uvloop", "debugpy")


class Hide(MetaPathFinder):
    """Refuses to import what is hidden."""

    def find_spec(self, fullname: str, path: Any = None, target: Any = None) -> None:
        if fullname.partition(".")[0] in HIDDEN:
            msg = f"No module named {fullname!r} (hidden)"
            raise ModuleNotFoundError(msg, name=fullname)


sys.meta_path.insert(0, Hide())

import asyncio  # noqa: E402

from tests.interface.callable_host import callable_kernel, kinds, reply_in, text_in  # noqa: E402

COMM = """
import comm
def opened(comm, message):
    comm.on_msg(lambda message: comm.send({"got": message["content"]["data"]}, buffers=message["buffers"]))
comm.get_comm_manager().register_target("echo", opened)
"""

BACKGROUND = """
done = asyncio.Event()
async def work():
    print("in the nursery")
    done.set()
nursery.start_soon(work)
await done.wait()
"""


async def main() -> dict[str, Any]:
    """What the kernel sent for each request."""
    report: dict[str, Any] = {}
    async with callable_kernel() as host:
        report["execute"] = kinds(await host.execute("print(1);2"))
        display = await host.execute("from IPython.display import HTML; display(HTML('<b>x</b>'))")
        report["display"] = [m["content"]["data"] for m in display if m["header"]["msg_type"] == "display_data"]
        host.answers.append("Ada")
        report["input"] = text_in(await host.execute("print(input('name? '))", allow_stdin=True))
        await host.execute(COMM)
        await host.idle(host.request("comm_open", comm_id="c", target_name="echo", data={}))
        messages = await host.idle(host.request("comm_msg", comm_id="c", data={"n": 1}, buffers=[b"bytes"]))
        report["comm"] = [m["content"]["data"] for m in messages if m["header"]["msg_type"] == "comm_msg"]
        report["complete"] = reply_in(await host.idle(host.request("complete_request", code="prin", cursor_pos=4)))[
            "matches"
        ]
        report["inspect"] = reply_in(await host.idle(host.request("inspect_request", code="print", cursor_pos=5)))[
            "found"
        ]
        info = reply_in(await host.idle(host.request("kernel_info_request")))
        report["kernel_info"] = info["implementation"]
        report["usage"] = reply_in(await host.idle(host.request("usage_request", channel="control")))["status"]
        report["await"] = text_in(await host.execute("import asyncio; await asyncio.sleep(0); print('slept')"))
        report["background"] = text_in(await host.execute(BACKGROUND))
        report["error"] = reply_in(await host.execute("1 / 0"))["ename"]
        request = host.request("execute_request", code="await asyncio.Event().wait()")
        await host.until("execute_input", request)
        host.handlers["stop"]()
        await host.stopped.wait()
        report["stop"] = reply_in(host.of(request))["status"]
    report["imported"] = [name for name in HIDDEN if name in sys.modules]
    return report


if __name__ == "__main__":
    print(json.dumps(asyncio.run(main())))
