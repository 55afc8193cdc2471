"""Every error that the client raises on purpose, as a tree.

GrowthError
├── Refused                 the API refuses the request: `status` and `detail` say why
│   ├── NotAuthorised       401: no key, or not a valid one
│   ├── InsufficientCredits 402: the balance does not cover the run
│   ├── Forbidden           403: no active subscription, or a quote or link that has ended
│   ├── NotFound            404: there is no such run or upload, or it is another account's
│   ├── Conflict            409: it does not fit the state, or an idempotency key was used with another body
│   ├── Invalid             422: the request fails validation
│   ├── RateLimited         429: too many requests; `retry_after` seconds later it goes on
│   └── Unavailable         5xx: the API can't answer now
├── Unreachable             nothing answers at the API's address
├── NotAnEngine             what answers there is no growth engine
├── UploadRefused           the file can't be used
├── DownloadFailed          the run has no such file, or what came is not what was announced
└── WebhookRefused          a webhook's signature, or its time, is not right
"""


class GrowthError(Exception):
    """An expected failure; its text is a sentence that a person can act on."""


class Refused(GrowthError):
    """Raised when the API refuses a request. `retry_after` is how many seconds later to try again, if it says so."""

    def __init__(self, detail: str, status: int, retry_after: float = 0.0) -> None:
        super().__init__(detail)
        self.detail, self.status, self.retry_after = detail, status, retry_after


class NotAuthorised(Refused):
    """Raised when there is no API key, or not a valid one."""


class InsufficientCredits(Refused):
    """Raised when the account's balance does not cover the run."""


class Forbidden(Refused):
    """Raised without an active subscription, and for a quote that was used or has expired."""


class NotFound(Refused):
    """Raised when there is no such thing, or it belongs to another account."""


class Conflict(Refused):
    """Raised when an action does not fit the state, or an idempotency key was used before with another body."""


class Invalid(Refused):
    """Raised when a request fails validation; the text names field and contact."""


class RateLimited(Refused):
    """Raised when an account sends more requests than it may."""


class Unavailable(Refused):
    """Raised when the API can't answer for now, and went on like that for as long as the client is patient."""


class Unreachable(GrowthError):
    """Raised when nothing answers at the API's address, for as long as the client is patient."""


class NotAnEngine(GrowthError):
    """Raised when something else than the engine's API answers at the address."""


class UploadRefused(GrowthError):
    """Raised when a file can't be used; the text says why."""


class DownloadFailed(GrowthError):
    """Raised when a run has no such file, or when what came has another size or checksum than was announced."""


class WebhookRefused(GrowthError):
    """Raised for a webhook that was not signed with the secret, or long ago."""


BY_STATUS: dict[int, type[Refused]] = {
    401: NotAuthorised,
    402: InsufficientCredits,
    403: Forbidden,
    404: NotFound,
    409: Conflict,
    422: Invalid,
    429: RateLimited,
}


def refusal(status: int, detail: str, retry_after: float = 0.0) -> Refused:
    """The error for a status."""
    kind = Unavailable if status >= 500 else BY_STATUS.get(status, Refused)
    return kind(detail, status, retry_after)
