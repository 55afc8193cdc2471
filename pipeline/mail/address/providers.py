"""Who runs a domain's mail servers, told from the name of the preferred one: rules differ from one to the next.

The names come from what each provider tells its customers to put into their MX records (the page is named beside
it), or, for consumer services, from the MX records of their own domains. Gateways in front of a mailbox provider
(Proofpoint, Mimecast, ...) are what answers us, so they count as the provider.
"""

import re
from collections.abc import Mapping
from functools import lru_cache

_TABLE: Mapping[str, tuple[str, ...]] = {
    # Google Workspace Admin Help, "Set up MX records"; gmail.com itself
    "google": ("google.com", "googlemail.com", "smtp.goog"),
    # Microsoft Learn, "External DNS records required for Microsoft 365" and "How SMTP DANE works" (mx.microsoft);
    # Office 365 operated by 21Vianet; GCC High
    "microsoft365": (
        "mail.protection.outlook.com",
        "mail.eo.outlook.com",
        "mx.microsoft",
        "protection.partner.outlook.cn",
        "protection.office365.us",
    ),
    # outlook.com, hotmail.com, live.com, msn.com: the consumer service, with rules of its own
    "outlook": ("olc.protection.outlook.com", "hotmail.com"),
    # yahoo.com and its countries, aol.com, verizon.net; Yahoo Small Business
    "yahoo": ("yahoodns.net",),
    # Apple Support, "Set up an existing domain with iCloud Mail"
    "apple": ("mail.icloud.com", "mail.me.com"),
    # Proton Support, "Custom domain"; protonmail.com
    "proton": ("protonmail.ch", "mail.proton.me"),
    # Fastmail Help, "DNS records for a domain"
    "fastmail": ("messagingengine.com",),
    # Zoho Mail Admin Help, "MX records", one set per data centre
    "zoho": (
        "zoho.com", "zoho.eu", "zoho.in", "zoho.com.au", "zoho.com.cn", "zoho.jp", "zoho.sa", "zohomail.com",
        "zohomail.eu", "zohomail.in", "zohocloud.ca",
    ),
    # Yandex 360 for Business, "MX record"; Mail.ru for Business (VK WorkSpace), "MX record"
    "yandex": ("mx.yandex.net", "mx.yandex.ru", "mx.yandex.com"),
    "mailru": ("mail.ru",),
    # Tencent Exmail Help, "Set up MX"; qq.com
    "tencent": ("qq.com",),
    # NetEase Qiye Mail Help, "MX"; 163.com, 126.com
    "netease": ("netease.com", "ym.163.com", "qiye.163.com"),
    # Alibaba Mail Help, "MX"
    "alibaba": ("mxhichina.com", "qiye.aliyun.com", "mail.aliyun.com"),
    # gateways: each one's guide on changing the MX record
    "proofpoint": ("pphosted.com", "ppe-hosted.com"),
    "mimecast": ("mimecast.com", "mimecast.co.za", "mimecast-offshore.com"),
    "barracuda": ("barracudanetworks.com", "barracuda.com"),
    "ironport": ("iphmx.com",),  # Cisco Secure Email Cloud Gateway
    "messagelabs": ("messagelabs.com",),  # Broadcom (Symantec) Email Security.cloud
    "trendmicro": ("trendmicro.com", "trendmicro.eu", "trendmicro.com.au", "trendmicro.co.jp"),
    "sophos": ("hydra.sophos.com", "reflexion.net"),
    "forcepoint": ("mailcontrol.com",),
    "hornetsecurity": ("hornetsecurity.com", "antispameurope.com"),
    "spamexperts": ("antispamcloud.com", "spamexperts.com"),  # N-able Mail Assure
    "trellix": ("fireeyecloud.com", "fireeyegov.com"),
    "retarus": ("retarus.com", "retarus.de"),
    "cloudflare_security": ("mxrecord.io", "mxrecord.mx"),  # Cloudflare Email Security (Area 1)
    # forwarding and receiving for programs
    "cloudflare": ("mx.cloudflare.net",),  # Cloudflare Docs, "Email Routing, DNS records"
    "mailgun": ("mailgun.org",),
    "sendgrid": ("mx.sendgrid.net",),
    "improvmx": ("improvmx.com",),
    "forwardemail": ("forwardemail.net",),
    "simplelogin": ("simplelogin.co",),
    # hosting companies: each one's help page on MX records
    "ovh": ("mail.ovh.net", "ovh.net", "ovh.ca"),
    "ionos": (
        "ionos.com", "ionos.de", "ionos.co.uk", "ionos.es", "ionos.fr", "ionos.it", "ionos.mx", "ionos.ca",
        "1and1.com", "1and1.co.uk", "1and1.es", "1and1.fr", "kundenserver.de", "perfora.net",
    ),
    "strato": ("rzone.de",),
    "rackspace": ("emailsrvr.com",),
    "godaddy": ("secureserver.net",),
    "namecheap": ("privateemail.com", "registrar-servers.com", "jellyfish.systems"),
    "hostinger": ("mx1.hostinger.com", "mx2.hostinger.com"),
    "titan": ("titan.email",),
    "gandi": ("mail.gandi.net",),
    "infomaniak": ("infomaniak.ch", "infomaniak.com"),
    "migadu": ("migadu.com",),
    "dreamhost": ("dreamhost.com",),
    "one": ("one.com",),
    "aruba": ("aruba.it",),
    "tuta": ("tutanota.de",),
    # consumer services, from the MX records of their domains
    "gmx": ("gmx.net", "web.de", "mx00.mail.com", "mx01.mail.com"),  # 1&1 Mail & Media: GMX, web.de, mail.com
    "tonline": ("t-online.de",),
    "att": ("prodigy.net",),
    "comcast": ("comcast.net",),
    "orange": ("orange.fr",),
    "laposte": ("laposte.net",),
    "free": ("free.fr",),
    "libero": ("libero.it",),
    "seznam": ("seznam.cz",),
    "naver": ("naver.com",),
    "kakao": ("hanmail.net", "daum.net"),
}  # fmt: skip

_PROVIDERS = {name: provider for provider, names in _TABLE.items() for name in names}
# AWS General Reference, "Amazon SES endpoints, email receiving"; WorkMail receives there, too. Hosts that customers
# run themselves have names under amazonaws.com as well.
_AMAZON = re.compile(r"inbound-smtp\.[a-z0-9-]+\.amazonaws\.com")


@lru_cache(maxsize=4096)
def provider_of(mail_host: str) -> str:
    """Name the provider that runs a mail host, such as `google`; empty if the host's name does not tell."""
    name = mail_host.lower().rstrip(".")
    if _AMAZON.fullmatch(name):
        return "amazon"
    while name:
        if provider := _PROVIDERS.get(name):
            return provider
        name = name.partition(".")[2]
    return ""
