"""REPLY_RULES_FILE: an operator's own rules of what replies mean."""

from pathlib import Path

import pytest

from pipeline.mail.smtp.reply import Reply
from settings import Settings
from settings.mail import mail_network_config

RULES = """
[[rules]]
name = "house"
meaning = "policy"
source = "their postmaster"
words = ["not from the outside"]
"""


def test_an_operators_rules_are_loaded_from_the_file(tmp_path: Path) -> None:
    file = tmp_path / "rules.toml"
    file.write_text(RULES)

    book = mail_network_config(Settings(reply_rules_file=file)).reply_rules

    assert book is not None
    assert book.judge(Reply(550, ("not from the outside",))).rule == "house"


@pytest.mark.parametrize("unset", ["", None])
def test_without_a_file_the_standard_rules_are_alone(unset: str | None) -> None:
    assert mail_network_config(Settings(reply_rules_file=unset)).reply_rules is None  # type: ignore[arg-type]


@pytest.mark.parametrize("text", [None, "[[rules]]", "not toml"])
def test_a_file_that_can_not_be_used_ends_the_process_with_a_sentence(tmp_path: Path, text: str | None) -> None:
    file = tmp_path / "rules.toml"
    if text is not None:
        file.write_text(text)

    with pytest.raises(SystemExit, match="Setting REPLY_RULES_FILE is not usable: "):
        mail_network_config(Settings(reply_rules_file=file))
