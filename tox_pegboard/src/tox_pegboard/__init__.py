"""Combinations of Pegboard plugins, and the plugin of tox that makes an environment for each.

`tox_pegboard.combinations` chooses the combinations; it imports neither tox nor any plugin.
"""
