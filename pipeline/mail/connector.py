"""Opens sessions with mail hosts for a whole process: within the limits, and not with hosts that are down."""

import asyncio
import logging
from weakref import WeakKeyDictionary

from pipeline.mail.config import MailNetworkConfig
from pipeline.mail.host_habits import HostHabits
from pipeline.mail.host_health import HostHealth
from pipeline.mail.outage import FailuresInARow
from pipeline.mail.pacing.in_process import ProcessPacing
from pipeline.mail.pacing.slots import Pacing, PacingLimits, Place, Slot, asks_to_slow_down, place_of
from pipeline.mail.session_pool import Line, SessionPool
from pipeline.mail.smtp.connect import connect
from pipeline.mail.smtp.egress import Egress, EgressPool
from pipeline.mail.smtp.errors import ConnectError, EgressError, SessionRefusedError, SmtpError, TlsError
from pipeline.mail.smtp.reply import Reply
from pipeline.mail.smtp.session import SmtpSession
from pipeline.mail.smtp.starttls import opportunistic_tls
from pipeline.mail.smtp.transcript import TRANSCRIPT
from pipeline.mail.stopwatch import Stopwatch

log = logging.getLogger(__name__)

TRIES = 8
"""How often a session is begun at a host that has too many of ours: more than a limit of 100 can be halved."""
CLOSE_SECONDS = 0.5
"""How long servers have to close sessions that were ended, before nobody looks for a while."""


