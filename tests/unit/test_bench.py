"""What benchmarks share: turns, medians, the kept result and its picture."""

import json
import platform
from collections.abc import Mapping, Sequence
from pathlib import Path
from xml.etree import ElementTree

import pytest

from bench.reporting.picture import draw
from bench.reporting.results import ELSEWHERE, publish
from bench.reporting.turns import Table, Turn, take_turns
from bench.servers.slow_domains import best_possible_s, conversation_seconds

SVG = "{http://www.w3.org/2000/svg}"


def a_table(**rows: Sequence[float]) -> Table:
    table = Table()
    for row, values in rows.items():
        table.add(row, "speed & <cost>", values)
    return table


def test_contenders_take_turns_in_each_round() -> None:
    done: list[str] = []

    def turn_of(name: str) -> Turn:
        def turn() -> Mapping[str, Sequence[float]]:
            done.append(name)
            return {"seconds": [float(len(done))]}

        return turn

    table = take_turns({"a": turn_of("a"), "b": turn_of("b")}, rounds=2)

    assert done == ["a", "b", "a", "b"]
    assert table.rows == {"a": {"seconds": [1.0, 3.0]}, "b": {"seconds": [2.0, 4.0]}}


def test_a_ratio_is_of_medians_and_none_if_one_was_not_measured() -> None:
    table = a_table(ours=[1.0, 4.0, 100.0], theirs=[2.0])

    assert table.ratio("speed & <cost>", "ours", "theirs") == 2.0
    assert table.ratio("speed & <cost>", "ours", "missing") is None


def test_a_result_tells_what_it_was_measured_with_but_not_whose_machine_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], project_root: Path
) -> None:
    monkeypatch.setenv(ELSEWHERE, str(tmp_path))

    publish("speed", "How fast", a_table(ours=[1.0, 2.0, 4.0]), {"ratio": 0.5}, {"rounds": 3})

    text = (tmp_path / "speed.json").read_text()
    result = json.loads(text)
    assert capsys.readouterr().out.splitlines()[-1] == '{"ratio": 0.5}'
    assert result["table"]["ours"]["speed & <cost>"] == {"median": 2.0, "min": 1.0, "max": 4.0, "n": 3}
    assert {"commit", "measured_on", "machine", "versions", "options", "figures"} <= result.keys()
    assert {"cpu", "cores"} <= result["machine"].keys()
    assert f'"{platform.node()}"' not in text
    assert str(project_root) not in text


def test_a_picture_has_a_bar_for_each_cell() -> None:
    picture = ElementTree.fromstring(draw("A & B", a_table(ours=[1.0, 3.0], theirs=[0.0])))  # noqa: S314 - our own

    assert len(picture.findall(f"{SVG}rect")) == 2
    assert "2 (1–3)" in [text.text for text in picture.iter(f"{SVG}text")]


def test_the_best_possible_is_bounded_by_the_slowest_domain_and_by_the_conversations() -> None:
    domains = [f"d{number}.example.com" for number in range(1000)]
    in_all = sum(map(conversation_seconds, domains))

    assert best_possible_s(domains, conversations=1000) == 15.0
    assert best_possible_s(domains, conversations=1) == pytest.approx(in_all)
    assert in_all / 50 <= best_possible_s(domains, conversations=50) <= in_all / 50 + 15


def test_slow_domains_are_as_many_as_on_the_real_network() -> None:
    waits = [conversation_seconds(f"d{number}.example.com") for number in range(10_000)]

    shares = {wait: waits.count(wait) / len(waits) for wait in set(waits)}
    assert shares == pytest.approx({0.3: 0.8, 2.0: 0.15, 15.0: 0.05}, abs=0.01)
