"""Who may speak to the API: a user with a token for each program, and kubeconfigs that hold them."""

from __future__ import annotations

import secrets
import ssl
import urllib.error
import urllib.request
from pathlib import Path

from .node import FIRST, NODES
from .steps import RUN, Failed, write

API = f"https://{FIRST.address}:6443"
CERTIFICATES = RUN / "certs"
TOKENS = RUN / "tokens.csv"
USERS = {
    "admin": ("admin", "system:masters"),
    "manager": ("system:kube-controller-manager", ""),
    "scheduler": ("system:kube-scheduler", ""),
    "proxy": ("system:kube-proxy", ""),
    "dns": ("skipjack-dns", "system:masters"),
    "storage": ("skipjack-storage", "system:masters"),
    # Of every node that there can be: the API server reads the file once.
    **{node.name: (f"system:node:{node.name}", "system:nodes") for node in NODES},
}


def make_tokens() -> None:
    """The tokens of USERS, in the API server's form."""
    if not TOKENS.exists():
        lines = [f'{secrets.token_hex(16)},{user},{short},"{group}"' for short, (user, group) in USERS.items()]
        fresh = TOKENS.with_suffix(".new")
        fresh.touch(mode=0o600)
        fresh.write_text("\n".join(lines) + "\n")
        fresh.replace(TOKENS)


def token(short: str) -> str:
    for line in TOKENS.read_text().splitlines():
        secret, _, known, _ = line.split(",")
        if known == short:
            return secret
    raise Failed(
        f"the cluster that runs knows no user {short}: it was brought up by another version; make down, then again"
    )


def kubeconfig(short: str) -> Path:
    """A kubeconfig for one of USERS."""
    return write(
        RUN / f"{short}.kubeconfig",
        {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "skipjack",
            "clusters": [
                {
                    "name": "skipjack",
                    "cluster": {"server": API, "certificate-authority": str(CERTIFICATES / "apiserver.crt")},
                }
            ],
            "users": [{"name": short, "user": {"token": token(short)}}],
            "contexts": [{"name": "skipjack", "context": {"cluster": "skipjack", "user": short}}],
        },
    )


def is_healthy(url: str) -> bool:
    """Whether an endpoint of the cluster's own answers 200 to the admin, whoever signed its certificate."""
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {token('admin')}"})
    try:
        with urllib.request.urlopen(request, timeout=2, context=ssl._create_unverified_context()) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False
