"""Transliterates any script to the letters of addresses, by the conventions that companies use.

A *convention* spells every word of a name; each has a weight, and those of one name sum to 1. anyascii transliterates
what no convention covers.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence

from anyascii import anyascii

from pipeline.lookup.names import kana
from pipeline.lookup.names.vocabulary import CHINESE_SURNAMES, CUSTOMARY, KOREAN_SURNAMES

COMBINED = 0.3
"""The share of people whose given and family name follow unrelated conventions."""
_OTHER_SCRIPTS = re.compile("[\u0370-\u1cff\u1f00-\u1fff\uac00-\ud7a3]")
"""Greek, Cyrillic, Arabic, Hangul and others; not kana and Han, where a word has one customary form."""

VIETNAMESE_LETTERS = frozenset("ơưạảấầẩẫậắằẳẵặẹẻẽếềểễệỉịọỏốồổỗộớờởỡợụủứừửữựỳỵỷỹ")
"""Letters that only Vietnamese has."""

Convention = Callable[[str], str]
Conventions = Sequence[tuple[Convention, float]]


def ascii_letters(word: str) -> str:
    """Write a lower-case word in the letters a to z and hyphens; "" if it has none."""
    spelled = word if word.isascii() else anyascii(word).lower()
    if spelled.isalpha():
        return spelled
    return "".join(letter for letter in spelled if "a" <= letter <= "z" or letter == "-").strip("-")


def conventions_for(text: str) -> Conventions:
    """Return the conventions for the lower-case words of a name."""
    if text.isascii():
        return _AS_IT_IS
    for has_its_letters, conventions in _BY_LETTERS:
        if has_its_letters(text):
            return _PERHAPS_UKRAINIAN if conventions is _RUSSIAN_CONVENTIONS and _is_ukrainian(text) else conventions
    return _AS_IT_IS


def pairs_of_conventions(text: str) -> Sequence[tuple[Convention, Convention, float]]:
    """Return pairs of conventions for the given and the family name, with the share of people who combine them.

    A family name in another script is often spelled as the family has long spelled it, the given name by custom.
    """
    conventions = conventions_for(text)
    if len(conventions) == 1 or not _OTHER_SCRIPTS.search(text):
        return [(convention, convention, share) for convention, share in conventions]
    return [
        (given, family, share * ((1 - COMBINED if given is family else 0.0) + COMBINED * other))
        for given, share in conventions
        for family, other in conventions
    ]


def _is_ukrainian(text: str) -> bool:
    return _UKRAINIAN_ENDING.search(text) is not None


def _by_table(table: Mapping[str, str], endings: Sequence[tuple[str, str]] = (), *, custom: int = 0) -> Convention:
    """Spell by letters and groups of letters, longest first; `custom` chooses among customary forms."""
    groups = re.compile("|".join(sorted(map(re.escape, table), key=len, reverse=True)))

    def spell(word: str) -> str:
        customary = CUSTOMARY.get(word)
        if customary:
            return customary[min(custom, len(customary) - 1)]
        for ending, written in endings:
            if word.endswith(ending):
                return spell(word[: -len(ending)]) + written if len(word) > len(ending) else written
        return ascii_letters(groups.sub(lambda match: table[match[0]], word))

    return spell


def _letters(written: str, **groups: str) -> dict[str, str]:
    """Parse "ü=ue ö=oe" into a table."""
    return dict(pair.partition("=")[::2] for pair in written.split()) | groups


_AS_IT_IS: Conventions = ((ascii_letters, 1.0),)

# Of the addresses of developers with ü, four in five have ue. Finns and Swedes write a and o for ä and ö.
_GERMAN = _by_table(_letters("ä=ae ö=oe ü=ue ß=ss"))
_UMLAUTS: Conventions = ((_GERMAN, 0.8), (ascii_letters, 0.2))
_UMLAUTS_OR_SWEDISH: Conventions = ((_GERMAN, 0.58), (ascii_letters, 0.42))
# All addresses counted of people with ø or å have o and a; passports have oe and aa.
_NORDIC_LONG = _by_table(_letters("ø=oe å=aa ä=ae ö=oe æ=ae"))
_NORDIC_SHORT = _by_table(_letters("ø=o å=a ä=a ö=o æ=ae"))
_NORDIC: Conventions = ((_NORDIC_SHORT, 0.75), (_NORDIC_LONG, 0.25))
_ICELANDIC: Conventions = (
    (_by_table(_letters("þ=th ð=d æ=ae ö=o")), 0.8),
    (_by_table(_letters("þ=th ð=d æ=ae ö=oe ø=oe ä=ae å=aa")), 0.2),
)
_DJ: Conventions = ((_by_table(_letters("đ=dj")), 0.55), (_by_table(_letters("đ=d")), 0.45))
# Japanese long vowels: modified Hepburn without its macrons, as passports write oh, as typed (wāpuro) ou.
_LONG_VOWELS: Conventions = (
    (_by_table(_letters("ō=o ū=u ā=a ē=e ī=i")), 0.6),
    (_by_table(_letters("ō=oh ū=u ā=a ē=e ī=i")), 0.15),
    (_by_table(_letters("ō=ou ū=uu ā=aa ē=ei ī=ii")), 0.2),
    (_by_table(_letters("ō=oo ū=u ā=a ē=e ī=i")), 0.05),
)

_RUSSIAN = _letters(
    "а=a б=b в=v г=g д=d е=e ё=e ж=zh з=z и=i й=y к=k л=l м=m н=n о=o п=p р=r с=s т=t у=u ф=f х=kh ц=ts ч=ch ш=sh "
    "щ=shch ъ= ы=y ь= э=e ю=yu я=ya кс=x і=i ї=yi є=ye ґ=g ў=u ье=ie"
)
_LOOSE = _RUSSIAN | _letters("ье=ye")
_ICAO = _RUSSIAN | _letters("й=i ъ=ie ю=iu я=ia кс=ks ье=e")
_CASUAL = _RUSSIAN | _letters("х=h ц=c щ=sch кс=ks ё=yo")
_GERMANIC = _RUSSIAN | _letters("й=j ю=ju я=ja х=h ц=c щ=sch кс=ks")
_RUSSIAN_CONVENTIONS: Conventions = (
    (_by_table(_RUSSIAN, [("ий", "y"), ("ый", "y"), ("ия", "ia")]), 0.45),
    (_by_table(_LOOSE, custom=1), 0.2),
    (_by_table(_ICAO, custom=2), 0.2),
    (_by_table(_CASUAL, [("ий", "iy")], custom=1), 0.1),
    (_by_table(_GERMANIC, custom=3), 0.05),
)

# Ukrainian: Resolution 55 of the Cabinet of Ministers, 27 January 2010; the iotated letters differ within a word.
_KMU_2010 = _letters(
    "а=a б=b в=v г=h ґ=g д=d е=e є=ie ж=zh з=z и=y і=i ї=i й=i к=k л=l м=m н=n о=o п=p р=r с=s т=t у=u ф=f х=kh ц=ts "
    "ч=ch ш=sh щ=shch ь= ю=iu я=ia зг=zgh"
)
_UKRAINIAN_LOOSE = _KMU_2010 | _letters("є=ye ї=yi й=y ю=yu я=ya")


def _ukrainian(table: Mapping[str, str], endings: Sequence[tuple[str, str]] = ()) -> Convention:
    spell = _by_table(table, endings)
    initial = _letters("є=ye ї=yi й=y ю=yu я=ya")
    return lambda word: (
        ascii_letters(initial.get(word[:1], "")) + spell(word[1:]) if word[:1] in initial else spell(word)
    )


# A Ukrainian family name is recognised by its ending if none of its letters is specific.
_UKRAINIAN_ENDING = re.compile("(?:енко|чук|щук|юк|ник)$")
_PERHAPS_UKRAINIAN: Conventions = (
    *((convention, 0.75 * share) for convention, share in _RUSSIAN_CONVENTIONS),
    (_by_table(_KMU_2010 | _letters("ы=y э=e ё=io ъ=")), 0.25),
)
_UKRAINIAN: Conventions = (
    (_ukrainian(_KMU_2010, [("ий", "yi"), ("ій", "ii")]), 0.5),
    (_ukrainian(_UKRAINIAN_LOOSE, [("ий", "y"), ("ій", "iy")]), 0.35),
    (_by_table(_RUSSIAN, [("ий", "y"), ("ій", "iy")]), 0.15),
)
_SERBIAN_LETTERS = _letters(
    "а=a б=b в=v г=g д=d ђ=dj е=e ж=z з=z и=i ј=j к=k л=l љ=lj м=m н=n њ=nj о=o п=p р=r с=s т=t ћ=c у=u ф=f х=h ц=c "
    "ч=c џ=dz ш=s ѓ=g ќ=k ѕ=dz"
)
_SERBIAN: Conventions = ((_by_table(_SERBIAN_LETTERS), 0.75), (_by_table(_SERBIAN_LETTERS | _letters("ђ=d")), 0.25))

_ELOT_743 = _letters(
    "α=a β=v γ=g δ=d ε=e ζ=z η=i θ=th ι=i κ=k λ=l μ=m ν=n ξ=x ο=o π=p ρ=r σ=s ς=s τ=t υ=y φ=f χ=ch ψ=ps ω=o ου=ou "
    "αυ=av ευ=ev γγ=ng γξ=nx γχ=nch γκ=gk μπ=mp ντ=nt ά=a έ=e ή=i ί=i ό=o ύ=y ώ=o ϊ=i ϋ=y ΐ=i ΰ=y ού=ou αύ=av εύ=ev "
    "ευθ=efth ευτ=eft ευκ=efk ευσ=efs ευχ=efch αυτ=aft αυσ=afs"
)


def _greek(letters: str = "", *, custom: int = 0) -> Convention:
    """ELOT 743 with other letters; a word that begins with μπ is spoken, and written, with b."""
    spell = _by_table(_ELOT_743 | _letters(letters), custom=custom)
    return lambda word: spell(word if word in CUSTOMARY or not word.startswith("μπ") else f"b{word[2:]}")


_GREEK: Conventions = (
    (_greek(), 0.55),
    (_greek("χ=h γχ=nh ντ=d μπ=b", custom=1), 0.25),
    (_greek("φ=ph υ=i ύ=i ου=u ού=u", custom=2), 0.2),
)

_CUSTOMARY_ONLY: Conventions = tuple(
    (_by_table({"\0": ""}, custom=rank), weight) for rank, weight in enumerate((0.6, 0.3, 0.1))
)
_ARABIC_ARTICLE = re.compile("^ال(?=..)")


def _arabic(article: str, custom: int) -> Convention:
    known = _by_table({"\0": ""}, custom=custom)

    def spell(word: str) -> str:
        if word in CUSTOMARY or not _ARABIC_ARTICLE.match(word):
            return known(word)
        return article + known(word[2:])

    return spell


_ARABIC: Conventions = (
    (_arabic("al", 0), 0.45),
    (_arabic("el", 0), 0.2),
    (_arabic("el", 1), 0.2),
    (_arabic("al", 1), 0.15),
)


_USUAL_HANGUL = _letters(
    "u=woo uk=wook un=woon ung=woong yun=yoon yeong=young hui=hee hun=hoon hyeon=hyun gyeong=kyung gyu=kyu gi=ki "
    "gwang=kwang geun=keun guk=kook seon=sun seong=sung su=soo sun=soon suk=sook cheol=chul jeong=jung byeong=byung "
    "myeong=myung"
)
"""Spellings of Korean given names that differ from the Revised Romanization."""


def _hangul(surname: int, usual: Mapping[str, str]) -> Convention:
    def spell(word: str) -> str:
        if word in KOREAN_SURNAMES:
            forms = KOREAN_SURNAMES[word]
            return forms[min(surname, len(forms) - 1)]
        spelled = ""
        for syllable in map(ascii_letters, word):
            # ㄹ is r but where two of them meet (Revised Romanization, 2000).
            romanized = f"r{syllable[1:]}" if syllable[:1] == "l" and spelled[-1:] != "l" else syllable
            spelled += usual.get(romanized, romanized)
        return spelled

    return spell


_KOREAN: Conventions = (
    (_hangul(0, _USUAL_HANGUL), 0.5),
    (_hangul(0, {}), 0.25),
    (_hangul(1, {}), 0.15),
    (_hangul(1, _USUAL_HANGUL), 0.1),
)


def _han(custom: int) -> Convention:
    def spell(word: str) -> str:
        forms = CHINESE_SURNAMES.get(word)
        return forms[min(custom, len(forms) - 1)] if forms else ascii_letters(word)

    return spell


_CHINESE: Conventions = ((_han(0), 0.65), (_han(1), 0.35))


def _of_kana(spell: Convention) -> Convention:
    return lambda word: spell(word) if kana.is_kana(word) else ascii_letters(word)


_KANA: Conventions = (
    (_of_kana(kana.short), 0.65),
    (_of_kana(kana.as_typed), 0.2),
    (_of_kana(kana.with_h), 0.15),
)


def _any_of(letters: Iterable[str]) -> Callable[[str], object]:
    alphabet = frozenset(letters)
    return lambda text: not alphabet.isdisjoint(text)


def _range(first: int, last: int) -> Iterable[str]:
    return map(chr, range(first, last + 1))


_HANGUL = re.compile("[\uac00-\ud7a3]")
_HAN = re.compile("[\u4e00-\u9fff]")
"""Sets of so many letters would take 5 MB in each process."""

_BY_LETTERS: Sequence[tuple[Callable[[str], object], Conventions]] = (
    (_any_of("ıİşğ"), _AS_IT_IS),
    (_any_of(VIETNAMESE_LETTERS), _AS_IT_IS),
    (_any_of("đ"), _DJ),
    (_any_of("þð"), _ICELANDIC),
    (_any_of("áíőűúąęłńśźżčřěšžýœçñãõ"), _AS_IT_IS),
    (_any_of("øåæ"), _NORDIC),
    (_any_of("üß"), _UMLAUTS),
    (_any_of("äö"), _UMLAUTS_OR_SWEDISH),
    (_any_of("ōū"), _LONG_VOWELS),
    (_any_of("ђјљњћџѓќѕ"), _SERBIAN),
    (_any_of("іїєґ"), _UKRAINIAN),
    (_any_of(_range(0x400, 0x4FF)), _RUSSIAN_CONVENTIONS),
    (_any_of([*_range(0x370, 0x3FF), *_range(0x1F00, 0x1FFF)]), _GREEK),
    (_any_of(_range(0x600, 0x6FF)), _ARABIC),
    (_any_of(_range(0x590, 0x5FF)), _CUSTOMARY_ONLY),
    (_HANGUL.search, _KOREAN),
    (_any_of(_range(0x3041, 0x30FC)), _KANA),
    (_HAN.search, _CHINESE),
)
"""The first row with a letter of the name decides; letters that only one language uses come first."""
