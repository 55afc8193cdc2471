"""A setting that can't be used is refused with a sentence for operators, not with Pydantic's words."""

import pytest

from settings import Settings, UnusableSettings, read_settings


@pytest.mark.parametrize("name", Settings.model_fields)
@pytest.mark.parametrize("value", ["x", "-1", "1e99", "1.5,x"])
def test_no_refusal_speaks_of_inputs_and_parsing(name: str, value: str) -> None:
    refusal = refusal_of(name, value)

    assert "must" in refusal or not refusal
    assert "Input" not in refusal
    assert "parse" not in refusal


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("chunk_size", "0", "Setting CHUNK_SIZE is not usable: it must be 1 or more."),
        ("chunk_size", "many", "Setting CHUNK_SIZE is not usable: it must be a whole number."),
        ("smtp_timeout_seconds", "0", "Setting SMTP_TIMEOUT_SECONDS is not usable: it must be more than 0."),
        ("smtp_starttls", "perhaps", "Setting SMTP_STARTTLS is not usable: it must be true or false."),
        ("smtp_source_ips", "a,b", "Setting SMTP_SOURCE_IPS is not usable: each must be an IP address."),
        (
            "verifier_url",
            "ftp://h",
            "Setting VERIFIER_URL is not usable: it must be a URL that begins with http:// or https://.",
        ),
    ],
)
def test_a_refusal_says_what_the_value_must_be(name: str, value: str, sentence: str) -> None:
    assert refusal_of(name, value) == sentence


def refusal_of(name: str, value: str) -> str:
    """The sentence with which a setting is refused; empty if it is accepted."""
    try:
        read_settings(**{name: value})
    except UnusableSettings as refused:
        return str(refused)
    return ""
