"""The errors that end a session with a mail host early, as a tree.

SmtpError
├── ConnectError             no TCP connection could be opened
│   └── EgressError          our own source address or proxy is at fault
├── TlsError                 the host offered STARTTLS, and the handshake failed
├── ConnectionLostError      the host closed the connection while a reply was due
├── ReplyTimeoutError        a reply was not complete within its time limit
├── MalformedReplyError      what the host sent is not SMTP, or out of order
└── SessionRefusedError      a proper reply that ends the session: see its `reply`

None of them leaves `pipeline.mail`: a conversation converts them to answers.
"""

from pipeline.mail.smtp.reply import Reply


class SmtpError(Exception):
    """The base of all errors that end a session early. The message names no recipient, so it may be stored."""


class ConnectError(SmtpError):
    """Raised when the host cannot be reached: refused, unroutable, silent, or known to be down."""


class EgressError(ConnectError):
    """Raised when a source address or proxy of ours cannot be used; the message names it, without its password."""


class TlsError(SmtpError):
    """Raised when the TLS handshake after STARTTLS fails; the host may be tried again without TLS."""


class ConnectionLostError(SmtpError):
    """Raised when the host closes the connection while a reply is due."""


class ReplyTimeoutError(SmtpError):
    """Raised when a reply is not complete in time, even if some of its bytes have arrived."""


class MalformedReplyError(SmtpError):
    """Raised when what the host sent is not SMTP, or out of order."""


class SessionRefusedError(SmtpError):
    """Raised when the greeting, EHLO, RSET or MAIL is refused, or any command is answered 421."""

    def __init__(self, reply: Reply) -> None:
        super().__init__(f"{reply.code} {reply.text}")
        self.reply = reply
