"""Opens SMTP sessions for all conversations of a process, within the connection limits."""

import asyncio
import logging
import ssl
from dataclasses import dataclass
from weakref import WeakKeyDictionary

from pipeline.mail.config import MailNetworkConfig
from pipeline.mail.host_state import HostState
from pipeline.mail.outage import FailuresInARow
from pipeline.mail.pacing.in_process import ProcessPacing
from pipeline.mail.pacing.slots import Pacing, PacingLimits, Place, Slot, asks_to_slow_down
from pipeline.mail.session_pool import Path, SessionPool
from pipeline.mail.smtp.connect import connect
from pipeline.mail.smtp.egress import Egress, EgressPool
from pipeline.mail.smtp.errors import ConnectError, EgressError, SessionRefusedError, SmtpError, TlsError
from pipeline.mail.smtp.reply import Reply
from pipeline.mail.smtp.session import SmtpSession
from pipeline.mail.smtp.transcript import TRANSCRIPT
from pipeline.mail.stopwatch import Stopwatch

log = logging.getLogger(__name__)

ATTEMPTS = 8
"""How often a session is tried at a host that complains of too many connections: enough to halve a limit of 100 down
to one."""
CLOSE_SECONDS = 0.5
"""How long servers have to close ended sessions before the event loop stands still."""


@dataclass(frozen=True, slots=True)
class SessionRequest:
    """A session that a conversation wants: on behalf of which domain, with which host, within what time.

    `successes_before` is the number of connections that had succeeded when the domain's turn began. `probes` is how
    many the conversation begins with; another domain's session is reused only if that is given.
    """

    domain: str
    place: Place
    stopwatch: Stopwatch
    successes_before: int
    probes: int = 0


@dataclass(frozen=True, slots=True)
class _Origin:
    """The slot that a session occupies, and the address that it leaves from."""

    slot: Slot
    egress: Egress


