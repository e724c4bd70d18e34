"""The resources of the group skipjack.dev, by version."""
