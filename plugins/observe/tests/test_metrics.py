"""The metrics: of every answer, of all processes, whatever becomes of these."""

import gc
import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from flask import Flask

import pegboard
from pegboard.redis import ChannelError, get_channel
from pegboard.testing.fixtures import MakeApp
from pegboard.testing.processes import free_port, wait_until
from pegboard_observe import families
from pegboard_observe import metrics as metrics_module
from pegboard_observe.folder import folder as name_of_folder
from pegboard_observe.metrics import EXTENSION, Metrics
from pegboard_observe.process import Writers
from pegboard_observe.store import Store, render

COUNT = "pegboard_http_request_duration_seconds_count"
Read = Callable[..., float]


@pytest.fixture(autouse=True)
def writers(monkeypatch: pytest.MonkeyPatch) -> None:
    """The apps of the test, as if it had a process of its own."""
    monkeypatch.setattr(metrics_module, "WRITERS", Writers())


def metrics_of(app: Flask) -> Metrics:
    """Return the metrics of an app."""
    metrics: Metrics = app.extensions[EXTENSION]
    return metrics


def test_requests_are_counted_by_route_method_status_and_plugin(make_app: MakeApp, read: Read):
    """Those that no view answers included; a made-up method is no label of its own."""
    app = make_app(plugins=["observe"])
    client = app.test_client()
    for _ in range(3):
        client.get("/health")
    client.get("/nothing")
    client.open("/health", method="BREW")
    client.get("/health", headers={"Host": "no host"})
    text = metrics_of(app).render()
    labels = {"method": "GET", "status": "200", "plugin": "core", "cached": "none"}
    assert 3 == read(text, COUNT, route="/health", **labels)
    assert 1 == read(text, COUNT, method="GET", status="404", route="unmatched")
    assert 1 == read(text, COUNT, method="other", status="405")
    assert 1 == read(text, COUNT, method="GET", status="400", route="unmatched")
    assert 6 == read(text, "pegboard_http_request_duration_seconds_bucket", le="+Inf")
    assert 0 < read(text, "pegboard_http_request_duration_seconds_sum") < 60
    assert 96 == read(text, "pegboard_http_response_bytes_total", route="/health", status="200")
    assert 0 == read(text, "pegboard_http_requests_in_flight")
    assert 1 == read(text, "pegboard_build_info")
    assert 1 == read(text, "pegboard_plugin_info", plugin="observe")
    assert 0 < read(text, "pegboard_database_pool_size")


def test_an_app_that_is_built_twice_counts_once(make_app: MakeApp, read: Read):
    """Each app counts its own, whichever is asked tells the sum at once; the process is one."""
    first, second, idle = (make_app(plugins=["observe"]) for _ in range(3))
    for app in (first, second, second):
        app.test_client().get("/health")
    for app in (first, second, idle):
        text = metrics_of(app).render()
        assert 3 == read(text, COUNT)
        assert 1 == read(text, "pegboard_workers")
        assert 1 == read(text, "pegboard_worker_starts_total")


@pytest.mark.slow
def test_a_process_is_still_told_when_its_first_app_is_gone(make_app: MakeApp, read: Read):
    """By the app that comes after it."""
    first, second = (Metrics(make_app(plugins=["observe"]), name_of_folder()) for _ in range(2))
    for metrics in (first, second):
        metrics.requests.begin({})
    assert 1 == read(second.render(), "pegboard_workers")
    del first, metrics
    gc.collect()
    text = second.render()
    assert 1 == read(text, "pegboard_workers")
    assert 1 == read(text, "pegboard_worker_starts_total")


class Slow:
    """A plugin with a stage, of which it is the handler, too, and a hook of Flask."""

    name = "slow"
    order = 7

    @pegboard.hookimpl
    def pegboard_stages(self) -> list[Any]:
        """Return itself."""
        return [self]

    @pegboard.hookimpl
    def pegboard_setup(self, app: Flask) -> None:
        """Add a route, and act before it."""
        app.add_url_rule("/slow", "slow_view", lambda: "")
        app.before_request(self.wait)

    def bind(self, route: Any) -> Any:
        """Bind to its route."""
        return self if route is not None and route.endpoint == "slow_view" else None

    def prepare(self, _call: Any) -> list[Any]:
        """Ask nothing."""
        return []

    def complete(self, _call: Any, _replies: Any) -> None:
        """Take some time."""
        time.sleep(0.02)

    def wait(self) -> None:
        """Take some time."""
        time.sleep(0.02)


