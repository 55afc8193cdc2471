"""The file of rules: checked when it is loaded, and open to an operator's own."""

import re

import pytest

from pipeline.mail.replies.classify import RuleBook
from pipeline.mail.replies.meaning import Meaning
from pipeline.mail.replies.rules import Rule, UnusableRulesError, load_rules, standard_rules
from pipeline.mail.smtp.reply import Reply

RULE = """
[[rules]]
name = "house"
meaning = "policy"
source = "our partner's postmaster"
words = ["computer says no"]
"""


@pytest.mark.parametrize("rule", standard_rules(), ids=lambda rule: rule.name)
def test_each_rule_names_its_source_and_a_block_what_is_refused(rule: Rule) -> None:
    assert rule.source
    assert bool(rule.detail) == (rule.meaning is Meaning.BLOCKED)


def test_only_permanent_replies_count_as_a_denial() -> None:
    denials = [rule for rule in standard_rules() if rule.meaning in {Meaning.NO_SUCH_MAILBOX, Meaning.MAILBOX_DISABLED}]

    assert all(rule.code is not None and not rule.code.fullmatch("450") for rule in denials)
    assert denials


def test_an_operators_rules_are_tried_first() -> None:
    book = RuleBook(load_rules(RULE))

    judgement = book.judge(Reply(550, ("5.1.1 user unknown: computer says no",)))

    assert (judgement.meaning, judgement.rule) == (Meaning.POLICY, "house")


def test_a_reply_that_no_rule_of_the_operator_matches_is_judged_by_the_standard_rules() -> None:
    book = RuleBook(load_rules(RULE))

    assert book.judge(Reply(550, ("5.1.1 user unknown",))).meaning is Meaning.NO_SUCH_MAILBOX


def test_words_are_written_as_they_are_spelled() -> None:
    rules = load_rules(RULE.replace("computer says no", "l'opératrice a dit non"))

    judgement = RuleBook(rules).judge(Reply(550, ("L’Operatrice a dit NON.",)))

    assert judgement.rule == "house"


def test_a_rule_may_refer_to_a_list_of_words() -> None:
    rules = load_rules('[words]\nmachine = ["computer", "robot"]\n' + RULE.replace("computer", "{machine}"))

    assert RuleBook(rules).judge(Reply(550, ("Robot says no",))).rule == "house"


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (("words = [", "words = "), "not TOML"),
        (('name = "house"', ""), "rules.1.name: Field required"),
        (('"policy"', '"perhaps"'), "rules.1.meaning: Input should be"),
        (('"policy"', '"accepted"'), "only the reply codes 250 and 251"),
        (("source", "origin"), "rules.1.source: Field required"),
        (('source = "our partner\'s postmaster"', 'source = ""'), "rules.1.source: String should have at least 1"),
        (("computer says no", "computer (says no"), "'house': not a regular expression"),
        (("computer says no", "{machine} says no"), "'house' refers to {machine}"),
        (('words = ["computer says no"]', ""), "'house' has no condition"),
        (('["computer says no"]', "[]"), "rules.1.words: List should have at least 1"),
        (('["computer says no"]', "7"), "rules.1.words: Input should be a valid list"),
        (('meaning = "policy"', 'meaning = "blocked"\ndetail = "face"'), "rules.1.detail: Input should be"),
        (("[[rules]]", "[[rule]]"), "rule: Extra inputs are not permitted"),
        (("[[rules]]", "rules = 7\n[words]"), "Input should be a valid list"),
        (("\n[[rules]]", RULE + "\n[[rules]]"), "used twice: house"),
    ],
)
def test_a_file_that_can_not_be_used_is_refused_with_what_to_correct(change: tuple[str, str], complaint: str) -> None:
    with pytest.raises(UnusableRulesError, match=re.escape(complaint)):
        load_rules(RULE.replace(*change))
