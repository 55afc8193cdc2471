"""Working a list while outgoing connections are blocked."""

import asyncio
from pathlib import Path

from cli.verify.list_check import check_list
from cli.verify.worklist import Worklist
from pipeline.mail.address.syntax import Address
from pipeline.mail.network import MailNetwork, MailNetworkConfig
from pipeline.mail.outage import ENOUGH, SMTP_PORT_BLOCKED
from tests.unit.mail.servers.scripted_servers import name_server

CLOSED_PORT = 9


def test_a_blocked_port_ends_the_list_and_its_outcomes_are_forgotten(tmp_path: Path) -> None:
    async def scenario() -> None:
        zone = {(f"d{n}.test", "MX"): [f"10 mx{n}.test."] for n in range(2 * ENOUGH)}
        zone |= {(f"mx{n}.test", "A"): [f"127.9.0.{n + 1}"] for n in range(2 * ENOUGH)}
        async with name_server(zone) as (_, address):
            network = MailNetwork(MailNetworkConfig((address,), CLOSED_PORT, allow_private=True, defer_seconds=()))
            outage = await check_list(worklist, network, 0, lambda: None)
            await network.close()
        assert outage is SMTP_PORT_BLOCKED

    worklist = Worklist(tmp_path / ".progress")
    worklist.is_loaded("list")
    worklist.load(Address("grace", f"d{n}.test") for n in range(2 * ENOUGH))

    asyncio.run(scenario())

    assert worklist.done == 0
    assert worklist.outcomes([f"grace@d{n}.test" for n in range(2 * ENOUGH)]) == {}
    worklist.close()
