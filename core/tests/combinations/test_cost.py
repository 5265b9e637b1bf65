"""What a service costs that needs nothing of the authors' kit."""

import subprocess
import sys

import pytest


@pytest.mark.slow
def test_serving_imports_nothing_of_it() -> None:
    """Only the commands of authors do, and the choice of combinations when one of them runs."""
    program = """
import sys
from pegboard_command import main
from pegboard.cli import main
main.commands["serve"]
print([name for name in sys.modules if name.startswith(("pegboard.combinations", "tox"))])
main.commands["plugins"]
print([name for name in sys.modules if name.startswith("tox")])
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    assert b"[]\n[]\n" == done.stdout
