"""Untrusted text is read in linear time: by each regular expression of the packages, and by each reader of such text.

Each reads texts of 8 to 3,000 characters, made of the characters of its own pattern. If a longer text costs more than
three times as much per character as a shorter one, the time is not linear. Both are measured in this process, one after
the other.
"""

import ast
import importlib
import re
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import pairwise, product
from pathlib import Path
from re import _parser as parser  # type: ignore[attr-defined]
from typing import Any, NamedTuple

import pytest

from models.wire import NOT_ALLOWED
from pipeline.errors import InvalidInput
from pipeline.lookup.names import culture, scripts
from pipeline.lookup.names.parse import parse_name
from pipeline.lookup.providers.companies import company_key
from pipeline.lookup.providers.http_provider import retry_after
from pipeline.lookup.providers.source import normalised
from pipeline.mail.address.providers import provider_of
from pipeline.mail.address.syntax import normalise_domain, parse_address
from pipeline.mail.dns.fast_parse import read_plain
from pipeline.mail.reacher.response import RemoteOutput
from pipeline.mail.replies.answer import stated_wait
from pipeline.mail.replies.classify import classify, without_addresses, without_local_part, words_of
from pipeline.mail.replies.rules import standard_rules
from pipeline.mail.smtp.errors import MalformedReplyError
from pipeline.mail.smtp.reply import Reply
from pipeline.mail.smtp.reply_match import names_another
from pipeline.mail.smtp.reply_parser import ReplyParser
from pipeline.privacy import erasure, suppressions

PACKAGES = ("api", "cli", "client", "models", "pipeline", "settings", "web", "worker")
FEW, MANY = 300, 3_000
RAMP = (8, 12, 16, 20, 24, 32, 64)
"""Lengths at which exponential time shows. With more characters it would not end."""
NOTICEABLE_S = 0.004
TOLERANCE = 3
METHODS = ("search", "match", "fullmatch", "findall", "finditer", "sub", "split")
GENERIC = [
    *"a1@.<> -,:;/(\"'“„«\\\n_=é\u0301",
    "a@",
    "a.",
    "a ",
    " a",
    "1.",
    "a:",
    "a-",
    "<a",
    "http:",
    "\u0301\u0316",
    ",inc",
]


class Call(NamedTuple):
    """A call of the module `re`: its file, its function, and the name that its result is assigned to."""

    path: str
    function: str
    assigned_to: str


SETTINGS = ("models/connections.py", "models/redis_url.py", "settings/__init__.py")
"""These modules read the operator's own text, which is trusted."""
ELSEWHERE = {
    # Not assigned to a name of a module: where the patterns are instead, or why they never read untrusted text.
    Call("pipeline/lookup/names/culture.py", "", ""): "_SHAPES",
    Call("pipeline/lookup/names/scripts.py", "_by_table", "groups"): "alternatives without repetition",
    Call("pipeline/mail/replies/rules.py", "_pattern", ""): "the rules",
    Call("pipeline/mail/replies/classify.py", "without_local_part", ""): "a literal; its reader is tested",
    Call("pipeline/mail/address/providers.py", "", ""): "an entry of a table; its reader is tested",
}


def calls_of_re(path: str, tree: ast.Module) -> Iterator[Call]:
    def visit(node: ast.AST, function: str, assigned_to: str) -> Iterator[Call]:
        for child in ast.iter_child_nodes(node):
            inside = child.name if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef) else function
            name = assigned_to
            if isinstance(child, ast.Assign | ast.AnnAssign):
                target = child.targets[0] if isinstance(child, ast.Assign) else child.target
                is_plain = isinstance(child.value, ast.Call) and isinstance(target, ast.Name)
                name = target.id if is_plain and isinstance(target, ast.Name) else ""
            if isinstance(child, ast.Call) and isinstance(child.func, ast.Attribute):
                owner = child.func.value
                if isinstance(owner, ast.Name) and owner.id == "re" and child.func.attr not in ("escape", "Pattern"):
                    yield Call(path, inside, name)
            yield from visit(child, inside, name)

    yield from visit(tree, "", "")


def trees(root: Path) -> Iterator[tuple[str, ast.Module]]:
    for package in PACKAGES:
        for path in sorted((root / package).rglob("*.py")):
            yield str(path.relative_to(root)), ast.parse(path.read_text())


ROOT = Path(__file__).parents[1]
TREES = dict(trees(ROOT))
CALLS = [call for path, tree in TREES.items() if path not in SETTINGS for call in calls_of_re(path, tree)]


USES = {
    (node.value.id, node.attr)
    for tree in TREES.values()
    for node in ast.walk(tree)
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name)
}
"""Each attribute that the packages use, by its owner's name: among them the methods of patterns."""


