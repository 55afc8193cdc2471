"""What is read without dnspython is what dnspython would have read."""

import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.mail.dns.fast_parse import PlainAnswer, read_plain

A, MX = dns.rdatatype.A, dns.rdatatype.MX
LABELS = st.from_regex(r"[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[a-z0-9])?", fullmatch=True)
HOSTS = st.lists(LABELS, min_size=1, max_size=4).map(lambda labels: ".".join(labels) + ".") | st.just(".")
ADDRESSES = st.ip_addresses(v=4).map(str)
EXCHANGES = st.tuples(st.integers(0, 65535), HOSTS).map(lambda record: f"{record[0]} {record[1]}")


def response(name: str, kind: dns.rdatatype.RdataType, records: list[str], ttl: int = 300) -> dns.message.Message:
    made = dns.message.make_response(dns.message.make_query(name, kind))
    if records:
        made.answer.append(dns.rrset.from_text(name, ttl, "IN", kind, *records))
    return made


@settings(max_examples=60, deadline=None)
@given(
    HOSTS.filter(lambda host: host != "."),
    st.one_of(
        st.tuples(st.just(A), st.lists(ADDRESSES, min_size=1, max_size=5, unique=True)),
        st.tuples(st.just(MX), st.lists(EXCHANGES, min_size=1, max_size=5, unique=True)),
    ),
    st.integers(0, 2**31 - 1),
)
def test_a_plain_answer_is_read_as_dnspython_reads_it(
    name: str, answer: tuple[dns.rdatatype.RdataType, list[str]], ttl: int
) -> None:
    kind, records = answer
    wire = response(name, kind, records, ttl).to_wire()

    chain = dns.message.from_wire(wire).resolve_chaining()  # type: ignore[attr-defined]

    assert read_plain(wire, kind) == PlainAnswer(tuple(record.to_text() for record in chain.answer), chain.minimum_ttl)


@given(LABELS, st.lists(LABELS, min_size=1, max_size=3).map(lambda labels: ".".join(labels) + "."))
@settings(max_examples=60, deadline=None)
def test_a_compressed_name_is_read_as_dnspython_reads_it(label: str, name: str) -> None:
    records = [f"10 {label}.{name}", f"20 other.{label}.{name}", f"30 {name}"]

    plain = read_plain(response(name, MX, records).to_wire(), MX)

    assert plain is not None
    assert sorted(plain.records) == records


@pytest.mark.parametrize(
    "exchange", [b"\xc0\x29", b"\xc0\xff", b"\x40" + b"a" * 64 + b"\0", b"\x02a.\0", b"\x02mx", b"\x09mx\0"]
)
def test_a_name_that_is_not_plain_or_leads_nowhere_is_left_to_dnspython(exchange: bytes) -> None:
    good = response("acme.test.", MX, ["10 ."]).to_wire()
    assert read_plain(good, MX) == PlainAnswer(("10 .",), 300)

    size = (2 + len(exchange)).to_bytes(2, "big")

    assert read_plain(good[:-5] + size + good[-3:-1] + exchange, MX) is None


def test_whatever_is_not_plain_is_left_to_dnspython() -> None:
    alias = response("acme.test.", MX, [])
    alias.answer = [
        dns.rrset.from_text("acme.test.", 300, "IN", "CNAME", "other.test."),
        dns.rrset.from_text("other.test.", 300, "IN", "MX", "10 mx.test."),
    ]
    failure = response("acme.test.", A, ["192.0.2.1"])
    failure.set_rcode(dns.rcode.SERVFAIL)
    truncated = response("acme.test.", A, ["192.0.2.1"])
    truncated.flags |= dns.flags.TC

    assert read_plain(alias.to_wire(), MX) is None
    assert read_plain(failure.to_wire(), A) is None
    assert read_plain(truncated.to_wire(), A) is None
    assert read_plain(response("acme.test.", A, []).to_wire(), A) is None
    assert read_plain(response("acme.test.", dns.rdatatype.AAAA, ["2001:db8::1"]).to_wire(), dns.rdatatype.AAAA) is None


@pytest.mark.parametrize("kind", [A, MX])
@given(st.data())
@settings(max_examples=60, deadline=None)
def test_no_octets_raise(kind: dns.rdatatype.RdataType, data: st.DataObject) -> None:
    good = response("acme.test.", kind, ["192.0.2.1"] if kind == A else ["10 mx.acme.test."]).to_wire()
    octets = bytearray(good[: data.draw(st.integers(0, len(good)))])
    for position in data.draw(st.lists(st.integers(0, max(0, len(octets) - 1)), max_size=4)):
        if octets:
            octets[position] = data.draw(st.integers(0, 255))

    read_plain(bytes(octets), kind)