PART = "pegboard_plugin_duration_seconds"


def test_time_is_told_by_plugin(make_app: MakeApp, read: Read):
    """Of stages and hooks, once for each request."""
    app = make_app(plugins=["observe", Slow()], OBSERVE_STAGE_SHARE=1)
    for _ in range(2):
        assert 200 == app.test_client().get("/slow").status_code
    text = metrics_of(app).render()
    for labels in (
        {"kind": "stage", "name": "slow.complete"},
        {"kind": "hook", "name": "before_request wait"},
    ):
        assert 2 == read(text, f"{PART}_count", plugin="slow", **labels)
        assert 0.04 <= read(text, f"{PART}_sum", plugin="slow", **labels)
    quick = {"plugin": "slow", "name": "slow.prepare", "kind": "stage"}
    assert 2 == read(text, f"{PART}_bucket", le="+Inf", **quick)


class Quick(Slow):
    """The same, but it does not wait."""

    def wait(self) -> None:
        """Take no time."""

    def complete(self, _call: Any, _replies: Any) -> None:
        """Take no time."""


def test_a_share_of_the_requests_stands_for_all(make_app: MakeApp, read: Read):
    """In the time of stages; that of hooks is measured at each."""
    app = make_app(plugins=["observe", Quick()], OBSERVE_STAGE_SHARE=0.5)
    for _ in range(200):
        app.test_client().get("/slow")
    text = metrics_of(app).render()
    prepared, completed = (
        read(text, f"{PART}_count", kind="stage", name=f"slow.{step}")
        for step in ("prepare", "complete")
    )
    assert prepared == completed  # a request is measured as a whole, or not at all
    assert 100 < prepared < 300
    assert 200 == read(text, f"{PART}_count", kind="hook")


def test_stages_need_not_be_measured(make_app: MakeApp, read: Read):
    """With a share of 0; hooks are."""
    app = make_app(plugins=["observe", Quick()], OBSERVE_STAGE_SHARE=0)
    app.test_client().get("/slow")
    text = metrics_of(app).render()
    assert 0 == read(text, f"{PART}_count", kind="stage")
    assert 1 == read(text, f"{PART}_count", kind="hook")


def test_an_open_circuit_breaker_is_told(make_app: MakeApp, read: Read):
    """By the server that does not answer."""
    app = make_app(plugins=["observe"], REDIS_URL=f"redis://127.0.0.1:{free_port()}")
    app.test_client().get("/health")
    for is_open in (0, 1):
        text = metrics_of(app).render()
        assert is_open == read(text, "pegboard_circuit_breaker_open", server="redis")
        assert b'server="redis"' in text
        channel = get_channel(app)
        assert channel is not None
        with pytest.raises(ChannelError):
            channel.servers()


def test_the_queue_is_told(make_app: MakeApp, read: Read):
    """What became of requests is a counter, which stays when their process ends."""
    app = make_app(plugins=["observe"])
    stats = {"running": 3, "waiting": 2, "refused": 5, "dropped": 7, "late": 11}
    pegboard.get_health(app).details["requests"] = lambda: stats
    app.test_client().get("/health")
    text = metrics_of(app).render()
    queue = [read(text, "pegboard_queue_requests", state=one) for one in ("running", "waiting")]
    assert [3, 2] == queue
    given_up = "pegboard_requests_given_up_total"
    reasons = ("refused", "dropped", "late")
    assert [5, 7, 11] == [read(text, given_up, reason=one) for one in reasons]
    assert b'of="requests"' not in text


def _tell(app: Flask, ready: Any, stop: Any) -> None:
    app.test_client().get("/health")
    metrics_of(app).write()
    ready.set()
    stop.wait()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork.*:DeprecationWarning")
