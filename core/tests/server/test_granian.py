"""How Granian is run; `tests/test_serve.py` has it serve."""

import pytest

from pegboard.testing.processes import run_python


@pytest.mark.slow
def test_other_commands_than_serve_do_not_import_it():
    """It takes memory."""
    assert "False\n" == run_python(
        "import sys, pegboard.cli, pegboard.server; print('granian' in sys.modules)"
    )
