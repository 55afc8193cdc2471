"""Asks a described provider on loopback, with the journal in a real Postgres."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from uuid import UUID

from sqlalchemy import text

from models.database import Database
from pipeline.lookup.providers.catalogue import read_catalogue
from pipeline.lookup.providers.metered import StepResult
from pipeline.lookup.providers.source import Person
from pipeline.lookup.providers.waterfall import Conclusion, Waterfall
from pipeline.memory.provider_answers import Caps
from sandbox.provider import Provider
from worker.adapters.provider_journal import PostgresJournal

Ask = Callable[[Person], Awaitable[StepResult | None]]

GRACE = Person(full_name="Grace Hopper", domain="acme.test")
ADA = Person(full_name="Ada Lovelace", domain="acme.test")
STRANGER = Person(full_name="No Body", domain="acme.test")
ADDRESSES = {
    ("Grace Hopper", "acme.test"): "grace@acme.test",
    ("Ada Lovelace", "acme.test"): "ada@acme.test",
}
ENVIRONMENT = {"SANDBOX_KEY": "sandbox-key"}

DESCRIBED = """
[[provider]]
name = "{name}"
url = "{url}"
query = {{ full_name = "{{full_name}}", domain = "{{domain}}" }}
headers = {{ X-API-KEY = "${{SANDBOX_KEY}}" }}
email = "data.email"
score = "data.score"
price = 1
per_second = 1000
timeout = {timeout}
{more}
"""


@dataclass
class PayingRun:
    """A run that pays for questions to one provider, and the file that describes the provider."""

    path: Path
    provider: Provider
    database: Database
    run_id: UUID
    timeout: float = 2.0
    journal_price: Decimal = Decimal(1)

    def describe(self, more: str = "", *, name: str = "sandbox", head: str = "") -> None:
        described = DESCRIBED.format(name=name, url=self.provider.url, timeout=self.timeout, more=more)
        self.path.write_text(head + described)

    def journal(self, caps: Caps | None = None, run_id: UUID | None = None) -> PostgresJournal:
        return PostgresJournal(self.database, run_id or self.run_id, caps or Caps())

    @asynccontextmanager
    async def chunk_task(self, caps: Caps | None = None, run_id: UUID | None = None) -> AsyncIterator[Ask]:
        """A new process, with its own connections, breaker and rate limit."""
        metered, journal = read_catalogue(self.path, ENVIRONMENT, landing=2.0).providers[0], self.journal(caps, run_id)
        try:
            async with asyncio.timeout(60):
                yield lambda person: metered.ask(person, journal, None)
        finally:
            await metered.close()

    def ask(self, *people: Person, caps: Caps | None = None, run_id: UUID | None = None) -> list[StepResult | None]:
        """Ask about people one after the other, from one chunk task."""

        async def scenario() -> list[StepResult | None]:
            async with self.chunk_task(caps, run_id) as ask:
                return [await ask(person) for person in people]

        return asyncio.run(scenario())

    def conclude(self, *people: Person, caps: Caps | None = None) -> list[Conclusion]:
        """Ask the waterfall of the whole file about people, all at once."""

        async def scenario() -> list[Conclusion]:
            async with asyncio.timeout(60):
                catalogue = read_catalogue(self.path, ENVIRONMENT)
                waterfall = Waterfall(catalogue.providers, self.journal(caps), catalogue.budget.per_contact)
                results = await asyncio.gather(*(waterfall.ask(person, only_free=False) for person in people))
                for step in catalogue.providers:
                    await step.close()
                return list(results)

        return asyncio.run(scenario())

    def spent(self) -> float:
        with self.database.transaction() as session:
            return float(session.execute(text("SELECT coalesce(sum(cost), 0) FROM provider_answers")).scalar_one())

    def rows(self) -> int:
        with self.database.transaction() as session:
            return int(session.execute(text("SELECT count(*) FROM provider_answers")).scalar_one())

    def let_questions_expire(self) -> None:
        """Set back the time of every question by an hour."""
        with self.database.transaction() as session:
            session.execute(text("UPDATE provider_answers SET asked_at = asked_at - interval '1 hour'"))


@contextmanager
def opened_paying_run(
    path: Path, database: Database, run_id: UUID, provider: Provider | None = None
) -> Iterator[PayingRun]:
    with provider or Provider(ADDRESSES) as running:
        opened = PayingRun(path / "providers.toml", running, database, run_id)
        opened.describe()
        yield opened
