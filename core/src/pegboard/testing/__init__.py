"""The testing kit for plugins: fixtures, real servers, faults on demand, contracts.

Load the fixtures by `pytest_plugins = ["pegboard.testing.fixtures"]` in a root `conftest.py`.

Its modules are public one by one, so that a test loads only the libraries that it needs: nothing is
imported here. Public is what stands in `__all__` of a module: `fixtures`, `contracts` and
`recording` (for a cache strategy), `distributions` (plugins made for a test), `bodies` (made from a
schema), `services` (`pegboard` as a process), `processes`, `servers`, `sentinels` and `clusters`
(servers of a test's own), and `proxy` (faults between a service and Redis). The other modules are
for these.
"""
