"""Opens sessions with mail hosts for a whole process: within the limits, and not with hosts that are down."""

import asyncio

from pipeline.mail.config import MailNetworkConfig
from pipeline.mail.outage import FailuresInARow
from pipeline.mail.pacing import ConnectionSlots, HostHealth
from pipeline.mail.smtp import SmtpSession, connect
from pipeline.mail.smtp_errors import ConnectError, SessionRefusedError, SmtpError
from pipeline.mail.stopwatch import Stopwatch


class Connector:
    """What all conversations of a process share: connection slots, and what is known of hosts' health.

    `failures` are those of connecting, for whoever wants to know whether that is possible at all.
    """

    def __init__(self, config: MailNetworkConfig) -> None:
        self._config = config
        self._slots = ConnectionSlots(config.connections_per_host, config.conversations)
        self._health = HostHealth()
        self.failures = FailuresInARow()
        self._open: set[SmtpSession] = set()

    async def session(self, domain: str, ip: str, stopwatch: Stopwatch, successes_before: int) -> SmtpSession:
        """Open a session on behalf of a domain and introduce ourselves.

        Only waiting for a slot is not on the stopwatch. The slot stays taken until the connection is closed.
        `successes_before` is the number of connections that had come about when the domain's turn began.
        Raises SmtpError, and TimeoutError when the stopwatch ran out.
        """
        stopwatch.check()
        await self._slots.take(ip)
        try:
            session = await self._connect(domain, ip, stopwatch, successes_before)
        except BaseException:
            self._slots.give_back(ip)
            raise
        self._open.add(session)
        session.closed.add_done_callback(lambda _: self._forget(session, ip))
        await self._introduce(session, ip, stopwatch)
        return session

    async def close(self) -> None:
        """Say QUIT in every open session, and wait until the connections are closed."""
        for session in self._open:
            session.quit()
        if self._open:
            await asyncio.wait([session.closed for session in self._open])

    async def _connect(self, domain: str, ip: str, stopwatch: Stopwatch, successes_before: int) -> SmtpSession:
        if self._health.is_down(ip):
            raise ConnectError("The host did not answer a moment ago.")
        config = self._config
        try:
            async with stopwatch.running():
                session = await connect(ip, config.smtp_port, config.connect_timeout, config.command_timeout)
        except (ConnectError, TimeoutError):
            self._health.failed(ip)
            self.failures.failed(domain, ip, successes_before=successes_before)
            raise
        self.failures.succeeded()
        return session

    async def _introduce(self, session: SmtpSession, ip: str, stopwatch: Stopwatch) -> None:
        try:
            async with stopwatch.running():
                await session.greet(self._config.helo_name)
        except BaseException as error:
            session.quit()
            if isinstance(error, SmtpError | TimeoutError) and not isinstance(error, SessionRefusedError):
                self._health.failed(ip)
            raise
        self._health.answered(ip)

    def _forget(self, session: SmtpSession, ip: str) -> None:
        self._open.discard(session)
        self._slots.give_back(ip)
