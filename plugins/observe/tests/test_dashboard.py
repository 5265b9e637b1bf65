"""The dashboard for Grafana shows the metrics that there are."""

import json
import re
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

from pegboard_observe.families import ALL, Family, Kind

DASHBOARD: dict[str, Any] = json.loads(
    (files("pegboard_observe") / "dashboards/pegboard.json").read_text(encoding="utf-8")
)
QUERIES = [
    pytest.param(target["expr"], id=f"{panel['title']} {target['refId']}")
    for panel in DASHBOARD["panels"]
    for target in panel["targets"]
]
ADDED = {"job", "instance", "le"}
"""Labels that Prometheus adds, and that of a histogram's buckets."""


def samples(family: Family) -> set[str]:
    """The names of the samples of a metric."""
    if family.kind is Kind.HISTOGRAM:
        return {f"{family.name}_{one}" for one in ("bucket", "count", "sum")}
    return {family.sample}


def used(query: str) -> Iterator[tuple[str, str]]:
    """The metrics of a query, each with its conditions."""
    yield from re.findall(r"\b(pegboard_\w+)\{([^}]*)\}", query)


@pytest.mark.parametrize("query", QUERIES)
def test_a_query_has_metrics_and_labels_that_there_are(query: str):
    """Those of its conditions, and those by which it groups."""
    known = {name: set(family.labels) | ADDED for family in ALL for name in samples(family)}
    found = [*used(query)]
    assert found
    assert len(found) == len(re.findall(r"\bpegboard_\w+", query))
    grouped = {
        label.strip()
        for labels in re.findall(r"\bby \(([^)]*)\)", query)
        for label in labels.split(",")
    }
    for name, conditions in found:
        assert set(re.findall(r"(\w+)(?:=~|!=|!~|=)", conditions)) | grouped <= known[name]


def test_every_metric_is_shown():
    """Or nobody would notice what it says."""
    text = json.dumps(DASHBOARD)
    shown = {family.name for family in ALL if any(one in text for one in samples(family))}
    assert {family.name for family in ALL} == shown


def test_every_metric_is_documented():
    """With its labels, where people look for them."""
    text = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| `(pegboard_\w+)` \|([^|]*)\|", text, re.MULTILINE))
    assert {one.name if one.kind is Kind.HISTOGRAM else one.sample for one in ALL} == rows.keys()
    for family in ALL:
        name = family.name if family.kind is Kind.HISTOGRAM else family.sample
        assert [*family.labels] == re.findall(r"`(\w+)`", rows[name])


def test_no_panel_has_the_place_or_number_of_another():
    """Grafana would show one of them."""
    panels = DASHBOARD["panels"]
    assert len(panels) == len({panel["id"] for panel in panels})
    places = {(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in panels}
    assert len(panels) == len(places)
