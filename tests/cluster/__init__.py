"""Bringing a real cluster up, for demo, tests and benchmarks: one way in, whatever is there. Standard library alone."""

from .cluster import Cluster

__all__ = ["Cluster"]
