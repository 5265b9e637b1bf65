"""The threads of a worker, for what its event loop does not do."""

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import Context, copy_context


class Job:
    """What is to be done on a thread, in a copy of the context (`contextvars`) of its caller.

    So its log lines have the request's id.
    """

    __slots__ = ("_context", "_function")

    def __init__(self, function: Callable[[], object]) -> None:
        """Prepare it; `function` raises nothing."""
        self._function: Callable[[], object] | None = function
        self._context: Context = copy_context()

    def run(self) -> None:
        """Do it, once."""
        function = self._function
        self.forget()
        if function is not None:
            self._context.run(function)

    def forget(self) -> None:
        """Let go of the function: what it belongs to often holds the job, which were a cycle."""
        self._function = None


class Threads:
    """Does jobs, at most `count` at once; others wait in their order, and can be withdrawn.

    Unlike an executor of the standard library it keeps nothing of what is withdrawn: clients that
    come and go while all threads are busy would fill the memory.
    """

    def __init__(self, *, count: int, name: str = "pegboard-request") -> None:
        self._count = count
        self._lock = threading.Lock()
        self._jobs: OrderedDict[Job, None] = OrderedDict()
        """What no thread has begun."""
        self._executor = ThreadPoolExecutor(count, thread_name_prefix=name)
        """Has a turn for each job, in which a thread does the first that waits."""
        self._spare = 0
        """Turns whose jobs were withdrawn."""
        self._running = 0
        self._steps = self._seen = 0
        """How many jobs were begun and done, now and when `notice_stillness` was last called."""
        self._with_clients: set[int] = set()
        """The threads that wait for their clients."""
        self._moved: set[int] = set()
        """Those whose clients have sent or taken something since `notice_stillness` was called."""
        self._is_wanted = False
        """Whether a request has needed a busy thread since one has gone on."""

    @property
    def waiting(self) -> int:
        """How many jobs no thread has begun."""
        return len(self._jobs)

    @property
    def running(self) -> int:
        """How many jobs threads do."""
        return self._running

    @property
    def are_busy(self) -> bool:
        """Whether what is submitted now has to wait for a thread."""
        return self._running + len(self._jobs) >= self._count

    def submit(self, job: Job) -> None:
        """Do a job as soon as a thread is free. Raises `RuntimeError` after `close`."""
        with self._lock:
            self._jobs[job] = None
            is_turn_spare = self._spare > 0
            self._spare -= is_turn_spare
        if not is_turn_spare:
            try:
                self._executor.submit(self._do_first)
            except RuntimeError:
                del self._jobs[job]
                raise

    def withdraw(self, job: Job) -> bool:
        """Do not do a job; returns whether no thread has begun it."""
        with self._lock:
            if job not in self._jobs:
                return False
            del self._jobs[job]
            self._spare += 1
        job.forget()
        return True

    def _do_first(self) -> None:
        with self._lock:
            if not self._jobs:
                self._spare -= 1
                return
            job, _ = self._jobs.popitem(last=False)
            self._running += 1
            self._step()
        try:
            job.run()
        finally:
            with self._lock:
                self._running -= 1
                self._step()

    @contextmanager
    def wait_for_client(self) -> Iterator[None]:
        """Take note that a thread waits until its client has sent or taken something.

        It moves as its client does, and a time-out ends the wait: it does not stand still.
        """
        thread = threading.get_ident()
        with self._lock:
            self._with_clients.add(thread)
        try:
            yield
        finally:
            with self._lock:
                self._with_clients.discard(thread)
                self._moved.add(thread)

    def _step(self) -> None:
        self._steps += 1
        self._is_wanted = False

    def demand(self) -> None:
        """Ask for a thread to go on, as a request needs one, if all are busy.

        That counts until one goes on, even if the request is refused or given up before.
        """
        with self._lock:
            self._is_wanted = self.are_busy

    def notice_stillness(self) -> bool:
        """Return whether a thread is needed, and none has become free since the last call.

        Nor may half of them wait for their clients, or have done so: those go on, and will be free.
        """
        with self._lock:
            seen, self._seen = self._seen, self._steps
            still = self._running - len(self._with_clients | self._moved)
            self._moved.clear()
            if seen != self._steps or 2 * still < self._count:
                return False
            return self.are_busy and (self._is_wanted or bool(self._jobs))

    def close(self) -> None:
        """Take no further job; those that were submitted are done."""
        self._executor.shutdown(wait=False)

    def join(self) -> None:
        """Close, and wait until all is done."""
        self._executor.shutdown()
