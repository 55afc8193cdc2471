"""Rules for the meaning of replies: parsed from TOML, validated, and compiled once.

The standard rules are in `rules.toml`, whose head explains the format. An operator's file has the same format, and its
rules are tried first.
"""

import re
import tomllib
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from pipeline.mail.replies.meaning import Meaning

_REFERENCE = re.compile(r"\{([a-z_]+)\}")
_UNDECOMPOSED = str.maketrans({**dict(zip("łøđıß", "lodis", strict=True)), **dict.fromkeys("'’`´")})


class UnusableRulesError(ValueError):
    """Raised when a file of rules is invalid; the message names the rule and says what to correct."""


@dataclass(frozen=True, slots=True, eq=False)
class Rule:
    """A meaning, and the conditions for it; a condition that is None always holds.

    `code`, `enhanced` and `provider` must match the whole value, `words` must be found in the text, and `unless` must
    not. `detail` says what of ours is refused.
    """

    name: str
    meaning: Meaning
    source: str
    words: re.Pattern[str] | None
    unless: re.Pattern[str] | None
    code: re.Pattern[str] | None
    enhanced: re.Pattern[str] | None
    provider: re.Pattern[str] | None
    detail: str

    def matches(self, code: str, enhanced: str, words: str, provider: str) -> bool:
        return (
            (self.code is None or self.code.fullmatch(code) is not None)
            and (self.enhanced is None or self.enhanced.fullmatch(enhanced) is not None)
            and (self.provider is None or self.provider.fullmatch(provider) is not None)
            and (self.words is None or self.words.search(words) is not None)
            and (self.unless is None or self.unless.search(words) is None)
        )


def _not_accepted(meaning: Meaning) -> Meaning:
    if meaning is Meaning.ACCEPTED:
        raise ValueError("only the reply codes 250 and 251 accept")
    return meaning


Text = Annotated[str, Field(min_length=1)]
Texts = Annotated[list[Text], Field(min_length=1)]


class _Entry(BaseModel):
    model_config = ConfigDict(extra="forbid")

    name: Text
    meaning: Annotated[Meaning, AfterValidator(_not_accepted)]
    source: Text
    words: Texts | None = None
    unless: Texts | None = None
    code: Text | None = None
    enhanced: Text | None = None
    provider: Text | None = None
    detail: Literal["", "blocklist", "address", "reverse_dns", "helo", "sender"] = ""


class _Document(BaseModel):
    model_config = ConfigDict(extra="forbid")

    words: dict[str, Texts] = {}
    rules: list[_Entry] = []


def fold(text: str) -> str:
    """Remove accents and apostrophes, in texts and in the patterns that are searched for in them."""
    if text.isascii():
        return text.replace("'", "").replace("`", "")
    decomposed = unicodedata.normalize("NFKD", text.translate(_UNDECOMPOSED))
    return "".join(character for character in decomposed if not unicodedata.combining(character))


@cache
def standard_rules() -> tuple[Rule, ...]:
    """Return the standard rules."""
    return load_rules(files(__package__).joinpath("rules.toml").read_text(encoding="utf-8"))


def load_rules(toml: str) -> tuple[Rule, ...]:
    """Parse rules from the text of a TOML file. Raises UnusableRulesError."""
    document = _document(toml)
    fragments = {name: f"(?:{'|'.join(map(fold, words))})" for name, words in document.words.items()}
    rules = tuple(_rule(entry, fragments) for entry in document.rules)
    names = [rule.name for rule in rules]
    if twice := {name for name in names if names.count(name) > 1}:
        raise UnusableRulesError(f"Each reply rule needs a name of its own; used twice: {', '.join(sorted(twice))}.")
    return rules


def _document(toml: str) -> _Document:
    try:
        return _Document.model_validate(tomllib.loads(toml))
    except tomllib.TOMLDecodeError as error:
        raise UnusableRulesError(f"The reply rules are not TOML: {error}.") from error
    except ValidationError as error:
        problem = error.errors()[0]
        where = ".".join(str(part + 1 if isinstance(part, int) else part) for part in problem["loc"])
        raise UnusableRulesError(f"The reply rules can't be used: {where}: {problem['msg']}.") from error


def _rule(entry: _Entry, fragments: Mapping[str, str]) -> Rule:
    if (entry.words, entry.code, entry.enhanced, entry.provider) == (None, None, None, None):
        raise UnusableRulesError(f"Reply rule {entry.name!r} has no condition: give words, a code or a provider.")
    return Rule(
        entry.name,
        entry.meaning,
        entry.source,
        words=_pattern(entry.name, entry.words, fragments),
        unless=_pattern(entry.name, entry.unless, fragments),
        code=_pattern(entry.name, entry.code, fragments),
        enhanced=_pattern(entry.name, entry.enhanced, fragments),
        provider=_pattern(entry.name, entry.provider, fragments),
        detail=entry.detail,
    )


def _pattern(rule: str, texts: list[str] | str | None, fragments: Mapping[str, str]) -> re.Pattern[str] | None:
    if texts is None:
        return None
    joined = fold(texts if isinstance(texts, str) else "|".join(texts))
    if missing := {name for name in _REFERENCE.findall(joined) if name not in fragments}:
        raise UnusableRulesError(f"Reply rule {rule!r} refers to {{{missing.pop()}}}, which is not under [words].")
    try:
        return re.compile(_REFERENCE.sub(lambda found: fragments[found[1]], joined))
    except re.error as error:
        raise UnusableRulesError(f"Reply rule {rule!r}: not a regular expression: {error}.") from error
