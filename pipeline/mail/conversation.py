"""Probes many addresses of one domain at its mail servers, in as few sessions as they allow.

A conversation tries the domain's hosts in order, keeps within the limits on connections and recipients, goes on after
a server that ends sessions early, and returns an answer for every address. It raises no network errors.
"""

import asyncio
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import TracebackType
from typing import Self

from pipeline.mail.address.providers import provider_of
from pipeline.mail.catch_all import random_address
from pipeline.mail.config import MailNetworkConfig
from pipeline.mail.connector import Connector, SessionRequest
from pipeline.mail.dns.routes import MailRoute
from pipeline.mail.pacing.slots import place_of
from pipeline.mail.replies.answer import Answer, answer_to_refused_session, answers_to_recipients
from pipeline.mail.replies.classify import is_too_many_recipients
from pipeline.mail.replies.meaning import CONCLUSIVE, Meaning
from pipeline.mail.smtp.errors import (
    MalformedReplyError,
    ReplyTimeoutError,
    SessionRefusedError,
    SmtpError,
    TlsError,
)
from pipeline.mail.smtp.reply import Reply
from pipeline.mail.smtp.session import SmtpSession
from pipeline.mail.stopwatch import Stopwatch

PROBES_AT_FIRST = 20
"""Probes that a server is expected to answer in time, before its pace is known."""
RETRIES = 1
"""How many sessions in a row may break before their first reply; after one more the conversation gives up."""
FEW_PROBES, SLOW_GROUPS = 4, 2
"""A server that answers fewer than FEW_PROBES within half a contact's time limit, for SLOW_GROUPS groups of contacts in
a row, is not probed any more."""


