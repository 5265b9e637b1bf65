"""Fixtures of the tests of the plugin authors' kit, which run in an environment of their own."""