def test_what_processes_count_together_is_not_added_up(make_app: MakeApp, read: Read):
    """What each has for itself is; names are no metrics."""
    app = make_app(plugins=["observe"])
    health = pegboard.get_health(app)
    health.details["shop"] = lambda: {"orders": 40, "open": 2, "is_open": True, "since": "1795"}
    health.shared["shop"] = {"orders", "is_open"}
    context = multiprocessing.get_context("fork")
    ready, stop = context.Event(), context.Event()
    process = context.Process(target=_tell, args=(app, ready, stop))
    process.start()
    assert ready.wait(30)
    app.test_client().get("/health")
    text = metrics_of(app).render()
    stop.set()
    process.join(30)
    assert 40 == read(text, "pegboard_shared_state", of="shop", name="orders")
    assert 1 == read(text, "pegboard_shared_state", of="shop", name="is_open")
    assert 4 == read(text, "pegboard_state", of="shop")
    assert b"since" not in text


def test_what_a_plugin_counts_by_kind_is_a_counter(make_app: MakeApp, read: Read):
    """Each kind for itself."""
    app = make_app(plugins=["observe"])
    pegboard.get_health(app).details["shop"] = lambda: {"sold": {"tea": 3, "pie": 4}}
    app.test_client().get("/health")
    text = metrics_of(app).render()
    labels = {"of": "shop", "name": "sold"}
    assert 3 == read(text, "pegboard_events_total", kind="tea", **labels)
    assert 4 == read(text, "pegboard_events_total", kind="pie", **labels)
    assert b"# TYPE pegboard_events_total counter" in text


def test_a_count_that_is_no_number_is_left_out(
    make_app: MakeApp, read: Read, caplog: pytest.LogCaptureFixture
):
    """The log names it once, and everything else is told."""
    app = make_app(plugins=["observe"])
    stats = {"last": {"error": "no answer", "took": 3}, "sold": {"tea": 3}}
    pegboard.get_health(app).details["shop"] = lambda: stats
    app.test_client().get("/health")
    assert 1 == read(metrics_of(app).render(), COUNT, route="/health")
    app.test_client().get("/health")
    text = metrics_of(app).render()
    assert 2 == read(text, COUNT, route="/health")
    assert 3 == read(text, "pegboard_events_total", of="shop", name="sold", kind="tea")
    assert 3 == read(text, "pegboard_events_total", of="shop", name="last", kind="took")
    assert b'kind="error"' not in text
    told = "the metrics leave out last.error of shop: it is no number, but a str"
    assert [told] == [one for one in caplog.messages if "leave out" in one]


@pytest.mark.parametrize("stats", [lambda: None, lambda: {"big": 10**400}, sys.exit])
def test_stats_that_cannot_be_read_take_no_others(
    stats: Callable[[], Any], make_app: MakeApp, read: Read, caplog: pytest.LogCaptureFixture
):
    """Whatever they raise; the log names whose they are."""
    app = make_app(plugins=["observe"])
    details = pegboard.get_health(app).details
    odd: dict[Any, int] = {"open": 1, 2: 3}
    details |= {"bad": stats, "shop": lambda: odd}
    for number in (1, 2):
        app.test_client().get("/health")
        assert number == read(metrics_of(app).render(), COUNT, route="/health")
    text = metrics_of(app).render()
    assert 1 == read(text, "pegboard_state", of="shop", name="open")
    assert 3 == read(text, "pegboard_state", of="shop", name="2")
    assert 1 == sum("the metrics leave out the stats of bad: " in one for one in caplog.messages)


def test_what_the_limiter_decides_is_told_by_rule(make_app: MakeApp, read: Read):
    """And not by client."""
    pytest.importorskip("pegboard_ratelimit")
    app = make_app(plugins=["observe", "ratelimit"], RATELIMIT_DEFAULT="2/hour")
    statuses = [app.test_client().get("/nothing").status_code for _ in range(5)]
    assert [404, 404, 429, 429, 429] == statuses
    text = metrics_of(app).render()
    labels = {"of": "ratelimit", "kind": "default"}
    assert 2 == read(text, "pegboard_events_total", name="admitted", **labels)
    assert 3 == read(text, "pegboard_events_total", name="refused", **labels)
    assert b"127.0.0.1" not in text


