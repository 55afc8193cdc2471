"""What a mail server answers to one command (RFC 5321 4.2, RFC 3463 for enhanced codes)."""

import re
from typing import NamedTuple

_ENHANCED = re.compile(r"(?:^|\(#|#)([245]\.\d{1,3}\.\d{1,3})(?![\d.])")
_ENHANCED_INSIDE = re.compile(r"(?<=[\s(\[])([245]\.[0-7]\.\d{1,3})(?=[\s)\]:;,]|$)")


def printable(text: str) -> str:
    """The text with a blank for each character that moves the cursor, is no character, or can't be stored."""
    if text.isprintable():
        return text
    return "".join(character if character.isprintable() else " " for character in text)


class Reply(NamedTuple):
    """A whole reply: the three-digit code, and its lines without codes, fit for printing."""

    code: int
    lines: tuple[str, ...]

    @property
    def text(self) -> str:
        """The lines as one, each line's repeated enhanced code left out."""
        first, *rest = self.lines
        return " ".join([first, *(_ENHANCED.sub("", line).strip() for line in rest)]).strip()

    @property
    def enhanced(self) -> str:
        """The enhanced status code (RFC 3463) such as `5.1.1`, or "".

        Also in qmail's form `(#5.1.1)`, and behind a host's or a filter's name if its class is the reply code's.
        """
        for line in self.lines:
            if found := _ENHANCED.search(line):
                return found[1]
        for line in self.lines:
            for inside in _ENHANCED_INSIDE.finditer(line):
                if inside[1][0] == str(self.code)[0]:
                    return inside[1]
        return ""
