"""Reuses an SMTP session for the next domain whose mail goes to the same host.

A session is passed only to a conversation that already waits for a slot. So no session is ever idle, and no slot is
held without work. A waiting conversation takes whichever comes first: a slot, or a session together with its slot.
"""

import asyncio
from dataclasses import dataclass

from pipeline.mail.config import MailNetworkConfig
from pipeline.mail.pacing.slots import Pacing, Place, Slot
from pipeline.mail.smtp.egress import Egress
from pipeline.mail.smtp.session import SmtpSession

TRANSACTIONS = 10
"""Transactions after which a session is not reused. Each but the first begins with RSET. Exim ends a session at the
twelfth (`smtp_accept_max_nonmail` 10, the first one not counted); to Postfix RSET is a junk command, of which it takes
100 (postconf(5), `smtpd_junk_command_limit`)."""

Path = tuple[Place, Egress]
"""Where a session leads, and where it leaves from."""


@dataclass(slots=True, eq=False)
class _Waiter:
    """A conversation that waits for a slot, and how many probes it begins with."""

    probes: int
    wait: asyncio.Timeout
    session: SmtpSession | None = None


class SessionPool:
    """The conversations of a process that wait for a slot; on each path the first to come is the first served."""

    def __init__(self, pacing: Pacing, config: MailNetworkConfig) -> None:
        self._pacing = pacing
        self._config = config
        self._waiters: dict[Path, dict[_Waiter, None]] = {}

    async def acquire(self, path: Path, probes: int) -> Slot | SmtpSession:
        """Wait for a slot, or for a session with room for this many probes.

        If the caller is cancelled after a session was assigned to it, the session is offered to the next one.
        """
        waiter = _Waiter(probes, asyncio.timeout(None))
        self._waiters.setdefault(path, {})[waiter] = None
        try:
            async with waiter.wait:
                slot = await self._pacing.acquire(path[0])
            if waiter.session is None:
                return slot
            self._pacing.release(slot, 0)
        except TimeoutError:
            if waiter.session is None:
                raise
        except BaseException:
            if waiter.session is not None:
                self.offer(waiter.session, path)
            raise
        finally:
            self._remove(path, waiter)
        return waiter.session

    def has_taker(self, session: SmtpSession, path: Path) -> bool:
        """Say whether a conversation waits that could reuse the session as it is now."""
        return self._taker(session, path) is not None

    def offer(self, session: SmtpSession, path: Path) -> None:
        """Pass the session to the first waiting conversation that it has room for; if there is none, say QUIT."""
        taker = self._taker(session, path)
        if taker is None or not session.is_at_rest:
            session.quit()
            return
        del self._waiters[path][taker]
        session.end_transaction()
        taker.session = session
        taker.wait.reschedule(asyncio.get_running_loop().time())  # ends its wait for a slot

    def _taker(self, session: SmtpSession, path: Path) -> _Waiter | None:
        if not session.reusable or session.transactions >= TRANSACTIONS:
            return None
        room = min(
            self._config.recipients_per_session - session.asked,
            self._config.refusals_per_session - session.refused,
        )
        return next((waiter for waiter in self._waiters.get(path, ()) if waiter.probes <= room), None)

    def _remove(self, path: Path, waiter: _Waiter) -> None:
        waiters = self._waiters.get(path, {})
        waiters.pop(waiter, None)
        if not waiters:
            self._waiters.pop(path, None)
