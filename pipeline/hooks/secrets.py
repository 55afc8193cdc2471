"""Secrets of hooks: 32 random bytes, written as `whsec_` and base64, as Standard Webhooks has it."""

import base64
import secrets

LENGTH = 32
PREFIX = "whsec_"


def new_secret() -> bytes:
    """A new secret."""
    return secrets.token_bytes(LENGTH)


def written(secret: bytes) -> str:
    """The secret as the receiver needs it."""
    return PREFIX + base64.b64encode(secret).decode()
