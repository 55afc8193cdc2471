"""Asks one domain's mail servers about many addresses, in as few sessions as they allow.

It tries the domain's hosts in order, keeps within the limits on connections and recipients, goes on after a
server that cuts sessions short, and says of every address what came out. It raises nothing of the network's.
"""

import asyncio
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from types import TracebackType
from typing import Self

from pipeline.mail.address.providers import provider_of
from pipeline.mail.catch_all import random_address
from pipeline.mail.config import MailNetworkConfig
from pipeline.mail.connector import Connector
from pipeline.mail.dns.routes import MailRoute
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

QUESTIONS_AT_FIRST = 20
"""How many questions a server is trusted to answer in time, before its pace is known."""
RETRIES = 1
"""How often in a row a session may break before it answered anything, until the conversation gives up."""
FEW_QUESTIONS, SLOW_GROUPS = 4, 2
"""A server that answers fewer questions within half a contact's time limit, for so many groups of contacts in a row, is
asked about nobody else."""


class Conversation:
    """One domain's turn of asking; an async context manager whose end says QUIT without waiting for it."""

    def __init__(self, route: MailRoute, config: MailNetworkConfig, connector: Connector, stopwatch: Stopwatch) -> None:
        self.domain = route.domain
        self._random_address = random_address(route.domain, config.mail_from)
        self._config = config
        self._connector = connector
        self._successes_before = connector.failures.successes
        self._hosts = deque((host.name, ip) for host in route.hosts for ip in host.addresses)
        self._session: SmtpSession | None = None
        self._has_begun = self._is_reused = False
        self._per_session = self._per_transaction = config.recipients_per_session
        self._breaks = 0
        self._leaves = False
        self._given_up: Answer | None = None
        self._stopwatch = stopwatch
        self._is_first_group, self._slow_groups = True, 0
        self._heard, self._seconds = self._before = 0, 0.0

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
        """Give the time limit for one contact anew, for the next ones; the first have what finding the route left."""
        if self._is_first_group:
            self._is_first_group = False
            return
        self._stopwatch = Stopwatch(self._config.contact_timeout)
        self._judge_pace()

    @property
    def questions_in_time(self) -> int:
        """How many questions the server can be expected to answer within half the time limit of one contact."""
        if not self._heard or not self._seconds:
            return QUESTIONS_AT_FIRST
        return int(self._config.contact_timeout / 2 * self._heard / self._seconds)

    def _judge_pace(self) -> None:
        """Give up a server that took its time with group after group."""
        heard, seconds = self._heard - self._before[0], self._seconds - self._before[1]
        self._before = self._heard, self._seconds
        is_slow = self._config.contact_timeout / 2 * heard < FEW_QUESTIONS * seconds
        self._slow_groups = self._slow_groups + 1 if is_slow else 0
        if self._slow_groups >= SLOW_GROUPS:
            self._given_up = self._silence(Meaning.TIME_LIMIT, "The server answers too slowly to be asked about many.")

    def hang_up(self) -> None:
        """End the session; the next question opens another one."""
        if self._session is not None:
            self._session.quit()
            self._session = None

    def _leave(self) -> None:
        """Have somebody else go on in the session, if it is of use to anybody."""
        if self._session is not None:
            self._connector.offer(self._session)
            self._session = None

    def expect_no_more(self) -> None:
        """Have QUIT said together with the next questions, which are the last, where that is possible."""
        self._leaves = True

    async def probe(self, addresses: Iterable[str]) -> Mapping[str, Answer]:
        """Say of every address what came out of asking, be it that nothing did.

        The addresses must be of this domain and of valid syntax.
        """
        answers: dict[str, Answer] = {}
        pending = list(dict.fromkeys(addresses))
        while pending and self._given_up is None:
            try:
                await self._probe_some(pending, answers)
            except TimeoutError:
                late = self._silence(Meaning.TIME_LIMIT, "The time limit for one contact passed.")
                self._leave_host()
                return dict.fromkeys(pending, late) | answers
            pending = [address for address in pending if address not in answers]
        if self._given_up is not None:
            answers |= dict.fromkeys(pending, self._given_up)
        if self._leaves:
            self._leaves = False
            self._leave()
        return answers

    async def _probe_some(self, pending: Sequence[str], answers: dict[str, Answer]) -> None:
        """Ask about as many of the pending addresses as fit into the session. Raises TimeoutError."""
        session = await self._session_with_room(len(pending))
        if session is None:
            return
        batch = self._batch(session, pending, answers)
        if not batch:
            return
        if self._leaves and len(batch) == len(pending) and not self._connector.has_taker(session):
            session.end_with_quit()
        already, refused_before, heard = session.recipients, session.refused, list[Reply]()
        asked_at, started = datetime.now(UTC), asyncio.get_running_loop().time()
        ip, is_theirs = self._hosts[0][1], True
        try:
            with self._stopwatch as deadline:
                await session.probe(self._config.mail_from, batch, heard, until=deadline)
        except SmtpError as error:
            if isinstance(error, SessionRefusedError):
                self._connector.heard(session, error.reply)
            if session.pipelines and isinstance(error, ReplyTimeoutError | MalformedReplyError):
                self._connector.habits.note_lost_command(ip)
                is_theirs = False
            self._learn_from_break(error, len(heard), asyncio.get_running_loop().time() - started)
        finally:
            # Also when time is up: what was heard until then is known.
            seconds = asyncio.get_running_loop().time() - started
            self._seconds += seconds
            self._heard += len(heard)
            if heard:
                self._connector.health.told(ip)
            elif is_theirs and seconds >= self._config.fair_trial:
                self._connector.health.stalled(ip)
            replies = list(zip(batch, heard, strict=False))
            if session.refused > refused_before and self._learn_from_surplus(session, heard, already):
                replies = [each for each in replies if not is_too_many_recipients(each[1])]
            told = answers_to_recipients(
                replies,
                self._host,
                asked_at,
                seconds,
                book=self._config.reply_rules,
                provider=provider_of(self._host),
            )
            answers |= told
            self._learn_from_answers(session, replies, told)
            session.is_last_turn = session.is_last_turn or len(told) < len(batch)

    async def _session_with_room(self, questions: int) -> SmtpSession | None:
        """Give the session in hand, or a new one; None, and give up, when no host lets us begin one."""
        if self._session is not None and self._is_used_up(self._session):
            self.hang_up()
        if self._session is None:
            self._session = await self._begin_session(0 if self._has_begun else questions)
            # Only the first session may be one that is handed on: whoever needs another has its reasons.
            self._has_begun, self._is_reused = True, self._session is not None and self._session.asked > 0
        elif self._session.recipients >= self._per_transaction:
            self._session.end_transaction()
        return self._session

    def _is_used_up(self, session: SmtpSession) -> bool:
        return (
            session.has_said_quit
            or session.asked >= self._per_session
            or session.refused >= self._config.refusals_per_session
        )

    async def _begin_session(self, questions: int) -> SmtpSession | None:
        refusals: list[Answer] = []
        for _ in range(len(self._hosts)):
            try:
                return await self._open_session(questions)
            except SmtpError as error:
                refusals.append(self._refusal(error, Meaning.UNREACHABLE))
                self._hosts.rotate(-1)
        # A host that says why explains more than one that is silent.
        nowhere = self._silence(Meaning.UNREACHABLE, "The domain has no mail host.")
        self._given_up = max(refusals, key=lambda refusal: refusal.code > 0, default=nowhere)
        return None

    async def _open_session(self, questions: int) -> SmtpSession:
        host, stopwatch, before = self._hosts[0], self._stopwatch, self._successes_before
        try:
            return await self._connector.session(self.domain, *host, stopwatch, before, questions)
        except TlsError:
            # Better in the clear than not at all (RFC 7435 3): the connector remembers that this host can't.
            return await self._connector.session(self.domain, *host, stopwatch, before, questions)

    def _batch(self, session: SmtpSession, pending: Sequence[str], answers: dict[str, Answer]) -> Sequence[str]:
        """Choose what to ask next, and answer for what can't be named in this session."""
        left = [address for address in pending if session.takes(address)]
        if len(left) < len(pending):
            unclear = self._silence(Meaning.UNCLEAR, "The server takes no international addresses (RFC 6531).")
            answers |= dict.fromkeys(set(pending).difference(left), unclear)
        room = min(self._per_session - session.asked, self._per_transaction - session.recipients)
        return left[: min(room, self._risk(left, session.refused))]

    def _risk(self, left: Sequence[str], refused: int) -> int:
        """How many may be asked in one go, seeing that all of them may be refused.

        Who asks about a random address together with others is as good as sure that one of them exists. So two
        more than may be refused still end it in one round trip; should all be refused, one reply comes a second late.
        """
        refusals = self._config.refusals_per_session - refused
        ends_with_random_address = left[-1:] == [self._random_address]
        return len(left) if ends_with_random_address and len(left) <= refusals + 2 else refusals

    def _learn_from_answers(
        self, session: SmtpSession, replies: Sequence[tuple[str, Reply]], told: Mapping[str, Answer]
    ) -> None:
        """Note complaints; and what settles nothing may be the session's fault, which nobody else shall have."""
        if {answer.meaning for answer in told.values()} <= CONCLUSIVE:
            return
        session.is_last_turn = True
        for address, reply in replies:
            if told[address].meaning is Meaning.RATE_LIMITED:
                self._connector.heard(session, reply)

    def _learn_from_break(self, error: SmtpError, answered: int, seconds: float) -> None:
        """After a session that ended early: ask less per session, try once more elsewhere, or give up.

        One that was taken over may have ended for what others did in it: a session of our own will tell.
        """
        self.hang_up()
        if self._is_reused:
            self._stopwatch.left += seconds
            return
        if answered:
            self._breaks = 0
            self._per_session = max(1, answered // 2)
            return
        self._breaks += 1
        if self._breaks > RETRIES or isinstance(error, SessionRefusedError):
            self._given_up = self._refusal(error, Meaning.UNCLEAR)
        self._hosts.rotate(-1)

    def _learn_from_surplus(self, session: SmtpSession, heard: Sequence[Reply], already: int) -> bool:
        """Say whether recipients were too many, and ask for fewer at once from now on.

        At the very first recipient of a session it is no matter of number, but the answer.
        """
        surplus = next((index for index, reply in enumerate(heard) if is_too_many_recipients(reply)), None)
        if surplus is None or session.asked - len(heard) + surplus == 0:
            return False
        if already + surplus:
            self._per_transaction = already + surplus
        else:
            if not self._is_reused:
                self._per_session = session.asked - len(heard)
            self.hang_up()
        return True

    def _leave_host(self) -> None:
        self.hang_up()
        self._hosts.rotate(-1)

    @property
    def _host(self) -> str:
        return self._hosts[0][0] if self._hosts else ""

    def _refusal(self, error: SmtpError, otherwise: Meaning) -> Answer:
        if not isinstance(error, SessionRefusedError):
            return self._silence(otherwise, str(error))
        return answer_to_refused_session(error.reply, self._host, datetime.now(UTC), book=self._config.reply_rules)

    def _silence(self, meaning: Meaning, why: str) -> Answer:
        return Answer(meaning, 0, why, self._host, datetime.now(UTC))
