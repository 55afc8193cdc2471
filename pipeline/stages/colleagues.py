"""Contacts at a batch's domains that are worked elsewhere: an address that is found may be theirs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pipeline.contacts import Batch, Contact
from pipeline.lookup.names.parse import Name, parse_name
from pipeline.lookup.names.same_person import same_words
from pipeline.lookup.providers.source import Person
from pipeline.mail.address.suppression import SuppressionList
from pipeline.mail.address.syntax import normalise_domain
from pipeline.stages.fallback import person_of
from pipeline.stages.suppressed import may_be_probed


@dataclass(frozen=True, slots=True)
class Colleagues:
    """People of one domain who are worked elsewhere, and the account's suppression list."""

    people: Mapping[Name, Person]
    suppression_list: SuppressionList

    async def among(self, names: Sequence[Name]) -> list[Name]:
        """Return those of these people whose addresses may be probed."""
        known = {name: self.people[name] for name in names if name in self.people}
        return await may_be_probed(self.suppression_list, known) if known else []


def colleagues_of(batch: Batch) -> Mapping[str, Mapping[Name, Person]]:
    """Return the people who are worked elsewhere, by domain; without those who are in this batch as well."""
    people: dict[str, dict[Name, Person]] = {}
    if not batch.colleagues:
        return people
    here = {_person(contact) for contact in batch.contacts}
    for each in batch.colleagues:
        domain = normalise_domain(each.domain)
        if _person(each) in here:
            continue
        name = parse_name(first_name=each.first_name, last_name=each.last_name, full_name=each.full_name)
        if domain and name:
            people.setdefault(domain, {})[name] = person_of(each, domain)
    return people


def _person(contact: Contact) -> tuple[str | None, str]:
    """Equal for contacts of one person."""
    return normalise_domain(contact.domain), same_words(contact.first_name, contact.last_name, contact.full_name)
