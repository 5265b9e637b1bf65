"""The files of deploy/: for Kubernetes, for systemd, and what the image is made of."""

import json
import os
import re
import runpy
import subprocess
from collections.abc import Iterator
from pathlib import Path
from shutil import which
from typing import Any

import pytest
import yaml

from pegboard import CoreSettings
from pegboard.settings import configure, declarations_of

ROOT = Path(__file__).parent.parent
DEPLOY = ROOT / "deploy"
NAMED = {one.variable for one in declarations_of(CoreSettings, None)}
"""The variables of the core's settings."""
FILLED_IN = r"…|worker \d+ \(process \d+\)|worker \d+|SIGKILL|\d+|Redis(?= is)|serving without it"
"""What stands in the place of fields in the messages that the runbook shows."""
DIGEST = "sha256:" + "12" * 32


@pytest.fixture(scope="module")
def objects() -> dict[tuple[str, str], Any]:
    """What is to be applied to a cluster, by kind and name."""
    found = [
        one
        for path in sorted((DEPLOY / "kubernetes").glob("*.yaml"))
        for one in yaml.safe_load_all(path.read_text(encoding="utf-8"))
    ]
    return {
        (one["kind"], one["metadata"]["name"]): one
        for one in found
        if one["kind"] != "Kustomization"
    }


def pods(objects: dict[tuple[str, str], Any]) -> Iterator[dict[str, Any]]:
    """Yield the pods that are described."""
    for (kind, _), one in objects.items():
        if kind in {"Deployment", "Job"}:
            yield one["spec"]["template"]["spec"]


def test_kustomize_applies_all_but_the_migration(objects: dict[tuple[str, str], Any]) -> None:
    """The job runs before, with the image that is about to be rolled out."""
    plan = yaml.safe_load((DEPLOY / "kubernetes/kustomization.yaml").read_text(encoding="utf-8"))
    files = {path.name for path in (DEPLOY / "kubernetes").glob("*.yaml")}
    assert files - {"kustomization.yaml", "migrate.yaml"} == set(plan["resources"])
    (image,) = plan["images"]
    assert {image["name"]} == {
        container["image"]
        for container in objects["Deployment", "pegboard"]["spec"]["template"]["spec"]["containers"]
    }


def test_pods_have_as_few_rights_as_they_need(objects: dict[tuple[str, str], Any]) -> None:
    """That of the restricted profile of Kubernetes, and a root that is read-only."""
    found = list(pods(objects))
    assert 2 == len(found)
    for pod in found:
        assert not pod["automountServiceAccountToken"]
        assert pod["securityContext"]["runAsNonRoot"]
        assert {"type": "RuntimeDefault"} == pod["securityContext"]["seccompProfile"]
        for container in pod["containers"]:
            rights = container["securityContext"]
            assert rights["readOnlyRootFilesystem"]
            assert not rights["allowPrivilegeEscalation"]
            assert ["ALL"] == rights["capabilities"]["drop"]
            assert {"memory"} <= container["resources"]["limits"].keys()
            assert {"cpu", "memory"} == container["resources"]["requests"].keys()


def test_settings_that_the_files_give_exist(objects: dict[tuple[str, str], Any]) -> None:
    """Of pods, of the units, and of the composition; a secret may be named by its file."""
    given = set(objects["ConfigMap", "pegboard"]["data"])
    for pod in pods(objects):
        for container in pod["containers"]:
            given |= {one["name"] for one in container["env"]}
    for unit in (DEPLOY / "systemd").glob("*.service"):
        given |= set(re.findall(r"^Environment=(\w+)=", unit.read_text(), re.MULTILINE))
    composition = yaml.safe_load((ROOT / "compose.yaml").read_text(encoding="utf-8"))
    for service in ("service", "migrate"):
        given |= set(composition["services"][service]["environment"])
    assert given >= {"SECRET_KEY_FILE", "WORKERS", "HOST"}
    assert set() == {name for name in given if name.removesuffix("_FILE") not in NAMED}


