"""What the services are asked, and the rows that they have."""

import json
import random
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus

from load import request

HOT = 100
"""How many items the cached look-ups ask for."""
REPLACED = 5000
"""How many items the replacements take in turn."""
FEW, MANY = 10_000, 100_000
"""How many rows there are; many, where each shall be asked for once."""

TABLE = """
CREATE TABLE items (
    id serial PRIMARY KEY,
    name varchar(100) NOT NULL,
    description text,
    created_at timestamp,
    updated_at timestamp
)
"""

SEED = """
INSERT INTO items (name, description, created_at, updated_at)
SELECT 'Item ' || n, 'Description of item ' || n || '. ' || repeat('lorem ipsum ', 8), t, t
FROM (SELECT n, timestamp '2024-01-01' + n * interval '1 minute' AS t
      FROM generate_series(1, {rows}) n ORDER BY n) seed
"""


def seed(rows: int) -> tuple[str, ...]:
    """Return the statements that leave these rows, with ids from 1, and nothing to clean up."""
    empty = "TRUNCATE items RESTART IDENTITY CASCADE"
    return (empty, SEED.format(rows=rows), "VACUUM ANALYZE items", "CHECKPOINT")


@dataclass(frozen=True)
class Workload:
    """Requests of one kind."""

    name: str
    title: str
    packets: Callable[[int], list[bytes]]
    """The requests, in the order in which they are sent; the argument is the number of the run."""
    status: int = HTTPStatus.OK
    rows: int = FEW
    seeded: bool = False
    """Whether each measurement begins with fresh rows and an empty Redis."""
    proof: str = ""
    """A query for the number of answers that left a trace; `{run}` is the number of the run."""


def _text(words: str) -> str:
    return f"{words}. {'lorem ipsum ' * 8}"


def _hits(_run: int) -> list[bytes]:
    return [request("GET", f"/api/items/{number}") for number in range(1, HOT + 1)]


def _misses(run: int) -> list[bytes]:
    numbers = list(range(1, MANY + 1))
    random.Random(run).shuffle(numbers)  # noqa: S311 - no secret
    return [request("GET", f"/api/items/{number}") for number in numbers]


def _lists(_run: int) -> list[bytes]:
    return [request("GET", "/api/items/?page=1&page_size=20")]


def _creations(run: int) -> list[bytes]:
    return [
        request("POST", "/api/items/", _body(f"Posted {run} item {number}"))
        for number in range(200)
    ]


def _replacements(run: int) -> list[bytes]:
    """Return bodies that differ from the row; no two of the same row are near each other."""
    return [
        request("PUT", f"/api/items/{number * 7 % REPLACED + 1}", _body(f"Put {run} item {number}"))
        for number in range(2 * REPLACED)
    ]


def _body(name: str) -> bytes:
    return json.dumps({"name": name, "description": _text(name)}).encode()


WORKLOADS = {
    workload.name: workload
    for workload in (
        Workload("hit", "read one item, cached", _hits),
        Workload("list", "list 20 items", _lists),
        Workload("miss", "read one item, not cached", _misses, rows=MANY, seeded=True),
        Workload(
            "create",
            "create an item",
            _creations,
            status=HTTPStatus.CREATED,
            seeded=True,
            proof="SELECT count(*) FROM items WHERE name LIKE 'Posted {run} %'",
        ),
        Workload(
            "replace",
            "replace an item",
            _replacements,
            seeded=True,
            proof="SELECT count(*) FROM items WHERE name LIKE 'Put {run} %'",
        ),
    )
}
