"""Fixtures of this test tree."""

pytest_plugins = ["pegboard.testing.fixtures"]
