"""Tables and a chart of a comparison, in build/bench/ and on a page of the documentation."""

import json
import platform
import shutil
import statistics
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg2
import redis
from environments import ROOT
from services import cores

OUTPUT = ROOT / "build" / "bench"
PAGE = ROOT / "docs" / "explanation" / "performance.md"
CHARTS = ("performance.svg", "performance.png")
BEGIN, END = "<!-- written by make bench -->", "<!-- end of what make bench writes -->"
Figures = dict[str, Any]


def query(url: str, statement: str) -> Any:
    """Return the first value of a query."""
    connection = psycopg2.connect(url)
    try:
        with connection.cursor() as cursor:
            cursor.execute(statement)
            row = cursor.fetchone()
            assert row
            return row[0]
    finally:
        connection.close()


def machine(database: str, redis_url: str) -> dict[str, Any]:
    """Return what the figures depend on."""
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    with redis.Redis.from_url(redis_url) as client:
        server = client.info("server")
    node = ""
    if shutil.which("node"):
        done = subprocess.run(["node", "--version"], capture_output=True, text=True, check=True)
        node = done.stdout.strip()
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "processor": models[0] if models else platform.machine(),
        "cores": cores(),
        "python": platform.python_version(),
        "node": node,
        "postgres": query(database, "SHOW server_version"),
        "redis": f"{server.get('server_name', 'redis')} "
        f"{server.get('valkey_version', server['redis_version'])}",
    }


def write(figures: Figures, *, docs: bool) -> None:
    """Write the figures, the tables and the chart; print the tables."""
    OUTPUT.mkdir(parents=True, exist_ok=True)
    text = tables(figures)
    (OUTPUT / "figures.json").write_text(json.dumps(figures, indent=1), encoding="utf-8")
    (OUTPUT / "tables.md").write_text(text, encoding="utf-8")
    draw(figures, OUTPUT)
    print(f"\n{text}\nwritten into {OUTPUT.relative_to(ROOT)}/")
    if docs:
        for name in CHARTS:
            shutil.copy(OUTPUT / name, PAGE.parent)
        before, _, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
        after = rest.partition(END)[2]
        PAGE.write_text(f"{before}{BEGIN}\n\n{text}\n{END}{after}", encoding="utf-8")
        print(f"and {PAGE.relative_to(ROOT)}")


def put(part: str, text: str) -> None:
    """Put the text of a part on the page of the documentation, between its marks."""
    begin = f"<!-- written by make bench PART={part} -->"
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(begin)
    after = rest.partition(END)[2]
    PAGE.write_text(f"{before}{begin}\n\n{text}\n\n{END}{after}", encoding="utf-8")
    print(f"written into {PAGE.relative_to(ROOT)}")


def ratio(figures: Figures, peer: str, workload: str, key: str) -> float | None:
    """Return the median, over the rounds, of a figure of a peer to that of the base."""
    ours = _rounds(figures, peer, workload)
    base = _rounds(figures, figures["options"]["base"], workload)
    if not ours or not base:
        return None
    return statistics.median(a[key] / b[key] for a, b in zip(ours, base, strict=True))


def median(figures: Figures, peer: str, workload: str, key: str) -> float:
    """Return the median of a figure over the rounds."""
    return statistics.median(one[key] for one in _rounds(figures, peer, workload))


def _rounds(figures: Figures, peer: str, workload: str) -> list[dict[str, float]]:
    rounds: dict[str, list[dict[str, float]]] = figures["peers"].get(peer, {}).get("rounds", {})
    return rounds.get(workload, [])


