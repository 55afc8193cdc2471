"""A process that probes grace at many domains at once, as a worker would: `python probing_process.py JSON`.

Prints the meaning of each answer on a line. With `hold` it keeps its sessions open until it is killed.
"""

import asyncio
import json
import sys
from typing import Any

from pipeline.mail.network import MailNetwork, MailNetworkConfig
from pipeline.mail.pacing.slots import PacingLimits
from worker.pacing.shared import SharedPacing


async def probe_all(options: dict[str, Any]) -> None:
    config = MailNetworkConfig(
        nameservers=((options["dns_host"], options["dns_port"]),),
        smtp_port=options["smtp_port"],
        allow_private=True,
        connections_per_host=options["per_host"],
        connections_per_provider=options["per_provider"],
        recipients_per_second=10_000.0,
    )
    pacing = SharedPacing(options["redis_url"], PacingLimits.of(config), config.conversations)
    network = MailNetwork(config, pacing=pacing)

    async def probe(domain: str) -> None:
        async with network.conversation(await network.route(domain)) as conversation:
            answers = await conversation.probe([f"grace@{domain}"])
            print(answers[f"grace@{domain}"].meaning, flush=True)  # noqa: T201
            if options["hold"]:
                await asyncio.Event().wait()

    await asyncio.gather(*map(probe, options["domains"]))
    await network.close()


if __name__ == "__main__":
    asyncio.run(probe_all(json.loads(sys.argv[1])))
