"""Opens the sources that the settings name: the user's own files and the providers. Once per worker process."""

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
    """The sources, and how much a run, and an account per day, may spend on them."""

    sources: Sources = field(default_factory=Sources)
    caps: Caps = field(default_factory=Caps)


def open_sources(settings: Settings) -> OpenSources:
    """Open the user's own directory, then the providers in the order of their file. Raises `SourcesMisconfigured`.

    No provider is contacted yet. When a task must stop, a request in flight may take half a lease to finish.
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
    """Open the sources; if a file is not usable, the process ends with a sentence."""
    try:
        return open_sources(settings)
    except SourcesMisconfigured as error:
        sys.exit(str(error))
