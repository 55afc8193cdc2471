"""Who runs a mail host."""

import pytest

from pipeline.mail.address.providers import provider_of


@pytest.mark.parametrize(
    ("mail_host", "provider"),
    [
        ("aspmx.l.google.com", "google"),
        ("alt4.gmail-smtp-in.l.google.com", "google"),
        ("aspmx2.googlemail.com", "google"),
        ("smtp.google.com", "google"),
        ("acme-example.mail.protection.outlook.com", "microsoft365"),
        ("acme-example.a-v1.mx.microsoft", "microsoft365"),
        ("hotmail-com.olc.protection.outlook.com", "outlook"),
        ("mxa-00123456.gslb.pphosted.com", "proofpoint"),
        ("mx1-us1.ppe-hosted.com", "proofpoint"),
        ("us-smtp-inbound-1.mimecast.com", "mimecast"),
        ("mta5.am0.yahoodns.net", "yahoo"),
        ("d1234a.ess.barracudanetworks.com", "barracuda"),
        ("mx1.hc1234-56.eu.iphmx.com", "ironport"),
        ("mx2.zoho.eu", "zoho"),
        ("mx.yandex.net", "yandex"),
        ("emx.mail.ru", "mailru"),
        ("mx01.mail.icloud.com", "apple"),
        ("mailsec.protonmail.ch", "proton"),
        ("in1-smtp.messagingengine.com", "fastmail"),
        ("mx1.mail.ovh.net", "ovh"),
        ("mx00.ionos.de", "ionos"),
        ("smtpin.rzone.de", "strato"),
        ("mxbiz1.qq.com", "tencent"),
        ("163mx01.mxmail.netease.com", "netease"),
        ("route1.mx.cloudflare.net", "cloudflare"),
        ("inbound-smtp.eu-west-1.amazonaws.com", "amazon"),
        ("cluster5.eu.messagelabs.com", "messagelabs"),
        ("ASPMX.L.GOOGLE.COM.", "google"),
    ],
)
def test_a_provider_is_known_by_its_mail_hosts_names(mail_host: str, provider: str) -> None:
    assert provider_of(mail_host) == provider


@pytest.mark.parametrize(
    "mail_host",
    [
        "",
        "mx1.acme.test",
        "aspmx.l.google.com.acme.test",
        "notgoogle.com",
        "ec2-192-0-2-1.compute.amazonaws.com",
        "127.0.0.2",
    ],
)
def test_a_host_whose_name_tells_nothing_has_no_provider(mail_host: str) -> None:
    assert provider_of(mail_host) == ""
