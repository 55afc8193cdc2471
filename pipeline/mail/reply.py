"""What a mail server answers to one command (RFC 5321 4.2, RFC 3463 for enhanced codes)."""

import re
from dataclasses import dataclass

_ENHANCED = re.compile(r"(?:^|\(#|#)([245]\.\d{1,3}\.\d{1,3})(?![\d.])")


@dataclass(frozen=True, slots=True)
class Reply:
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
        """The enhanced status code (RFC 3463) such as `5.1.1`, also in qmail's form `(#5.1.1)`, or ""."""
        for line in self.lines:
            if found := _ENHANCED.search(line):
                return found[1]
        return ""
