"""Parses SMTP replies (RFC 5321 4.2) from whatever bytes a server sends.

The parser's memory is bounded, and its replies do not depend on how the bytes are split into chunks.
"""

from collections import deque

from pipeline.mail.smtp.errors import MalformedReplyError
from pipeline.mail.smtp.reply import Reply, printable

MAX_LINE = 2048
"""Bytes kept of a line; RFC 5321 4.5.3.1.5 allows a server 512."""
MAX_LINES = 100
"""Lines of one reply; a server that sends more is flooding us."""

MAX_TEXT = 8192
"""Bytes kept of all lines of one reply together: replies are cached, and searched more than once."""

_CODES = {str(code).encode(): code for code in range(200, 600)}
_LAST = (b" ", b"\t", b"")
"""What may follow the code on the last line of a reply; on the others it is a hyphen."""


class ReplyParser:
    """Consumes bytes and queues complete replies in `replies`."""

    def __init__(self) -> None:
        self.replies: deque[Reply] = deque()
        self._rest = b""
        self._code = b""
        self._lines: list[str] = []
        self._room = MAX_TEXT
        self._latest: tuple[bytes, Reply | None] = b"", None

    @property
    def is_empty(self) -> bool:
        """Whether everything that arrived was read."""
        return not (self.replies or self._rest or self._code)

    def feed(self, data: bytes) -> None:
        """Parse bytes that have arrived.

        Raises MalformedReplyError at the first line that cannot belong to a reply; complete replies before it stay
        queued.
        """
        *lines, rest = (self._rest + data).split(b"\n")
        self._rest = rest[:MAX_LINE]
        for line in lines:
            self._parse_line(line[:MAX_LINE].rstrip(b"\r"))

    def _parse_line(self, line: bytes) -> None:
        if not line:
            return
        if not self._code and (whole := self._whole_reply(line)):
            self.replies.append(whole)
            return
        code, separator = line[:3], line[3:4]
        if code not in _CODES or not (separator == b"-" or separator in _LAST):
            self._parse_uncoded(line)
            return
        if self._code not in (b"", code):
            raise MalformedReplyError("The server changed the code in the middle of a reply.")
        self._append(line[4:])
        if separator == b"-":
            self._code = code
        else:
            self.replies.append(Reply(_CODES[code], tuple(self._lines)))
            self._code, self._lines, self._room = b"", [], MAX_TEXT

    def _whole_reply(self, line: bytes) -> Reply | None:
        """Parse a line that is a reply by itself; most are, and most servers repeat the same line."""
        if line != self._latest[0]:
            code = _CODES.get(line[:3]) if line[3:4] in _LAST else None
            self._latest = line, Reply(code, (_printable(line[4:]),)) if code else None
        return self._latest[1]

    def _parse_uncoded(self, line: bytes) -> None:
        # Some servers break a long text into lines without repeating the code: harmless inside a reply.
        if not self._code:
            raise MalformedReplyError("The server sent something that is not an SMTP reply.")
        self._append(line)

    def _append(self, text: bytes) -> None:
        if len(self._lines) == MAX_LINES:
            raise MalformedReplyError(f"The server sent a reply of more than {MAX_LINES} lines.")
        self._lines.append(_printable(text[: self._room]))
        self._room = max(0, self._room - len(text))


def _printable(text: bytes) -> str:
    try:
        decoded = text.decode("utf-8").strip()
    except UnicodeDecodeError:
        # Older servers send 8-bit text without declaring a charset; most of them are western European.
        decoded = text.decode("cp1252", errors="replace").strip()
    return printable(decoded)
