"""A site for each storage scheme: one file, one line."""

from __future__ import annotations

from tests.trainer.storage.sites import claim, configmap, hub, registry, web
from tests.trainer.storage.sites.base import Opened, Site

SITES: dict[str, Opened] = {
    "configmap": configmap.opened,
    "hf": hub.opened,
    "https": web.opened,
    "oci": registry.opened,
    "pvc": claim.opened,
}

__all__ = ["SITES", "Opened", "Site"]
