"""The mail providers that are recognised, one entry each.

A provider is recognised by the name of a domain's preferred mail host. The names come from what each provider tells its
customers to put into their MX records (the page is named beside it), or, for consumer services, from the MX records of
their own domains. Gateways in front of a mailbox provider (Proofpoint, Mimecast, ...) are what answers us, so they
count as the provider.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache


@dataclass(frozen=True, slots=True)
class Aliases:
    """Which addresses reach the same mailbox, as far as the provider documents it.

    What follows the `tag` in a local part does not count, nor do the characters in `ignored`. `domain` stands for all
    domains of the service, if they are equivalent.
    """

    tag: str = ""
    ignored: str = ""
    domain: str = ""


NO_ALIASES = Aliases()


@dataclass(frozen=True, slots=True)
class Provider:
    """A mail provider.

    `hosts` are names of its mail hosts, or the domains that they are under; `host_pattern` is for providers whose
    customers have hosts under the same domain. `refuses_later` tells where it was seen that the provider accepts
    recipients at RCPT and refuses them later, so that accepting proves nothing. `aliases` hold at its customers'
    domains, `own_aliases` at its `own_domains`.
    """

    name: str
    hosts: Sequence[str] = ()
    host_pattern: re.Pattern[str] | None = None
    refuses_later: str = ""
    aliases: Aliases = NO_ALIASES
    own_domains: Sequence[str] = ()
    own_aliases: Aliases = NO_ALIASES


PROVIDERS: Sequence[Provider] = (
    # Google Workspace Admin Help, "Set up MX records"; gmail.com itself
    # Gmail Help, "Dots don't matter in Gmail addresses" and "Create task-specific email addresses". Google Workspace
    # takes tags, too, but at a company's domain dots do matter (the same page).
    Provider(
        "google", ("google.com", "googlemail.com", "smtp.goog"),
        aliases=Aliases("+"), own_domains=("gmail.com", "googlemail.com"),
        own_aliases=Aliases("+", ".", "gmail.com"),
    ),
    # Microsoft Learn, "External DNS records required for Microsoft 365" and "How SMTP DANE works" (mx.microsoft);
    # Office 365 operated by 21Vianet; GCC High
    # Microsoft Learn, "Plus addressing in Exchange Online": on by default
    Provider(
        "microsoft365", (
            "mail.protection.outlook.com",
            "mail.eo.outlook.com",
            "mx.microsoft",
            "protection.partner.outlook.cn",
            "protection.office365.us",
        ),
        aliases=Aliases("+"),
    ),
    # outlook.com, hotmail.com, live.com, msn.com: the consumer service, with rules of its own
    # Microsoft Support, "Add or remove an email alias in Outlook.com" (plus addressing)
    Provider(
        "outlook", ("olc.protection.outlook.com", "hotmail.com"),
        aliases=Aliases("+"),
        own_domains=("outlook.com", "hotmail.com", "live.com", "msn.com", "hotmail.co.uk", "outlook.de"),
        own_aliases=Aliases("+"),
    ),
    # yahoo.com and its countries, aol.com, verizon.net; Yahoo Small Business
    # Yahoo Help, "Create a disposable email address": nickname-keyword
    Provider(
        "yahoo", ("yahoodns.net",),
        aliases=Aliases("-"),
        refuses_later="Yahoo, AOL and partners refuse after DATA: truemail-go#91, email-verifier#57, checkmail#2",
        own_domains=("yahoo.com", "ymail.com", "rocketmail.com", "yahoo.co.uk", "yahoo.de", "yahoo.fr"),
        own_aliases=Aliases("-"),
    ),
    # Apple Support, "Set up an existing domain with iCloud Mail"
    # Apple Support, "Use @icloud.com, @me.com, and @mac.com": the same name is the same account
    Provider(
        "apple", ("mail.icloud.com", "mail.me.com"),
        own_domains=("icloud.com", "me.com", "mac.com"), own_aliases=Aliases("+", domain="icloud.com"),
    ),
    # Proton Support, "Custom domain"; protonmail.com
    # Proton Support, "Addresses and aliases": +aliases; punctuation does not tell names apart
    Provider(
        "proton", ("protonmail.ch", "mail.proton.me"),
        aliases=Aliases("+"), own_domains=("proton.me", "protonmail.com", "protonmail.ch", "pm.me"),
        own_aliases=Aliases("+", "._-", "proton.me"),
    ),
    # Fastmail Help, "DNS records for a domain"
    # Fastmail Help, "Plus addressing and subdomain addressing"
    Provider(
        "fastmail", ("messagingengine.com",),
        aliases=Aliases("+"), own_domains=("fastmail.com", "fastmail.fm"), own_aliases=Aliases("+"),
    ),
    # Zoho Mail Admin Help, "MX records", one set per data centre
    Provider(
        "zoho", (
            "zoho.com", "zoho.eu", "zoho.in", "zoho.com.au", "zoho.com.cn", "zoho.jp", "zoho.sa", "zohomail.com",
            "zohomail.eu", "zohomail.in", "zohocloud.ca",
        ),
    ),
    # Yandex 360 for Business, "MX record"; Mail.ru for Business (VK WorkSpace), "MX record"
    # Yandex Mail Help, "Aliases": the same name at each of the service's domains
    Provider(
        "yandex", ("mx.yandex.net", "mx.yandex.ru", "mx.yandex.com"),
        refuses_later="Yandex for domains accepts any recipient",
        own_domains=("yandex.ru", "yandex.com", "yandex.by", "yandex.kz", "ya.ru"),
        own_aliases=Aliases("+", domain="yandex.ru"),
    ),
    Provider(
        "mailru", ("mail.ru",),
        refuses_later="Mail.ru and its business domains send a bounce: smtp-validate-email#3",
    ),
    # Tencent Exmail Help, "Set up MX"; qq.com
    Provider("tencent", ("qq.com",)),
    # NetEase Qiye Mail Help, "MX"; 163.com, 126.com
    Provider("netease", ("netease.com", "ym.163.com", "qiye.163.com")),
    # Alibaba Mail Help, "MX"
    Provider("alibaba", ("mxhichina.com", "qiye.aliyun.com", "mail.aliyun.com")),
    # gateways: each one's guide on changing the MX record
    Provider("proofpoint", ("pphosted.com", "ppe-hosted.com")),
    Provider("mimecast", ("mimecast.com", "mimecast.co.za", "mimecast-offshore.com")),
    Provider("barracuda", ("barracudanetworks.com", "barracuda.com")),
    Provider("ironport", ("iphmx.com",)),  # Cisco Secure Email Cloud Gateway
    Provider("messagelabs", ("messagelabs.com",)),  # Broadcom (Symantec) Email Security.cloud
    Provider("trendmicro", ("trendmicro.com", "trendmicro.eu", "trendmicro.com.au", "trendmicro.co.jp")),
    Provider("sophos", ("hydra.sophos.com", "reflexion.net")),
    Provider("forcepoint", ("mailcontrol.com",)),
    Provider("hornetsecurity", ("hornetsecurity.com", "antispameurope.com")),
    Provider("spamexperts", ("antispamcloud.com", "spamexperts.com")),  # N-able Mail Assure
    Provider("trellix", ("fireeyecloud.com", "fireeyegov.com")),
    Provider("retarus", ("retarus.com", "retarus.de")),
    Provider("cloudflare_security", ("mxrecord.io", "mxrecord.mx")),  # Cloudflare Email Security (Area 1)
    # forwarding and receiving for programs
    Provider("cloudflare", ("mx.cloudflare.net",)),  # Cloudflare Docs, "Email Routing, DNS records"
    Provider("mailgun", ("mailgun.org",)),
    Provider("sendgrid", ("mx.sendgrid.net",)),
    Provider("improvmx", ("improvmx.com",)),
    Provider("forwardemail", ("forwardemail.net",)),
    Provider("simplelogin", ("simplelogin.co",)),
    # hosting companies: each one's help page on MX records
    Provider("ovh", ("mail.ovh.net", "ovh.net", "ovh.ca")),
    Provider(
        "ionos", (
            "ionos.com", "ionos.de", "ionos.co.uk", "ionos.es", "ionos.fr", "ionos.it", "ionos.mx", "ionos.ca",
            "1and1.com", "1and1.co.uk", "1and1.es", "1and1.fr", "kundenserver.de", "perfora.net",
        ),
    ),
    Provider("strato", ("rzone.de",)),
    Provider("rackspace", ("emailsrvr.com",)),
    Provider("godaddy", ("secureserver.net",)),
    Provider("namecheap", ("privateemail.com", "registrar-servers.com", "jellyfish.systems")),
    Provider("hostinger", ("mx1.hostinger.com", "mx2.hostinger.com")),
    Provider("titan", ("titan.email",)),
    Provider("gandi", ("mail.gandi.net",)),
    Provider("infomaniak", ("infomaniak.ch", "infomaniak.com")),
    Provider("migadu", ("migadu.com",)),
    Provider("dreamhost", ("dreamhost.com",)),
    Provider("one", ("one.com",)),
    Provider("aruba", ("aruba.it",)),
    Provider("tuta", ("tutanota.de",)),
    # consumer services, from the MX records of their domains
    Provider("gmx", ("gmx.net", "web.de", "mx00.mail.com", "mx01.mail.com")),  # 1&1 Mail & Media: GMX, web.de, mail.com
    Provider("tonline", ("t-online.de",)),
    Provider("att", ("prodigy.net",)),
    Provider("comcast", ("comcast.net",)),
    Provider("orange", ("orange.fr",)),
    Provider("laposte", ("laposte.net",)),
    Provider("free", ("free.fr",)),
    Provider("libero", ("libero.it",)),
    Provider("seznam", ("seznam.cz",)),
    Provider("naver", ("naver.com",)),
    Provider("kakao", ("hanmail.net", "daum.net")),
    # AWS General Reference, "Amazon SES endpoints, email receiving"; WorkMail receives there, too. Hosts that customers
    # run themselves have names under amazonaws.com as well.
    Provider("amazon", host_pattern=re.compile(r"inbound-smtp\.[a-z0-9-]+\.amazonaws\.com")),
)  # fmt: skip

_BY_NAME: Mapping[str, Provider] = {provider.name: provider for provider in PROVIDERS}
_BY_HOST: Mapping[str, Provider] = {host: provider for provider in PROVIDERS for host in provider.hosts}
_BY_PATTERN = [(provider.host_pattern, provider) for provider in PROVIDERS if provider.host_pattern]
_BY_OWN_DOMAIN: Mapping[str, Provider] = {domain: provider for provider in PROVIDERS for domain in provider.own_domains}


@lru_cache(maxsize=4096)
def find_provider(mail_host: str) -> Provider | None:
    """Return the provider that runs a mail host; None if the host's name does not tell."""
    name = mail_host.lower().rstrip(".")
    for pattern, provider in _BY_PATTERN:
        if pattern.fullmatch(name):
            return provider
    while name:
        if found := _BY_HOST.get(name):
            return found
        name = name.partition(".")[2]
    return None


def provider_of(mail_host: str) -> str:
    """Return the name of the provider that runs a mail host, such as `google`; empty if it is unknown."""
    provider = find_provider(mail_host)
    return provider.name if provider else ""


def refuses_later(mail_host: str) -> bool:
    """Say whether the host's provider is known to accept recipients at RCPT and to refuse them later.

    Known from users' reports with transcripts. What a host itself does counts more: if it refuses a random address,
    what it accepts does exist.
    """
    provider = find_provider(mail_host)
    return provider is not None and bool(provider.refuses_later)


def aliases_at(domain: str, provider_name: str) -> Aliases:
    """Return which addresses of a domain are equivalent, given the name of the provider that takes its mail."""
    if own := _BY_OWN_DOMAIN.get(domain):
        return own.own_aliases
    provider = _BY_NAME.get(provider_name)
    return provider.aliases if provider else NO_ALIASES