class Connector:
    """Connection slots, egress addresses and host state, shared by all conversations of a process.

    `failures` are failures to connect; they tell whether any mail server can be reached at all.
    """

    def __init__(self, config: MailNetworkConfig, pacing: Pacing | None = None) -> None:
        self._config = config
        self._pacing = pacing or ProcessPacing(PacingLimits.of(config), config.conversations)
        self._egress_pool = EgressPool(config.source_ips, config.proxies)
        self._tls = opportunistic_tls() if config.starttls else None
        self._session_pool = SessionPool(self._pacing, config)
        self._open: set[SmtpSession] = set()
        self._origins: WeakKeyDictionary[SmtpSession, _Origin] = WeakKeyDictionary()
        self._complaints: dict[SmtpSession, asyncio.Task[bool]] = {}
        self.failures = FailuresInARow()
        self.hosts = HostState()

    async def session(self, request: SessionRequest) -> SmtpSession:
        """Return a session that is ready for MAIL: a new one, or one that another domain's conversation has left.

        A new session occupies a slot until its connection is closed. Time spent waiting for a slot does not count
        against the request's stopwatch. If the host has too many connections of ours, wait until it has fewer and
        try again. Raises SmtpError (after TlsError the next session with the host is unencrypted) and, when the
        stopwatch has run out, TimeoutError.
        """
        attempts = 0
        while True:
            request.stopwatch.check()
            attempts += 1
            slot = await self._slot_or_session(request)
            if isinstance(slot, SmtpSession):
                return slot
            session = await self._connect(request, slot)
            try:
                await self._greet(session, request)
            except SessionRefusedError as refusal:
                may_try_again = await self._slow_down(slot, refusal.reply)
                if not may_try_again or attempts == ATTEMPTS:
                    raise
            else:
                return session

    def note_complaint(self, session: SmtpSession, reply: Reply) -> None:
        """Slow down if a reply in an established session asks for it."""
        if session not in self._complaints and asks_to_slow_down(reply):
            slot = self._origins[session].slot
            self._stop_reuse(slot.place.ip)
            task = asyncio.create_task(self._pacing.slow_down(slot))
            self._complaints[session] = task
            task.add_done_callback(lambda _: self._complaints.pop(session))

    def has_taker(self, session: SmtpSession) -> bool:
        """Say whether another conversation waits that could reuse the session."""
        return self._session_pool.has_taker(session, self._path(session))

    def offer(self, session: SmtpSession) -> None:
        """Pass the session to the next conversation that waits for one, or end it."""
        self._session_pool.offer(session, self._path(session))

    async def flush(self) -> None:
        """Wait a moment until the connections of ended sessions are closed and their slots are released."""
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

    async def _slot_or_session(self, request: SessionRequest) -> Slot | SmtpSession:
        egress = self._egress_pool.own(request.domain, request.place.ip)
        # A transcript must show one conversation from its beginning to its end.
        if not request.probes or egress is None or TRANSCRIPT.get() is not None:
            return await self._pacing.acquire(request.place)
        return await self._session_pool.acquire((request.place, egress), request.probes)

    async def _connect(self, request: SessionRequest, slot: Slot) -> SmtpSession:
        """Open a connection that occupies the slot until it is closed."""
        ip = request.place.ip
        try:
            session, egress = await self._connect_if_up(request)
        except BaseException:
            self._pacing.release(slot, 0)
            raise
        session.one_by_one = self.hosts.is_pipelining_broken(ip)
        session.reusable = not session.one_by_one
        self._origins[session] = _Origin(slot, egress)
        self._open.add(session)
        session.closed.add_done_callback(lambda _: self._forget(session, slot))
        return session

    async def _connect_if_up(self, request: SessionRequest) -> tuple[SmtpSession, Egress]:
        """Connect unless the host is known to be down, and note how that went."""
        ip = request.place.ip
        if self.hosts.is_down(ip):
            raise ConnectError("The host did not answer a moment ago.")
        left = request.stopwatch.left
        try:
            with request.stopwatch as deadline:
                connected = await self._connect_by_any(request.domain, ip, deadline)
        except (ConnectError, TimeoutError) as error:
            if not isinstance(error, EgressError) and self._is_hosts_fault(error, left):
                self.hosts.note_failure(ip)
            self.failures.failed(request.domain, ip, successes_before=request.successes_before)
            raise
        self.failures.succeeded()
        return connected

    async def _connect_by_any(self, domain: str, ip: str, deadline: float) -> tuple[SmtpSession, Egress]:
        """Connect from the domain's own egress, or from the next one if that one cannot be used at all."""
        *others, last = self._egress_pool.towards(domain, ip)
        for egress in others:
            try:
                return await self._connect_by(egress, ip, deadline), egress
            except EgressError as error:
                log.warning("%s Its domains use another egress.", error)
        return await self._connect_by(last, ip, deadline), last

    async def _connect_by(self, egress: Egress, ip: str, deadline: float) -> SmtpSession:
        config = self._config
        timeouts = config.connect_timeout, config.command_timeout
        return await connect(ip, config.smtp_port, *timeouts, egress, until=deadline)

    async def _greet(self, session: SmtpSession, request: SessionRequest) -> None:
        """Exchange greetings, with STARTTLS where possible, and note how the host did. End the session on failure."""
        ip, left = request.place.ip, request.stopwatch.left
        tls = None if self.hosts.is_tls_broken(ip) else self._tls
        try:
            with request.stopwatch as deadline:
                await session.greet(self._config.helo_name, tls, until=deadline)
        except BaseException as error:
            session.quit()
            if isinstance(error, TlsError):
                self.hosts.note_tls_failure(ip)
            elif self._is_hosts_fault(error, left):
                self.hosts.note_failure(ip)
            raise
        self.hosts.note_greeting(ip)

    def _is_hosts_fault(self, error: BaseException, seconds_left: float) -> bool:
        """Say whether a failure tells that the host is down.

        A refusal is an answer. A timeout proves nothing if the contact had too little time left for a fair trial.
        """
        if isinstance(error, TimeoutError):
            return seconds_left >= self._config.fair_trial
        return isinstance(error, SmtpError) and not isinstance(error, SessionRefusedError)

    async def _slow_down(self, slot: Slot, reply: Reply) -> bool:
        """If a refusal complains about our pace, slow down; say whether other connections of ours were the cause."""
        if not asks_to_slow_down(reply):
            return False
        self._stop_reuse(slot.place.ip)
        return await self._pacing.slow_down(slot)

    def _stop_reuse(self, ip: str) -> None:
        """Have open sessions with a host end with their conversations, so that it soon has fewer of them."""
        for session in self._open:
            if self._origins[session].slot.place.ip == ip:
                session.reusable = False

    def _path(self, session: SmtpSession) -> Path:
        origin = self._origins[session]
        return origin.slot.place, origin.egress

    def _forget(self, session: SmtpSession, slot: Slot) -> None:
        self._open.discard(session)
        self._pacing.release(slot, session.asked)


def opportunistic_tls() -> ssl.SSLContext:
    """Return a TLS context that encrypts and verifies nothing: opportunistic security (RFC 7435).

    Recipients are personal data; encryption hides them from passive listeners. It does not prove who the server is:
    certificates of mail hosts rarely carry the name in the MX record, and an attacker who can impersonate the server
    can also strip STARTTLS from its reply (RFC 3207 6). So no certificate is verified and no server name is sent, as
    in Postfix by default, and after a failed handshake the next session is unencrypted.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context
