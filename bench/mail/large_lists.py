"""Ten thousand contacts at one domain, or each at a domain of their own: time, memory, connections.

The look-up stage works them chunk by chunk against the sandbox. The sandbox is a process of its own, so that the memory
measured is the engine's. Ends in one line of JSON.
"""

import argparse
import asyncio
import multiprocessing
import time
from multiprocessing.connection import Connection

import psutil

from bench.reporting.results import publish
from bench.reporting.turns import Table
from pipeline.contacts import Batch, Contact
from pipeline.mail.network import MailNetwork, MailNetworkConfig
from pipeline.outcomes import Outcome
from pipeline.stages.email_lookup import EmailLookup
from sandbox.crowds import Crowd, at_one_domain, one_each, one_each_at_three_hosts
from sandbox.internet import Internet

CHUNK_SIZE = 200
SHAPES = {"one_domain": at_one_domain, "one_each": one_each, "one_each_at_three_hosts": one_each_at_three_hosts}


def main() -> None:
    """Work each list, and print the figures."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--contacts", type=int, default=10_000)
    contacts = arguments.parse_args().contacts
    table, figures = Table(), {shape: _measure(shape, contacts) for shape in SHAPES}
    for shape, measured in figures.items():
        for name, value in measured.items():
            table.add(shape.replace("_", " "), name.replace("_", " "), [value])
    publish("large_lists", f"Looking up {contacts:,} contacts", table, figures, {"contacts": contacts})


def _measure(shape: str, contacts: int) -> dict[str, float]:
    parent_end, child_end = multiprocessing.Pipe()
    sandbox = multiprocessing.get_context("spawn").Process(target=_serve, args=(shape, contacts, child_end))
    sandbox.start()
    nameserver, smtp_port = parent_end.recv()
    started = time.monotonic()
    found, memory = asyncio.run(_work(SHAPES[shape](contacts), nameserver, smtp_port))
    seconds = time.monotonic() - started
    parent_end.send("done")
    connections, most_at_once, commands = parent_end.recv()
    sandbox.join()
    return {
        "found": found,
        "seconds": round(seconds, 1),
        "memory_after_a_tenth_mb": round(memory[len(memory) // 10] / 1e6, 1),
        "memory_at_the_end_mb": round(memory[-1] / 1e6, 1),
        "connections": connections,
        "most_at_once_to_a_host": most_at_once,
        "commands_per_found": round(commands / found, 3),
    }


def _serve(shape: str, contacts: int, pipe: Connection) -> None:
    crowd = SHAPES[shape](contacts)
    with Internet(crowd.people, crowd.domains) as internet:
        host, _, port = internet.dns_address.partition(":")
        pipe.send(((host, int(port)), internet.smtp_port))
        pipe.recv()
        hosts = internet.counts.hosts.values()
        commands = sum(sum(host.commands.values()) for host in hosts)
        pipe.send((sum(host.connections for host in hosts), max(host.most_at_once for host in hosts), commands))


async def _work(crowd: Crowd, nameserver: tuple[str, int], smtp_port: int) -> tuple[int, list[int]]:
    network = MailNetwork(MailNetworkConfig(nameservers=(nameserver,), smtp_port=smtp_port, allow_private=True))
    found, memory = 0, []
    for start in range(0, len(crowd.people), CHUNK_SIZE):
        people = dict(enumerate(crowd.people[start : start + CHUNK_SIZE]))
        contacts = [
            Contact(n, person.first_name, person.last_name, domain=person.domain) for n, person in people.items()
        ]
        async for result in EmailLookup().work(Batch(contacts), network):
            found += isinstance(result, Outcome) and result.email == people[result.position].email
        memory.append(psutil.Process().memory_info().rss)
    await network.close()
    return found, memory


if __name__ == "__main__":
    main()