class Connector:
    """What all conversations of a process share: connection slots, ways out, what is known of hosts.

    `failures` are those of connecting, for whoever wants to know whether that is possible at all; `health` tells
    which hosts are down, `habits` what hosts can't do.
    """

    def __init__(self, config: MailNetworkConfig, pacing: Pacing | None = None) -> None:
        self._config = config
        self._pacing = pacing or ProcessPacing(PacingLimits.of(config), config.conversations)
        self.health = HostHealth()
        self._egress_pool = EgressPool(config.source_ips, config.proxies)
        self._tls = opportunistic_tls() if config.starttls else None
        self.failures = FailuresInARow()
        self.habits = HostHabits()
        self._session_pool = SessionPool(self._pacing, config)
        self._open: set[SmtpSession] = set()
        self._slots: WeakKeyDictionary[SmtpSession, Slot] = WeakKeyDictionary()
        self._ways: WeakKeyDictionary[SmtpSession, Egress] = WeakKeyDictionary()
        self._complaints: dict[SmtpSession, asyncio.Task[bool]] = {}

    async def session(
        self, domain: str, mail_host: str, ip: str, stopwatch: Stopwatch, successes_before: int, questions: int = 0
    ) -> SmtpSession:
        """Open a session on behalf of a domain and introduce ourselves, or take over one in which that was done.

        One is taken over only by who says how many `questions` there will be at first, and where slots are scarce:
        another domain's conversation ended well in it while we waited for a slot (`pipeline.mail.session_pool`).

        Only waiting for a slot is not on the stopwatch. The slot stays taken until the connection is closed. Where
        a host takes no more of our connections at once, we wait until it has fewer, and try again.
        `successes_before` is the number of connections that had come about when the domain's turn began.
        Raises SmtpError (after TlsError the next session is in the clear), and TimeoutError when the stopwatch ran out.
        """
        place, tries = place_of(mail_host, ip), 0
        while True:
            stopwatch.check()
            tries += 1
            slot = await self._acquire(domain, place, questions)
            if isinstance(slot, SmtpSession):
                return slot
            session = await self._session_in(slot, domain, stopwatch, successes_before)
            try:
                await self._introduce(session, ip, stopwatch)
            except SessionRefusedError as error:
                if not asks_to_slow_down(error.reply):
                    raise
                self._end_turns_at(place.ip)
                if not await self._pacing.slow_down(slot) or tries == TRIES:
                    raise
            else:
                return session

    def heard(self, session: SmtpSession, reply: Reply) -> None:
        """Take note of what a server says in a session that may be about our pace."""
        if session not in self._complaints and asks_to_slow_down(reply):
            self._end_turns_at(self._slots[session].place.ip)
            task = asyncio.create_task(self._pacing.slow_down(self._slots[session]))
            self._complaints[session] = task
            task.add_done_callback(lambda _: self._complaints.pop(session))

    def has_taker(self, session: SmtpSession) -> bool:
        """Say whether somebody waits who could go on in the session."""
        return self._session_pool.has_taker(session, self._line(session))

    def offer(self, session: SmtpSession) -> None:
        """End a conversation's turn in a session, which goes to the next one that waits for it, or is over."""
        self._session_pool.offer(session, self._line(session))

    async def flush(self) -> None:
        """Wait a moment until the connections of ended sessions are closed, and their slots are given back."""
        if self._open:
            await asyncio.wait([session.closed for session in self._open], timeout=CLOSE_SECONDS)
        await asyncio.gather(*self._complaints.values())
        await self._pacing.flush()

    async def close(self) -> None:
        """Say QUIT in every open session, and wait until the connections are closed."""
        for session in self._open:
            session.quit()
        if self._open:
            await asyncio.wait([session.closed for session in self._open])
        await asyncio.gather(*self._complaints.values())
        await self._pacing.close()

    async def _acquire(self, domain: str, place: Place, questions: int) -> Slot | SmtpSession:
        """Who has the conversation written down has it alone, so that it reads as what it was."""
        way = self._egress_pool.own(domain, place.ip)
        if not questions or way is None or TRANSCRIPT.get() is not None:
            return await self._pacing.acquire(place)
        return await self._session_pool.acquire((place, way), questions)

    def _line(self, session: SmtpSession) -> Line:
        return self._slots[session].place, self._ways[session]

    def _end_turns_at(self, ip: str) -> None:
        """After a complaint there should be fewer connections soon: those that are open serve nobody else."""
        for session in self._open:
            session.is_last_turn = session.is_last_turn or self._slots[session].place.ip == ip

    async def _session_in(self, slot: Slot, domain: str, stopwatch: Stopwatch, successes_before: int) -> SmtpSession:
        try:
            session = await self._connect(domain, slot.place.ip, stopwatch, successes_before)
        except BaseException:
            self._pacing.release(slot, 0)
            raise
        self._open.add(session)
        self._slots[session] = slot
        session.closed.add_done_callback(lambda _: self._forget(session))
        return session

    async def _connect(self, domain: str, ip: str, stopwatch: Stopwatch, successes_before: int) -> SmtpSession:
        if self.health.is_down(ip):
            raise ConnectError("The host did not answer a moment ago.")
        left = stopwatch.left
        try:
            with stopwatch as deadline:
                session = await self._dial(domain, ip, deadline)
        except (ConnectError, TimeoutError) as error:
            if not isinstance(error, EgressError) and self._tells_of_host(error, left):
                self.health.failed(ip)
            self.failures.failed(domain, ip, successes_before=successes_before)
            raise
        self.failures.succeeded()
        session.one_by_one = session.is_last_turn = self.habits.loses_commands(ip)
        return session

    def _tells_of_host(self, error: Exception, left: float) -> bool:
        """Say whether it is the host that failed: a contact that had little time left says nothing about it."""
        return left >= self._config.fair_trial or not isinstance(error, TimeoutError)

    async def _dial(self, domain: str, ip: str, deadline: float) -> SmtpSession:
        """Connect by the domain's own way out, or by the next one if that way is not to be used at all."""
        *others, last = self._egress_pool.towards(domain, ip)
        for way in others:
            try:
                return await self._dial_by(way, ip, deadline)
            except EgressError as error:
                log.warning("%s Its domains leave by another way.", error)
        return await self._dial_by(last, ip, deadline)

    async def _dial_by(self, way: Egress, ip: str, deadline: float) -> SmtpSession:
        config = self._config
        limits = config.connect_timeout, config.command_timeout
        session = await connect(ip, config.smtp_port, *limits, way, until=deadline)
        self._ways[session] = way
        return session

    async def _introduce(self, session: SmtpSession, ip: str, stopwatch: Stopwatch) -> None:
        left = stopwatch.left
        try:
            with stopwatch as deadline:
                tls = None if self.habits.fails_at_tls(ip) else self._tls
                await session.greet(self._config.helo_name, tls, until=deadline)
        except BaseException as error:
            session.quit()
            if isinstance(error, TlsError):
                self.habits.note_failure_at_tls(ip)
            elif isinstance(error, SessionRefusedError) or not isinstance(error, SmtpError | TimeoutError):
                pass
            elif self._tells_of_host(error, left):
                self.health.failed(ip)
            raise
        self.health.answered(ip)

    def _forget(self, session: SmtpSession) -> None:
        self._open.discard(session)
        self._pacing.release(self._slots[session], session.asked)
