"""The testing kit: real servers, and fixtures that build real services on them.

Load the fixtures by `pytest_plugins = ["pegboard.testing.fixtures"]` in a root `conftest.py`.
"""
