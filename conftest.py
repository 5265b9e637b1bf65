"""What holds for all test trees."""

import gc


def pytest_collection_finish() -> None:
    """Spare the garbage collector what was imported: it would look at all of it again and again."""
    gc.collect()
    gc.freeze()
