"""How much a word looks like a name that people write, in any language that the known code pages are for.

A code page read as another gives letters too, but not those of one language, nor in places where names have them:
`Müller` becomes `MŸller`, `Иванов` becomes `хБЮМНБ` or `Èâàíîâ`. `strangeness` counts such faults. 0 is an ordinary
name; from 2 on it is a misreading or no word.
"""

# ruff: noqa: SIM905 - a block of words is easier to read and to extend than a list of strings

import unicodedata
from functools import cache
from itertools import pairwise

ALPHABETS = tuple(
    frozenset(letters)
    for letters in (
        "äöüßé",  # German
        "àâæçéèêëîïôœùûüÿ",  # French
        "áéíñóúüç",  # Spanish
        "àáâãçéêíóôõúü",  # Portuguese
        "àèéìíòóùú",  # Italian
        "áèéëïíóöü",  # Dutch
        "æøåéèôäöü",  # Danish, Norwegian
        "åäöéüà",  # Swedish, Finnish
        "áðéíóúýþæö",  # Icelandic
        "àçèéíïòóúü",  # Catalan
        "äöüõšž",  # Estonian
        "áčďéěíňóřšťúůýž",  # Czech
        "áäčďéíĺľňóôŕšťúýž",  # Slovak
        "ąćęłńóśźż",  # Polish
        "áéíóöőúüű",  # Hungarian
        "ăâîșțşţ",  # Romanian
        "čćđšž",  # Croatian, Slovene
    )
)
CYRILLIC = frozenset("абвгдежзийклмнопрстуфхцчшщъыьэюяё" + "іїєґ" + "ђјљњћџѓќѕў")
VOWELS = frozenset("aeiouyæøœıаеёиоуыэюяіїє")
BEFORE_NO_VOWEL = frozenset("ńśćźăęąőůě")
"""Polish writes `ni` before a vowel; the others end a syllable or stand before a consonant, as a rule."""
NEVER_LAST = frozenset("õæçþ")
RARE = frozenset("ŕĺµ" + "щъыэюфхцшжґ")
WELL_KNOWN = frozenset(
    # Names in which Windows-1250 and Windows-1252 differ, and which one of them alone makes of the bytes.
    """
    søren jørgen jørgensen sørensen bjørn åse åsa pål håkon kjær møller øystein nicolò niccolò muñoz nuñez peña begoña
    íñigo ibáñez ordóñez yáñez zuñiga inês joão simão sebastião conceição magalhães guimarães simões camões assunção
    hélène agnès irène thérèse noè mosè salomè françoise benoît gaëlle jérôme adèle
    jiří ondřej tomáš dvořák kateřina přemysl kučera veselý černý procházka němec řehoř marešová jaromír krejčí růžička
    beneš zdeněk luboš šárka ľuboš ľudmila štefan łukasz paweł michał stanisław wałęsa zieliński wiśniewski wójcik
    kamiński szymański woźniak dąbrowski kozłowski jabłoński małgorzata władysław bożena grażyna győző erdős jenő gergő
    kőváry szőke marković petrović jovanović nikolić horvatić ivančić đorđe željko šarić ştefan ionuţ năstase brăila
    dragoş
    """.split()
)
PUNCTUATION = frozenset("’‘“”„–—…«»·•´`ªº°®™©\u00a0\u3000、。・（），")
SURNAMES = frozenset(
    # The first characters of the commonest family names: most people's names in a file begin with one of these.
    "王李张刘陈杨赵黄周吴徐孙胡朱高林何郭马罗梁宋郑谢韩唐冯于董萧程曹袁邓许傅沈曾彭吕苏卢蒋蔡贾丁魏薛叶阎余潘杜戴夏钟汪田任姜范方石姚谭廖邹熊金陆郝孔白崔康毛邱秦江史顾侯邵孟龙万段雷钱汤"
    "張劉陳楊趙黃吳孫馬羅鄭謝韓馮蕭鄧許呂蘇盧蔣賈葉閻鍾譚鄒陸龍萬錢湯賴簡鐘莊"
    "佐鈴高田伊渡山中小加吉木斎清森池橋阿石後長近村遠青坂藤西福太三岡松上井内原野大川前岩島竹水千久今谷宮河和菅工酒丸杉武平増安北柴"
)
MISREAD, ODD = 4.0, 0.7


