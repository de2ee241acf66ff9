"""The project's checks: `nox` runs the default ones, `nox -l` lists them all."""

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from pathlib import Path

import nox
from packaging.requirements import Requirement

nox.needs_version = ">=2026.10"
nox.options.default_venv_backend = "venv"
nox.options.error_on_missing_interpreters = False
nox.options.parallel = os.cpu_count()
nox.options.reuse_existing_virtualenvs = True

PYPROJECT = nox.project.load_toml("pyproject.toml")
# The classifiers are the one place that lists the Pythons.
PYTHONS = nox.project.python_versions(PYPROJECT)
# The library of `whole_stack` needs one of the newer ones.
NEWER = "3.12"
THOUSAND = ("--seeds", "0:1000", "--all-fire")


def install(
    session: nox.Session,
    *groups: str,
    extras: str = "cli,report,store",
    options: Sequence[str] = (),
) -> None:
    """Install the project with dependency groups, whatever pip's age."""
    packages = nox.project.dependency_groups(PYPROJECT, *groups)
    session.install("-q", *options, "-e", f".[{extras}]", *packages)


def lowest_versions() -> list[str]:
    """Each package that pyproject.toml names, in the lowest version that it allows."""
    project = PYPROJECT["project"]
    named = [*project["dependencies"], *chain(*project["optional-dependencies"].values())]
    named += nox.project.dependency_groups(PYPROJECT, "tests")
    floors = {one.name: _floor(one) for one in map(Requirement, named)}
    return [f"{name}=={version}" for name, version in floors.items() if version]


def _floor(requirement: Requirement) -> str | None:
    lowest = (one.version for one in requirement.specifier if one.operator == ">=")
    is_for_us = requirement.marker is None or requirement.marker.evaluate()
    return next(lowest, None) if is_for_us else None


# The tests wait more than they compute, so a few more workers than cores are quicker. No test is
# bound to a worker: what measures time measures its own CPU time.
PARALLEL = ("-n", str(max(6, os.cpu_count() or 1)), "--dist", "worksteal")
# They start hundreds of interpreters, each of which would compile the package once more.
CACHED = {"PYTHONDONTWRITEBYTECODE": None}


@nox.session(allow_parallel=True)
def lint(session: nox.Session) -> None:
    """Ruff's rules and its formatter, and a sync facade that is up to date."""
    session.install("-q", *nox.project.dependency_groups(PYPROJECT, "lint"))
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")
    session.run("python", "-m", "hostup_sync._generate", "--check")


@nox.session(allow_parallel=True)
def types(session: nox.Session) -> None:
    """Mypy and pyright, both strict, and the completeness of the public types."""
    install(session, "types", "tests", "bench", extras="all")
    session.install("-q", "nox")
    session.run("pyright", "--version", silent=True)  # downloads itself, once
    complete = ("pyright", "--ignoreexternal", "--verifytypes")
    checks = [
        ("mypy",),
        ("pyright", "--pythonpath", str(Path(session.bin) / "python")),
        (*complete, "hostup_async"),
        (*complete, "hostup_sync"),
        ("pytest", "-q", "tests/promises/test_public_types.py"),
    ]
    with ThreadPoolExecutor(os.cpu_count()) as pool:  # each of them keeps one core busy
        list(pool.map(lambda command: session.run(*command), checks))


@nox.session(default=False)
def facade(session: nox.Session) -> None:
    """Write the sync facade anew; `-- --check` only fails where it is stale."""
    session.run("python", "-m", "hostup_sync._generate", *session.posargs)


@nox.session(allow_parallel=True)
def tests(session: nox.Session) -> None:
    """The test-suite; arguments go to pytest (`-- -n 0`: one process)."""
    install(session, "tests")
    # A fresh clone is compiled here, once, and not by each of the workers.
    session.run("pytest", "--collect-only", "-qq", *session.posargs, env=CACHED, silent=True)
    session.run("pytest", *PARALLEL, *session.posargs, env=CACHED)


