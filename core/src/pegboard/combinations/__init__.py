"""Combinations of plugins, for their authors: smaller ones that still fail, and other cores.

What chooses combinations is in the distribution tox-pegboard, which needs no service: the extra
`author` has it.
"""
