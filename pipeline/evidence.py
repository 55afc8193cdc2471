"""Evidence: what an outcome rests on, as values in the program and as JSON in Postgres (docs/reference/verdicts.md).

The keys of that JSON stand here and in named SQL, nowhere else. `from_json` reads what any earlier version wrote: a
missing key gives the default, and a value of the wrong type counts as missing.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple, Self, TypeVar

T = TypeVar("T")

Json = Mapping[str, Any]


class ReplyEvidence(NamedTuple):
    """What a mail server replied about one address, or why there is no reply.

    `meaning` is a `Meaning`. `reply_code` is None if there was no reply, and `reply_text` then says why. `rule` names
    the reply rule that gave the meaning. `detail` says what is refused where the server refuses us.
    """

    meaning: str = ""
    mail_host: str = ""
    reply_code: int | None = None
    reply_text: str = ""
    asked_at: datetime | None = None
    seconds: float = 0.0
    enhanced_code: str = ""
    rule: str = ""
    detail: str = ""

    def to_json(self) -> dict[str, Any]:
        optional = {"enhanced_code": self.enhanced_code, "rule": self.rule, "detail": self.detail}
        return {
            "meaning": self.meaning,
            "mail_host": self.mail_host,
            "reply_code": self.reply_code,
            "reply_text": self.reply_text,
            "asked_at": _written(self.asked_at),
            "seconds": self.seconds,
            **{key: text for key, text in optional.items() if text},
        }

    @classmethod
    def from_json(cls, data: Json) -> Self | None:
        """Read the reply's part of an outcome's evidence; None if it has none."""
        if "meaning" not in data and "mail_host" not in data:
            return None
        return cls(
            _text(data, "meaning"),
            _text(data, "mail_host"),
            _typed(data, "reply_code", int),
            _text(data, "reply_text"),
            _time(data, "asked_at"),
            _number(data, "seconds") or 0.0,
            _text(data, "enhanced_code"),
            _text(data, "rule"),
            _text(data, "detail"),
        )


class AddressFacts(NamedTuple):
    """What an address and its mail host tell without a probe.

    `disposable`: the domain, or the one that takes its mail, provides addresses that work for minutes. `free`:
    anybody can get an address there. `role`: the address belongs to a function. `provider`: who runs the mail host, if
    known. `did_you_mean`: the address that was probably meant. `same_mailbox`: equal for addresses known to reach the
    same mailbox.
    """

    disposable: bool
    free: bool
    role: bool
    provider: str
    did_you_mean: str | None
    same_mailbox: str

    def to_json(self) -> dict[str, Any]:
        return {
            "provider": self.provider or None,
            "disposable": self.disposable,
            "free": self.free,
            "role": self.role,
            "did_you_mean": self.did_you_mean,
            "same_mailbox": self.same_mailbox,
        }

    @classmethod
    def from_json(cls, data: Json) -> Self | None:
        """Read the facts in an outcome's evidence; None if it has none."""
        if "same_mailbox" not in data:
            return None
        return cls(
            data.get("disposable") is True,
            data.get("free") is True,
            data.get("role") is True,
            _text(data, "provider"),
            _typed(data, "did_you_mean", str),
            _text(data, "same_mailbox"),
        )


class SearchEvidence(NamedTuple):
    """What a look-up did at a domain: how many addresses it probed, and what later runs may learn from it.

    `person` is the digest under which the result is remembered, `refused` the patterns by which the person has no
    address.
    """

    asked: int
    domain: str
    person: bytes = b""
    refused: Sequence[str] = ()

    def to_json(self) -> dict[str, Any]:
        person = {"person": self.person.hex()} if self.person else {}
        return {"asked": self.asked, "domain": self.domain, **person, "refused": list(self.refused)}

    @classmethod
    def from_json(cls, data: Json) -> Self | None:
        """Read the search's part of an outcome's evidence; None if it has none."""
        asked, person = _typed(data, "asked", int), _text(data, "person")
        if asked is None or "domain" not in data:
            return None
        refused = _typed(data, "refused", list) or ()
        return cls(asked, _text(data, "domain"), _digest(person), tuple(each for each in refused if type(each) is str))


class KnownLookup(NamedTuple):
    """What is kept of an earlier look-up. It does not identify the person."""

    pattern: str = ""
    mail_host: str = ""
    reply_code: int | None = None
    asked_at: datetime | None = None

    def to_json(self) -> dict[str, Any]:
        return {
            "pattern": self.pattern,
            "mail_host": self.mail_host,
            "reply_code": self.reply_code,
            "asked_at": _written(self.asked_at),
        }

    @classmethod
    def from_json(cls, data: Json) -> Self:
        return cls(
            _text(data, "pattern"),
            _text(data, "mail_host"),
            _typed(data, "reply_code", int),
            _time(data, "asked_at"),
        )


