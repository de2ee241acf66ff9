"""`python -m hostup_sync._generate`: write the facade, or with `--check` say what is stale."""

import sys
from argparse import ArgumentParser
from collections.abc import Sequence
from pathlib import Path

from hostup_sync._generate import PACKAGES, Unsupported, check, generate, unused, write

ROOT = Path(__file__).parents[2]


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit code: 1 where something is wrong, with lines on standard error that say what."""
    parser = ArgumentParser(prog="python -m hostup_sync._generate", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; fail when stale")
    parser.add_argument("--root", type=Path, default=ROOT, help="the folder of both packages")
    options = parser.parse_args(arguments)
    try:
        texts, used = generate(options.root, PACKAGES)
    except Unsupported as refusal:
        return _complain([str(refusal)])
    wrong = [f"the rule {rule!r} is not needed: remove it" for rule in unused(used)]
    if options.check:
        stale = check(options.root, texts)
        wrong += stale and [*stale, "run nox -s facade"]
    elif not wrong:
        write(options.root, texts)
    return _complain(wrong)


def _complain(lines: Sequence[str]) -> int:
    for line in lines:
        sys.stderr.write(line + "\n")
    return 1 if lines else 0


if __name__ == "__main__":
    sys.exit(main())
