"""Metrics of a service built with Pegboard, for Prometheus."""
