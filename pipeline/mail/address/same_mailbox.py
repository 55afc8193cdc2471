"""Recognises addresses that reach the same mailbox, where the provider documents it: a hint, never an edit.

Mail is always sent to, and asked about, the address as it was given.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from pipeline.mail.address.syntax import Address


@dataclass(frozen=True, slots=True)
class _Habit:
    """What a provider takes no notice of: what follows the `tag`, and the characters of `ignored`.

    `domain` is the name under which all of the service's domains are one.
    """

    tag: str = ""
    ignored: str = ""
    domain: str = ""


_NONE = _Habit()
_GMAIL = _Habit("+", ".", "gmail.com")
_OUTLOOK = _Habit("+")
_ICLOUD = _Habit("+", domain="icloud.com")
_PROTON = _Habit("+", "._-", "proton.me")
_YAHOO = _Habit("-")
_YANDEX = _Habit("+", domain="yandex.ru")
_FASTMAIL = _Habit("+")

_BY_DOMAIN: Mapping[str, _Habit] = {
    # Gmail Help, "Dots don't matter in Gmail addresses" and "Create task-specific email addresses"
    **dict.fromkeys(("gmail.com", "googlemail.com"), _GMAIL),
    # Microsoft Support, "Add or remove an email alias in Outlook.com" (plus addressing)
    **dict.fromkeys(("outlook.com", "hotmail.com", "live.com", "msn.com", "hotmail.co.uk", "outlook.de"), _OUTLOOK),
    # Apple Support, "Use @icloud.com, @me.com, and @mac.com": the same name is the same account
    **dict.fromkeys(("icloud.com", "me.com", "mac.com"), _ICLOUD),
    # Proton Support, "Addresses and aliases": +aliases; punctuation does not tell names apart
    **dict.fromkeys(("proton.me", "protonmail.com", "protonmail.ch", "pm.me"), _PROTON),
    # Yahoo Help, "Create a disposable email address": nickname-keyword
    **dict.fromkeys(("yahoo.com", "ymail.com", "rocketmail.com", "yahoo.co.uk", "yahoo.de", "yahoo.fr"), _YAHOO),
    # Fastmail Help, "Plus addressing and subdomain addressing"
    **dict.fromkeys(("fastmail.com", "fastmail.fm"), _FASTMAIL),
    # Yandex Mail Help, "Aliases": the same name at each of the service's domains
    **dict.fromkeys(("yandex.ru", "yandex.com", "yandex.by", "yandex.kz", "ya.ru"), _YANDEX),
}
_BY_PROVIDER: Mapping[str, _Habit] = {
    # Google Workspace takes tags, too, but at a company's domain dots do matter (the same page of Gmail Help)
    "google": _Habit("+"),
    # Microsoft Learn, "Plus addressing in Exchange Online": on by default
    "microsoft365": _Habit("+"),
    "outlook": _OUTLOOK,
    "yahoo": _YAHOO,
    "proton": _Habit("+"),
    "fastmail": _FASTMAIL,
}


def same_mailbox_key(address: Address, provider: str = "") -> str:
    """Give a text that is equal for addresses known to reach the same mailbox.

    `provider` is who runs the domain's mail hosts (`mail_providers`): it tells of domains that are not in the table.
    Local parts that differ in case only are taken for the same: RFC 5321 2.4 lets servers tell them apart, and
    discourages it.
    """
    habit = _BY_DOMAIN.get(address.domain) or _BY_PROVIDER.get(provider) or _NONE
    local = address.local.lower()
    if habit.tag and not local.startswith(('"', habit.tag)):
        local = local.partition(habit.tag)[0]
    for character in habit.ignored:
        local = local.replace(character, "") or local
    return f"{local}@{habit.domain or address.domain}"
