"""How much 100 tarpits among 10,000 addresses delay a run: no more than the time limit for one contact.

A tarpit accepts the connection and sends a byte every half second, for ever. The other 9,900 addresses are at 990
domains on Postfix's `smtp-sink` (bench/verify.py says how to get it). Ends in one line of JSON with `delay_seconds` and
the `contact_timeout_seconds` that bounds it.
"""

import argparse
import asyncio
import multiprocessing
import time
from collections.abc import Sequence

from bench.contenders.verify_target import HELO, SENDER
from bench.reporting.results import publish
from bench.reporting.turns import Table
from bench.servers.smtp_sink import name_server, smtp_sink
from pipeline.contacts import Batch, Contact
from pipeline.mail.network import MailNetwork, MailNetworkConfig
from pipeline.outcomes import Outcome, Reason
from pipeline.stages.email_verify import EmailVerify

DOMAINS, EACH, TARPITS = 990, 10, 100
DRIP_SECONDS = 0.5
WITHOUT, WITH, SECONDS = "without tarpits", "with 100 tarpits", "seconds"
SINK_IP = "127.0.0.1"
"""The mail host of all ordinary domains. The tarpits listen on the same port at other addresses."""


def main() -> None:
    """Verify without and with the tarpits."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--contact-timeout", type=float, default=10.0)
    arguments.add_argument("--rounds", type=int, default=1)
    options = arguments.parse_args()
    limit, table = options.contact_timeout, Table()
    ordinary = [f"person{number}@company{domain}.test" for domain in range(DOMAINS) for number in range(EACH)]
    at_tarpits = [f"person@tarpit{number}.test" for number in range(TARPITS)]
    with smtp_sink(SINK_IP) as port, name_server(_zone()) as name_server_address:
        tarpit = multiprocessing.get_context("fork").Process(target=_run_tarpits, args=(port,), daemon=True)
        tarpit.start()
        config = MailNetworkConfig(
            nameservers=(name_server_address,),
            smtp_port=port,
            allow_private=True,
            helo_name=HELO,
            mail_from=SENDER,
            contact_timeout=limit,
            connections_per_host=400,
        )
        for _ in range(options.rounds):
            table.add(WITHOUT, SECONDS, [asyncio.run(_verify(config, ordinary, expected_to_time_out=0))])
            table.add(WITH, SECONDS, [asyncio.run(_verify(config, at_tarpits + ordinary, TARPITS))])
        tarpit.kill()
    publish("tarpits", "10,000 addresses, 100 of them at tarpits", table, _figures(table, limit), vars(options))


def _figures(table: Table, limit: float) -> dict[str, float]:
    without, with_tarpits = table.median(WITHOUT, SECONDS) or 0.0, table.median(WITH, SECONDS) or 0.0
    figures = {"seconds_without": without, "seconds_with": with_tarpits, "delay_seconds": with_tarpits - without}
    return {key: round(value, 2) for key, value in figures.items()} | {"contact_timeout_seconds": limit}


def _zone() -> dict[tuple[str, str], Sequence[str]]:
    zone: dict[tuple[str, str], Sequence[str]] = {}
    for number in range(DOMAINS):
        zone[f"company{number}.test", "MX"] = [f"10 mx{number}.test."]
        zone[f"mx{number}.test", "A"] = [SINK_IP]
    for number in range(TARPITS):
        zone[f"tarpit{number}.test", "MX"] = [f"10 mx.tarpit{number}.test."]
        zone[f"mx.tarpit{number}.test", "A"] = [_tarpit_ip(number)]
    return zone


def _tarpit_ip(number: int) -> str:
    return f"127.82.0.{number + 1}"


def _run_tarpits(port: int) -> None:
    asyncio.run(_serve_tarpits(port))


async def _serve_tarpits(port: int) -> None:
    servers = [await asyncio.start_server(_drip, _tarpit_ip(number), port) for number in range(TARPITS)]
    await asyncio.gather(*(server.serve_forever() for server in servers))


async def _drip(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while not writer.is_closing():
        writer.write(b"2")
        await asyncio.sleep(DRIP_SECONDS)


async def _verify(config: MailNetworkConfig, addresses: Sequence[str], expected_to_time_out: int) -> float:
    """Return the seconds it took. Ends the program if other addresses than the tarpits' reached the time limit."""
    network, started = MailNetwork(config), time.perf_counter()
    contacts = [Contact(position, email=email) for position, email in enumerate(addresses)]
    results = [each async for each in EmailVerify().work(Batch(contacts), network)]
    seconds = time.perf_counter() - started
    await network.close()
    timed_out = sum(isinstance(each, Outcome) and each.reason is Reason.TIME_LIMIT for each in results)
    if timed_out != expected_to_time_out:
        raise SystemExit(f"{timed_out} addresses reached the time limit, not {expected_to_time_out}: no valid figures.")
    return seconds


if __name__ == "__main__":
    main()