def named_patterns() -> Iterator[tuple[str, re.Pattern[Any], str]]:
    for path, function, assigned_to in CALLS:
        if assigned_to and not function:
            module = importlib.import_module(path.removesuffix(".py").replace("/", "."))
            for method in sorted(method for method in METHODS if (assigned_to, method) in USES):
                yield f"{path}:{assigned_to}.{method}", getattr(module, assigned_to), method
    for name, (_, shape) in culture._SHAPES.items():  # noqa: SLF001
        yield f"culture:{name}", shape, "fullmatch"


PATTERNS = {name: (pattern, method) for name, pattern, method in named_patterns()}


def apply(pattern: re.Pattern[Any], method: str) -> Callable[[str], object]:
    encode = str.encode if isinstance(pattern.pattern, bytes) else str
    match method:
        case "sub":
            return lambda text: pattern.sub(encode(""), encode(text))
        case "finditer":
            return lambda text: list(pattern.finditer(encode(text)))
        case _:
            return lambda text: getattr(pattern, method)(encode(text))


def pieces_of(pattern: str) -> tuple[list[str], list[str]]:
    """The characters in the pattern's classes and literals, and its literal texts."""
    nodes = list(nodes_of(parser.parse(pattern)))
    spelled = "".join(chr(value) if name == "LITERAL" else "\n" for name, value in nodes)
    listed = [each for name, value in nodes if name == "IN" for each in value]
    ends = [
        value if str(kind) == "LITERAL" else value[0] for kind, value in listed if str(kind) in ("LITERAL", "RANGE")
    ]
    characters = dict.fromkeys([*spelled.replace("\n", ""), *map(chr, ends)])
    return list(characters)[:12], [text for text in spelled.split("\n") if len(text) > 1][:6]


def nodes_of(pattern: Any) -> Iterator[tuple[str, Any]]:
    for operation, argument in pattern:
        yield str(operation), argument
        inside = argument if isinstance(argument, tuple | list) else [argument]
        for each in inside if str(operation) != "BRANCH" else argument[1]:
            if isinstance(each, parser.SubPattern):
                yield from nodes_of(each)
                yield "END", None


