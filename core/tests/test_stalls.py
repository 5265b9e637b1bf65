"""Bodies that stall; `tests/test_serve.py` has real clients do it."""

import io
import threading
from typing import Any

import pytest

from pegboard.errors import APIError
from pegboard.stalls import Stalls


class Body(io.BytesIO):
    """A body that arrives when the test says so."""

    def __init__(self):
        super().__init__()
        self.is_wanted = threading.Event()
        self.has_arrived = threading.Event()

    def read(self, _size=-1, /):
        """Wait for it."""
        self.is_wanted.set()
        self.has_arrived.wait(10)
        return b"body"


def reader(stalls, body):
    """Return a thread that reads a body."""
    thread = threading.Thread(target=stalls.read, args=(body, 10))
    thread.start()
    assert body.is_wanted.wait(10)
    return thread


@pytest.mark.parametrize("threads, places", [(1, 1), (2, 1), (3, 1), (4, 2), (8, 4)])
def test_half_of_the_threads_may_wait(threads, places):
    """The next one is refused, until one of them is done."""
    stalls = Stalls(lambda _environ, _start: [], threads=threads)
    bodies = [Body() for _ in range(places)]
    readers = [reader(stalls, body) for body in bodies]
    with pytest.raises(APIError) as caught:
        stalls.read(Body(), 10)
    assert 503 == caught.value.code
    assert {"Retry-After": "1"} == caught.value.headers
    for body in bodies:
        body.has_arrived.set()
    for one in readers:
        one.join()
    late = Body()
    late.has_arrived.set()
    assert b"body" == stalls.read(late, 10)


@pytest.mark.parametrize("key", ["CONTENT_LENGTH", "HTTP_TRANSFER_ENCODING"])
def test_only_a_request_with_a_body_pays(key):
    """Others keep the input that the server gave them."""
    seen: list[Body] = []
    start: Any = None

    def app(environ, _start):
        seen.append(environ["wsgi.input"])
        return []

    stalls = Stalls(app, threads=2)
    body = Body()
    stalls({"wsgi.input": body}, start)
    stalls({"wsgi.input": body, key: "4"}, start)
    assert body is seen[0]
    body.has_arrived.set()
    assert b"body" == seen[1].read(4)
