"""An SMTP reply (RFC 5321 4.2, RFC 3463 for enhanced codes)."""

import re
from typing import NamedTuple

_ENHANCED = re.compile(r"(?:^|\(#|#)([245]\.\d{1,3}\.\d{1,3})(?![\d.])")
_ENHANCED_INSIDE = re.compile(r"(?<=[\s(\[])([245]\.[0-7]\.\d{1,3})(?=[\s)\]:;,]|$)")


def printable(text: str) -> str:
    """Replace control characters and others that cannot be printed or stored with spaces."""
    if text.isprintable():
        return text
    return "".join(character if character.isprintable() else " " for character in text)


class Reply(NamedTuple):
    """A complete reply: the three-digit code, and its lines without codes, safe to print."""

    code: int
    lines: tuple[str, ...]

    @property
    def text(self) -> str:
        """The lines joined, without the enhanced code that is repeated in each line."""
        first, *rest = self.lines
        return " ".join([first, *(_ENHANCED.sub("", line).strip() for line in rest)]).strip()

    @property
    def enhanced(self) -> str:
        """The enhanced status code (RFC 3463) such as `5.1.1`, or "".

        It is also found in qmail's form `(#5.1.1)`, and inside the text if its class is that of the reply code.
        """
        for line in self.lines:
            if found := _ENHANCED.search(line):
                return found[1]
        for line in self.lines:
            for inside in _ENHANCED_INSIDE.finditer(line):
                if inside[1][0] == str(self.code)[0]:
                    return inside[1]
        return ""
