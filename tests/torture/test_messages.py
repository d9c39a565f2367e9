"""Messages with faults, through codec and kernel: each is refused, or answered once and in order."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from async_kernel.typing import Channel
from tests.torture.kernels import JEDI_AT_WORK, fed_kernel
from tests.torture.messages import CONTENTS, Deep, Digits, message_parts, to_json, valid_parts
from tests.torture.scale import of, record

if TYPE_CHECKING:
    from collections.abc import Generator

    from tests.torture.kernels import Fed

MESSAGES = of(short=300, long=50_000)


@pytest.fixture(scope="module", params=["trio", "asyncio"])
def fed(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Generator[Fed]:
    with fed_kernel(tmp_path_factory.mktemp("home"), request.param) as fed:
        yield fed
        record("messages with faults", backend=request.param, served=fed.served, refused=fed.refused)


@pytest.mark.parametrize("msg_type", CONTENTS)
def test_the_message_without_faults_is_served(fed: Fed, msg_type: str) -> None:
    before = fed.served
    fed.serve(fed.signed(list(map(to_json, valid_parts(msg_type, "m")))), Channel.control)
    assert fed.served == before + 1


@pytest.mark.filterwarnings(JEDI_AT_WORK)
@settings(
    max_examples=MESSAGES,
    deadline=None,
    derandomize=MESSAGES < 1000,
    database=None,
    suppress_health_check=list(HealthCheck),
)
@given(parts=message_parts(), channel=st.sampled_from([Channel.shell, Channel.control]))
def test_messages_with_faults_are_refused_or_answered(fed: Fed, parts: list[bytes], channel: Channel) -> None:
    fed.serve(fed.signed(parts), channel)


# What was found, kept.

ODD = [None, True, 5, 1.5, [], ["x"], {"a": 1}, Deep(900, is_object=True), "\ud800", Digits(400), Digits(5000)]


@pytest.mark.parametrize("msg_type", CONTENTS)
@pytest.mark.parametrize("value", ODD, ids=lambda value: repr(value)[:20])
def test_every_field_of_the_header_may_be_odd(fed: Fed, msg_type: str, value: object) -> None:
    for name in ("subshell_id", "date", "username", "session", "version", "extra"):
        fed.serve(fed.signed(list(map(to_json, valid_parts(msg_type, "m", **{name: value})))))


@pytest.mark.parametrize("msg_type", CONTENTS)
@pytest.mark.parametrize("value", ODD, ids=lambda value: repr(value)[:20])
def test_every_field_of_the_content_may_be_odd(fed: Fed, msg_type: str, value: object) -> None:
    for name in CONTENTS[msg_type]:
        header, parent, metadata, content = valid_parts(msg_type, "m")
        fed.serve(fed.signed(list(map(to_json, (header, parent, metadata, {**content, name: value})))))
