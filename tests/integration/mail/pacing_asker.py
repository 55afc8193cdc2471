"""A process that asks many domains about grace at once, as a worker would: `python pacing_asker.py JSON`.

Prints a line of JSON for each answer: its meaning. With `hold` it keeps its sessions open until it is killed.
"""

import asyncio
import json
import sys
from typing import Any

from pipeline.mail.network import MailNetwork, MailNetworkConfig
from pipeline.mail.pacing.slots import PacingLimits
from worker.pacing.shared import SharedPacing


async def probe_all(order: dict[str, Any]) -> None:
    config = MailNetworkConfig(
        nameservers=((order["dns_host"], order["dns_port"]),),
        smtp_port=order["smtp_port"],
        allow_private=True,
        connections_per_host=order["per_host"],
        connections_per_provider=order["per_provider"],
        recipients_per_second=10_000.0,
    )
    pacing = SharedPacing(order["redis_url"], PacingLimits.of(config), config.conversations)
    network = MailNetwork(config, pacing=pacing)

    async def probe(domain: str) -> None:
        async with network.conversation(await network.route(domain)) as conversation:
            answers = await conversation.probe([f"grace@{domain}"])
            print(answers[f"grace@{domain}"].meaning, flush=True)  # noqa: T201
            if order["hold"]:
                await asyncio.Event().wait()

    await asyncio.gather(*map(probe, order["domains"]))
    await network.close()


if __name__ == "__main__":
    asyncio.run(probe_all(json.loads(sys.argv[1])))
