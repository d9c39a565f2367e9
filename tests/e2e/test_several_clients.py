"""Several clients of one kernel at the same time."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from jupyter_client.blocking.client import BlockingKernelClient

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

    from tests.e2e.harness.client import Client
    from tests.e2e.harness.process import KernelProcess
    from tests.e2e.harness.snippets import Snippets


@pytest.fixture
def others(kernel: KernelProcess) -> Generator[list[Client]]:
    """Three more clients of the kernel."""
    clients = [kernel.client() for _ in range(3)]
    yield clients
    for each in clients:
        each.close()


def test_all_see_what_one_runs_with_its_session(client: Client, others: list[Client]) -> None:
    cell = client.run("print('for all'); 42")
    for other in others:
        seen = other.idle(cell.msg_id)
        assert (seen.kinds, seen.stdout) == (cell.kinds, "for all\n")
        assert {msg["parent_header"]["session"] for msg in seen.iopub} == {client.kc.session.session}


def test_replies_go_to_whoever_asked(client: Client, others: list[Client]) -> None:
    cells = [each.start(f"{number} * 2") for number, each in enumerate(others)]
    for number, (each, cell) in enumerate(zip(others, cells, strict=True)):
        assert each.result(cell).text == str(number * 2)
    for each, cell in zip(others, cells, strict=True):
        each.nothing_more()
        replied = {received.parent_id for received in each.received if received.kind == "execute_reply"}
        assert replied == {cell}


def test_cells_of_all_run_one_after_another_in_one_namespace(client: Client, others: list[Client]) -> None:
    client.run("seen = []")
    cells = [(each, each.start(f"seen.append({number})")) for number, each in enumerate(others)]
    counts = [each.result(cell).reply["execution_count"] for each, cell in cells]
    assert len(set(counts)) == len(others)
    assert sorted(client.value("seen").strip("[]").split(", ")) == ["0", "1", "2"]


def test_each_answers_its_own_questions(client: Client, others: list[Client], ours: None) -> None:
    asking = [(each, each.start(f"# task\nname = await ainput('{n}? ')\nname")) for n, each in enumerate(others)]
    for number, (each, cell) in reversed(list(enumerate(asking))):
        question = each.question(cell)
        assert question["content"]["prompt"] == f"{number}? "
        each.answer(f"answer {number}", question)
    for number, (each, cell) in enumerate(asking):
        assert each.result(cell).text == f"'answer {number}'"
        assert len([received for received in each.received if received.kind == "input_request"]) == 1


def test_one_interrupts_what_another_runs(client: Client, others: list[Client], snippets: Snippets) -> None:
    cell = client.start(f"print('ready', flush=True)\nawait {snippets.wait_forever}")
    client.printed(cell, "ready")
    assert others[0].interrupt().status == "ok"
    assert client.result(cell).error == ("KeyboardInterrupt", "")


def test_one_that_leaves_takes_nothing_with_it(client: Client, others: list[Client]) -> None:
    leaving, *staying = others
    cell = leaving.start("import time; time.sleep(0.2); print('after it has left'); left = True")
    staying[0].until(lambda: "busy" in staying[0].so_far(cell).kinds, "the cell to begin")
    leaving.close()
    assert staying[0].idle(cell).stdout == "after it has left\n"
    assert client.run("left").text == "True"


def test_history_and_completion_are_about_the_same_cells(client: Client, others: list[Client]) -> None:
    client.run("a_name_of_everybody = 1")
    reply = others[0].request("complete_request", {"code": "a_name_of_e", "cursor_pos": 11}).reply
    assert reply["matches"] == ["a_name_of_everybody"]


def test_what_connect_info_prints_lets_another_client_in(client: Client, tmp_path: Path, ours: None) -> None:
    printed = client.run("%connect_info").stdout
    path = tmp_path / "elsewhere.json"
    path.write_text(printed.split("\n\n", 1)[0])
    other = BlockingKernelClient(connection_file=str(path))
    other.load_connection_file()
    other.start_channels()
    try:
        other.wait_for_ready(timeout=60)
        assert other.execute_interactive("who = 'another'", timeout=60)["content"]["status"] == "ok"
    finally:
        other.stop_channels()
    assert client.value("who") == "'another'"
