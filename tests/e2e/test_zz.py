import pytest
from tests.e2e.test_life_cycle import stop_by_client


@pytest.mark.parametrize("backend", ["asyncio"], scope="module")
@pytest.mark.parametrize("n", range(150))
def test_zz(own_kernel, snippets, ours, n, backend):
    client = own_kernel.client()
    code = (
        f"for n in range(10_000): print(n)\ntry:\n    print('ready')\n    await {snippets.wait_forever}\n"
        "finally:\n    print('last words')"
    )
    running = client.start(code)
    client.printed(running, "ready")
    stop_by_client(own_kernel, client)
    result = client.result(running)
    if not result.stdout.endswith("ready\nlast words\n"):
        print(
            [
                (
                    r.channel,
                    r.kind,
                    r.msg["content"] if r.kind in ("error", "execute_reply") else str(r.msg["content"])[-60:],
                )
                for r in client.received[-12:]
            ]
        )
        for e in result.of("error"):
            print("\n".join(e["traceback"]))
        print(own_kernel.exit_code(), own_kernel.log)
        assert 0
    assert own_kernel.exit_code() == 0
