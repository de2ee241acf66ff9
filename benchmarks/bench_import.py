"""What `hostup_async` costs to import over `import aiohttp`: at most 15 % more.

The package loads its modules when they are asked for, so what counts is `Client`, which needs
nearly all of them; the bare package is shown beside it.

Each import runs in a fresh interpreter, from compiled files as an installed package has them; the
two take turns, and their fastest runs are compared.

    python benchmarks/bench_import.py [--rounds 20]
"""

import argparse
import json
import os
import subprocess
import sys

BOUND = 1.15
PROGRAM = "import time; t = time.process_time(); {}; print(time.process_time() - t)"
IMPORTS = ("import aiohttp", "import hostup_async", "from hostup_async import Client")


# Where this is set, our own files alone would be compiled anew by each run.
ENVIRONMENT = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}


def seconds_for(statement: str) -> float:
    command = [sys.executable, "-c", PROGRAM.format(statement)]
    done = subprocess.run(command, capture_output=True, check=True, text=True, env=ENVIRONMENT)
    return float(done.stdout)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    taken: dict[str, list[float]] = {statement: [] for statement in IMPORTS}
    for _ in range(options.rounds):
        for statement, runs in taken.items():
            runs.append(seconds_for(statement))
    best = {statement: 1e3 * min(runs) for statement, runs in taken.items()}
    ratio = best[IMPORTS[-1]] / best[IMPORTS[0]]
    if options.json:
        print(json.dumps({**best, "ratio": ratio}))
        return
    for statement, milliseconds in best.items():
        print(f"{statement:32}{milliseconds:7.1f} ms CPU")
    print(f"ratio of the last to the first {ratio:8.3f}   (bound {BOUND})")


if __name__ == "__main__":
    main()
