"""Opens the sources that a file describes, in its order: providers over HTTP, and plug-ins.

A plug-in is an entry point of the group `growth.sources`: a function that takes its table of the file (a mapping) and
the environment, and returns a `Source`. It is used only if the file names it, not just because it is installed.
"""

import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from importlib.metadata import entry_points
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pipeline.errors import SourcesMisconfigured
from pipeline.lookup.providers.http_provider import HttpProvider
from pipeline.lookup.providers.http_terms import ENVIRONMENT, HttpTerms
from pipeline.lookup.providers.metered import Metered
from pipeline.lookup.providers.provider_terms import PluginTerms, ProviderTerms
from pipeline.lookup.providers.source import Source, Terms

GROUP = "growth.sources"

Opener = Callable[[Mapping[str, Any], Mapping[str, str]], Source]
"""What a plug-in's entry point names."""

Amount = Annotated[Decimal, Field(ge=0, max_digits=12, decimal_places=4)]


class Budget(BaseModel):
    """The most that may be spent on paid look-ups, in the currency of the prices. None is no limit; days are in UTC."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    per_contact: Amount | None = None
    per_run: Amount | None = None
    per_account_day: Amount | None = None


class _File(BaseModel):
    """The file, before the providers' own tables are validated."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    budget: Budget = Budget()
    provider: list[dict[str, Any]] = Field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Catalogue:
    """The providers that a file describes, in the order in which they are asked, and their budget."""

    budget: Budget
    providers: tuple[Metered, ...]


def read_catalogue(path: Path, environment: Mapping[str, str], landing: float = 4.0) -> Catalogue:
    """Read a file of providers; contacts none of them. Raises `SourcesMisconfigured`."""
    try:
        content = _File.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
        providers = tuple(_provider(table, environment, landing) for table in content.provider)
    except OSError as error:
        raise SourcesMisconfigured(
            f"{path} can't be read ({error.strerror}): correct the path or its owner."
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SourcesMisconfigured(f"{path} is not a TOML file: {error}.") from error
    except ValidationError as error:
        raise SourcesMisconfigured(f"{path}: {_sentence(error)}.") from error
    except SourcesMisconfigured as error:
        raise SourcesMisconfigured(f"{path}: {error}") from error
    names = [provider.name for provider in providers]
    if len(set(names)) < len(names):
        raise SourcesMisconfigured(f"{path}: two providers have the same name: each needs its own.")
    return Catalogue(content.budget, providers)


def presets() -> list[str]:
    """Return the names of the presets that come with the engine."""
    return sorted(file.name.removesuffix(".toml") for file in _preset_files().iterdir())


def preset(name: str) -> dict[str, Any]:
    """Return the table of a preset. Raises `SourcesMisconfigured` for an unknown one."""
    if name not in presets():
        raise SourcesMisconfigured(f"there is no preset {name}: choose from {', '.join(presets())}.")
    described: dict[str, Any] = tomllib.loads((_preset_files() / f"{name}.toml").read_text(encoding="utf-8"))
    return described


def plugins() -> list[str]:
    """Return the names of the installed plug-ins."""
    return sorted(entry_points(group=GROUP).names)


def _provider(table: dict[str, Any], environment: Mapping[str, str], landing: float) -> Metered:
    if "plugin" in table:
        return _plugin(table, environment, landing)
    described = {key: value for key, value in table.items() if key != "preset"}
    terms = HttpTerms.model_validate((preset(table["preset"]) if "preset" in table else {}) | described)
    headers = {name: _with_keys(text, terms.name, environment) for name, text in terms.headers.items()}
    return Metered(terms.name, HttpProvider(terms, headers), _terms(terms), landing)


def _terms(terms: ProviderTerms) -> Terms:
    return Terms(
        price=terms.price,
        charges_not_found=terms.charges_not_found,
        repeats_are_free=terms.is_idempotent,
        asks_again_in_doubt=terms.may_ask_again,
        timeout=terms.timeout,
        at_once=terms.at_once,
        per_second=terms.per_second,
    )


def _plugin(table: dict[str, Any], environment: Mapping[str, str], landing: float) -> Metered:
    terms = PluginTerms.model_validate(table)
    found = entry_points(group=GROUP, name=terms.plugin)
    if not found:
        raise SourcesMisconfigured(
            f"there is no plug-in {terms.plugin}: install the package that provides it"
            f" (installed: {', '.join(plugins()) or 'none'})."
        )
    opener: Opener = next(iter(found)).load()
    return Metered(terms.name, opener(terms.options, environment), _terms(terms), landing)


def _preset_files() -> Any:
    return files("pipeline.lookup.providers") / "presets"


def _with_keys(text: str, provider: str, environment: Mapping[str, str]) -> str:
    for name in ENVIRONMENT.findall(text):
        if not environment.get(name):
            raise SourcesMisconfigured(f"provider {provider} needs the environment variable {name}: set it.")
    return ENVIRONMENT.sub(lambda match: environment[match[1]], text)


def _sentence(error: ValidationError) -> str:
    problem = error.errors()[0]
    where = ".".join(str(part) for part in problem["loc"])
    return f"{where}: {problem['msg'].removeprefix('Value error, ')}" if where else str(problem["msg"])
