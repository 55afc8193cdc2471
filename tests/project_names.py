"""The names that the project defines: those that its documentation may put in backticks."""

import ast
import re
import subprocess
from collections import defaultdict
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

from models.tables import Base

ROOT = Path(__file__).parents[1]
PACKAGES = ("api", "bench", "cli", "client", "models", "pipeline", "sandbox", "settings", "web", "worker")
WORD = re.compile(r"\w+")
DEFINED = re.compile(r"^ *(?:async )?def (\w+)", re.MULTILINE)
NOT_CODE = re.compile(r'^ *"""[\s\S]*?"""|(?:^|\s)#.*$', re.MULTILINE)
LISTS_OF_NAMES = {Path("tests/test_architecture.py"), Path("tests/unit/test_proofs.py")}
TEXTS = (".lua", ".toml", ".tsv", ".csv", ".yml", ".env", ".sh", ".txt", ".example")
FILES_OF_OTHERS = ("tests", "files")
"""As other systems export them, in any encoding."""
Function = ast.FunctionDef | ast.AsyncFunctionDef


@cache
def files() -> tuple[Path, ...]:
    """All files under version control, relative to the project."""
    listed = subprocess.check_output(["git", "ls-files"], cwd=ROOT, text=True)
    return tuple(Path(line) for line in listed.splitlines() if (ROOT / line).exists())


def text(file: Path) -> str:
    return (ROOT / file).read_text()


def code(*folders: str) -> Iterator[Path]:
    return (file for file in files() if file.suffix == ".py" and file.parts[0] in folders)


@cache
def paths() -> frozenset[str]:
    """Each file and folder, and each end of its path: `pacing/limits.lua` as well as `limits.lua`."""
    whole = {path for file in files() for path in (file, *file.parents)}
    return frozenset("/".join(path.parts[start:]) for path in whole for start in range(len(path.parts)))


@cache
def functions(*folders: str) -> frozenset[str]:
    return frozenset(name for file in code(*folders) for name in DEFINED.findall(text(file)))


@cache
def words() -> frozenset[str]:
    """Each word of the code, without comments and docstrings, and of the data files."""
    found: set[str] = set()
    for file in code(*PACKAGES, "tests"):
        if file not in LISTS_OF_NAMES:
            found.update(file.with_suffix("").parts, WORD.findall(NOT_CODE.sub("", text(file))))
    for file in files():
        if file.parts[:2] != FILES_OF_OTHERS and (file.suffix in TEXTS or not file.suffix):
            found.update(WORD.findall(text(file)))
    return frozenset(found)


def is_ours(name: str) -> bool:
    """Whether it names a module, class or table of the project, so that a name after a dot must be defined in it."""
    return name in members()


def resolves(dotted: str) -> bool:
    """Whether a module has that function, class or constant, a class that attribute, a table that column."""
    owner, _, name = dotted.rpartition(".")
    return dotted in members() if not owner else name in members().get(owner, ())


@cache
def members() -> Mapping[str, set[str]]:
    """The names in each module, class and table, by each end of its full name: `runs.lifecycle`, `lifecycle`."""
    found: dict[str, set[str]] = defaultdict(set)
    for table in Base.metadata.tables.values():
        found[table.name].update(column.name for column in table.columns)
    for file in code(*PACKAGES):
        parts = file.with_suffix("").parts
        parts = parts[:-1] if parts[-1] == "__init__" else parts
        tree = ast.parse(text(file))
        names = set(_names_of_module(tree))
        classes = {node.name: set(_names_of_class(node)) for node in tree.body if isinstance(node, ast.ClassDef)}
        for start in range(len(parts)):
            module = ".".join(parts[start:])
            found[module] |= names
            found[".".join(parts[start:-1])].add(parts[-1])
            for cls, attributes in classes.items():
                found[f"{module}.{cls}"] |= attributes
        for cls, attributes in classes.items():
            found[cls] |= attributes
    return found


def _names_of_module(module: ast.Module) -> Iterator[str]:
    for node in module.body:
        if isinstance(node, Function | ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.Import | ast.ImportFrom):
            yield from (alias.asname or alias.name for alias in node.names)
        else:
            yield from _assigned(node)


def _names_of_class(cls: ast.ClassDef) -> Iterator[str]:
    """The names that the class's body defines, and those that its methods set on `self`."""
    for node in cls.body:
        if isinstance(node, Function):
            yield node.name
        yield from _assigned(node)
    for node in ast.walk(cls):
        match node:
            case ast.Attribute(ast.Name("self"), attribute, ast.Store()):
                yield attribute


def _assigned(node: ast.AST) -> Iterator[str]:
    targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
    yield from (target.id for target in targets if isinstance(target, ast.Name))
