"""What operator and trainer share: the resources, the methods, how a spec is resolved. Pydantic and the standard library alone."""

__version__ = "0.1.0"
