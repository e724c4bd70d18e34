"""What operator and trainer share: the resources, the methods, how a spec is resolved. Pydantic and the standard library alone."""