STANDARDS = {"gb18030": ("gb2312", 0xB0, 0xD7), "big5": ("big5", 0xA4, 0xC6), "cp932": ("shift_jis", 0x88, 0x97)}
"""Of each East Asian code page, the standard whose first level holds the common characters, and where that is."""
EAST_ASIAN = frozenset({"CJK", "HIRAGANA", "KATAKANA", "HALFWIDTH", "FULLWIDTH", "BOPOMOFO", "HANGUL"})
MISREAD, ODD = 4.0, 0.4


def strangeness(word: str, encoding: str) -> float:
    """Return how strange a word is, at least one of whose characters is beyond ASCII, as text of that encoding."""
    letters = [char for char in word if char.isalpha()]
    cost = sum(0.5 if char in PUNCTUATION else MISREAD for char in word if not (char.isascii() or _is_letter(char)))
    beyond = [char for char in letters if not char.isascii()]
    if not beyond:
        return cost
    scripts = {_script_of(char) for char in letters}
    if scripts & EAST_ASIAN:
        return cost + _east_asian(beyond, scripts, encoding)
    if len(scripts) > 1:
        return cost + MISREAD
    known = -1.5 if word.lower() in WELL_KNOWN else 0.0
    return cost + known + _case(letters) + _alphabet(letters, beyond, scripts) + _sound(letters)


def _is_letter(char: str) -> bool:
    return char.isalpha() or bool(unicodedata.combining(char))


@cache
def _script_of(char: str) -> str:
    return unicodedata.name(char, "").partition(" ")[0]


@cache
def _is_vowel(char: str) -> bool:
    lower = char.lower()
    return lower != "й" and unicodedata.normalize("NFD", lower)[0] in VOWELS


def _east_asian(beyond: list[str], scripts: set[str], encoding: str) -> float:
    """Common characters, one script, and a family name in front."""
    rare = sum(0.7 if _is_rare(char, encoding) else 0.2 for char in beyond)
    mixed = MISREAD if scripts - EAST_ASIAN else 0.0
    half = 0.5 * sum(_script_of(char) == "HALFWIDTH" for char in beyond)
    return rare + mixed + half - (0.6 if beyond[0] in SURNAMES else 0.0)


def _is_rare(char: str, encoding: str) -> bool:
    """Whether it is a Chinese character beyond the first level of its national standard."""
    if _script_of(char) != "CJK" or encoding not in STANDARDS:
        return False
    standard, first, last = STANDARDS[encoding]
    data = char.encode(standard, "ignore")
    return not (data and first <= data[0] <= last)


def _case(letters: list[str]) -> float:
    """Capitals behind small letters, or two in a row in a word that has small ones, where one is beyond ASCII."""
    cost = 0.0
    is_all_capitals = "".join(letters).isupper()
    for before, after in _pairs_beyond_ascii(letters):
        if before.islower() and after.isupper():
            cost += MISREAD
        elif before.isupper() and after.isupper() and not is_all_capitals:
            cost += MISREAD / 2
    return cost


def _alphabet(letters: list[str], beyond: list[str], scripts: set[str]) -> float:
    """Letters that no one language has together; small letters in front of a Cyrillic name."""
    lower = {char.lower() for char in beyond}
    rare = 0.3 * len(lower & RARE)
    if scripts == {"CYRILLIC"}:
        return rare + MISREAD * len(lower - CYRILLIC) + (ODD if letters[0].islower() else 0.0)
    unknown = min(len(lower - alphabet) for alphabet in ALPHABETS)
    adjacent = sum(not before.isascii() and not after.isascii() for before, after in _pairs_beyond_ascii(letters))
    return rare + 2.5 * unknown + adjacent


def _sound(letters: list[str]) -> float:
    """Vowels and consonants alternate in names, more or less."""
    cost = 1.5 if len(letters) > 2 and not any(map(_is_vowel, letters)) else 0.0
    cost += 0.7 if letters[-1].lower() in NEVER_LAST else 0.0
    for before, after in _pairs_beyond_ascii(letters):
        if _is_vowel(before) == _is_vowel(after):
            cost += 0.3
        if before.lower() in BEFORE_NO_VOWEL and _is_vowel(after):
            cost += 0.5
    return cost


def _pairs_beyond_ascii(letters: list[str]) -> list[tuple[str, str]]:
    return [pair for pair in pairwise(letters) if not (pair[0].isascii() and pair[1].isascii())]
