"""Run the sandbox by itself: `python -m sandbox --seed 1 --people 1000`.

Prints one line of JSON, the engine's settings, once every server is ready; runs until SIGTERM or SIGINT.
"""

import argparse
import json
import signal
import socket
import sys
from collections.abc import Sequence

from sandbox.csv_files import write_contacts_csv, write_truth_csv
from sandbox.domains import Domain, invent_domains
from sandbox.internet import Internet
from sandbox.people import Person, invent_exactly, invent_people

_STOP_SIGNALS = {signal.SIGTERM, signal.SIGINT}


def main(arguments: Sequence[str] | None = None) -> int:
    """Invent the people, write the requested files, serve until a signal, and return the exit status."""
    options = _parser().parse_args(arguments)
    domains = invent_domains(options.seed, options.domains)
    people = _invent(options, domains)
    if options.contacts:
        write_contacts_csv(people, options.contacts)
    if options.truth:
        write_truth_csv(people, options.truth)
    # Before any thread starts, so that the signals wait for sigwait instead of ending a thread.
    signal.pthread_sigmask(signal.SIG_BLOCK, _STOP_SIGNALS)
    with _internet(options, people, domains) as internet:
        sys.stdout.write(json.dumps(internet.settings()) + "\n")
        sys.stdout.flush()
        signal.sigwait(_STOP_SIGNALS)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m sandbox", description="A small internet on loopback.")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--domains", type=int, default=60, metavar="N", help="how many domains")
    parser.add_argument("--people", type=int, default=1000, metavar="N", help="how many people")
    parser.add_argument(
        "--exactly",
        type=_three_counts,
        metavar="V,F,U",
        help="instead of --people: V valid, F found but not valid, U unfindable",
    )
    parser.add_argument("--contacts", metavar="CSV", help="write the contacts to this file")
    parser.add_argument("--truth", metavar="CSV", help="write the truth about them to this file")
    parser.add_argument("--dns-port", type=int, default=0, help="0: any free port")
    parser.add_argument("--smtp-port", type=int, default=0, help="0: any free port")
    parser.add_argument("--shared-address", metavar="IP", help="one listening address for all mail hosts")
    parser.add_argument(
        "--advertise",
        metavar="HOST",
        help="with --shared-address: the host name or address by which others reach it; auto for this host's own",
    )
    parser.add_argument("--greylist-seconds", type=float, default=300.0)
    parser.add_argument("--slow-seconds", type=float, default=0.3)
    return parser


def _three_counts(text: str) -> tuple[int, int, int]:
    valid, found_unverified, unfindable = map(int, text.split(","))
    return valid, found_unverified, unfindable


def _invent(options: argparse.Namespace, domains: Sequence[Domain]) -> list[Person]:
    if options.exactly is None:
        return invent_people(options.seed, options.people, domains)
    valid, found_unverified, unfindable = options.exactly
    return invent_exactly(
        options.seed,
        valid=valid,
        found_unverified=found_unverified,
        unfindable=unfindable,
        domains=domains,
    )


def _internet(options: argparse.Namespace, people: list[Person], domains: Sequence[Domain]) -> Internet:
    return Internet(
        people,
        domains,
        greylist_seconds=options.greylist_seconds,
        slow_seconds=options.slow_seconds,
        shared_address=options.shared_address,
        advertise=_resolve(options.advertise),
        dns_port=options.dns_port,
        smtp_port=options.smtp_port,
    )


def _resolve(advertise: str | None) -> str | None:
    if advertise is None:
        return None
    return socket.gethostbyname(socket.gethostname() if advertise == "auto" else advertise)


if __name__ == "__main__":
    sys.exit(main())
