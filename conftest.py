"""What holds for all test trees."""

import gc


def pytest_collection_finish() -> None:
    """Spare the garbage collector what was imported: it would look at all of it again and again.

    What tests leave is collected more seldom, too, as an app is thousands of objects that stay for
    a test: with the usual thresholds a sixth of the suite's CPU time goes there.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 20, 20)