def test_nothing_is_killed_while_it_drains(objects: dict[tuple[str, str], Any]) -> None:
    """The delay, a second, and the time for requests are less than a supervisor waits."""
    settings = objects["ConfigMap", "pegboard"]["data"]
    pod = objects["Deployment", "pegboard"]["spec"]["template"]["spec"]
    ends = (
        float(settings["PEGBOARD_DRAIN_DELAY"]) + 1 + float(settings["PEGBOARD_SHUTDOWN_TIMEOUT"])
    )
    assert ends < pod["terminationGracePeriodSeconds"]

    core = configure({"ENV": "testing"}).core
    ends = core.drain_delay + 1 + core.shutdown_timeout
    unit = (DEPLOY / "systemd/pegboard.service").read_text()
    composition = yaml.safe_load((ROOT / "compose.yaml").read_text(encoding="utf-8"))
    waits = re.findall(r"^TimeoutStopSec=(\d+)$", unit, re.MULTILINE)
    waits.append(composition["services"]["service"]["stop_grace_period"].removesuffix("s"))
    assert all(ends < float(one) for one in waits)
    assert len(waits) == 2


def test_probes_ask_what_is_served(objects: dict[tuple[str, str], Any]) -> None:
    """A restart depends on the liveness of all workers, routing on what clients would reach."""
    (container,) = objects["Deployment", "pegboard"]["spec"]["template"]["spec"]["containers"]
    asked = {
        name: (probe["port"], probe["path"])
        for name in ("startup", "liveness", "readiness")
        for probe in [container[f"{name}Probe"]["httpGet"]]
    }
    assert ("http", "/health") == asked["startup"]
    assert ("management", "/health/live") == asked["liveness"]
    assert ("http", "/health/ready") == asked["readiness"]
    settings = objects["ConfigMap", "pegboard"]["data"]
    [port] = [one for one in container["ports"] if one["name"] == "management"]
    assert f"0.0.0.0:{port['containerPort']}" == settings["PEGBOARD_MANAGEMENT"]
    [served] = objects["Service", "pegboard"]["spec"]["ports"]
    assert "http" == served["targetPort"]


def test_systemd_understands_the_units(tmp_path: Path) -> None:
    """With programs that exist here in the place of theirs."""
    program = which("systemd-analyze")
    if program is None:
        pytest.skip("no systemd-analyze: install systemd")
    units = []
    for unit in (DEPLOY / "systemd").glob("*.service"):
        units.append(tmp_path / unit.name)
        units[-1].write_text(unit.read_text().replace("/opt/pegboard/bin/pegboard", "/bin/true"))
    done = subprocess.run([program, "verify", *units], capture_output=True, text=True, check=False)
    assert (0, "") == (done.returncode, done.stderr)


def locked(name: str) -> dict[str, str]:
    """Return the versions of a file of requirements; each has hashes."""
    entries = re.split(r"\n(?=\S)", (DEPLOY / name).read_text(encoding="utf-8"))[1:]
    assert all("--hash=sha256:" in entry for entry in entries)
    return dict(re.findall(r"^([\w.-]+)==([\w.]+)", entry)[0] for entry in entries)


def normal(name: str) -> str:
    """Return the name of a distribution as indexes have it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def test_what_is_locked_is_what_is_tested() -> None:
    """The image has the versions of constraints.txt; `make lock` renews its files."""
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    tested = {normal(one): version for one, _, version in (line.partition("==") for line in lines)}
    versions = {**locked("requirements.txt"), **locked("requirements-build.txt")}
    assert {"flask", "granian", "hatchling", "redis"} <= versions.keys()
    on_other_systems = {"colorama", "tzdata", "async-timeout", "winloop"}
    assert versions.items() - tested.items() <= {
        (name, version) for name, version in versions.items() if name in on_other_systems
    }


def test_every_requirement_is_locked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the core and of each plugin that the image has."""
    monkeypatch.syspath_prepend(str(ROOT / "tools"))
    wanted = runpy.run_path(str(ROOT / "tools/lock.py"))["wanted"]()
    names = {normal(re.split(r"[\[<>=~!; ]", one)[0]) for one in wanted}
    assert set() == names - locked("requirements.txt").keys()


