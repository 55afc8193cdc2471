"""Measures how well addresses are found, and with how few commands, over a sandbox whose truth is known.

The look-up stage works a truth set (`sandbox.truth_set`) as a worker does, chunk by chunk, against real servers on
loopback: first cold, then again with what the first pass learnt. Domains with one contact, with two to nine and with
ten or more are worked separately, so that commands are counted for each. The last line is JSON:

- `found_recall`: of the people who can be found, the share whose right address was found;
- `wrong_rate`: of the addresses found, the share that is wrong;
- `commands_per_found_10plus`, `commands_per_found_single`: SMTP commands of all kinds, EHLO to QUIT, per right
  address, at domains with ten contacts or more, and with one;
- `warm_ratio`: the second pass's commands divided by the first one's.
"""

import argparse
import asyncio
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from bench.contenders.knowledge import Knowledge
from bench.reporting.results import publish
from bench.reporting.turns import Table
from pipeline.contacts import Batch, Contact
from pipeline.mail.network import MailNetwork, MailNetworkConfig
from pipeline.outcomes import Deferral, Outcome, OutcomeStatus
from pipeline.stages.email_lookup import EmailLookup
from sandbox.internet import Internet
from sandbox.truth_set.companies import Company
from sandbox.truth_set.employees import Employee, TruthSet, invent_truth_set

CHUNK_SIZE = 200
GREYLIST_SECONDS = 0.5
SLOW_SECONDS = 0.05
ROW = ("people", "findable", "recalled", "wrong", "probes")


@dataclass
class PassResult:
    """The results of one pass over some people."""

    outcomes: dict[int, Outcome] = field(default_factory=dict)
    commands: Counter[str] = field(default_factory=Counter)
    recipients: Counter[str] = field(default_factory=Counter)
    most_at_once: int = 0


def main() -> None:
    """Invent a truth set, work it cold and warm, print the tables and the line of JSON."""
    options = _options()
    truth = invent_truth_set(options.seed, options.people, options.domains)
    knowledge = Knowledge()
    with Internet(
        truth.employees, truth.domains, greylist_seconds=GREYLIST_SECONDS, slow_seconds=SLOW_SECONDS
    ) as internet:
        started = time.monotonic()
        cold = _work_all(truth, internet, knowledge)
        seconds = time.monotonic() - started
        warm = _work_all(truth, internet, knowledge)
        knowledge.forget_people()
        others = _work_all(truth, internet, knowledge)
    everything = _merged(cold.values())
    _print_tables(truth, everything)
    if options.misses:
        _print_misses(truth, everything, options.misses)
    for size_class, result in cold.items():
        print(size_class, dict(result.commands), "most connections at once", result.most_at_once)
    print(f"cold: {seconds:.0f} s; " + ", ".join(f"{verb} {n}" for verb, n in everything.commands.most_common()))
    print(f"with the patterns of the domains alone: {_ratio(others.values(), cold.values()):.3f} of the cold commands")
    figures = _figures(truth, cold, everything) | {"warm_ratio": _ratio(warm.values(), cold.values())}
    rounded = {name: round(figure, 4) for name, figure in figures.items()} | {"seed": options.seed}
    publish("lookup", "Looking up people whose addresses are known", _by_size(truth, cold), rounded, vars(options))


def _options() -> argparse.Namespace:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--seed", type=int, default=2026)
    arguments.add_argument("--people", type=int, default=5000)
    arguments.add_argument("--domains", type=int, default=400)
    arguments.add_argument("--misses", type=int, default=0, metavar="N", help="print N people who were not found")
    return arguments.parse_args()


def _size_class(company: Company) -> str:
    return "1" if company.size == 1 else "2-9" if company.size < 10 else "10+"


