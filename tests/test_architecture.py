"""Rules that import-linter can't check: one place that commits, one that writes statuses, enums like the database's."""

import re
import tomllib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import CheckConstraint

from models.outcome import OUTCOME_STATUSES
from models.run import PRESETS as STORED_PRESETS
from models.tables import Base
from models.wire import Preset
from pipeline.outcomes import OutcomeStatus, Reason
from pipeline.stages import STAGES
from settings import Settings, load_settings
from settings.renamed import RENAMED
from tests import project_names, settings_page
from worker.broker import VISIBILITY_TIMEOUT_S
from worker.tasks import app

PACKAGES = ("api", "cli", "models", "pipeline", "settings", "web", "worker")
OLD_WORDS = {
    r"(?<![a-zA-Z])[lL]anes?(?![a-z])|MAX_LANES": "chunk task",
    r"FLUSH_INTERVAL|(?<!a_)flush_(?!stdout|folder|redis|threshold)": "checkpoint",
    r"sentinel(?![|:])": "broker marker",
    r"\b[iI]nsist|came_about": "retry_commit, was_committed",
    r"[sS]tandstill": "stalled",
    r"[dD]o[_ -]not[_ -]contact|[wW]ithh[eo]ld": "suppression list, to suppress",
    r"RECORD_TIMEOUT|MAX_RECORDS|CREDITS_PER_RECORD": "contact",
    r"[bB]elief|[mM]anners|[hH]abit": "pattern model, spelling style, behaviour",
    r"condemn|let_rest|ta?o?ke?_back|hand(?:ed)?_back": "poison, parked, unmark_resent, released",
    r"Enquiry|_enquiry|enquiry_|ways_out|Ways?Out|[hH]andover|HandOver": "probe, egress, session reuse",
    r"\b[sS]hel[fv]|\bTold[A(\[.]|\bBatches[A(\[.]": "SharedCache, CachedValue, Coalescer",
    r"[sS]ought_|_sought\b|\bSought": "target",
    r"\bput_off\b|_puts?_(?:[a-z]+_)?off": "deferred",
    r"brought_|_brought\b|\bnot_asked\b|\bNotAsked": "supplied, suppressed, Unanswered",
    r"\b[cC]laimants?\b|\bContest\b|(?:of|about)_nobody\b": "contender, contested address, random probe",
    r"\b[pP]ilots?\b|\b[sS]trays\b|\b[eE]xplorer\b": "sample, outlier, exploratory probe",
    r"invented[_ ](?:address|recipient|local)|(?:an?|the)_invented\b": "random address",
    r"\bNOBODY|\b_?nobody\(|\b_Nobody\b|nobodys?_could|_nobodys\b": "random address, unknown address",
    r"\b(?:said|told|heard)(?= (?:=|:=|\+=) |\.\w|\[|: \w+\[)|\b_?(?:said|told|heard)_(?:by|of)\b": "results, answers",
    r"(?<![a-z])(?:chain|late|first|next)_links?(?![a-z])|_link_begun": "chain step",
    r"\bgive_up\b|_give_up\b|\bgiven_up\b": "fail_attempt, finish",
    r"_settl|\bsettl(?:e|ed|es|ing)_": "flush, finish, decide",
    r"\bclaim(?:ed)?_|_claim(?:ed|s)?\b|(?:chunks?|runs?) (?:is|are|was|were) claimed": "lease, contend for",
    r"[wW]ithdr[ae]w": "retract",
}
"""Former names of ideas, and today's. A word that is right in another sense gets a narrower expression."""

MOST_MODULES = 20
HISTORY = (
    "CHANGELOG.md",
    "models/migrations/versions/",
    "settings/renamed.py",
    "tests/test_architecture.py",
)
PASSED_ON = {f"{name}:" for name in RENAMED}
"""Lines of docker-compose.yml that hand old names of settings to the engine, which refuses them."""
TEXTS = (".py", ".md", ".lua", ".toml", ".yml", ".env", ".example")
STATUS_WRITE = re.compile(r"\.values\([^)]*\bstatus=|\bSET status\b|^\s*(?!self)[\w.]+\.status = ", re.MULTILINE)
COMMIT = re.compile(r"\.commit\(|\.begin\(|\bSession\(")


def sources(root: Path) -> Iterator[tuple[str, str]]:
    for package in PACKAGES:
        for path in sorted((root / package).rglob("*.py")):
            yield str(path.relative_to(root)), path.read_text()


def test_only_one_module_opens_and_commits_transactions(project_root: Path) -> None:
    allowed = {"models/database.py", "models/migrate.py", "models/migrations/env.py"}

    found = {path for path, text in sources(project_root) if COMMIT.search(text)}

    assert found - allowed == set(), "use Database.transaction(): it is the one place that commits"