def test_the_bill_of_materials_is_that_of_the_lock() -> None:
    """With what is locked for this system, our distributions, hashes, and no path of a build."""
    text = (DEPLOY / "sbom.cdx.json").read_text(encoding="utf-8")
    bill = json.loads(text)
    assert "CycloneDX" == bill["bomFormat"]
    listed = {normal(one["name"]): one for one in bill["components"]}
    versions = locked("requirements.txt")
    plugins = {path.parent.name for path in ROOT.glob("plugins/*/pyproject.toml")}
    ours = {"pegboard", *(normal(f"pegboard-{name}") for name in plugins)}
    assert ours <= listed.keys()
    for name in listed.keys() - ours:
        assert versions[name] == listed[name]["version"]
        assert [one for one in listed[name]["properties"] if one["name"] == "pegboard:sha256"]
    on_other_systems = {"colorama", "tzdata", "async-timeout", "winloop", "typing-extensions"}
    assert set() == versions.keys() - listed.keys() - on_other_systems
    assert "file:" not in text


def test_images_are_pinned_to_their_digests(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those of both files, once and again; what is built here is not."""
    docker = tmp_path / "docker"
    docker.write_text(f"#!/bin/sh\necho {DIGEST}\n")
    docker.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    monkeypatch.syspath_prepend(str(ROOT / "tools"))
    digests = runpy.run_path(str(ROOT / "tools/digests.py"))
    for name in digests["FILES"]:
        (tmp_path / name).write_text((ROOT / name).read_text(encoding="utf-8"), encoding="utf-8")
    for _ in range(2):
        digests["main"](tmp_path)
    text = "".join((tmp_path / name).read_text(encoding="utf-8") for name in digests["FILES"])
    pinned = re.findall(rf"^(?:ARG BASE=|\s+image: )(\S+)@{DIGEST}$", text, re.MULTILINE)
    assert ["python", "postgres", "valkey/valkey"] == [one.partition(":")[0] for one in pinned]
    assert "\n  image: pegboard\n" in text


def test_no_image_is_without_a_digest(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else a build of the same files would get another image one day."""
    monkeypatch.syspath_prepend(str(ROOT / "tools"))
    files = runpy.run_path(str(ROOT / "tools/digests.py"))["FILES"]
    text = "".join((ROOT / name).read_text(encoding="utf-8") for name in files)
    images = re.findall(r"^(?:ARG BASE=|\s+image: )(\S+)$", text, re.MULTILINE)
    pinned = [one for one in images if re.search("@sha256:[0-9a-f]{64}$", one)]
    assert ["pegboard"] == [one for one in images if one not in pinned]
    assert ["python", "postgres", "valkey/valkey"] == [one.partition(":")[0] for one in pinned]


def test_messages_that_the_runbook_names_are_logged() -> None:
    """The words of each heading, but what is filled in, stand in the code."""
    runbook = (ROOT / "docs/how-to/runbook.md").read_text(encoding="utf-8")
    code = "".join(
        path.read_text(encoding="utf-8")
        for pattern in ("core/src/**/*.py", "plugins/*/src/**/*.py")
        for path in ROOT.glob(pattern)
    )
    code = re.sub(r'"\s*\n\s*f?"', "", code)
    headings = re.findall(r"^## (.*)$", runbook, re.MULTILINE)
    named = [text for heading in headings for text in re.findall(r"`([^`]+)`", heading)]
    assert len(named) >= 9
    for text in named:
        parts = re.split(FILLED_IN, text)
        for part in (one.strip(" :;") for one in parts):
            assert part in code, part
