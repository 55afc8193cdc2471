"""Rules of what replies mean: read from TOML, checked, and compiled once.

The engine's own are in `reply_rules.toml`, whose head explains the format; an operator's file has the same and is
tried first.
"""

import re
import tomllib
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from pipeline.mail.meanings import Meaning

DETAILS = frozenset({"blocklist", "address", "reverse_dns", "helo", "sender"})
"""What of ours a server can refuse; the finer word beside `blocked`."""
_ALLOWED = frozenset(
    {"name", "meaning", "source", "words", "unless", "code", "enhanced", "provider", "detail"},
)
_CONDITIONS = frozenset({"words", "code", "enhanced", "provider"})
_REFERENCE = re.compile(r"\{([a-z_]+)\}")
_UNDECOMPOSED = str.maketrans({**dict(zip("łøđıß", "lodis", strict=True)), **dict.fromkeys("'’`´")})


class UnusableRulesError(ValueError):
    """Raised when a file of rules can't be used; the message names the rule and says what to correct."""


@dataclass(frozen=True, slots=True, eq=False)
class Rule:
    """A meaning, and what a reply must show for it; a condition that is not given always holds.

    `code`, `enhanced` and `provider` are patterns for the whole value, `words` one to be found in the text and
    `unless` one that must not be. `detail` is one of DETAILS or empty.
    """

    name: str
    meaning: Meaning
    source: str
    words: re.Pattern[str] | None = None
    unless: re.Pattern[str] | None = None
    code: re.Pattern[str] | None = None
    enhanced: re.Pattern[str] | None = None
    provider: re.Pattern[str] | None = None
    detail: str = ""

    def fits(self, code: str, enhanced: str, words: str, provider: str) -> bool:
        """Say whether a reply shows all that the rule asks for, and nothing that it excludes."""
        return (
            (self.code is None or self.code.fullmatch(code) is not None)
            and (self.enhanced is None or self.enhanced.fullmatch(enhanced) is not None)
            and (self.provider is None or self.provider.fullmatch(provider) is not None)
            and (self.words is None or self.words.search(words) is not None)
            and (self.unless is None or self.unless.search(words) is None)
        )


def fold(text: str) -> str:
    """Take accents and apostrophes off, the same way for texts and for the patterns that look for them."""
    text = text.translate(_UNDECOMPOSED)
    if text.isascii():
        return text
    decomposed = unicodedata.normalize("NFKD", text)
    return "".join(character for character in decomposed if not unicodedata.combining(character))


@cache
def standard_rules() -> tuple[Rule, ...]:
    """The engine's own rules."""
    return load_rules(files("pipeline.mail").joinpath("reply_rules.toml").read_text(encoding="utf-8"))


def load_rules(toml: str) -> tuple[Rule, ...]:
    """Read rules from the text of a TOML file. Raises UnusableRulesError."""
    try:
        document = tomllib.loads(toml)
    except tomllib.TOMLDecodeError as error:
        raise UnusableRulesError(f"The reply rules are not TOML: {error}.") from error
    if unknown := document.keys() - {"words", "rules"}:
        raise UnusableRulesError(f"The reply rules have only [words] and [[rules]], not {', '.join(sorted(unknown))}.")
    fragments = {name: _alternatives(name, words, {}) for name, words in document.get("words", {}).items()}
    rules = tuple(_rule(entry, fragments) for entry in document.get("rules", []))
    names = [rule.name for rule in rules]
    if twice := {name for name in names if names.count(name) > 1}:
        raise UnusableRulesError(f"Each reply rule needs a name of its own; used twice: {', '.join(sorted(twice))}.")
    return rules


def _rule(entry: Mapping[str, Any], fragments: Mapping[str, str]) -> Rule:
    name = entry.get("name")
    if not isinstance(name, str) or not name:
        raise UnusableRulesError("Each reply rule needs a name.")
    if unknown := entry.keys() - _ALLOWED:
        raise UnusableRulesError(f"Reply rule {name!r}: {', '.join(sorted(unknown))} is not known here.")
    if not entry.keys() & _CONDITIONS:
        raise UnusableRulesError(f"Reply rule {name!r} has no condition: give {', '.join(sorted(_CONDITIONS))}.")
    if not entry.get("source"):
        raise UnusableRulesError(f"Reply rule {name!r} needs a source: where was the reply seen?")
    patterns = {
        key: _compiled(name, _alternatives(name, entry[key], fragments))
        for key in ("words", "unless", "code", "enhanced", "provider")
        if key in entry
    }
    return Rule(name, _meaning(name, entry), str(entry["source"]), detail=_detail(name, entry), **patterns)


def _meaning(name: str, entry: Mapping[str, Any]) -> Meaning:
    try:
        meaning = Meaning(entry.get("meaning", ""))
    except ValueError as error:
        raise UnusableRulesError(f"Reply rule {name!r}: the meaning must be one of {', '.join(Meaning)}.") from error
    if meaning is Meaning.ACCEPTED:
        raise UnusableRulesError(f"Reply rule {name!r}: only the reply codes 250 and 251 accept.")
    return meaning


def _detail(name: str, entry: Mapping[str, Any]) -> str:
    detail = entry.get("detail", "")
    if detail and detail not in DETAILS:
        raise UnusableRulesError(f"Reply rule {name!r}: the detail must be one of {', '.join(sorted(DETAILS))}.")
    return str(detail)


def _alternatives(name: str, words: str | Sequence[str], fragments: Mapping[str, str]) -> str:
    parts = [words] if isinstance(words, str) else words
    if not parts or not all(isinstance(part, str) and part for part in parts):
        raise UnusableRulesError(f"{name!r} in the reply rules must be a list of regular expressions.")
    return "|".join(_REFERENCE.sub(lambda found: _fragment(name, found[1], fragments), fold(part)) for part in parts)


def _fragment(name: str, wanted: str, fragments: Mapping[str, str]) -> str:
    if wanted not in fragments:
        raise UnusableRulesError(f"{name!r} in the reply rules refers to {{{wanted}}}, which [words] does not have.")
    return f"(?:{fragments[wanted]})"


def _compiled(name: str, pattern: str) -> re.Pattern[str]:
    try:
        return re.compile(pattern)
    except re.error as error:
        raise UnusableRulesError(f"Reply rule {name!r}: not a regular expression: {error}.") from error
