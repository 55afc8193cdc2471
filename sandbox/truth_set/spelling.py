"""How a company spells its people's names in addresses: each has conventions, the same for all of its people."""
# ruff: noqa: SIM905 - a block of words is easier to read and to extend than a list of strings

import random
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

from sandbox.truth_set.cultures import TrueName

PARTICLES = frozenset(
    "van von der den de del della di da do dos das du la le ter ten zu af op t al el ben lo dell d".split()
)

_LETTERS = str.maketrans(
    {
        "ß": "ss", "ø": "o", "æ": "ae", "å": "a", "ł": "l", "ı": "i", "đ": "d", "ð": "d", "þ": "th",
        "'": "", "’": "", ".": "",
    }
)  # fmt: skip
_WRITTEN_OUT = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue", "ø": "oe", "å": "aa"})
_GERMANIC = frozenset({"german", "nordic"})


@dataclass(frozen=True, slots=True)
class Spelling:
    """One company's conventions.

    With `written_out`, ü is ue and ø is oe. `particles` are `joined` (vandenberg), `hyphen` or `dropped`. Of a double
    family name, or a double given name, only the `first` or the `last` is used, or both, `joined` or with a `hyphen`.
    """

    written_out: bool
    particles: str
    double_family: str
    double_given: str

    def given(self, name: TrueName) -> str:
        """Return the given name in lower-case ASCII letters."""
        words = self._plain(name.given.latin, name.culture).replace("-", " ").split()
        if name.culture in {"korean", "chinese"}:
            return "".join(words)
        if name.culture == "vietnamese":
            return words[-1] if self.double_given == "first" else "".join(words)
        return _joined(words, self.double_given)

    def family(self, name: TrueName) -> str:
        """Return the family name in lower-case ASCII letters."""
        text = self._plain(name.family.latin, name.culture)
        hyphenated = "-" in text and text.split("-")[0] not in PARTICLES
        words = text.replace("-", " ").split()
        leading = next((place for place, word in enumerate(words) if word not in PARTICLES), len(words) - 1)
        bare = words[leading:]
        if leading:
            whole = "-".join(words) if self.particles == "hyphen" else "".join(words)
            return "".join(bare) if self.particles == "dropped" else whole
        if hyphenated:
            return _joined(words, "hyphen" if self.double_family == "first" else self.double_family)
        core = [word for word in words if word not in PARTICLES | {"e"}] or words
        if name.culture == "portuguese" and self.double_family == "first":
            return core[-1]
        return _joined(core, self.double_family)

    def _plain(self, text: str, culture: str) -> str:
        lower = text.replace("İ", "i").lower()
        if self.written_out and culture in _GERMANIC:
            lower = unicodedata.normalize("NFC", lower).translate(_WRITTEN_OUT)
        letters = unicodedata.normalize("NFKD", lower.translate(_LETTERS))
        return re.sub(r"[^a-z -]", "", letters).strip()


def draw_spelling(rng: random.Random) -> Spelling:
    """Draw the conventions of one company."""
    return Spelling(
        written_out=rng.random() < 0.6,
        particles=rng.choices(("joined", "dropped", "hyphen"), (80, 14, 6))[0],
        double_family=rng.choices(("first", "joined", "hyphen", "last"), (45, 30, 15, 10))[0],
        double_given=rng.choices(("first", "hyphen", "joined"), (60, 22, 18))[0],
    )


def _joined(words: Sequence[str], how: str) -> str:
    match how:
        case "first":
            return words[0]
        case "last":
            return words[-1]
        case "hyphen":
            return "-".join(words)
        case _:
            return "".join(words)
