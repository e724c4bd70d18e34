"""A site for each storage scheme: one file, one line."""

from __future__ import annotations

from tests.trainer.storage.sites import bucket, claim, configmap, hub, registry, web
from tests.trainer.storage.sites.base import Opened, Site

SITES: dict[str, Opened] = {
    "az": bucket.opened("az"),
    "configmap": configmap.opened,
    "gs": bucket.opened("gs"),
    "hf": hub.opened,
    "https": web.opened,
    "oci": registry.opened,
    "pvc": claim.opened,
    "s3": bucket.opened("s3"),
}

__all__ = ["SITES", "Opened", "Site"]