def test_an_app_that_serves_nothing_leaves_no_trace(make_app: MakeApp, folder: Path):
    """As that of a command, or of the management port."""
    app = make_app(plugins=["observe"])
    assert b"" == metrics_of(app).render()
    assert not folder.exists()


class Watchful:
    """A plugin with a function that Flask calls before views."""

    @pegboard.hookimpl
    def pegboard_setup(self, app: Flask) -> None:
        """Act before all views."""
        app.before_request(self.watch)

    def watch(self) -> None:
        """Do nothing."""


def _serve(app: Flask, ready: Any, stop: Any) -> None:
    for _ in range(2):
        app.test_client().get("/health")
    ready.set()
    stop.wait()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork.*:DeprecationWarning")
@pytest.mark.parametrize("ends_by", ["exit", signal.SIGKILL])
def test_what_a_dead_process_has_counted_stays(
    make_app: MakeApp, read: Read, folder: Path, ends_by: Any
):
    """Counters never go back, gauges forget it, and its files go."""
    context = multiprocessing.get_context("fork")
    app = make_app(plugins=["observe", Watchful()])
    app.test_client().get("/health")
    ready, stop = context.Event(), context.Event()
    process = context.Process(target=_serve, args=(app, ready, stop))
    process.start()
    assert ready.wait(30)
    if ends_by == "exit":
        stop.set()
    else:
        metrics = render(folder)
        while read(metrics, COUNT) < 2:  # until its thread has written them
            metrics = render(folder)
        assert process.pid is not None
        os.kill(process.pid, ends_by)
    process.join(30)
    for _ in range(2):
        text = metrics_of(app).render()
        assert 3 == read(text, COUNT)
        assert 3 == read(text, "pegboard_plugin_duration_seconds_count")
        assert 2 == read(text, "pegboard_worker_starts_total")
        assert 1 == read(text, "pegboard_workers")
    assert 1 == len([*folder.glob("*.alive")])


def test_what_dead_processes_leave_is_archived_though_nobody_asks(
    make_app: MakeApp, read: Read, folder: Path
):
    """By a process that begins: else workers that come and go would fill the folder."""
    for _ in range(3):
        store = Store(folder)
        store.write(families.STARTS, (), 1)
        del store
    assert 3 == len([*folder.glob("*.alive")])
    app = make_app(plugins=["observe"])
    app.test_client().get("/health")
    wait_until(lambda: 1 == len([*folder.glob("*.alive")]), "what they left is archived")
    assert 4 == read(metrics_of(app).render(), "pegboard_worker_starts_total")


def test_a_file_of_a_dead_process_that_was_cut_ends_no_metrics(
    make_app: MakeApp, read: Read, folder: Path, caplog: pytest.LogCaptureFixture
):
    """As a power cut leaves it; when it is gone, all is told."""
    folder.mkdir(exist_ok=True)
    cut = [folder / "dead.alive", folder / "counter_dead.db"]
    for path in cut:
        path.write_bytes(b"")
    app = make_app(plugins=["observe"])
    client = app.test_client()
    client.get("/health")
    wait_until(lambda: "have counted cannot be read" in caplog.text, "it is told")
    for path in cut:
        path.unlink(missing_ok=True)
    client.get("/health")
    wait_until(lambda: 2 == read(render(folder), COUNT), "the thread has written both")


def test_metrics_are_public_only_if_wanted(make_app: MakeApp):
    """As whoever reaches them reads how the service is used."""
    assert 404 == make_app(plugins=["observe"]).test_client().get("/metrics").status_code
    response = make_app(plugins=["observe"], OBSERVE_PUBLIC=True).test_client().get("/metrics")
    assert 200 == response.status_code
    assert "text/plain; version=0.0.4; charset=utf-8" == response.content_type