class Conversation:
    """Probes the servers of one domain. An async context manager; on exit it says QUIT without waiting for it."""

    def __init__(self, route: MailRoute, config: MailNetworkConfig, connector: Connector, stopwatch: Stopwatch) -> None:
        self.domain = route.domain
        self._random_address = random_address(route.domain, config.mail_from)
        self._config = config
        self._connector = connector
        self._successes_before = connector.failures.successes
        self._hosts = deque((host.name, ip) for host in route.hosts for ip in host.addresses)
        self._stopwatch = stopwatch
        self._pace = _Pace(config.contact_timeout / 2)
        self._is_first_group = True
        self._session: SmtpSession | None = None
        self._may_reuse = True
        self._is_reused = False
        self._per_session = self._per_transaction = config.recipients_per_session
        self._breaks = 0
        self._is_last_call = False
        self._gave_up: Answer | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self._leave()
        else:
            self.hang_up()

    def restart_clock(self) -> None:
        """Start the time limit of the next group of contacts; the first group has what finding the route left over."""
        if self._is_first_group:
            self._is_first_group = False
            return
        self._stopwatch = Stopwatch(self._config.contact_timeout)
        self._pace.end_group()
        if self._pace.slow_groups >= SLOW_GROUPS:
            self._gave_up = self._no_reply(Meaning.TIME_LIMIT, "The server answers too slowly to be asked about many.")

    @property
    def probes_in_time(self) -> int:
        """How many probes the server can be expected to answer within half the time limit of one contact."""
        return self._pace.probes_in_time

    def expect_no_more(self) -> None:
        """Send QUIT together with the next probes, which are the last, where that is possible."""
        self._is_last_call = True

    def hang_up(self) -> None:
        """End the session; the next probe opens another one."""
        if self._session is not None:
            self._session.quit()
            self._session = None

    async def probe(self, addresses: Iterable[str]) -> Mapping[str, Answer]:
        """Return an answer for every address, even if no server gave one.

        The addresses must belong to this domain and have a valid syntax.
        """
        answers: dict[str, Answer] = {}
        pending = list(dict.fromkeys(addresses))
        while pending and self._gave_up is None:
            try:
                await self._probe_some(pending, answers)
            except TimeoutError:
                late = self._no_reply(Meaning.TIME_LIMIT, "The time limit for one contact passed.")
                self._leave_host()
                return dict.fromkeys(pending, late) | answers
            pending = [address for address in pending if address not in answers]
        if self._gave_up is not None:
            answers |= dict.fromkeys(pending, self._gave_up)
        if self._is_last_call:
            self._is_last_call = False
            self._leave()
        return answers

    async def _probe_some(self, pending: Sequence[str], answers: dict[str, Answer]) -> None:
        """Probe as many of the pending addresses as fit into the session. Raises TimeoutError."""
        session = await self._session_with_room(len(pending))
        if session is None:
            return
        addresses = self._choose(session, pending, answers)
        if not addresses:
            return
        if self._is_last_call and len(addresses) == len(pending) and not self._connector.has_taker(session):
            session.end_with_quit()
        batch = _Batch(addresses, session, *self._hosts[0])
        try:
            with self._stopwatch as deadline:
                await session.probe(self._config.mail_from, addresses, batch.replies, until=deadline)
        except SmtpError as error:
            batch.error = error
        finally:
            # Replies that arrived before a timeout or a break count as well.
            batch.finish()
            self._learn_from_break(batch)
            self._learn_from_pace(batch)
            answers |= self._answers(batch)

    def _answers(self, batch: "_Batch") -> Mapping[str, Answer]:
        """Return an answer for each address with a conclusive or inconclusive reply, and adapt to the complaints."""
        replies = batch.replies_by_address()
        if batch.has_refusals and self._adapt_to_recipient_limit(batch):
            replies = [(address, reply) for address, reply in replies if not is_too_many_recipients(reply)]
        answers = answers_to_recipients(
            replies,
            batch.mail_host,
            batch.asked_at,
            batch.seconds,
            book=self._config.reply_rules,
            provider=provider_of(batch.mail_host),
        )
        is_conclusive = {answer.meaning for answer in answers.values()} <= CONCLUSIVE
        if not is_conclusive or len(answers) < len(batch.addresses):
            # The cause may be this session, which no other conversation shall have.
            batch.session.reusable = False
        for address, reply in replies:
            if answers[address].meaning is Meaning.RATE_LIMITED:
                self._connector.note_complaint(batch.session, reply)
        return answers

    # Sessions

    async def _session_with_room(self, probes: int) -> SmtpSession | None:
        """Return the open session or a new one; None if no host lets us begin one, which ends the conversation."""
        if self._session is not None and self._is_used_up(self._session):
            self.hang_up()
        if self._session is None:
            # Only the first session may be a reused one: a conversation that needs another has met trouble.
            self._session = await self._begin_session(probes if self._may_reuse else 0)
            self._may_reuse = False
            self._is_reused = self._session is not None and self._session.asked > 0
        elif self._session.recipients >= self._per_transaction:
            self._session.end_transaction()
        return self._session

    def _is_used_up(self, session: SmtpSession) -> bool:
        return (
            session.has_said_quit
            or session.asked >= self._per_session
            or session.refused >= self._config.refusals_per_session
        )

    async def _begin_session(self, probes: int) -> SmtpSession | None:
        refusals: list[Answer] = []
        for _ in range(len(self._hosts)):
            try:
                return await self._open_session(probes)
            except SmtpError as error:
                refusals.append(self._refusal(error, Meaning.UNREACHABLE))
                self._hosts.rotate(-1)
        # A host that gives a reason explains more than a silent one.
        nowhere = self._no_reply(Meaning.UNREACHABLE, "The domain has no mail host.")
        self._gave_up = max(refusals, key=lambda refusal: refusal.code > 0, default=nowhere)
        return None

    async def _open_session(self, probes: int) -> SmtpSession:
        place = place_of(*self._hosts[0])
        request = SessionRequest(self.domain, place, self._stopwatch, self._successes_before, probes)
        try:
            return await self._connector.session(request)
        except TlsError:
            # Unencrypted is better than not at all (RFC 7435 3); the connector remembers that this host's TLS fails.
            return await self._connector.session(request)

    def _leave(self) -> None:
        """Let another conversation reuse the session, or end it."""
        if self._session is not None:
            self._connector.offer(self._session)
            self._session = None

    def _leave_host(self) -> None:
        self.hang_up()
        self._hosts.rotate(-1)

    # How many probes at once

    def _choose(self, session: SmtpSession, pending: Sequence[str], answers: dict[str, Answer]) -> Sequence[str]:
        """Choose the addresses of the next batch, and answer for those that cannot be named in this session."""
        possible = [address for address in pending if session.takes(address)]
        if len(possible) < len(pending):
            unclear = self._no_reply(Meaning.UNCLEAR, "The server takes no international addresses (RFC 6531).")
            answers |= dict.fromkeys(set(pending).difference(possible), unclear)
        room = min(self._per_session - session.asked, self._per_transaction - session.recipients)
        return possible[: min(room, self._most_that_may_be_refused(possible, session.refused))]

    def _most_that_may_be_refused(self, addresses: Sequence[str], refused: int) -> int:
        """Return how many addresses to probe at once, given that all of them may be refused.

        If the random address follows others, it is as good as certain that one of them exists. Two probes more than
        may be refused then still finish the domain in one round trip; if all are refused, one reply is a second late.
        """
        refusals = self._config.refusals_per_session - refused
        ends_with_random_address = addresses[-1:] == [self._random_address]
        return len(addresses) if ends_with_random_address and len(addresses) <= refusals + 2 else refusals

    def _adapt_to_recipient_limit(self, batch: "_Batch") -> bool:
        """Say whether the server refused recipients for their number; if so, send fewer from now on.

        At the very first recipient of a session such a reply is not about their number: it is the answer.
        """
        session, asked_before = batch.session, batch.session.asked - len(batch.replies)
        surplus = next((index for index, reply in enumerate(batch.replies) if is_too_many_recipients(reply)), None)
        if surplus is None or asked_before + surplus == 0:
            return False
        if batch.recipients_before + surplus:
            self._per_transaction = batch.recipients_before + surplus
        else:
            if not self._is_reused:
                self._per_session = session.asked - len(batch.replies)
            self.hang_up()
        return True

    # What a batch teaches

    def _learn_from_break(self, batch: "_Batch") -> None:
        """After a session that ended early: send less per session, try once more at another host, or give up."""
        error = batch.error
        if error is None:
            return
        if isinstance(error, SessionRefusedError):
            self._connector.note_complaint(batch.session, error.reply)
        if batch.lost_a_command:
            self._connector.hosts.note_lost_command(batch.ip)
        self.hang_up()
        if self._is_reused:
            # Other domains' probes may be the cause: a session of our own will tell, and this one's time is not ours.
            self._stopwatch.left += batch.seconds
        elif batch.replies:
            self._breaks = 0
            self._per_session = max(1, len(batch.replies) // 2)
        else:
            self._breaks += 1
            if self._breaks > RETRIES or isinstance(error, SessionRefusedError):
                self._gave_up = self._refusal(error, Meaning.UNCLEAR)
            self._hosts.rotate(-1)

    def _learn_from_pace(self, batch: "_Batch") -> None:
        self._pace.note(len(batch.replies), batch.seconds)
        if batch.replies:
            self._connector.hosts.note_answer(batch.ip)
        elif not batch.lost_a_command and batch.seconds >= self._config.fair_trial:
            self._connector.hosts.note_stall(batch.ip)

    def _refusal(self, error: SmtpError, otherwise: Meaning) -> Answer:
        if not isinstance(error, SessionRefusedError):
            return self._no_reply(otherwise, str(error))
        return answer_to_refused_session(error.reply, self._mail_host, datetime.now(UTC), book=self._config.reply_rules)

    def _no_reply(self, meaning: Meaning, why: str) -> Answer:
        return Answer(meaning, 0, why, self._mail_host, datetime.now(UTC))

    @property
    def _mail_host(self) -> str:
        return self._hosts[0][0] if self._hosts else ""


@dataclass(slots=True)
class _Batch:
    """Addresses that are probed together in one session, the replies so far, and the error that ended it, if any."""

    addresses: Sequence[str]
    session: SmtpSession
    mail_host: str
    ip: str
    replies: list[Reply] = field(default_factory=list)
    error: SmtpError | None = None
    asked_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    seconds: float = 0.0
    recipients_before: int = field(init=False)
    _refused_before: int = field(init=False)
    _started: float = field(init=False)

    def __post_init__(self) -> None:
        self.recipients_before, self._refused_before = self.session.recipients, self.session.refused
        self._started = asyncio.get_running_loop().time()

    def finish(self) -> None:
        self.seconds = asyncio.get_running_loop().time() - self._started

    def replies_by_address(self) -> Sequence[tuple[str, Reply]]:
        return list(zip(self.addresses, self.replies, strict=False))

    @property
    def has_refusals(self) -> bool:
        return self.session.refused > self._refused_before

    @property
    def lost_a_command(self) -> bool:
        """Whether the server lost one of several commands that were sent together, or answered out of turn."""
        return self.session.pipelines and isinstance(self.error, ReplyTimeoutError | MalformedReplyError)


@dataclass(slots=True)
class _Pace:
    """How fast a server answers: over the whole conversation, and in the current group of contacts."""

    half_limit: float
    slow_groups: int = 0
    _replies: int = 0
    _seconds: float = 0.0
    _group_replies: int = 0
    _group_seconds: float = 0.0

    def note(self, replies: int, seconds: float) -> None:
        self._replies += replies
        self._seconds += seconds
        self._group_replies += replies
        self._group_seconds += seconds

    def end_group(self) -> None:
        """Count the groups in a row in which the server was slow."""
        is_slow = self.half_limit * self._group_replies < FEW_PROBES * self._group_seconds
        self.slow_groups = self.slow_groups + 1 if is_slow else 0
        self._group_replies, self._group_seconds = 0, 0.0

    @property
    def probes_in_time(self) -> int:
        if not self._replies or not self._seconds:
            return PROBES_AT_FIRST
        return int(self.half_limit * self._replies / self._seconds)