def test_only_one_module_writes_statuses(project_root: Path) -> None:
    found = {path for path, text in sources(project_root) if STATUS_WRITE.search(text)}

    assert found == {"models/transitions.py"}, "call a function of models/transitions.py instead"


@pytest.mark.parametrize("package", [*project_names.PACKAGES, "tests"])
def test_no_folder_has_too_many_modules(project_root: Path, package: str) -> None:
    """`__init__.py` counts. `models` is exempt: each table of the schema is a module there."""
    modules = Counter(path.parent for path in (project_root / package).rglob("*.py"))

    too_large = {
        str(folder.relative_to(project_root)): count for folder, count in modules.items() if count > MOST_MODULES
    }
    assert {folder: count for folder, count in too_large.items() if folder.split("/")[0] != "models"} == {}


def test_outcome_statuses_are_those_that_the_database_accepts() -> None:
    assert set(OUTCOME_STATUSES) == set(OutcomeStatus)


def test_presets_are_the_same_everywhere() -> None:
    assert set(STORED_PRESETS) == {preset for spec in STAGES for preset in spec.presets} == set(Preset.__args__)  # type: ignore[attr-defined]


def test_each_stage_has_its_task(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REDIS_URL", "redis://127.0.0.1:9/0")
    load_settings.cache_clear()

    assert {f"growth.{spec.name}" for spec in STAGES} | {"growth.compile", "growth.chunk"} <= set(app.tasks)


def test_no_live_task_on_a_stage_is_delivered_again() -> None:
    """It hands on what is left after `CHUNK_SECONDS`, and releases its last chunk as long after that."""
    bounds = Settings.model_fields["chunk_seconds"].metadata
    longest = min(bound.le for bound in bounds if hasattr(bound, "le"))

    assert 2 * longest + 60 < VISIBILITY_TIMEOUT_S


def test_each_check_and_key_has_a_name() -> None:
    unnamed = [
        f"{table.name}: {constraint}"
        for table in Base.metadata.tables.values()
        for constraint in table.constraints
        if isinstance(constraint, CheckConstraint) and not constraint.name
    ]
    assert unnamed == []


def test_the_page_of_settings_is_generated_from_the_settings() -> None:
    assert settings_page.PAGE.read_text() == settings_page.page(), "run `python -m tests.settings_page`"


@pytest.mark.parametrize("name", sorted(Settings.model_fields))
def test_each_setting_is_described_and_on_the_page_once(name: str) -> None:
    rows = [line for line in settings_page.page().splitlines() if line.startswith(f"| `{name.upper()}` |")]

    assert len(rows) == 1
    assert Settings.model_fields[name].description in rows[0]


@pytest.mark.parametrize("reason", Reason)
def test_each_reason_has_whole_sentences(reason: Reason) -> None:
    for text in (reason.sentence, reason.advice):
        assert text[0].isupper()
        assert text.endswith(".")


def test_the_documented_reasons_are_the_engines(project_root: Path) -> None:
    section = (project_root / "docs/reference/api.md").read_text().partition("## Reasons\n")[2].partition("\n## ")[0]
    rows = [line for line in section.splitlines() if line.startswith("| `")]

    assert rows == [
        f"| `{reason}` | {reason.sentence} | {reason.advice} | {'yes' if reason.may_pass else ''} |"
        for reason in Reason
    ]


@pytest.mark.parametrize(("old", "new"), OLD_WORDS.items(), ids=OLD_WORDS.values())
def test_an_idea_has_one_name(old: str, new: str) -> None:
    """In code, tests, docs, settings and the schema. Only history keeps the former names."""
    found = [
        f"{file}: {line.strip()}"
        for file in project_names.files()
        if file.suffix in TEXTS and not str(file).startswith(HISTORY)
        for line in project_names.text(file).splitlines()
        if re.search(old, line) and line.strip() not in PASSED_ON
    ]

    assert found == [], f"this is now called: {new}"


def test_each_package_is_installed_with_the_others() -> None:
    """A wheel has only the packages that are listed: here they are all found, in a container they would be missing."""
    listed = tomllib.loads((project_names.ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]
    roots = {name for name in listed if "." not in name}

    there = {
        ".".join(place.parent.relative_to(project_names.ROOT).parts)
        for root in roots
        for place in (project_names.ROOT / root).rglob("__init__.py")
    }

    assert there - set(listed) == set()


def test_each_package_gets_into_the_image() -> None:
    """The build sees only what `.dockerignore` lets through."""
    listed = tomllib.loads((project_names.ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]
    let_through = (project_names.ROOT / ".dockerignore").read_text().split()

    assert {f"!{name.partition('.')[0]}" for name in listed} - set(let_through) == set()