def tables(figures: Figures) -> str:
    """Return the tables as Markdown."""

    def cost(peer: str, workload: str) -> str:
        return _number(ratio(figures, peer, workload, "cpu"))

    def speed(peer: str, workload: str) -> str:
        rate, p99 = (median(figures, peer, workload, key) for key in ("rate", "p99"))
        return f"{rate:,.0f}; {p99:.1f}"

    def parts(peer: str, workload: str) -> str:
        keys = ("cpu", "pg_cpu", "redis_cpu")
        return " + ".join(f"{median(figures, peer, workload, key):.2f}" for key in keys)

    base = figures["peers"].get(figures["options"]["base"], {"title": "nothing"})
    return f"""\
{_circumstances(figures)}

Processor time of the service for one request, as a multiple of that of {base["title"]} (less is
better); the seconds from the start of the process to its first 200, and its memory then:

{_table(figures, cost, start=True)}

Requests a second, and the time in milliseconds within which 99 of 100 were answered:

{_table(figures, speed)}

Processor time for one request in milliseconds, of the service + PostgreSQL + Redis:

{_table(figures, parts)}
"""


def _circumstances(figures: Figures) -> str:
    """Return a paragraph that says where and how the figures were made."""
    facts, options, peers = figures["facts"], figures["options"], figures["peers"]
    lists = "Lists say how many rows there are"
    if not options["list_total"]:
        counting = [one["title"] for one in peers.values() if one["counts"]]
        lists = "Lists do not say how many rows there are"
        lists += f", except those of: {', '.join(counting)}" if counting else ""
    shares = [
        one["others"] for name in peers for key in figures["workloads"]
        for one in _rounds(figures, name, key)
    ]  # fmt: skip
    return f"""\
{facts["date"]}, {facts["processor"]}, {facts["cores"]} cores; load from {facts["driver"]} on the
same machine. Python {facts["python"]}, Node.js {facts["node"] or "(none)"},
PostgreSQL {facts["postgres"]}, {facts["redis"]}. Worker processes: {options["workers"]}.
Connections: {options["connections"]}. Rounds: {options["rounds"]} of {options["seconds"]:g} s.
{lists}.
Other programs took {statistics.median(shares or [0]):.0%} of the machine meanwhile."""


def _table(figures: Figures, cell: Callable[[str, str], str], *, start: bool = False) -> str:
    """Return a table of all services by all kinds of requests."""
    workloads, peers = figures["workloads"], figures["peers"]
    head = ["", *workloads.values(), *(["first 200, s", "MiB"] if start else [])]
    lines = [head, ["---"] * len(head)]
    for name, one in peers.items():
        line = [one["title"], *(cell(name, workload) for workload in workloads)]
        line += [_number(one["first_200"]), _number(one["memory"], 0)] if start else []
        lines.append(line)
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _number(value: float | None, digits: int = 2) -> str:
    return "" if value is None else f"{value:.{digits}f}"


def draw(figures: Figures, folder: Path) -> None:
    """Draw the processor time of each service for each kind of request."""
    import matplotlib as mpl  # noqa: PLC0415 - slow to import, and needed once, at the end

    mpl.use("Agg")
    mpl.rcParams["svg.hashsalt"] = "pegboard"  # the same figures give the same file
    from matplotlib import pyplot as plt  # noqa: PLC0415 - after the choice of its backend

    peers, workloads = figures["peers"], figures["workloads"]
    titles = [one["title"] for one in peers.values()]
    colours = ["#1f6f8b" if "Pegboard" in title else "#b8bfc6" for title in titles]
    wide = 3 + 2.4 * len(workloads)
    figure, axes = plt.subplots(1, len(workloads), figsize=(wide, 3), sharey=True, squeeze=False)
    for axis, (workload, title) in zip(axes[0], workloads.items(), strict=True):
        values = [median(figures, name, workload, "cpu") for name in peers]
        bars = axis.barh(titles, values, color=colours)
        axis.bar_label(bars, fmt="%.2f", padding=3, fontsize=8)
        axis.set_title(title, fontsize=9)
        axis.margins(x=0.25)
        axis.spines[["top", "right"]].set_visible(False)
    axes[0][0].invert_yaxis()
    figure.supxlabel("processor time of the service for one request, ms", fontsize=9)
    figure.tight_layout()
    for name in CHARTS:
        metadata = {"Date": None} if name.endswith(".svg") else None
        figure.savefig(folder / name, dpi=150, metadata=metadata)
    plt.close(figure)


if __name__ == "__main__":
    written = (OUTPUT / "figures.json").read_text(encoding="utf-8")
    write(json.loads(written), docs="--docs" in sys.argv)
