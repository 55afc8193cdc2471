"""Verifies webhooks by their signature, as https://www.standardwebhooks.com describes it."""

import base64
import binascii
import hmac
import time
from collections.abc import Mapping
from typing import Any

from growth_client.errors import WebhookRefused
from growth_client.shapes import parsed

TOLERANCE_S = 300
PREFIX = "whsec_"


class Webhook:
    """A receiver of webhooks. Several `secrets` are accepted while one replaces another."""

    def __init__(self, *secrets: str) -> None:
        if not secrets:
            raise ValueError("Give the secret of the hook.")
        self._keys = [_key_of(secret) for secret in secrets]

    def verify(self, body: bytes, headers: Mapping[str, str]) -> dict[str, Any]:
        """The event in the body, which must be the bytes as they came. Raises `WebhookRefused`.

        An event may come more than once, with the same `webhook-id`.
        """
        given = {name.lower(): value for name, value in headers.items()}
        message_id, sent_at = given.get("webhook-id", ""), given.get("webhook-timestamp", "")
        if not _is_recent(sent_at):
            raise WebhookRefused("The webhook has no time, or was sent more than five minutes ago: refuse it.")
        signed = f"{message_id}.{sent_at}.".encode() + body
        signatures = [each.removeprefix("v1,") for each in given.get("webhook-signature", "").split()]
        if not any(_is_signed(signed, signature, key) for signature in signatures for key in self._keys):
            raise WebhookRefused("The webhook was not signed with this secret: refuse it.")
        try:
            event = parsed(body)
        except ValueError:
            event = None
        if not isinstance(event, dict):
            raise WebhookRefused("The body of the webhook is no JSON object: refuse it.")
        return event


def _is_signed(signed: bytes, signature: str, key: bytes) -> bool:
    expected = base64.b64encode(hmac.digest(key, signed, "sha256"))
    return hmac.compare_digest(expected, signature.encode("utf-8", "replace"))


def _is_recent(sent_at: str) -> bool:
    if not (sent_at.isascii() and sent_at.isdecimal() and len(sent_at) < 12):
        return False
    return abs(time.time() - int(sent_at)) <= TOLERANCE_S


def _key_of(secret: str) -> bytes:
    try:
        return base64.b64decode(secret.strip().removeprefix(PREFIX), validate=True)
    except (binascii.Error, ValueError):
        raise ValueError(
            "This is no secret of a hook: it begins with whsec_, and was shown when it was made."
        ) from None
