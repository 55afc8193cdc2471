"""Settings of the operator reach the containers."""

import re
from pathlib import Path

from settings import Settings
from settings.renamed import RENAMED

ROOT = Path(__file__).parents[2]


def names_in(section: str) -> set[str]:
    compose = (ROOT / "docker-compose.yml").read_text()
    _, _, rest = compose.partition(f"\n{section}:")
    block, _, _ = rest.partition("\n\n")
    return set(re.findall(r"^  ([A-Z_]+):", block, re.MULTILINE))


def test_every_setting_of_the_engine_can_be_set_in_the_env_file() -> None:
    """Old names reach the engine as well, so that it can refuse them."""
    assert names_in("x-settings") == {name.upper() for name in Settings.model_fields} | set(RENAMED)
