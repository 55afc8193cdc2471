"""Hands a session on from one domain's conversation to the next that goes to the same place by the same way.

Only to one that waits already: so no session is ever idle, and no slot is held for nobody. A conversation that waits
for a slot takes whichever comes first, the slot or a session with its slot.
"""

import asyncio
from dataclasses import dataclass

from pipeline.mail.config import MailNetworkConfig
from pipeline.mail.pacing.slots import Pacing, Place, Slot
from pipeline.mail.smtp.egress import Egress
from pipeline.mail.smtp.session import SmtpSession

TURNS = 10
"""Domains that a session serves at most. Each but the first begins with RSET, and Exim ends a session at the
twelfth (`smtp_accept_max_nonmail` 10, the first one not counted); to Postfix RSET is a junk command, of which it takes
100 (postconf(5), `smtpd_junk_command_limit`)."""

Line = tuple[Place, Egress]
"""Where a session goes, and how."""


@dataclass(slots=True, eq=False)
class _Waiter:
    """A conversation that waits, with so many questions at first."""

    questions: int
    wait: asyncio.Timeout
    session: SmtpSession | None = None


class SessionPool:
    """The conversations of a process that wait for a slot, first come, first served at each place."""

    def __init__(self, pacing: Pacing, config: MailNetworkConfig) -> None:
        self._pacing = pacing
        self._config = config
        self._lines: dict[Line, dict[_Waiter, None]] = {}

    async def acquire(self, line: Line, questions: int) -> Slot | SmtpSession:
        """Wait for a slot, or for a session with room for so many questions.

        Whoever is cancelled leaves the line, and the session that it was given meanwhile goes to the next.
        """
        waiter = _Waiter(questions, asyncio.timeout(None))
        self._lines.setdefault(line, {})[waiter] = None
        try:
            async with waiter.wait:
                slot = await self._pacing.acquire(line[0])
            if waiter.session is None:
                return slot
            self._pacing.release(slot, 0)
        except TimeoutError:
            if waiter.session is None:
                raise
        except BaseException:
            if waiter.session is not None:
                self.offer(waiter.session, line)
            raise
        finally:
            waiters = self._lines.get(line, {})
            waiters.pop(waiter, None)
            if not waiters:
                self._lines.pop(line, None)
        return waiter.session

    def has_taker(self, session: SmtpSession, line: Line) -> bool:
        """Say whether somebody waits for whom the session, as it is now, has room."""
        return self._next(session, line) is not None

    def offer(self, session: SmtpSession, line: Line) -> None:
        """Give the session to the first who waits and for whom it has room; to nobody, say QUIT."""
        waiter = self._next(session, line)
        if waiter is None or not session.is_at_rest:
            session.quit()
            return
        del self._lines[line][waiter]
        session.end_transaction()
        waiter.session = session
        # It waits for a slot no more.
        waiter.wait.reschedule(asyncio.get_running_loop().time())

    def _next(self, session: SmtpSession, line: Line) -> _Waiter | None:
        room = min(
            self._config.recipients_per_session - session.asked,
            self._config.refusals_per_session - session.refused,
        )
        if session.is_last_turn or session.turns >= TURNS:
            return None
        return next((each for each in self._lines.get(line, ()) if each.questions <= room), None)
