"""A domain's mail server during a search: sends the probes, and notices when further ones are pointless."""

from collections.abc import Collection, Iterable, Mapping

from pipeline.mail.network import MailNetwork
from pipeline.mail.probe import Prober
from pipeline.mail.replies.answer import Answer
from pipeline.mail.replies.meaning import ABOUT_US, CONCLUSIVE, Meaning

PATIENCE = 10
"""Inconclusive answers after which a server without a conclusive one is not probed any more."""
RANDOM_PROBES = 2
"""How often a random address is probed, until the server shows what an acceptance proves."""


class ProbedServer:
    """Sends the probes of a search. `was_answered` says that the server has given a conclusive answer."""

    def __init__(self, conversation: Prober, network: MailNetwork) -> None:
        self._conversation = conversation
        self._network = network
        self._random_probes = 0
        self.answers = 0
        self.was_answered = False

    def restart_clock(self) -> None:
        self._conversation.restart_clock()

    async def probe(self, local_parts: Iterable[str], known: Mapping[str, Answer]) -> Mapping[str, Answer]:
        """Return the answer for each local part; only those without a known answer are probed."""
        addresses = {local_part: f"{local_part}@{self._conversation.domain}" for local_part in local_parts}
        replies = await self._conversation.probe(addresses[each] for each in addresses if each not in known)
        return {each: known.get(each) or replies[address] for each, address in addresses.items()}

    async def probe_random(self) -> Answer | None:
        """Probe a random address; None if that was done often enough."""
        if self._random_probes == RANDOM_PROBES:
            return None
        self._random_probes += 1
        return await self._network.random_probe(self._conversation)

    def note(self, answers: Collection[Answer]) -> None:
        """Count the answers of a round."""
        if any(answer.meaning in CONCLUSIVE or answer.denied for answer in answers):
            self.was_answered = True
        self.answers += len(answers)

    def is_pointless(self, answers: Collection[Answer]) -> bool:
        """Whether the server refuses us, or has given no conclusive answer so far."""
        refused = all(answer.meaning in ABOUT_US - {Meaning.GREYLISTED} for answer in answers)
        return refused or (not self.was_answered and self.answers >= PATIENCE)
