"""The verifying stage against servers that send any bytes at any moment: nothing breaks, hangs, or is accepted."""

import asyncio
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.outcomes import Deferral, Outcome, OutcomeStatus
from tests.unit.mail.servers.scripted_servers import Talk, world
from tests.unit.mail.verifying import addresses, results_of

CONTACT_TIMEOUT = 0.3
LONG_OVER = 20.0
"""Seconds after which a contact whose limit is CONTACT_TIMEOUT hangs, however busy the machine is."""

_REPLIES = st.sampled_from(
    [
        b"220 mx.test ESMTP\r\n",
        b"220-wait\r\n220 mx.test\r\n",
        b"250-mx.test\r\n250-PIPELINING\r\n250 SMTPUTF8\r\n",
        b"250-mx.test\r\n250 STARTTLS\r\n",
        b"250 ok\r\n",
        b"250 2.1.5 <grace@another.test> ok\r\n",
        b"250 ok\n",
        b"250-endless\r\n" * 50,
        b"251 elsewhere\r\n",
        b"354 go ahead\r\n",
        b"421 4.7.0 too much\r\n",
        b"450 4.2.0 later\r\n",
        b"452 4.5.3 too many recipients\r\n",
        b"550 5.1.1 no such user\r\n",
        b"554 5.7.1 blocked\r\n",
        b"250",
        b"250-",
        b"\r\n",
        b"\0",
    ]
)
_NOISE = st.one_of(st.binary(max_size=40), st.binary(max_size=3).map(lambda seed: (seed or b"2") * 3000))


@dataclass(frozen=True)
class Script:
    """What a server sends at first and each time that it receives something; then it hangs up, or falls silent."""

    sends: Sequence[bytes]
    hangs_up: bool

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for data in self.sends:
            writer.write(data)
            await writer.drain()
            if not await reader.read(65536):
                return
        while not self.hangs_up and await reader.read(65536):
            pass


_scripts = st.builds(
    Script,
    st.lists(st.lists(st.one_of(_REPLIES, _NOISE), max_size=3).map(b"".join), max_size=8),
    st.booleans(),
)
_polite_scripts = st.builds(
    lambda rest, hangs_up: Script([b"220 mx.test\r\n", b"250-mx.test\r\n250 PIPELINING\r\n", *rest], hangs_up),
    st.lists(st.lists(st.one_of(_REPLIES, _NOISE), max_size=14).map(b"".join), max_size=4),
    st.booleans(),
)


async def verify(servers: Mapping[str, Talk]) -> dict[str, Outcome | Deferral]:
    emails = [f"{local}@{domain}" for domain in servers for local in ("grace", "alan")]
    async with world(servers, command_timeout=0.1, contact_timeout=CONTACT_TIMEOUT, defer_seconds=()) as scripted:
        async with asyncio.timeout(LONG_OVER):
            return dict(zip(emails, await results_of(addresses(*emails), scripted.network), strict=True))


@settings(max_examples=5, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(st.one_of(_scripts, _polite_scripts), min_size=20, max_size=20))
def test_whatever_a_server_sends_each_verdict_rests_on_its_replies(scripts: list[Script]) -> None:
    servers = {f"d{number}.test": script for number, script in enumerate(scripts)}

    outcomes = asyncio.run(verify({domain: script.talk for domain, script in servers.items()}))

    assert len(outcomes) == 2 * len(servers)
    for address, outcome in outcomes.items():
        assert isinstance(outcome, Outcome)
        assert outcome.reason != "internal_error"
        sent = b"".join(servers[address.partition("@")[2]].sends)
        if outcome.status is OutcomeStatus.VALID:
            assert re.search(rb"25[01]", sent)
        if outcome.status in (OutcomeStatus.VALID, OutcomeStatus.INVALID):
            assert re.search(rb"[45]\d\d", sent), "an address was refused: this one, or the random one"
