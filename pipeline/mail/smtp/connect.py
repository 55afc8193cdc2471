"""Opens a connection to a mail host from a given egress, within a time limit."""

import asyncio
import math
import os
from collections.abc import Awaitable

from pipeline.mail.smtp.egress import DefaultAddress, Egress
from pipeline.mail.smtp.errors import ConnectError
from pipeline.mail.smtp.session import SmtpSession
from pipeline.mail.smtp.transcript import wiretap_for


async def connect(
    ip: str,
    port: int,
    connect_timeout: float,
    command_timeout: float,
    egress: Egress | None = None,
    *,
    until: float = math.inf,
) -> SmtpSession:
    """Open a connection. Raises ConnectError, and TimeoutError at `until` (on the event loop's clock)."""
    wiretap = wiretap_for(ip)
    opening = (egress or DefaultAddress()).connect(lambda: SmtpSession(command_timeout, wiretap), ip, port)
    try:
        return await _within(connect_timeout, until, opening)
    except ConnectError as error:
        if wiretap is not None:
            wiretap.failed(str(error))
        raise


async def _within(connect_timeout: float, until: float, opening: Awaitable[SmtpSession]) -> SmtpSession:
    latest = asyncio.get_running_loop().time() + connect_timeout
    try:
        async with asyncio.timeout_at(min(latest, until)) as limit:
            return await opening
    except TimeoutError as error:
        if limit.expired() and until < latest:
            raise
        raise ConnectError(f"No connection within {connect_timeout:g} seconds.") from error
    except OSError as error:
        cause = os.strerror(error.errno) if error.errno else str(error)
        raise ConnectError(f"No connection: {cause}.") from error
