"""etcd, API server, controller manager and scheduler: each with its configuration, in the first node's namespace."""

from __future__ import annotations

from pathlib import Path

from .access import API, CERTIFICATES, TOKENS, is_healthy, kubeconfig, make_tokens
from .network import SERVICES
from .node import FIRST
from .steps import RUN, sh, spawn, wait, write

AUDIT = RUN / "audit.log"
SIGNING_KEY = RUN / "service-account.key"


def start(programs: Path) -> None:
    """The whole control plane, ready; what runs already is left alone."""
    make_tokens()
    make_signing_key()
    etcd(programs)
    api_server(programs)
    wait(
        "the API server is ready (if it never is, its data may be torn: make down)", lambda: is_healthy(f"{API}/readyz")
    )
    controller_manager(programs)
    scheduler(programs)


def make_signing_key() -> None:
    if not SIGNING_KEY.exists():
        fresh = SIGNING_KEY.with_suffix(".new")
        sh("openssl", "genrsa", "-out", fresh, "2048")
        fresh.replace(SIGNING_KEY)


def etcd(programs: Path) -> None:
    spawn(
        "etcd",
        *FIRST.inside(
            programs / "server",
            f"--data-dir={RUN / 'etcd'}",
            "--unsafe-no-fsync",
            "--listen-client-urls=http://127.0.0.1:2379",
            "--advertise-client-urls=http://127.0.0.1:2379",
            "--listen-peer-urls=http://127.0.0.1:2380",
            "--log-level=warn",
        ),
    )


def api_server(programs: Path) -> None:
    writes = {"level": "Metadata", "verbs": ["create", "update", "patch", "delete"]}
    policy = write(
        RUN / "audit.yaml",
        {
            "apiVersion": "audit.k8s.io/v1",
            "kind": "Policy",
            "omitStages": ["RequestReceived"],
            "rules": [writes, {"level": "None"}],
        },
    )
    spawn(
        "kube-apiserver",
        *FIRST.inside(
            programs / "kube-apiserver",
            "--etcd-servers=http://127.0.0.1:2379",
            f"--service-cluster-ip-range={SERVICES}",
            f"--advertise-address={FIRST.address}",
            f"--cert-dir={CERTIFICATES}",
            f"--token-auth-file={TOKENS}",
            "--authorization-mode=Node,RBAC",
            f"--service-account-key-file={SIGNING_KEY}",
            f"--service-account-signing-key-file={SIGNING_KEY}",
            "--service-account-issuer=https://kubernetes.default.svc",
            "--allow-privileged",
            "--kubelet-preferred-address-types=InternalIP",
            f"--audit-log-path={AUDIT}",
            f"--audit-policy-file={policy}",
        ),
    )


def as_user(short: str) -> list[str]:
    """What the control plane's clients are all told: who they are, and that there is no other of them."""
    mine = kubeconfig(short)
    asks = [f"--{what}kubeconfig={mine}" for what in ("", "authentication-", "authorization-")]
    return [*asks, "--leader-elect=false", f"--cert-dir={CERTIFICATES / short}"]


def controller_manager(programs: Path) -> None:
    spawn(
        "kube-controller-manager",
        *FIRST.inside(
            programs / "kube-controller-manager",
            *as_user("manager"),
            f"--service-account-private-key-file={SIGNING_KEY}",
            f"--root-ca-file={CERTIFICATES / 'apiserver.crt'}",
            "--use-service-account-credentials",
            f"--flex-volume-plugin-dir={RUN / 'volume-plugins'}",
        ),
    )


def scheduler(programs: Path) -> None:
    spawn(
        "kube-scheduler",
        *FIRST.inside(
            programs / "kube-scheduler",
            *as_user("scheduler"),
        ),
    )
