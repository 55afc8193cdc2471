"""What counts as an address or a domain, and the form it is brought to."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.mail.address.syntax import Address, SyntaxProblem, normalise_domain, parse_address


@pytest.mark.parametrize(
    ("text", "local", "domain"),
    [
        ("grace@acme.test", "grace", "acme.test"),
        (" Grace.Hopper@ACME.Test ", "Grace.Hopper", "acme.test"),
        ("mailto:grace@acme.test?subject=hello", "grace", "acme.test"),
        ("Grace Hopper <grace@acme.test>", "grace", "acme.test"),
        ("grace@acme.test;", "grace", "acme.test"),
        ("\ufeffgrace@acme.test", "grace", "acme.test"),
        ("grace+list@acme.example", "grace+list", "acme.example"),
        ("grace@müller.example", "grace", "xn--mller-kva.example"),
        ("jürgen@acme.test", "jürgen", "acme.test"),
        ('"grace hopper"@acme.test', '"grace hopper"', "acme.test"),
        ("o'brien@acme.test", "o'brien", "acme.test"),
        ("'grace@acme.test'", "grace", "acme.test"),
        ('"grace@acme.test"', "grace", "acme.test"),
        ("mailto:grace%2Blist@acme.test", "grace+list", "acme.test"),
        ('"grace"@acme.test', "grace", "acme.test"),
        (r'"gra\"ce"@acme.test', r'"gra\"ce"', "acme.test"),
        ("!#$%&'*+-/=?^_`{|}~@acme.test", "!#$%&'*+-/=?^_`{|}~", "acme.test"),
        ("用户@例子.example", "用户", "xn--fsqu00a.example"),
        ("gra\u0301ce@acme.test", "gr\u00e1ce", "acme.test"),
        ("grace@faß.example", "grace", "xn--fa-hia.example"),
        ("grace@ＡＣＭＥ。test", "grace", "acme.test"),
        ("x" * 64 + "@acme.test", "x" * 64, "acme.test"),
        ('"Hopper, Grace" <grace@acme.test>', "grace", "acme.test"),
    ],
)
def test_an_address_is_read_whatever_surrounds_it(text: str, local: str, domain: str) -> None:
    assert parse_address(text) == Address(local, domain)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "grace",
        "grace@",
        "@acme.test",
        "grace@acme",
        "grace@localhost",
        "grace@127.0.0.1",
        "grace@[127.0.0.1]",
        "grace@acme..test",
        "grace..hopper@acme.test",
        "grace@hopper@acme.test",
        "grace hopper@acme.test",
        "grace@-acme.test",
        "x" * 65 + "@acme.test",
        "grace@acme.test\r\nRCPT TO:<other@acme.test>",
        "gra\r\nce@acme.test",
        '"gra\r\nce"@acme.test',
        "grace\x00@acme.test",
        '""@acme.test',
        "grace(comment)@acme.test",
        "grace@acme.test (Grace)",
        "grace@acme.test>",
        "<grace@acme.test",
        "grace@acme.test.",
        "grace@.acme.test",
        ".grace@acme.test",
        "grace.@acme.test",
        "grace@acme.test, other@acme.test",
        "grace@acme_x.test",
        "grace@" + "a" * 64 + ".test",
        "x" * 64 + "@" + ".".join(["a" * 60] * 3) + ".abcdefgh",
        "ü" * 33 + "@acme.test",
        "grace@xn--a.example",
        "grace＠acme.test",
        "\u202egrace@acme.test",
    ],
)
def test_what_is_not_an_address_is_a_problem_with_a_sentence(text: str) -> None:
    problem = parse_address(text)

    assert isinstance(problem, SyntaxProblem)
    assert problem.sentence


@pytest.mark.parametrize("literal", ["[127.0.0.1]", "[IPv6:2001:db8::1]", "[ipv6:::1]"])
def test_the_problem_of_an_address_at_a_bare_ip_address_says_what_to_do(literal: str) -> None:
    problem = parse_address(f"grace@{literal}")

    assert isinstance(problem, SyntaxProblem)
    assert "give the domain's name" in problem.sentence


@given(st.text(max_size=100))
def test_no_text_makes_the_parser_raise_or_pass_a_line_break(text: str) -> None:
    parsed = parse_address(text)

    assert isinstance(parsed, SyntaxProblem) or not {"\r", "\n", "\0"} & set(str(parsed))


@given(st.from_regex(r"[a-z][a-z0-9]{0,10}\.(test|example)", fullmatch=True))
def test_an_address_that_was_normalised_stays_as_it_is(domain: str) -> None:
    once = parse_address(f"Grace@{domain.upper()}")

    assert parse_address(str(once)) == once


@pytest.mark.parametrize(
    ("text", "domain"),
    [
        ("acme.test", "acme.test"),
        (" Acme.TEST ", "acme.test"),
        ("https://www.Acme.test/about", "acme.test"),
        ("http://user:secret@acme.test:8080/?q=1#top", "acme.test"),
        ("//acme.test/", "acme.test"),
        ("www.acme.test", "acme.test"),
        ("www.test", "www.test"),
        ("@acme.test", "acme.test"),
        ("grace@acme.test", "acme.test"),
        ("acme.test.", "acme.test"),
        ("acme.test/path", "acme.test"),
        ("<acme.test>", "acme.test"),
        ('"acme.test"', "acme.test"),
        ("müller.example", "xn--mller-kva.example"),
        ("XN--MLLER-KVA.example", "xn--mller-kva.example"),
        ("mail.acme.test", "mail.acme.test"),
        ("https//acme.test", "acme.test"),
        ("http:/acme.test/about", "acme.test"),
        ("http://https://www.acme.test/", "acme.test"),
        ("https://http//acme.test", "acme.test"),
        ("acme.test, birch.test", "acme.test"),
        ("https://acme.test;https://birch.test", "acme.test"),
        ("acme.test | birch.test", "acme.test"),
        ("acme.test / birch.test", "acme.test"),
        ("n/a; birch.test", "birch.test"),
        ("[Acme](https://acme.test/about)", "acme.test"),
        ("[birch.test](acme.test)", "acme.test"),
        ("<https://acme.test>", "acme.test"),
    ],
)
def test_the_domain_is_found_in_what_a_csv_calls_a_website(text: str, domain: str) -> None:
    assert normalise_domain(text) == domain


@pytest.mark.parametrize(
    "text", ["", " ", "-", "n/a", "acme", "Acme Inc.", "127.0.0.1", "http://", "acme..test", "a_b.test", "*.test"]
)
def test_what_holds_no_domain_name_gives_none(text: str) -> None:
    assert normalise_domain(text) is None


@given(st.text(max_size=100))
def test_a_normalised_domain_is_lower_case_ascii_and_normal_already(text: str) -> None:
    domain = normalise_domain(text)

    assert domain is None or (domain.isascii() and domain == domain.lower() == normalise_domain(domain))


labels = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,20}[a-z0-9])?", fullmatch=True)


@given(st.lists(labels, min_size=1, max_size=4), st.sampled_from(["test", "example", "co"]))
def test_a_plain_name_is_kept_whatever_surrounds_it(names: list[str], top_level: str) -> None:
    name = ".".join([*names, top_level])

    assert normalise_domain(name) == normalise_domain(f" HTTPS://{name.upper()}/ ")


@given(
    st.from_regex(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~.-]{1,70}", fullmatch=True),
    st.from_regex(r"[a-z0-9.-]{1,70}\.[a-z0-9]{1,5}", fullmatch=True),
)
def test_an_address_that_needs_no_cleaning_is_read_as_one_that_does(local: str, domain: str) -> None:
    assert parse_address(f"{local}@{domain}") == parse_address(f"<{local}@{domain}>")
