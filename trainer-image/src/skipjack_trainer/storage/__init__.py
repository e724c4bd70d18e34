"""Where models and data come from and results go to: one file a scheme, behind one interface."""

from __future__ import annotations

import re

from ..errors import ConfigurationInvalid
from . import az, configmap, gs, hf, https, oci, pvc, s3
from .base import Access, Entry, Located, Opener, Store, TakesWhole, bring, brought, peek, send

SCHEMES: dict[str, Opener] = {
    "az": az.open_uri,
    "configmap": configmap.open_uri,
    "gs": gs.open_uri,
    "hf": hf.open_uri,
    "https": https.open_uri,
    "oci": oci.open_uri,
    "pvc": pvc.open_uri,
    "s3": s3.open_uri,
}

PASSWORD = re.compile("^[a-z0-9]+://[^/]*@")


def open_store(uri: str, access: Access) -> Located:
    """The store of `uri` and the path in it. Raises TrainerError."""
    scheme = uri.partition("://")[0]
    if PASSWORD.match(uri):
        raise ConfigurationInvalid(
            f"{scheme}://…@{uri.partition('@')[2]}: a URI holds no user or password: name a Secret in spec.credentials."
        )
    if scheme not in SCHEMES:
        raise ConfigurationInvalid(
            f"{uri}: no storage is called {scheme}://; there are {', '.join(f'{s}://' for s in SCHEMES)}."
        )
    return SCHEMES[scheme](uri, access)


__all__ = [
    "SCHEMES",
    "Access",
    "Entry",
    "Located",
    "Store",
    "TakesWhole",
    "bring",
    "brought",
    "open_store",
    "peek",
    "send",
]