def _work_all(truth: TruthSet, internet: Internet, knowledge: Knowledge) -> Mapping[str, PassResult]:
    """Work each size class separately, with a network and counts of its own."""
    knowledge.begin_run()
    classes = {company.domain.name: _size_class(company) for company in truth.companies}
    results = {}
    for size_class in ("1", "2-9", "10+"):
        contacts = [
            _contact(position, employee)
            for position, employee in enumerate(truth.employees)
            if classes[employee.domain] == size_class
        ]
        results[size_class] = asyncio.run(_work(contacts, internet, knowledge))
    return results


def _contact(position: int, employee: Employee) -> Contact:
    written = employee.written
    return Contact(position, written.first_name, written.last_name, written.full_name, domain=employee.domain)


async def _work(contacts: Sequence[Contact], internet: Internet, knowledge: Knowledge) -> PassResult:
    internet.reset_counts()
    host, _, port = internet.dns_address.partition(":")
    network = MailNetwork(
        MailNetworkConfig(
            nameservers=((host, int(port)),),
            smtp_port=internet.smtp_port,
            allow_private=True,
            helo_name="bench.test",
            command_timeout=4.0,
            contact_timeout=20.0,
            defer_seconds=(GREYLIST_SECONDS,) * len(MailNetworkConfig().defer_seconds),
        )
    )
    result = PassResult()
    remaining = sorted(contacts, key=lambda contact: (contact.domain, contact.position))
    while remaining:
        deferred = []
        for start in range(0, len(remaining), CHUNK_SIZE):
            chunk = remaining[start : start + CHUNK_SIZE]
            others = _colleagues(remaining[:start] + remaining[start + CHUNK_SIZE :], chunk, result.outcomes)
            deferred += await _work_chunk(chunk, others, network, knowledge, result.outcomes)
        remaining = deferred
        if remaining:
            await asyncio.sleep(GREYLIST_SECONDS)
    await network.close()
    counts = internet.counts
    for tally in counts.hosts.values():
        result.commands.update(tally.commands)
        result.most_at_once = max(result.most_at_once, tally.most_at_once)
    result.recipients.update(counts.recipients)
    return result


def _colleagues(
    others: Sequence[Contact], chunk: Sequence[Contact], outcomes: Mapping[int, Outcome]
) -> Sequence[Contact]:
    """Return the other contacts at the chunk's domains that have no address yet."""
    domains = {contact.domain for contact in chunk}
    found = {position for position, outcome in outcomes.items() if outcome.email}
    return [each for each in others if each.domain in domains and each.position not in found]


async def _work_chunk(
    chunk: Sequence[Contact],
    colleagues: Sequence[Contact],
    network: MailNetwork,
    knowledge: Knowledge,
    outcomes: dict[int, Outcome],
) -> list[Contact]:
    """Work one chunk with what is known, learn from it as a checkpoint does, and return the deferred contacts."""
    domains = {contact.domain for contact in chunk}
    batch = Batch(
        chunk,
        knowledge.patterns(domains),
        known_people=knowledge.people,
        taken=knowledge.taken,
        colleagues=colleagues,
    )
    results = [each async for each in EmailLookup().work(batch, network)]
    new = {each.position: each for each in results if isinstance(each, Outcome)}
    outcomes |= new
    knowledge.learn(list(new.values()))
    deferred = {each.position for each in results if isinstance(each, Deferral)}
    return [contact._replace(deferrals=contact.deferrals + 1) for contact in chunk if contact.position in deferred]


# The figures


def _merged(results: Iterable[PassResult]) -> PassResult:
    merged = PassResult()
    for result in results:
        merged.outcomes |= result.outcomes
        merged.commands.update(result.commands)
        merged.recipients.update(result.recipients)
    return merged


def _found(outcome: Outcome) -> bool:
    return outcome.status is OutcomeStatus.FOUND


def _right(employee: Employee, outcome: Outcome) -> bool:
    return _found(outcome) and outcome.email == employee.email