def shapes_of(pattern: str) -> list[Callable[[int], str]]:
    """Adversarial texts of any length: repeated pieces, near matches, and a beginning without its end."""
    characters, texts = pieces_of(pattern)
    units = list(dict.fromkeys([*characters, *texts, *GENERIC]))
    units += [first + second for first, second in product(characters[:6], repeat=2) if first != second]
    starts = ["", *texts, *characters[:4], "a@", "<", "1:1:1:"]

    def shape(start: str, unit: str, end: str) -> Callable[[int], str]:
        return lambda size: start + (unit * (size // len(unit) + 1))[:size] + end

    return [shape("", unit, end) for unit in units for end in ("", "\x01")] + [
        shape(start, unit, "g") for start in starts for unit in units[:16]
    ]


def seconds(reader: Callable[[str], object], text: str) -> float:
    started = time.process_time()
    reader(text)
    return time.process_time() - started


def not_linear(reader: Callable[[str], object], shape: Callable[[int], str]) -> str:
    """Why a reader is not linear for texts of this shape; "" if it is."""
    for before, size in pairwise((*RAMP, FEW, MANY)):
        text = shape(size)
        if seconds(reader, text) > NOTICEABLE_S:
            smaller = min(seconds(reader, shape(before)) for _ in range(5))
            # A reader that is slow only once was slow for another reason.
            larger = min(seconds(reader, text) for _ in range(2))
            if larger > NOTICEABLE_S and larger > TOLERANCE * smaller * size / before:
                return f"{size} characters like {text[:20]!r} cost {larger / smaller:.0f} times what {before} do"
    return ""


def first_not_linear(reader: Callable[[str], object], shapes: list[Callable[[int], str]]) -> str:
    return next((why for shape in shapes if (why := not_linear(reader, shape))), "")


def test_each_regular_expression_is_tested_or_exempt() -> None:
    unknown = [call for call in CALLS if (call.function or not call.assigned_to) and call not in ELSEWHERE]
    imports = [
        path
        for path, tree in TREES.items()
        for node in ast.walk(tree)
        if (isinstance(node, ast.ImportFrom) and node.module == "re")
        or (isinstance(node, ast.Import) and any(name.name == "re" and name.asname for name in node.names))
    ]

    assert unknown == [], "assign the pattern to a name of its module, so that this file finds and tests it"
    assert imports == [], "import the module as `re`, so that this file finds its calls"
    assert set(ELSEWHERE) <= set(CALLS)
    assert len(PATTERNS) > 40


@pytest.mark.parametrize("name", PATTERNS)
def test_a_regular_expression_reads_text_in_linear_time(name: str) -> None:
    pattern, method = PATTERNS[name]
    source = pattern.pattern.decode() if isinstance(pattern.pattern, bytes) else pattern.pattern

    assert first_not_linear(apply(pattern, method), shapes_of(source)) == ""


@pytest.mark.parametrize(
    ("pattern", "method"),
    [
        (r"[^\s<>]+@\w+", "search"),
        (r"<([^<>\s]+@[^<>\s]+)>", "findall"),
        (r"(?:[\s,]+(?:inc|co))+$", "sub"),
        (r"\b(?:[0-9a-f]{1,4}:){3,7}(?::?[0-9a-f]{1,4})+\b", "search"),
        (r"(?:a+)+b", "fullmatch"),
    ],
)
def test_a_regular_expression_that_is_not_linear_is_detected(pattern: str, method: str) -> None:
    assert first_not_linear(apply(re.compile(pattern), method), shapes_of(pattern))


def reply(text: str) -> Reply:
    return Reply(550, tuple(text[start : start + 2048] for start in range(0, len(text), 2048)) or ("",))


def parsed(text: str) -> None:
    with suppress(MalformedReplyError):
        ReplyParser().feed(b"550-" + text.encode(errors="replace") + b"\r\n550 end\r\n")


def parsed_in_pieces(text: str) -> None:
    parser_of_replies = ReplyParser()
    octets = text.encode(errors="replace").replace(b"\n", b"")
    for start in range(0, len(octets), 16):
        parser_of_replies.feed(octets[start : start + 16])


def entry(text: str) -> None:
    with suppress(InvalidInput):
        suppressions.parse_entry(text)


def verifier_answer(text: str) -> None:
    response = {"smtp": {"error": {"type": text, "message": f"permanent: {text}"}}, "mx": {"records": [text]}}
    output = RemoteOutput.model_validate(response)
    provider_of(output.as_answer("verifier", "ada@alpha.test", None, 0.0).mail_host)  # type: ignore[arg-type]


READERS: dict[str, Callable[[str], object]] = {
    "an address": parse_address,
    "a domain": normalise_domain,
    "a name": lambda text: parse_name(full_name=text),
    "two names": lambda text: parse_name(first_name=text, last_name=text),
    "a company": company_key,
    "a text without case": normalised,
    "a client's own column": lambda text: list(erasure.addresses_in(text)),
    "a suppression entry": entry,
    "a value on the wire": NOT_ALLOWED.search,
    "a reply's bytes": parsed,
    "a reply in small pieces": parsed_in_pieces,
    "a reply's text": lambda text: reply(text).text,
    "a reply's enhanced code": lambda text: reply(text).enhanced,
    "a reply's words": lambda text: words_of(reply(text)),
    "a reply's meaning": lambda text: classify(reply(text)),
    "a reply without addresses": lambda text: without_addresses(reply(text), "ada@alpha.test"),
    "a reply without a local part": lambda text: without_local_part(text, "a@alpha.test"),
    "who a reply names": lambda text: names_another(["ada@alpha.test", "bea@alpha.test"], [reply(text), reply(text)]),
    "a stated wait": stated_wait,
    "a mail host's name": lambda text: provider_of(text[:255]),
    "a verifier's answer": verifier_answer,
    "a header Retry-After": retry_after,
    "a DNS answer": lambda text: read_plain(text.encode(errors="replace"), 15),  # type: ignore[arg-type]
    "Cyrillic letters": lambda text: scripts.conventions_for(f"ю{text}"),
}


@pytest.mark.parametrize("reader", READERS.values(), ids=READERS.keys())
def test_a_reader_reads_text_in_linear_time(reader: Callable[[str], object]) -> None:
    assert first_not_linear(reader, shapes_of("")) == ""


ORDINARY = (
    "5.1.1 The email account that you tried to reach does not exist. Please try double-checking the address. " * 4
)


def test_no_reply_takes_the_rules_much_longer_than_an_ordinary_one() -> None:
    """They read at most a thousand characters, in words of limited length, so that even quadratic time is short."""
    texts = {words_of(reply(shape(MANY))) for shape in shapes_of("")}

    def cost(words: str) -> float:
        return min(seconds(rules, words) for _ in range(2))

    def rules(words: str) -> list[bool]:
        return [rule.matches("550", "", words, "") for rule in standard_rules()]

    ordinary = min(cost(words_of(reply(ORDINARY))) for _ in range(5))
    slow = {words[:20]: ratio for words in texts if (ratio := cost(words) / ordinary) > 30}
    assert slow == {}
