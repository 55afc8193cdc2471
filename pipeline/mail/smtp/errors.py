"""How a session with a mail host can end before every question was answered, as a tree.

SmtpError
├── ConnectError             no TCP connection came about
│   └── EgressError          our own source address or proxy is at fault: the host was never reached
├── TlsError                 the host offered STARTTLS, and the handshake failed
├── ConnectionLostError      the host closed the connection while a reply was due
├── ReplyTimeoutError        a reply was not complete within its time limit
├── MalformedReplyError      what the host sent is not SMTP, or comes out of turn
└── SessionRefusedError      a proper reply that ends the session: see its `reply`

None of them leaves `pipeline.mail`: a conversation turns them into answers.
"""

from pipeline.mail.smtp.reply import Reply


class SmtpError(Exception):
    """A session with a mail host ended early; its text is fit for evidence and names no recipient."""


class ConnectError(SmtpError):
    """Raised when the host can't be reached: refused, unroutable, silent, or known to be down."""


class EgressError(ConnectError):
    """Raised when a source address or proxy of ours can't be used; it names it, without its password."""


class TlsError(SmtpError):
    """Raised when STARTTLS was agreed upon and came to nothing: the host may be asked again without."""


class ConnectionLostError(SmtpError):
    """Raised when the host hangs up in the middle of a command."""


class ReplyTimeoutError(SmtpError):
    """Raised when a reply does not arrive whole in time, however busily its bytes drip."""


class MalformedReplyError(SmtpError):
    """Raised when what the host sent is not SMTP, or comes out of turn."""


class SessionRefusedError(SmtpError):
    """Raised when the greeting, EHLO, RSET or MAIL is refused, or any command is answered 421."""

    def __init__(self, reply: Reply) -> None:
        super().__init__(f"{reply.code} {reply.text}")
        self.reply = reply
