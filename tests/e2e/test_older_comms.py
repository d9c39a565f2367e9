"""Comms made by ipykernel's class, which bokeh, panel and others use, are this kernel's; with the real ipykernel."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.e2e.harness.client import Client
    from tests.e2e.harness.process import KernelProcess

pytest.importorskip("ipykernel")

OPENED = """
import warnings
warnings.simplefilter("ignore", DeprecationWarning)  # it advises libraries to use the comm package
from ipykernel.comm import Comm
comm = Comm(target_name="there", data={"first": 1}, comm_id="c")
"""


@pytest.fixture
def client(own_kernel: KernelProcess, ours: None) -> Client:
    return own_kernel.client()


def test_one_opens_sends_and_closes(client: Client) -> None:
    ran = client.run(f"{OPENED}comm.send({{'second': 2}}, buffers=[b'bytes'])\ncomm.close()")
    assert ran.kinds == ["busy", "execute_input", "comm_open", "comm_msg", "comm_close", "idle"]
    assert ran.of("comm_open")[0]["target_name"] == "there"
    (sent,) = [msg for msg in ran.iopub if msg["msg_type"] == "comm_msg"]
    assert (sent["content"], [bytes(buffer) for buffer in sent["buffers"]]) == (
        {"comm_id": "c", "data": {"second": 2}},
        [b"bytes"],
    )


def test_one_hears_the_front_end_and_its_errors_are_shown_where_it_was_made(client: Client) -> None:
    made = client.start(f"{OPENED}comm.on_msg(lambda msg: comm.send(1 / msg['content']['data']))")
    client.result(made)
    answered = client.idle(client.send("comm_msg", {"comm_id": "c", "data": 2}))
    assert answered.of("comm_msg") == [{"comm_id": "c", "data": 0.5}]
    client.idle(client.send("comm_msg", {"comm_id": "c", "data": 0}))
    assert client.so_far(made).error == ("ZeroDivisionError", "division by zero")
    client.idle(client.send("comm_close", {"comm_id": "c"}))
    assert client.request("comm_info_request").reply["comms"] == {}


def test_widgets_are_heard_whatever_of_ipykernel_is_imported(client: Client) -> None:
    ran = client.run("import ipykernel.kernelapp, ipywidgets\nslider = ipywidgets.IntSlider()\nslider.value = 3")
    assert [content["data"]["state"]["value"] for content in ran.of("comm_msg")] == [3]
