"""Parses the response of a remote verifier in Reacher's format, and converts it to an answer.

The format is `CheckEmailOutput` of Reacher's OpenAPI document (backend/openapi.json of check-if-email-exists, 0.10 and
0.11): `mx` and `smtp` are details, or `{"error": {"type", "message"}, "description"}`. Its own verdict
(`is_reachable`) is not used, only its details: `invalid` may also mean that it could not reach the server.
"""

import re
from datetime import datetime
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, StrictBool

from pipeline.mail.replies.answer import TEXT_KEPT, Answer
from pipeline.mail.replies.classify import classify, without_addresses, without_local_part
from pipeline.mail.replies.meaning import EXISTS, Meaning
from pipeline.mail.smtp.reply import Reply, printable

REFUSES_IT = frozenset({"IpBlacklisted", "NeedsRDNS"})
"""Values of `smtp.description` if the mail server refuses the verifier's own address."""
LONGEST_NAME = 255
"""Characters of a host's name that are kept: the maximum in the DNS."""
_SEVERITY = re.compile(r"\b(permanent|transient): ", re.IGNORECASE)
_NO_CONNECTION = re.compile(r"connection refused|unreachable|connect|timed? ?out|dns|resolve", re.IGNORECASE)


_Text = Annotated[str, AfterValidator(printable)]
"""Text that may contain a mail server's own words."""


class _Error(BaseModel):
    type: _Text = ""
    message: _Text = ""


class _Smtp(BaseModel):
    model_config = ConfigDict(extra="ignore")

    can_connect_smtp: StrictBool | None = None
    has_full_inbox: StrictBool | None = None
    is_catch_all: StrictBool | None = None
    is_deliverable: StrictBool | None = None
    is_disabled: StrictBool | None = None
    error: _Error | None = None
    description: _Text | None = None


class _Mx(BaseModel):
    records: list[_Text] = []


class RemoteOutput(BaseModel):
    """The part of `CheckEmailOutput` that is used."""

    model_config = ConfigDict(extra="ignore")

    smtp: _Smtp
    mx: _Mx = _Mx()

    @property
    def is_catch_all(self) -> bool | None:
        """Whether the domain is a catch-all; None if the verifier does not know."""
        return self.smtp.is_catch_all if self.meaning in EXISTS else None

    @property
    def meaning(self) -> Meaning:
        """What the response means; conclusive only if a mail server has answered."""
        smtp = self.smtp
        if smtp.error is not None:
            return _meaning_of_error(smtp.error, smtp.description)
        if not smtp.can_connect_smtp:
            return Meaning.UNREACHABLE
        if smtp.is_disabled:
            return Meaning.MAILBOX_DISABLED
        if smtp.has_full_inbox:
            return Meaning.MAILBOX_FULL
        if smtp.is_deliverable is None:
            return Meaning.UNCLEAR
        return Meaning.ACCEPTED if smtp.is_deliverable else Meaning.NO_SUCH_MAILBOX

    def as_answer(self, verifier: str, address: str, asked_at: datetime, seconds: float) -> Answer:
        """Convert the response to an answer, whose text names the verifier and what it reports."""
        host = self.mx.records[0][:LONGEST_NAME].rstrip(".") if self.mx.records else verifier
        text = f"{verifier} says: {without_local_part(self._details()[:TEXT_KEPT], address)}"[:TEXT_KEPT]
        denied = self.meaning is Meaning.NO_SUCH_MAILBOX
        return Answer(self.meaning, 0, text, host, asked_at, seconds, denied)

    def _details(self) -> str:
        if self.smtp.error is not None:
            message = self.smtp.error.message or self.smtp.description or self.smtp.error.type
            return without_addresses(Reply(0, (message,))).text
        seen = self.smtp.model_dump(exclude={"error", "description"}, exclude_none=True)
        return ", ".join(name for name, value in seen.items() if value) or "nothing"


def _meaning_of_error(error: _Error, description: str | None) -> Meaning:
    """Classify the mail server's own words by our rules, if the verifier passes them on."""
    if description in REFUSES_IT:
        return Meaning.BLOCKED
    severity = _SEVERITY.search(error.message)
    if severity is None:
        return Meaning.UNREACHABLE if _NO_CONNECTION.search(f"{error.type} {error.message}") else Meaning.UNCLEAR
    code = 550 if severity[1].lower() == "permanent" else 450
    return classify(Reply(code, (error.message[severity.end() :],)))
