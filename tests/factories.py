"""Rows in the state that a test needs, created by the functions that production calls."""

from collections.abc import Mapping, Sequence
from uuid import UUID

from sqlalchemy import text, update
from sqlalchemy.orm import Session

from cli.accounts import NewAccount, create_account
from models.database import Database
from models.run import Run
from models.run_chunk import RunChunk
from models.transitions import lock_run
from models.wire import ContactIn, GoalPlan, InputAssets, Output
from pipeline.contacts import PatternCount
from pipeline.credits import RateCard
from pipeline.evidence import Evidence, ReplyEvidence, SearchEvidence
from pipeline.lookup.names.parse import Name, parse_name
from pipeline.lookup.patterns.observations import lessons
from pipeline.outcomes import Deferral, Outcome, OutcomeStatus, Reason
from pipeline.runs import chunks, lifecycle
from pipeline.runs.chunks import Lease
from pipeline.runs.create import create_run

LOOKUP, VERIFY = "email_lookup", "email_verify"
WORKER = "worker-1@test/1"
LEASE_S = 30.0


def account(database: Database, credits_granted: int = 10_000) -> NewAccount:
    return create_account(database, "Example Account", credits_granted)


def contacts(count: int, domain: str = "alpha.test") -> list[ContactIn]:
    return [ContactIn(first_name=f"Given{n}", last_name=f"Family{n}", domain=domain) for n in range(count)]


def named(full_name: str) -> Name:
    name = parse_name(full_name=full_name)
    assert name is not None
    return name


def order(count: int = 3, **output: object) -> GoalPlan:
    return order_of(contacts(count), **output)


def order_of(people: Sequence[ContactIn], preset: str = "full_pipeline", **output: object) -> GoalPlan:
    return GoalPlan(
        pipeline_id="email_discovery_v1",
        preset=preset,  # type: ignore[arg-type]
        input_assets=InputAssets(contacts=list(people)),
        output=Output.model_validate(output),
    )


def owner_of(database: Database, run_id: UUID) -> UUID:
    """The account that a run belongs to."""
    with database.transaction() as session:
        return session.get_one(Run, run_id).account_id


def pending_run(database: Database, count: int = 3, account_id: UUID | None = None, **output: object) -> UUID:
    owner = account_id or account(database).account_id
    with database.transaction() as session:
        return create_run(session, owner, order(count, **output), rate_card=RateCard()).run_id


def started_run(database: Database, count: int = 3, chunk_size: int = 2) -> UUID:
    """A running run whose look-up stage is divided into chunks, none of them leased."""
    run_id = pending_run(database, count)
    with database.transaction() as session:
        lifecycle.begin_stage(session, run_id, LOOKUP, WORKER, chunk_size)
    return run_id


def lease_chunk(
    database: Database, run_id: UUID, stage: str = LOOKUP, worker: str = WORKER, max_tasks_per_run: int = 20
) -> Lease | None:
    with database.transaction() as session:
        run = lock_run(session, run_id)
        assert run is not None
        leased = chunks.lease_next(session, run, stage, worker, LEASE_S, max_tasks_per_run)
        return next(iter(leased.leases), None)


def leased_chunk(database: Database, run_id: UUID, stage: str = LOOKUP, worker: str = WORKER) -> Lease:
    lease = lease_chunk(database, run_id, stage, worker)
    assert lease is not None
    return lease


def expired_chunk(database: Database, run_id: UUID, stage: str = LOOKUP) -> Lease:
    """A chunk whose lease has expired."""
    return expire(database, leased_chunk(database, run_id, stage))


def expire(database: Database, lease: Lease, ended: str = "now() - interval '1 second'") -> Lease:
    """Let a lease expire."""
    with database.transaction() as session:
        session.execute(
            update(RunChunk)
            .where(RunChunk.run_id == lease.run_id, RunChunk.stage == lease.stage, RunChunk.number == lease.number)
            .values(lease_expires_at=text(ended))
        )
    return lease


def let_pauses_pass(database: Database) -> None:
    """Let every pause be over now."""
    statements = (
        "UPDATE runs SET troubled_since = troubled_since - (retry_at - now()), retry_at = now() WHERE retry_at > now()",
        "UPDATE runs SET resend_at = now(), parked_until = NULL",
        "UPDATE run_chunks SET not_before = now() WHERE not_before IS NOT NULL",
    )
    with database.transaction() as session:
        for statement in statements:
            session.execute(text(statement))


def found(position: int, domain: str = "alpha.test") -> Outcome:
    return Outcome(
        position,
        OutcomeStatus.FOUND,
        Reason.MAILBOX_EXISTS,
        email=f"given.family{position}@{domain}",
        source="permutation",
        score=95,
        evidence=Evidence(
            ReplyEvidence(mail_host="mx.alpha.test", reply_code=250), catch_all=False, pattern="first.last"
        ),
    )


def searched(outcome: Outcome, domain: str, person: bytes = b"", *refused: str) -> Outcome:
    """The outcome with the evidence of a search at the domain, from which later runs learn."""
    return outcome._replace(evidence=outcome.evidence._replace(search=SearchEvidence(1, domain, person, refused)))


def not_found(position: int) -> Outcome:
    return Outcome(position, OutcomeStatus.NOT_FOUND, Reason.EVERY_CANDIDATE_REFUSED)


def valid(position: int) -> Outcome:
    return Outcome(
        position, OutcomeStatus.VALID, Reason.MAILBOX_EXISTS, email=f"given.family{position}@alpha.test", score=98
    )


def finish_chunk(database: Database, lease: Lease, outcomes: Sequence[Outcome]) -> bool:
    """Record, finish and advance, as a chunk task does. Returns whether the stage is complete."""
    with database.transaction() as session:
        chunks.finish(session, lease, outcomes, LEASE_S)
        return lifecycle.advance(session, lease.run_id, lease.stage, lease.worker)


def count(session: Session, query: str, **parameters: object) -> int:
    return int(session.execute(text(query), parameters).scalar_one())


def skipped(position: int) -> Outcome:
    return Outcome(position, OutcomeStatus.SKIPPED, Reason.NO_EMAIL)


def taught_by(passes: Sequence[Mapping[int, Outcome | Deferral]]) -> dict[str, list[PatternCount]]:
    """The patterns that all outcomes so far show for their domains, as a later chunk loads them."""
    outcomes = [each for results in passes for each in results.values() if isinstance(each, Outcome)]
    patterns: dict[str, list[PatternCount]] = {}
    for (domain, pattern), observed in lessons(outcomes).items():
        patterns.setdefault(domain, []).append(PatternCount(pattern, *observed))
    return patterns
