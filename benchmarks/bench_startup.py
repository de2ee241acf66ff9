"""How long `hostup --help` takes: under 0.35 s, and little more than `python -c "import typer"`.

The two take turns, each in a fresh interpreter and from compiled files, as an installed package
has them; their fastest runs are compared, by the clock on the wall.

    python benchmarks/bench_startup.py [--rounds 20]
"""

import argparse
import json
import os
import subprocess
import sys
import time

BOUND = 0.35
PROGRAMS = {
    'python -c "import typer"': ("-c", "import typer"),
    "hostup --help": ("-m", "hostup_async.cli", "--help"),
    "hostup reset --help": ("-m", "hostup_async.cli", "reset", "--help"),
    "hostup --version": ("-m", "hostup_async.cli", "--version"),
}

# Where this is set, our own files alone would be compiled anew by each run.
ENVIRONMENT = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}


def seconds_for(arguments: tuple[str, ...]) -> float:
    began = time.perf_counter()
    subprocess.run(
        [sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL, env=ENVIRONMENT
    )
    return time.perf_counter() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    taken: dict[str, list[float]] = {name: [] for name in PROGRAMS}
    for _ in range(options.rounds):
        for name, arguments in PROGRAMS.items():
            taken[name].append(seconds_for(arguments))
    best = {name: min(runs) for name, runs in taken.items()}
    ratio = best["hostup --help"] / best['python -c "import typer"']
    if options.json:
        print(json.dumps({**best, "ratio": ratio}))
        return
    for name, seconds in best.items():
        print(f"{name:28}{1e3 * seconds:7.0f} ms")
    print(f"ratio of --help to typer    {ratio:7.2f}   (bound {BOUND} s)")


if __name__ == "__main__":
    main()
