"""What objects do in a process that was forked."""

import gc
import weakref

import pytest

from pegboard import after_fork, forking
from pegboard.testing.processes import run_python

FORK = """
import logging, os, threading
from pegboard import after_fork
logging.disable()

class Kept:
    def __init__(self, *, fails=False):
        self.lock, self.fails = threading.Lock(), fails
        after_fork(self, Kept.reset)

    def reset(self):
        self.lock = threading.Lock()
        if self.fails:
            raise ValueError("why")

kept = [Kept(), Kept(fails=True), Kept()]
for one in kept:
    one.lock.acquire()
child = os.fork()
if not child:
    os._exit(0 if all(one.lock.acquire(timeout=0) for one in kept) else 1)
assert os.waitpid(child, 0)[1] == 0
print([one.lock.locked() for one in kept])
"""


class Owner:
    """What has something to forget."""

    def reset(self) -> None:
        """Forget it."""


@pytest.mark.slow
def test_a_forked_process_resets_every_object():
    """Also after one whose reset fails; the parent keeps what it has."""
    assert "[True, True, True]\n" == run_python(FORK)


@pytest.mark.slow
def test_an_object_that_nobody_uses_is_not_kept():
    """It is forgotten without being told."""
    owner = Owner()
    after_fork(owner, Owner.reset)
    assert owner in forking._resets
    gone = weakref.ref(owner)
    del owner
    gc.collect()
    assert gone() is None
