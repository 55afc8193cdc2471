"""The people of a truth set, as contacts of a client's list, and the truth about each."""

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

from sandbox.domains import Domain
from sandbox.truth import Mailbox, truth_about
from sandbox.truth_set.companies import Company, invent_companies
from sandbox.truth_set.cultures import TrueName, cultures
from sandbox.truth_set.writing import Written, write_name

OWN_CULTURE = 0.75
"""The share of a company's people who are of its own culture."""
IRREGULAR = 0.01
"""The share of addresses that follow from no pattern."""
NOT_A_NAME = 0.003
"""The share of contacts whose name field holds no name."""


@dataclass(frozen=True, slots=True)
class Employee:
    """One contact, and the truth about it. If `findable`, an engine that knows the cultures' names can find it."""

    written: Written
    domain: str
    culture: str
    email: str | None
    mailbox: Mailbox
    findable: bool
    reason_not_found: str | None


@dataclass(frozen=True, slots=True)
class TruthSet:
    """Companies with their people."""

    companies: Sequence[Company]
    employees: Sequence[Employee]

    @property
    def domains(self) -> Sequence[Domain]:
        return [company.domain for company in self.companies]


def invent_truth_set(seed: int, people: int = 5000, domains: int = 400) -> TruthSet:
    """Invent people at companies; the same seed gives the same truth set."""
    rng = random.Random(f"truth set {seed}")  # noqa: S311 - must be repeatable
    companies = invent_companies(seed, people, domains)
    employees = [employee for company in companies for employee in _staff(rng, company)]
    rng.shuffle(employees)
    return TruthSet(companies, employees)


def _staff(rng: random.Random, company: Company) -> list[Employee]:
    """Invent the people of one company. No two of them have both names in common."""
    names: dict[tuple[str, str], TrueName] = {}
    while len(names) < company.size:
        culture = company.culture if rng.random() < OWN_CULTURE else rng.choice(list(cultures()))
        name = cultures()[culture].draw(rng)
        names.setdefault((company.scheme.spelling.given(name), company.scheme.spelling.family(name)), name)
    taken: set[str] = set()
    return _mark_namesakes([_hire(rng, company, name, taken) for name in names.values()])


def _hire(rng: random.Random, company: Company, name: TrueName, taken: set[str]) -> Employee:
    domain = company.domain
    local_part, follows = company.scheme.local_part(rng, name, taken)
    if rng.random() < IRREGULAR:
        local_part, follows = f"{local_part[:4]}{rng.randint(100, 999)}", False
    written = write_name(rng, name, cultures()[name.culture])
    if rng.random() < NOT_A_NAME:
        written, follows = Written(full_name=rng.choice(("N/A", "???", "-", "...", "12345"))), False
    mailbox = _draw_mailbox(rng, domain)
    if mailbox is not Mailbox.NONE:
        taken.add(local_part)
    findable, _, reason = truth_about(domain, mailbox)
    if findable and not follows:
        findable, reason = False, "every_candidate_refused"
    email = None if mailbox is Mailbox.NONE else f"{local_part}@{domain.name}"
    return Employee(written, domain.name, name.culture, email, mailbox, findable, reason)


def _mark_namesakes(staff: list[Employee]) -> list[Employee]:
    """Mark contacts as unfindable whose written name is a colleague's, or whose address differs only by a number."""
    same_name = Counter(_letters(employee.written) for employee in staff)
    numbered = {local_part.rstrip("0123456789") for local_part in map(_local_part, staff) if local_part[-1:].isdigit()}
    return [
        replace(employee, findable=False, reason_not_found=employee.reason_not_found or "namesakes")
        if same_name[_letters(employee.written)] > 1 or _local_part(employee) in numbered
        else employee
        for employee in staff
    ]


def _local_part(employee: Employee) -> str:
    return (employee.email or "").partition("@")[0]


def _letters(written: Written) -> str:
    text = f"{written.first_name} {written.last_name} {written.full_name}"
    return " ".join(sorted(text.casefold().replace(",", " ").split()))


def _draw_mailbox(rng: random.Random, domain: Domain) -> Mailbox:
    if not domain.living_hosts:
        return Mailbox.NONE
    return rng.choices((Mailbox.OPEN, Mailbox.NONE, Mailbox.FULL, Mailbox.DISABLED), (86, 8, 3, 3))[0]