def _figures(truth: TruthSet, cold: Mapping[str, PassResult], everything: PassResult) -> dict[str, float]:
    pairs = [(truth.employees[position], outcome) for position, outcome in everything.outcomes.items()]
    findable = [_right(employee, outcome) for employee, outcome in pairs if employee.findable]
    found = [_right(employee, outcome) for employee, outcome in pairs if _found(outcome)]
    return {
        "found_recall": sum(findable) / len(findable),
        "wrong_rate": 1 - sum(found) / len(found),
        "commands_per_found_10plus": _commands_per_found(truth, cold["10+"]),
        "commands_per_found_single": _commands_per_found(truth, cold["1"]),
    }


def _commands_per_found(truth: TruthSet, result: PassResult) -> float:
    right = sum(_right(truth.employees[position], outcome) for position, outcome in result.outcomes.items())
    return result.commands.total() / right


def _by_size(truth: TruthSet, cold: Mapping[str, PassResult]) -> Table:
    table = Table()
    for size_class, result in cold.items():
        row, employees = f"contacts at a domain: {size_class}", [truth.employees[each] for each in result.outcomes]
        right = sum(map(_right, employees, result.outcomes.values()))
        findable = sum(employee.findable for employee in employees)
        table.add(row, "found of those who can be: %", [round(100 * right / findable, 1)])
        table.add(row, "SMTP commands per found address", [result.commands.total() / right])
    return table


def _ratio(warm: Iterable[PassResult], cold: Iterable[PassResult]) -> float:
    return sum(result.commands.total() for result in warm) / sum(result.commands.total() for result in cold)


# The tables


def _print_tables(truth: TruthSet, result: PassResult) -> None:
    companies = {company.domain.name: company for company in truth.companies}
    groups: Mapping[str, Callable[[Employee], str]] = {
        "culture": lambda employee: employee.culture,
        "servers": lambda employee: companies[employee.domain].domain.behaviour.value,
        "naming": lambda employee: companies[employee.domain].scheme.naming.value,
        "contacts": lambda employee: _size_class(companies[employee.domain]),
    }
    for title, group in groups.items():
        print(f"{title:20} people findable   recall  wrong  RCPT each")
        for name, row in sorted(_rows(truth, result, group).items()):
            recall = f"{row['recalled'] / row['findable']:8.1%}" if row["findable"] else "       –"
            probes = row["probes"] / row["people"]
            print(f"{name:20} {row['people']:6} {row['findable']:8} {recall} {row['wrong']:6} {probes:10.2f}")
        print()


def _rows(truth: TruthSet, result: PassResult, group: Callable[[Employee], str]) -> Mapping[str, dict[str, float]]:
    sizes = Counter(employee.domain for employee in truth.employees)
    rows: dict[str, dict[str, float]] = {}
    for position, employee in enumerate(truth.employees):
        outcome, row = result.outcomes[position], rows.setdefault(group(employee), dict.fromkeys(ROW, 0))
        row["people"] += 1
        row["findable"] += employee.findable
        row["recalled"] += employee.findable and _right(employee, outcome)
        row["wrong"] += _found(outcome) and not _right(employee, outcome)
        # A domain's probes are divided equally among its people: the probes of a greylisted visit belong to no outcome.
        row["probes"] += result.recipients[employee.domain] / sizes[employee.domain]
    return rows


def _print_misses(truth: TruthSet, result: PassResult, count: int) -> None:
    for position, employee in enumerate(truth.employees):
        outcome = result.outcomes[position]
        wrong = _found(outcome) and not _right(employee, outcome)
        if wrong or (employee.findable and not _right(employee, outcome)):
            written = employee.written
            shown = " | ".join(filter(None, (written.first_name, written.last_name, written.full_name)))
            print(f"{employee.culture}: {shown}: {employee.email}, not {outcome.email} ({outcome.reason})")
            count -= 1
            if not count:
                return


if __name__ == "__main__":
    main()
