"""A cache over the file system: another strategy, kept only here, in the place of the others.

It passes the contract of all strategies. As a plugin of pytest this module adds it to every app
of other tests, which then pass as they do without it.
"""

import base64
import fcntl
import hashlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from secrets import token_hex
from tempfile import mkdtemp
from typing import Any

import pytest
from flask import Flask

import pegboard
from pegboard.cache import (
    CacheStrategy,
    Key,
    Lease,
    Miss,
    MissReason,
    Touched,
    Transaction,
    UnconfirmedError,
)
from pegboard.testing.contracts import KEY, CacheStrategyContract, lease

ROOT = Path(__file__).parent.parent
LEASE_TIME, FENCE_TIME = 5.0, 60.0
Record = dict[str, Any]


class FileStrategy:
    """A file for each key and each group, changed under one lock.

    The file of a key holds a value and its group's generation, a lease, or fences; that of a group
    its generation, or fences.
    """

    name = "files"

    def __init__(self, folder: Path, clock: Callable[[], float] = time.time) -> None:
        self._folder = folder
        self._clock = clock

    def look_up(self, key: Key) -> bytes | Miss:
        """Return the value."""
        try:
            with self._locked():
                value = self._value(key)
                return Miss(MissReason.MISS) if value is None else value
        except OSError:
            return Miss(MissReason.UNAVAILABLE, may_fill=False)

    def lease(self, key: Key) -> Lease | bytes | Miss:
        """Return the right to fill the key."""
        try:
            with self._locked():
                if self._fences(self._group(key.group)) or self._fences(self._file(key)):
                    return Miss(MissReason.FENCED, may_fill=False)
                if (value := self._value(key)) is not None:
                    return value
                generation = self._generation(key.group)
                standing = self._read(self._file(key)).get("lease")
                if standing and standing[2] > self._clock() and standing[1] == generation:
                    return Miss(MissReason.LEASED)
                token = token_hex(8)
                record = {"lease": [token, generation, self._clock() + LEASE_TIME]}
                self._write(self._file(key), record)
                return Lease(key, token, generation)
        except OSError:
            return Miss(MissReason.UNAVAILABLE, may_fill=False)

    def fill(self, lease: Lease, value: bytes, ttl: int) -> bool:
        """Store a value if the lease still stands."""
        record = {
            "value": base64.b64encode(value).decode(),
            "generation": lease.context,
            "until": self._clock() + ttl,
        }
        return self._end(lease, record)

    def give_back(self, lease: Lease) -> None:
        """End the lease if it still stands."""
        self._end(lease, {})

    def _end(self, lease: Lease, record: Record) -> bool:
        with suppress(OSError), self._locked():
            standing = self._read(self._file(lease.key)).get("lease")
            if (
                standing is not None
                and standing[:2] == [lease.token, lease.context]
                and self._read(self._group(lease.key.group)).get("generation") == lease.context
            ):
                self._write(self._file(lease.key), record)
                return True
        return False

    def fence(self, touched: Touched, transaction: Transaction) -> Any:
        """Forget what is touched, and put a fence there; without it the write fails."""
        token = token_hex(8)
        files = [self._file(key) for key in touched.keys]
        files += [self._group(group) for group in touched.groups]
        with self._locked():
            for file in files:
                until = self._clock() + FENCE_TIME
                self._write(file, {"fences": {**self._fences(file), token: until}})
        return token, files

    def release(self, fence: Any, transaction: Transaction) -> float:
        """Lift the fence."""
        try:
            self._lift(*fence)
        except OSError as error:
            raise UnconfirmedError(error.strerror) from error
        return 0.0

    def abandon(self, fence: Any) -> None:
        """Lift the fence."""
        with suppress(OSError):
            self._lift(*fence)

    def _lift(self, token: str, files: list[Path]) -> None:
        with self._locked():
            for file in files:
                rest = {one: until for one, until in self._fences(file).items() if one != token}
                self._write(file, {"fences": rest} if rest else {})

    def clear(self, group: str | None = None) -> None:
        """Give all groups, or one, a new generation."""
        with self._locked():
            pattern = "*.group" if group is None else self._group(group).name
            for file in self._folder.glob(pattern):
                if not self._fences(file):
                    file.unlink()

    def stats(self) -> Mapping[str, int | float | str | bool]:
        """Return the number of files."""
        return {"files": len([*self._folder.glob("*.key")]) if self._folder.is_dir() else 0}

    @contextmanager
    def _locked(self) -> Iterator[None]:
        with (self._folder / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _value(self, key: Key) -> bytes | None:
        record = self._read(self._file(key))
        generation = self._read(self._group(key.group)).get("generation")
        if (
            generation is None
            or record.get("generation") != generation
            or record.get("until", 0.0) <= self._clock()
        ):
            return None
        return base64.b64decode(record["value"])

    def _generation(self, group: str) -> str:
        generation: str | None = self._read(self._group(group)).get("generation")
        if generation is None:
            generation = token_hex(8)
            self._write(self._group(group), {"generation": generation})
        return generation

    def _fences(self, file: Path) -> dict[str, float]:
        fences = self._read(file).get("fences", {})
        return {token: until for token, until in fences.items() if until > self._clock()}

    def _file(self, key: Key) -> Path:
        return self._folder / f"{_digest('/'.join(map(_digest, key)))}.key"

    def _group(self, group: str) -> Path:
        return self._folder / f"{_digest(group)}.group"

    def _read(self, file: Path) -> Record:
        try:
            record: Record = json.loads(file.read_bytes())
        except (FileNotFoundError, ValueError):
            return {}
        return record

    def _write(self, file: Path, record: Record) -> None:
        file.write_text(json.dumps(record))


def _digest(text: str) -> str:
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


class TestFileStrategy(CacheStrategyContract):
    """The contract, with two objects for two processes."""

    @pytest.fixture
    def now(self) -> list[float]:
        """What the clock shows."""
        return [1000.0]

    @pytest.fixture
    def strategies(self, tmp_path: Path, now: list[float]) -> list[FileStrategy]:
        """They share a folder."""
        return [FileStrategy(tmp_path, lambda: now[0]) for _ in range(2)]

    @pytest.fixture
    def pass_time(self, now: list[float]) -> Callable[[float], None]:
        """Set the clock."""

        def pass_time(seconds: float) -> None:
            now[0] += seconds

        return pass_time

    @pytest.fixture
    def broken(self, tmp_path: Path) -> FileStrategy:
        """Its folder is not there."""
        return FileStrategy(tmp_path / "nowhere")


@pytest.mark.slow
def test_another_process_shares_the_files(tmp_path: Path) -> None:
    """What it fills is found, and its lease and its fences hold here."""
    code = (
        "import pathlib, test_cache_files as files\n"
        "strategy = files.FileStrategy(pathlib.Path('.'))\n"
        "strategy.fill(files.lease(strategy), b'value', 300)\n"
        "strategy.lease(files.Key('notes', 'other'))\n"
    )
    command = [sys.executable, "-c", code]
    subprocess.run(command, cwd=tmp_path, env={"PYTHONPATH": str(ROOT / "tests")}, check=True)
    here = FileStrategy(tmp_path)
    assert b"value" == here.look_up(KEY)
    assert Miss(MissReason.LEASED) == here.lease(Key("notes", "other"))
    assert Miss(MissReason.MISS) == here.look_up(Key("notes", "third"))
    lease(here, Key("notes", "third"))


# As a plugin of Pegboard's, and of pytest


class Files:
    """Provides the strategy."""

    name = "files"
    hits = 0

    @pegboard.hookimpl
    def pegboard_cache_strategy(self, app: Flask) -> CacheStrategy:
        """Store answers in a new folder."""
        strategy = FileStrategy(Path(mkdtemp(prefix="pegboard-")))
        look_up = strategy.look_up

        def counted(key: Key) -> bytes | Miss:
            found = look_up(key)
            self.hits += not isinstance(found, Miss)
            return found

        strategy.look_up = counted  # type: ignore[method-assign]
        return strategy


plugin = Files()


def pytest_configure() -> None:
    """Add the plugin to every app, where this module is a plugin of pytest."""
    create_app = pegboard.create_app

    def create(config: Any = None, *, plugins: Any = None) -> Flask:
        everything = None if plugins is None else [*plugins, plugin]
        return create_app({**config, "CACHE": "auto"}, plugins=everything)

    pegboard.create_app = create


def pytest_unconfigure() -> None:
    """Tell how often the cache had the answer."""
    sys.stdout.write(f"\nhits: {plugin.hits}\n")


@pytest.mark.slow
@pytest.mark.parametrize(
    "tests",
    [
        pytest.param(["test_views.py"], marks=pytest.mark.slow),
        # Without what only memory does, and what tells of processes without the plugin.
        ["test_cache.py", "-k", "not 300_seconds and not process and not program"],
    ],
    ids=lambda tests: tests[0],
)
def test_the_tests_of_items_pass_with_it(tests: list[str]) -> None:
    """The same ones; and they use it."""
    options = ["-q", "-p", "no:cacheprovider", "-p", "test_cache_files"]
    # Without coverage, which takes as long as the tests: they are run with it by themselves.
    inherited = {name: value for name, value in os.environ.items() if "COVERAGE_" not in name}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *options, *tests],
        cwd=ROOT / "plugins/items/tests",
        env={**inherited, "PYTHONPATH": str(ROOT / "tests")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert 0 == done.returncode, done.stdout
    assert "hits: 0\n" not in done.stdout
