"""Parses addresses and domain names as people type them, and normalises them for SMTP and DNS."""

import re
from dataclasses import dataclass
from typing import NamedTuple
from urllib.parse import unquote

from email_validator import EmailNotValidError, ValidatedEmail, validate_email

LOCAL_PART_OCTETS = 64
"""RFC 5321 4.5.3.1.1; counted in UTF-8 (RFC 6531), where a character takes up to four octets."""
ADDRESS_OCTETS = 254
"""RFC 5321 4.5.3.1.3, less the angle brackets."""
LONGEST_TEXT = 1000
"""Characters of a text that is parsed: a display name or a URL may surround the address."""
_INVISIBLE = "\ufeff\u200b\u200c\u200d\u2060\u00ad"
_AROUND_AN_ADDRESS = " \t\r\n;," + _INVISIBLE
_AROUND_A_DOMAIN = _AROUND_AN_ADDRESS + "'\"<>()[]"
_QUOTES = ("'", '"')
_SCHEME = re.compile(r"^(?:[a-z][a-z0-9+.-]*://|https?:?/{1,3}|mailto:|//)", re.IGNORECASE)
_MOST_SCHEMES = 3
_MARKDOWN_LINK = re.compile(r"\[[^\[\]]*\]\(\s*([^()\s]+)[^()]*\)")
_HTML_LINK = re.compile(r"\bhref=[\"']?([^\"'\s<>]+)", re.IGNORECASE)
_BETWEEN_DOMAINS = re.compile(r"[,;|\s]+")
_MOST_DOMAINS = 10
_AFTER_THE_HOST = re.compile(r"[/?#\s]")
_PORT = re.compile(r":\d*$")
# The common case: lower-case letter-digit-hyphen labels (RFC 5321 2.3.5) that need no normalising. Two hyphens in a
# row may start an A-label, which the library validates.
_NAME = r"(?:(?![^.]{64})[a-z0-9]++(?:-[a-z0-9]++)*+\.)+[a-z]{2,63}"
_PLAIN_NAME = re.compile(rf"(?=.{{1,253}}\Z){_NAME}")
# The same for an address: a dot-string (RFC 5321 4.1.2) of at most 64 octets at such a name.
_ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]++"
_PLAIN_ADDRESS = re.compile(
    rf"(?=.{{1,{ADDRESS_OCTETS}}}\Z)(?=.{{1,{LOCAL_PART_OCTETS}}}@)({_ATOM}(?:\.{_ATOM})*+)@({_NAME})"
)
_ADDRESS_LITERAL = re.compile(r"@\[[0-9a-f.:]+\]>?$|@\[ipv6:[0-9a-f.:]+\]>?$", re.IGNORECASE)
_NUMERIC = "An address at a bare IP address ([...]) belongs to no domain and is not checked: give the domain's name."
_TOO_LONG = f"An address has at most {ADDRESS_OCTETS} octets: this text is far too long to be one."
_TOP_LEVEL = re.compile(r"[a-z]$")


class Address(NamedTuple):
    """A valid address (RFC 5321 4.1.2, RFC 6531): `local` as written, `domain` as lower-case A-labels."""

    local: str
    domain: str

    def __str__(self) -> str:
        return f"{self.local}@{self.domain}"


@dataclass(frozen=True, slots=True)
class SyntaxProblem:
    """Why a text is not an address; the sentence does not repeat the text."""

    sentence: str


def parse_address(text: str) -> Address | SyntaxProblem:
    """Parse an address; blanks, quotes, `mailto:` and a display name around it are allowed."""
    if plain := _PLAIN_ADDRESS.fullmatch(text):
        return Address(plain[1], plain[2])
    if len(text) > LONGEST_TEXT:
        # The time that the library takes is not always linear in the length of the text.
        return SyntaxProblem(_TOO_LONG)
    cleaned = text.strip(_AROUND_AN_ADDRESS)
    if cleaned[:1] in _QUOTES and cleaned.endswith(cleaned[:1]) and len(cleaned) > 2:
        cleaned = cleaned[1:-1].strip()
    if cleaned[:7].lower() == "mailto:":
        cleaned = unquote(cleaned[7:].partition("?")[0]).strip()  # RFC 6068 2
    try:
        address = _validated(cleaned)
    except EmailNotValidError as problem:
        return SyntaxProblem(_NUMERIC if _ADDRESS_LITERAL.search(cleaned) else str(problem))
    if not _is_public_name(address.ascii_domain):
        return SyntaxProblem("The part after the @-sign is not a public domain name.")
    if len(address.local_part.encode()) > LOCAL_PART_OCTETS:
        return SyntaxProblem("The part before the @-sign is longer than 64 octets.")
    return Address(address.local_part, address.ascii_domain)


def normalise_domain(text: str) -> str | None:
    """Return the domain name in what a CSV file calls a domain or a website; None if there is none.

    Schemes, user, port, path and a leading `www.` are removed: `https://www.Example.com/about` becomes `example.com`.
    Of a link in Markdown or HTML its target counts, of several domains the first.
    International names become A-labels (RFC 5890).
    """
    if _PLAIN_NAME.fullmatch(text) and not text.startswith("www."):
        return text
    linked = _MARKDOWN_LINK.search(text[:LONGEST_TEXT]) or _HTML_LINK.search(text[:LONGEST_TEXT])
    found = _domain_of(linked[1] if linked else text)
    if found is None and len(several := _BETWEEN_DOMAINS.split(text[:LONGEST_TEXT].strip(), _MOST_DOMAINS)) > 1:
        return next(filter(None, map(_domain_of, several)), None)
    return found


def _domain_of(text: str) -> str | None:
    # Google's contacts have `http\://`; others have backslashes for slashes.
    cleaned = text.strip(_AROUND_A_DOMAIN).replace("\\:", ":").replace("\\", "/")
    for _ in range(_MOST_SCHEMES):
        cleaned = _SCHEME.sub("", cleaned)
    host = _AFTER_THE_HOST.split(cleaned.strip(), maxsplit=1)[0].rpartition("@")[2]
    host = _PORT.sub("", host).strip("." + _AROUND_A_DOMAIN)
    if host[:4].lower() == "www." and "." in host[4:]:
        host = host[4:]
    parsed = parse_address(f"postmaster@{host}")
    return parsed.domain if isinstance(parsed, Address) else None


def _validated(text: str) -> ValidatedEmail:
    # `pipeline.mail.dns.routes` finds out once per domain whether it takes mail. Names under .test (RFC 2606) must be
    # valid, since the sandbox uses them.
    return validate_email(
        text,
        check_deliverability=False,
        globally_deliverable=False,
        test_environment=True,
        allow_quoted_local=True,
        allow_display_name=True,
        strict=True,
    )


def _is_public_name(domain: str) -> bool:
    return "." in domain and _TOP_LEVEL.search(domain) is not None
