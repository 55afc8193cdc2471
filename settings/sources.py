"""Opens the sources of addresses that the settings name, once per worker process."""

import os
import sys
from dataclasses import dataclass, field

from pipeline.errors import SourcesMisconfigured
from pipeline.lookup.providers.catalogue import read_catalogue
from pipeline.lookup.providers.companies import NoCompanies, read_companies
from pipeline.lookup.providers.people import read_people
from pipeline.lookup.providers.waterfall import Sources, Step
from pipeline.memory.provider_answers import Caps
from settings import Settings


@dataclass(frozen=True, slots=True)
class OpenSources:
    """The sources, and the most that a run and an account's day may spend on them."""

    sources: Sources = field(default_factory=Sources)
    caps: Caps = field(default_factory=Caps)


def open_sources(settings: Settings) -> OpenSources:
    """The user's own directory first, then providers in the order of their file. Raises `SourcesMisconfigured`.

    Nothing is contacted yet. A request under way may take half a lease when its task must stop.
    """
    steps: list[Step] = [read_people(settings.people_file)] if settings.people_file else []
    companies = read_companies(settings.companies_file) if settings.companies_file else NoCompanies()
    if settings.providers_file is None:
        return OpenSources(Sources(steps, companies=companies))
    catalogue = read_catalogue(settings.providers_file, os.environ, landing=settings.lease_seconds / 2)
    budget = catalogue.budget
    sources = Sources([*steps, *catalogue.providers], budget.per_contact, companies)
    return OpenSources(sources, Caps(budget.per_run, budget.per_account_day))


def sources_or_exit(settings: Settings) -> OpenSources:
    """The same; ends the process with a sentence if they can't be used."""
    try:
        return open_sources(settings)
    except SourcesMisconfigured as error:
        sys.exit(str(error))
