"""Settings that had another name before. An old name is refused: otherwise its value would be ignored silently."""

from collections.abc import Iterator, Mapping

RENAMED = {
    "FLUSH_SECONDS": "CHECKPOINT_SECONDS",
    "MAX_LANES": "MAX_TASKS_PER_RUN",
    "RECORD_TIMEOUT_SECONDS": "CONTACT_TIMEOUT_SECONDS",
}


def problems_with_names(environment: Mapping[str, str]) -> Iterator[str]:
    """Yield a sentence for each old name that is set while the new one is not.

    Both may be set, so that an environment serves two versions during an upgrade: the new name counts.
    """
    names = {name.upper() for name, value in environment.items() if value}
    for old, new in RENAMED.items():
        if old in names and new not in names:
            yield f"Setting {old} is now called {new}: rename it, its value is not read under the old name."
