"""What a cluster needs beside its nodes: names, and volumes for claims."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from .access import kubeconfig
from .node import FIRST
from .steps import RUN, sh, spawn, write

STORAGE = "local-path-storage"
PROVISIONER = "rancher.io/local-path"
VOLUMES = {"sharedFileSystemPath": str(RUN / "volumes")}
"""One folder for all nodes, so that ReadWriteMany works too."""


def start(kubernetes: Path, pause: str) -> None:
    """CoreDNS and local-path-provisioner; what runs already is left alone."""
    kubectl = (kubernetes / "kubectl", "--kubeconfig", kubeconfig("admin"))
    items = [proxy_may_read(), *storage_objects(pause)]
    sh(*kubectl, "apply", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": items}))
    dns(kubernetes)
    provisioner(kubernetes, pause)


def dns(programs: Path) -> None:
    config = RUN / "Corefile"
    config.write_text(
        f".:53 {{\n  bind {FIRST.address}\n  errors\n  cache 5\n"
        f"  kubernetes cluster.local in-addr.arpa {{\n    kubeconfig {kubeconfig('dns')}\n  }}\n}}\n"
    )
    spawn("coredns", *FIRST.inside(programs / "coredns", "-conf", config))


def provisioner(programs: Path, pause: str) -> None:
    (RUN / "volumes").mkdir(exist_ok=True)
    spawn(
        "local-path-provisioner",
        *FIRST.inside(
            programs / "local-path-provisioner",
            "start",
            f"--config={write(RUN / 'provisioner.json', VOLUMES)}",
            f"--provisioner-name={PROVISIONER}",
            f"--helper-image={pause}",
            f"--namespace={STORAGE}",
            "--configmap-name=local-path-config",
            f"--kubeconfig={kubeconfig('storage')}",
            f"--helper-pod-file={write(RUN / 'helper-pod.json', helper_pod(pause))}",
        ),
    )


def proxy_may_read() -> dict[str, Any]:
    """kube-proxy's rights: nothing binds its user to the role that the API server brings for it."""
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": "skipjack-kube-proxy"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "system:node-proxier"},
        "subjects": [{"kind": "User", "name": "system:kube-proxy", "apiGroup": "rbac.authorization.k8s.io"}],
    }


def storage_objects(pause: str) -> list[dict[str, Any]]:
    """The default StorageClass and what its provisioner works with."""
    return [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": STORAGE}},
        # The helper pods that make and delete a volume's folder run as this one; it may do nothing at the API.
        {
            "apiVersion": "v1",
            "kind": "ServiceAccount",
            "automountServiceAccountToken": False,
            "metadata": {"name": "local-path-provisioner-service-account", "namespace": STORAGE},
        },
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": "local-path-config", "namespace": STORAGE},
            "data": {
                "config.json": json.dumps(VOLUMES),
                "setup": '#!/bin/sh\nset -eu\nmkdir -m 0777 -p "$VOL_DIR"\n',
                "teardown": '#!/bin/sh\nset -eu\nrm -rf "$VOL_DIR"\n',
                "helperPod.yaml": json.dumps(helper_pod(pause)),
            },
        },
        {
            "apiVersion": "storage.k8s.io/v1",
            "kind": "StorageClass",
            "provisioner": PROVISIONER,
            "reclaimPolicy": "Delete",
            "metadata": {"name": "local-path", "annotations": {"storageclass.kubernetes.io/is-default-class": "true"}},
            "volumeBindingMode": "WaitForFirstConsumer",
        },
    ]


def helper_pod(image: str) -> dict[str, Any]:
    container = {"name": "helper-pod", "image": image, "imagePullPolicy": "IfNotPresent"}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "helper-pod"},
        "spec": {"containers": [container]},
    }
