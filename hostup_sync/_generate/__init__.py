"""Writes the sync facade: from the text of `hostup_async` to the text of `hostup_sync`.

The source is parsed and sliced, never imported and never printed from its syntax tree, so that the
result is the same whichever Python writes it. Where no rule fits, it raises `Unsupported`.

`_source` reads a package and `_facade` writes one, with the exports of `_front`; `_scope` says
which names it needs. Each function goes through a template of `_members`, its signature through
`_signature`, its arguments and its result through `_shapes`, its docstring through `_docs`.
"""

from pathlib import Path
from typing import Final

from hostup_sync._generate._docs import RULES, Docs
from hostup_sync._generate._facade import Facade
from hostup_sync._generate._front import MARK
from hostup_sync._generate._members import RENAMED
from hostup_sync._generate._signature import GUARDS
from hostup_sync._generate._source import Package, Unsupported

__all__ = ["PACKAGES", "RULES", "Unsupported", "check", "generate", "unused", "write"]

PACKAGES: Final = {"hostup_async": "hostup_sync", "hostup_async.sandbox": "hostup_sync.sandbox"}


def generate(root: Path, packages: dict[str, str]) -> tuple[dict[Path, str], set[str]]:
    """The text of each file, by its path below `root`, and the rules that made it.

    Raises:
        Unsupported: Something in the source has no rule.
    """
    docs = Docs()
    texts: dict[Path, str] = {}
    used: set[str] = set()
    for source, name in packages.items():
        folder = Path(*name.split("."))
        facade = Facade(Package(source, root.joinpath(*source.split("."))), name, docs)
        texts |= {folder / file: text for file, text in facade.texts().items()}
        used |= facade.used
    return texts, used | set(docs.used)


def unused(used: set[str]) -> list[str]:
    """The rules that nothing needed: each is one that could hide a mistake."""
    return sorted({*RULES, *RENAMED, *GUARDS} - used)


def check(root: Path, texts: dict[Path, str]) -> list[str]:
    """What is wrong with the files as they stand: stale, missing, or no longer generated."""
    wrong: list[str] = []
    for path, text in texts.items():
        whole = root / path
        if not whole.exists():
            wrong.append(f"{path} is missing")
        elif whole.read_bytes() != text.encode():
            wrong.append(f"{path} is stale")
    return wrong + [f"{path} is no longer generated: delete it" for path in _orphans(root, texts)]


def write(root: Path, texts: dict[Path, str]) -> None:
    """Write the files, and remove those that were written once and are no longer."""
    for path, text in texts.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(text.encode())
    for path in _orphans(root, texts):
        (root / path).unlink()


def _orphans(root: Path, texts: dict[Path, str]) -> list[Path]:
    mark = MARK.partition("{")[0].encode()
    folders = {root / path.parts[0] for path in texts}
    files = (path for folder in folders for path in sorted(folder.rglob("*.py")))
    marked = (path.relative_to(root) for path in files if b"\n" + mark in path.read_bytes())
    return [path for path in marked if path not in texts]
