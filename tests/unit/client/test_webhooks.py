"""Webhooks are verified as the reference library signs them."""

import base64
import json
import secrets
from datetime import UTC, datetime, timedelta

import pytest
import standardwebhooks

from growth_client import Webhook, WebhookRefused

SECRET = "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()
OTHER = "whsec_" + base64.b64encode(secrets.token_bytes(24)).decode()
BODY = json.dumps({"type": "run.completed", "data": {"run_id": "7c3e1d22", "note": "naïve"}}, ensure_ascii=False)


def signed(secret: str = SECRET, body: str = BODY, at: datetime | None = None) -> dict[str, str]:
    sent_at = at or datetime.now(UTC)
    signature = standardwebhooks.Webhook(secret).sign("msg_1", sent_at, body)
    return {
        "Webhook-Id": "msg_1",
        "Webhook-Timestamp": str(int(sent_at.timestamp())),
        "Webhook-Signature": signature,
    }


def test_what_the_reference_library_signs_is_accepted() -> None:
    assert Webhook(SECRET).verify(BODY.encode(), signed()) == json.loads(BODY)


def test_one_signature_of_several_is_enough_and_other_versions_are_passed_over() -> None:
    headers = signed() | {
        "Webhook-Signature": f"v1a,AAAA {signed(OTHER)['Webhook-Signature']} {signed()['Webhook-Signature']}"
    }

    assert Webhook(SECRET).verify(BODY.encode(), headers)


def test_both_secrets_are_accepted_while_one_replaces_the_other() -> None:
    receiver = Webhook(OTHER, SECRET)

    assert receiver.verify(BODY.encode(), signed(SECRET)) == receiver.verify(BODY.encode(), signed(OTHER))


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        (BODY.replace("completed", "cancelled"), signed()),
        (BODY, signed(OTHER)),
        (BODY, signed() | {"Webhook-Id": "msg_2"}),
        (BODY, signed() | {"Webhook-Timestamp": str(int(datetime.now(UTC).timestamp()) + 1)}),
        (BODY, signed() | {"Webhook-Signature": ""}),
        (BODY, signed() | {"Webhook-Signature": "v1,Ä\N{LATIN SMALL LETTER O WITH STROKE}"}),
        (BODY, {}),
    ],
    ids=["another body", "another secret", "another id", "another time", "no signature", "no base64", "no headers"],
)
def test_anything_else_is_refused(body: str, headers: dict[str, str]) -> None:
    with pytest.raises(WebhookRefused):
        Webhook(SECRET).verify(body.encode(), headers)


@pytest.mark.parametrize("ago", [timedelta(minutes=6), -timedelta(minutes=6)])
def test_an_old_webhook_that_is_sent_again_is_refused(ago: timedelta) -> None:
    with pytest.raises(WebhookRefused, match="five minutes"):
        Webhook(SECRET).verify(BODY.encode(), signed(at=datetime.now(UTC) - ago))


def test_a_body_that_is_no_object_is_refused() -> None:
    with pytest.raises(WebhookRefused, match="no JSON object"):
        Webhook(SECRET).verify(b"[]", signed(body="[]"))


@pytest.mark.parametrize("secret", ["whsec_*", "whsec_a", "sk_live_1"])
def test_a_secret_that_is_none_is_told_at_once(secret: str) -> None:
    with pytest.raises(ValueError, match="whsec_"):
        Webhook(secret)


def test_a_body_that_is_too_deep_is_refused() -> None:
    deep = "[" * 100_000 + "]" * 100_000

    with pytest.raises(WebhookRefused, match="no JSON object"):
        Webhook(SECRET).verify(deep.encode(), signed(body=deep))