@nox.session(default=False)
def coverage(session: nox.Session) -> None:
    """The test-suite with branch coverage, which doubles its time; with arguments it owes none."""
    install(session, "tests")
    session.run("coverage", "erase")
    session.run("coverage", "run", "-m", "pytest", *PARALLEL, *session.posargs, env=CACHED)
    session.run("coverage", "combine", "-q")
    session.run("coverage", "report", *(["--fail-under=0"] if session.posargs else []))


@nox.session(python=PYTHONS, default=False)
def matrix(session: nox.Session) -> None:
    """The test-suite on each supported Python that is installed."""
    install(session, "tests")
    session.run("pytest", *PARALLEL, *session.posargs, env=CACHED)


@nox.session(python=PYTHONS[0], default=False)
def lowest(session: nox.Session) -> None:
    """The test-suite with the lowest version of each package that pyproject.toml allows."""
    constraints = Path(session.create_tmp()) / "lowest.txt"
    constraints.write_text("\n".join(lowest_versions()))
    install(session, "tests", extras="all", options=("-c", str(constraints)))
    # What an old release still uses of a new one that it needs is not for us to mend.
    lenient = ("-W", "ignore::DeprecationWarning")
    session.run("pytest", *PARALLEL, *lenient, *session.posargs, env=CACHED)


@nox.session(python=PYTHONS[-1], default=False)
def latest(session: nox.Session) -> None:
    """The test-suite with the latest release of each package, whatever was installed before."""
    newest = ("--upgrade", "--upgrade-strategy", "eager")
    install(session, "tests", extras="all", options=newest)
    session.run("pytest", *PARALLEL, *session.posargs, env=CACHED)


@nox.session(default=False)
def nightly(session: nox.Session) -> None:
    """All examples, hundreds of kills, 100,000 histories, a million VPSes, each planted bug."""
    install(session, "tests")
    session.run("pytest", *PARALLEL, env={**CACHED, "HOSTUP_THOROUGH": "1"})
    session.run("pytest", "tests/promises/test_fleet_kill.py", env={"HOSTUP_KILLS": "600"})
    session.run("pytest", "tests/promises/test_suspended.py", env={"HOSTUP_SUSPENSIONS": "40"})
    run_simulation(session, "simulation", "--seeds", "0:100000", "--all-fire")
    run_simulation(session, "simulation", "--vps", "1000000")
    session.run("pytest", "tests/planted", env={"HOSTUP_PLANTED": "1"})
    session.notify("whole_stack", ["--seeds", "0:20000", "--all-fire"])


@nox.session(default=False)
def simulate(session: nox.Session) -> None:
    """1,000 simulated histories; `-- --seed 7` replays one, `-- --seeds 0:5000` plays more."""
    install(session, "tests")
    run_simulation(session, "simulation", *(session.posargs or THOUSAND))
    if not session.posargs:
        session.notify("whole_stack")


@nox.session(python=NEWER, default=False)
def whole_stack(session: nox.Session) -> None:
    """Like `simulate`, with aiohttp and the sandbox's server over a simulated network."""
    install(session, "tests", "simulation")
    run_simulation(session, "whole_stack", *(session.posargs or THOUSAND))
    if "--seed" not in session.posargs:
        thorough = {**CACHED, "HOSTUP_THOROUGH": "1"}
        session.run("pytest", "tests/simulation/test_whole_stack.py", env=thorough)


@nox.session(default=False)
def planted(session: nox.Session) -> None:
    """Plant each known bug in a copy of the package: the simulation finds it, and says how."""
    install(session, "tests")
    session.run("pytest", "-rP", "tests/planted", *session.posargs, env={"HOSTUP_PLANTED": "1"})


@nox.session(default=False)
def bench(session: nox.Session) -> None:
    """The benchmarks, one after the other; run nothing else meanwhile."""
    install(session, "bench")
    for script in sorted(Path("benchmarks").glob("bench_*.py")):
        session.run("python", str(script), *session.posargs)


def run_simulation(session: nox.Session, package: str, *arguments: str) -> None:
    """Play histories; set order must not depend on the process, so its hashes are fixed."""
    env = {"PYTHONPATH": "tests/support", "PYTHONHASHSEED": "0"}
    session.run("python", "-m", package, *arguments, env=env)