class CacheEvidence(NamedTuple):
    """When an answer that is used again was given, and how old it was then."""

    checked_at: datetime | None
    age_seconds: int

    def to_json(self) -> dict[str, Any]:
        written = self.checked_at.isoformat(timespec="seconds") if self.checked_at else None
        return {"checked_at": written, "age_seconds": self.age_seconds}

    @classmethod
    def from_json(cls, data: Json) -> Self:
        return cls(_time(data, "checked_at"), _typed(data, "age_seconds", int) or 0)


class Evidence(NamedTuple):
    """What one outcome rests on. A part that does not apply is left out, in the value as in its JSON.

    `catch_all` tells whether the domain takes mail for any address, None if that is unknown; `random_probe` is the
    reply about a random address, which tells it. `pattern` is the pattern of the address, `confidence` how likely the
    address was before it was confirmed. `known` stands for a look-up that was not repeated, `cache` for a reply that
    was used again. `sources` has the answer of each source beyond the mail server, `provided` the details from the
    one that found the address, and `mail_server` the mail server's own reason. `dns` says why the domain has no mail
    host, `syntax` why a text is no address. `come_back_after_seconds` is for an address that was not waited for.
    """

    reply: ReplyEvidence | None = None
    catch_all: bool | None = None
    random_probe: ReplyEvidence | None = None
    facts: AddressFacts | None = None
    search: SearchEvidence | None = None
    pattern: str = ""
    confidence: float | None = None
    known: KnownLookup | None = None
    cache: CacheEvidence | None = None
    sources: Mapping[str, str] = {}
    mail_server: str = ""
    provided: Mapping[str, Any] = {}
    dns: str = ""
    syntax: str = ""
    come_back_after_seconds: int | None = None

    def to_json(self) -> dict[str, Any]:
        """The evidence as it is stored and shown: one object, in which the reply, the facts and the search are flat."""
        data: dict[str, Any] = {} if self.reply is None else {"catch_all": None}
        parts: dict[str, Any] = self._asdict()
        for name, part in parts.items():
            if part is None or part == "" or part == {}:
                continue
            if name in _FLAT:
                data.update(part.to_json())
            else:
                data[name] = part.to_json() if name in _NESTED else part
        return data

    @classmethod
    def from_json(cls, data: Json) -> "Evidence":
        if not data:
            return NO_EVIDENCE
        known, cache = _object(data, "known"), _object(data, "cache")
        return cls(
            reply=ReplyEvidence.from_json(data),
            catch_all=_typed(data, "catch_all", bool),
            random_probe=ReplyEvidence.from_json(_object(data, "random_probe") or _object(data, _RANDOM_PROBE) or {}),
            facts=AddressFacts.from_json(data),
            search=SearchEvidence.from_json(data),
            pattern=_text(data, "pattern"),
            confidence=_number(data, "confidence"),
            known=None if known is None else KnownLookup.from_json(known),
            cache=None if cache is None else CacheEvidence.from_json(cache),
            sources={name: word for name, word in (_object(data, "sources") or {}).items() if type(word) is str},
            mail_server=_text(data, "mail_server"),
            provided=_object(data, "provided") or {},
            dns=_text(data, "dns"),
            syntax=_text(data, "syntax"),
            come_back_after_seconds=_typed(data, "come_back_after_seconds", int),
        )

    @property
    def of_mail_server(self) -> "Evidence":
        """The part that comes from a mail server. The rest is determined anew at no cost, and may hold the address."""
        return Evidence(reply=self.reply, catch_all=self.catch_all, random_probe=self.random_probe)


NO_EVIDENCE = Evidence()

_FLAT = frozenset({"reply", "facts", "search"})
_NESTED = frozenset({"random_probe", "known", "cache"})

_RANDOM_PROBE = "invented"
"""The key of `random_probe` in rows of earlier versions."""


def _typed(data: Json, key: str, kind: type[T]) -> T | None:
    value = data.get(key)
    return value if type(value) is kind else None


def _text(data: Json, key: str) -> str:
    return _typed(data, key, str) or ""


def _number(data: Json, key: str) -> float | None:
    value = data.get(key)
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _object(data: Json, key: str) -> dict[str, Any] | None:
    return _typed(data, key, dict)


def _time(data: Json, key: str) -> datetime | None:
    try:
        return datetime.fromisoformat(_text(data, key))
    except ValueError:
        return None


def _digest(text: str) -> bytes:
    try:
        return bytes.fromhex(text)
    except ValueError:
        return b""


def _written(at: datetime | None) -> str | None:
    return None if at is None else at.isoformat(timespec="milliseconds")
