"""Which limits a connection falls under, and which replies are complaints."""

import pytest

from pipeline.mail.pacing.slots import PacingLimits, Place, asks_to_slow_down, place_of
from pipeline.mail.smtp.reply import Reply


@pytest.mark.parametrize(
    ("mail_host", "provider"),
    [
        ("acme-test.mail.protection.outlook.example", "outlook.example"),
        ("MX1.big.example.", "big.example"),
        ("mx.hosting.co.uk", "hosting.co.uk"),
        ("mx1.hosting.de", "hosting.de"),
        ("mx1.hosting.parliament.uk", "parliament.uk"),
        ("host-1.compute-1.amazonaws.com", "host-1.compute-1.amazonaws.com"),
        ("co.uk", "co.uk"),
        ("big.test", "big.test"),
        ("localhost", "localhost"),
        ("", "192.0.2.1"),
    ],
)
def test_hosts_of_one_registrable_domain_are_one_providers(mail_host: str, provider: str) -> None:
    assert place_of(mail_host, "192.0.2.1") == Place("192.0.2.1", provider)


@pytest.mark.parametrize(
    ("code", "text", "complaint"),
    [
        (421, "4.7.0 mx.test Error: too many connections from 192.0.2.9", True),
        (421, "Too many concurrent SMTP connections from this IP address; please try again later.", True),
        (421, "4.7.0 Try again later, closing connection.", True),
        (450, "4.7.1 Error: too much mail; rate limit exceeded", True),
        (451, "4.7.850 Access denied, please try again later", True),
        (421, "Service not available", True),
        (421, "4.7.0 mx.test Error: too many errors", False),
        (421, "Max message per connection reached, closing transmission channel", False),
        (452, "4.5.3 Error: too many recipients", False),
        (450, "4.2.0 Greylisted, see http://postgrey.example/", False),
        (550, "5.1.1 User unknown", False),
        (554, "5.7.1 Client host blocked using zen.dnsbl.example", False),
        (250, "2.1.5 Ok", False),
    ],
)
def test_a_complaint_is_about_our_number_or_pace(code: int, text: str, complaint: bool) -> None:
    assert asks_to_slow_down(Reply(code, (text,))) is complaint


def test_a_process_share_of_the_limits_is_at_least_one_connection() -> None:
    assert PacingLimits(4, 40, 100.0).divided_by(8) == PacingLimits(1, 5, 12.5)
