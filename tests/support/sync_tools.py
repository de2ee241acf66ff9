"""What the facade's tests share: where things are, and a made-up package in sync form."""

from pathlib import Path

from hostup_sync._generate import generate, write

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "tests" / "sync"


def made_up() -> dict[Path, str]:
    """The facade of `made_up_async`, by its files below `tests/sync`."""
    texts, _ = generate(FOLDER, {"made_up_async": "made_up_sync"})
    return texts


if __name__ == "__main__":  # what `nox -s facade` is for the real one
    write(FOLDER, made_up())
