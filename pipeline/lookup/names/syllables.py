"""Chinese and Korean names: splits those written without spaces, and given names into syllables."""

import re
from collections.abc import Sequence

from pipeline.lookup.names.vocabulary import CHINESE_SURNAMES

_LONGEST = 4
_KOREAN_OF_TWO = frozenset({"남궁", "황보", "제갈", "선우", "독고"})


_INITIAL = "zh|ch|sh|[bpmfdtnlgkhjqxrzcsyw]"
_FINAL = (
    "iang|iong|uang|ueng|ang|eng|ing|ong|iao|ian|uai|uan|van|ai|ei|ao|ou|an|en|in|un|vn|ia|ie|iu|ua|uo|ui|ue|ve|er|"
    "[aoeiuv]"
)
PINYIN = f"(?:{_INITIAL})?(?:{_FINAL})"
"""A syllable of Mandarin as the mainland writes it, as a regular expression."""
_TWO_SYLLABLES = re.compile(f"((?:{_INITIAL})(?:{_FINAL}))((?:{_INITIAL})(?:{_FINAL}))")


def syllables(given: str) -> Sequence[str]:
    """Split a Chinese given name in pinyin into syllables: Xiaoming is xiao ming."""
    two = _TWO_SYLLABLES.fullmatch(given)
    return two.groups() if two else (given,)


def family_first(words: Sequence[str]) -> tuple[str, str] | None:
    """Return the family and the given name of "김민준", "欧阳小明" or "김 민준"; None for names in other scripts."""
    name = "".join(words)
    if len(words) > 2 or not 2 <= len(name) <= _LONGEST + len(words) - 1 or not (_is_han(name) or _is_hangul(name)):
        return None
    if len(words) == 2:
        return words[0], words[1]
    of_two = len(name) > 2 and (name[:2] in _KOREAN_OF_TWO or name[:2] in CHINESE_SURNAMES)
    family = name[: 2 if of_two else 1]
    return family, name[len(family) :]


def _is_han(word: str) -> bool:
    return all("\u4e00" <= letter <= "\u9fff" for letter in word)


def _is_hangul(word: str) -> bool:
    return all("\uac00" <= letter <= "\ud7a3" for letter in word)
