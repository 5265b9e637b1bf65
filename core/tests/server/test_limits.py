"""How much the server takes on, as it is set."""

import resource
from dataclasses import asdict

import pytest

from pegboard.problems import Code
from pegboard.server import Limits, find_contradictions
from pegboard.settings import configure


def test_each_limit_is_the_setting_of_its_name():
    """Whichever that is."""
    core = configure({"ENV": "testing", "WORKERS": 3, "DRAIN_DELAY": 2.5}).core
    limits = asdict(Limits.of(core))
    assert (3, 2.5) == (limits["workers"], limits["drain_delay"])
    assert {name: getattr(core, name) for name in limits} == limits


@pytest.mark.parametrize(
    "settings,summary",
    [
        (
            {"SHUTDOWN_TIMEOUT": 10.0, "REQUEST_TIMEOUT": 60.0},
            (
                "PEGBOARD_SHUTDOWN_TIMEOUT (10 s) is less than PEGBOARD_REQUEST_TIMEOUT (60 s): a "
                "stop cuts requests that have time left"
            ),
        ),
        (
            {"KEEP_ALIVE_TIMEOUT": 5.0},
            (
                "PEGBOARD_KEEP_ALIVE_TIMEOUT (5 s) is less than PEGBOARD_HEADER_TIMEOUT (10 s): "
                "idle connections are kept for the longer time"
            ),
        ),
        (
            {"BACKLOG": 128},
            (
                "PEGBOARD_CONNECTIONS_PER_CLIENT (256) is not less than PEGBOARD_BACKLOG (128): "
                "one client may have all connections of a worker"
            ),
        ),
    ],
)
def test_a_setting_that_another_one_keeps_from_its_effect_is_told(
    settings: dict[str, object], summary: str
):
    """With what comes of it; the defaults agree."""
    assert [] == [*find_contradictions(configure("testing").core)]
    [problem] = find_contradictions(configure({"ENV": "testing", **settings}).core)
    assert (Code.SETTINGS_CONTRADICT, summary) == (problem.code, problem.summary)


@pytest.mark.parametrize("seconds,is_allowed", [(0.0, True), (0.5, False), (2.0, True)])
def test_a_worker_is_given_time_for_more_than_one_beat(seconds: float, *, is_allowed: bool):
    """Else it would be killed between two of them."""
    problems = configure({"ENV": "testing", "WORKER_TIMEOUT": seconds}).problems
    assert is_allowed == (not problems)


@pytest.mark.parametrize("hard,most", [(1024, 768), (300, 150), (524_288, None)])
def test_more_connections_than_files_can_be_open_are_told(
    monkeypatch: pytest.MonkeyPatch, hard: int, most: int | None
):
    """Some files are left for all else that a worker opens."""
    monkeypatch.setattr(resource, "getrlimit", lambda _: (256, hard))
    settings = {"ENV": "testing", "CONNECTIONS_PER_CLIENT": 100}
    found = [problem.summary for problem in find_contradictions(configure(settings).core)]
    told = f"PEGBOARD_BACKLOG (1024) is more than the {most} connections that a worker can have"
    assert [told] * (most is not None) == [one.partition(", as ")[0] for one in found]
