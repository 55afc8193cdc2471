"""Mail hosts that are known to accept at RCPT and to refuse later, so that their yes proves nothing.

They are known from users' reports with transcripts; what a host itself does counts more: if it refuses an invented
address, its yes is taken for one.
"""

from collections.abc import Mapping
from functools import lru_cache

_HOSTS: Mapping[str, str] = {
    "yahoodns.net": "Yahoo, AOL and their partners refuse after DATA: truemail-go#91, email-verifier#57, checkmail#2",
    "mail.ru": "Mail.ru and its business domains send a bounce: smtp-validate-email#3",
    "mx.yandex.net": "Yandex for domains takes any recipient",
    "mx.yandex.ru": "Yandex for domains takes any recipient",
}
"""Names of mail hosts, or the domains they are under, with where it was seen."""


@lru_cache(maxsize=4096)
def bounces_later(mail_host: str) -> bool:
    """Say whether a mail host is known to accept recipients that it refuses later."""
    labels = mail_host.lower().rstrip(".").split(".")
    return any(".".join(labels[start:]) in _HOSTS for start in range(len(labels)))
