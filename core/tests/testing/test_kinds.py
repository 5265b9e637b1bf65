"""Which databases and Redis servers the fixtures use, as a combination says."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

TESTS = """
def test_database(database_url): assert database_url
def test_redis(redis_url): assert redis_url.startswith("redis")
def test_any(any_redis_program): assert any_redis_program
def test_own(own_redis): assert own_redis.url
"""

SEVERAL = """
def test_sentinels(own_sentinels): assert own_sentinels.servers
def test_cluster(own_cluster): assert own_cluster.servers
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    "kind, tests, expected",
    [
        ("none", TESTS + SEVERAL, {"redis": 0, "any": 0, "own": 0, "sentinels": 0, "cluster": 0}),
        ("valkey", TESTS, {"redis": 1, "any[valkey]": 1, "own": 1}),
    ],
)
def test_the_fixtures_use_what_the_combination_has(
    tmp_path: Path, kind: str, tests: str, expected: dict[str, bool]
) -> None:
    """Nothing else is started; without Redis its tests are skipped."""
    (tmp_path / "test_it.py").write_text(tests)
    variables = {"PEGBOARD_TEST_DATABASE": "sqlite", "PEGBOARD_TEST_REDIS": kind}
    done = run_pytest(tmp_path, variables)
    lines = {
        " ".join(line.rpartition("::")[2].split()[:2])
        for line in done.stdout.splitlines()
        if "::" in line
    }
    ends = {f"test_{name} {('SKIPPED', 'PASSED')[is_run]}" for name, is_run in expected.items()}
    assert {*ends, "test_database[sqlite] PASSED"} == {
        line.replace("test_any[NOTSET]", "test_any") for line in lines
    }


@pytest.mark.slow
def test_an_unknown_kind_is_refused(tmp_path: Path) -> None:
    """With those that there are."""
    (tmp_path / "test_it.py").write_text(TESTS)
    done = run_pytest(tmp_path, {"PEGBOARD_TEST_DATABASE": "postgres"})
    assert "'postgres', and must be one of sqlite, postgresql" in done.stdout + done.stderr


def run_pytest(folder: Path, variables: dict[str, str]) -> "subprocess.CompletedProcess[str]":
    """Run the tests of a folder with the kit's fixtures."""
    kept = {name: text for name, text in os.environ.items() if not name.startswith("PEGBOARD_")}
    options = ["-p", "pegboard.testing.fixtures", "-v", "-p", "no:cacheprovider", "-c", os.devnull]
    return subprocess.run(
        [sys.executable, "-m", "pytest", *options, "--rootdir", str(folder), str(folder)],
        cwd=folder,
        env={**kept, **variables},
        capture_output=True,
        text=True,
        check=False,
    )
