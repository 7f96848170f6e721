"""The laboratory: put load on servers, compare execution patterns, see what the theory says."""

from millrace.lab.load import Load, load

__all__ = ["Load", "load"]
