"""What a cluster needs beside its node: names, and volumes for claims."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from .network import NODE, inside
from .node import kubeconfig, write
from .steps import RUN, sh, spawn


def start(kubernetes: Path, storage: Path, pause: str) -> None:
    """CoreDNS and local-path-provisioner; what runs already is left alone."""
    dns(kubernetes)
    provisioner(kubernetes, storage, pause)


def dns(programs: Path) -> None:
    (RUN / "Corefile").write_text(
        f".:53 {{\n  bind {NODE}\n  errors\n  cache 5\n"
        f"  kubernetes cluster.local in-addr.arpa {{\n    kubeconfig {kubeconfig('dns')}\n  }}\n}}\n"
    )
    spawn("coredns", *inside(programs / "coredns", "-conf", RUN / "Corefile"))


def provisioner(kubernetes: Path, storage: Path, pause: str) -> None:
    """local-path-provisioner over one shared folder, so that ReadWriteMany works too."""
    objects: list[dict[str, Any]] = [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "local-path-storage"}},
        # The helper pods that make and delete a volume's folder run as this one; it may do nothing at the API.
        {
            "apiVersion": "v1",
            "kind": "ServiceAccount",
            "automountServiceAccountToken": False,
            "metadata": {"name": "local-path-provisioner-service-account", "namespace": "local-path-storage"},
        },
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": "local-path-config", "namespace": "local-path-storage"},
            "data": {
                "config.json": json.dumps({"sharedFileSystemPath": str(RUN / "volumes")}),
                "setup": '#!/bin/sh\nset -eu\nmkdir -m 0777 -p "$VOL_DIR"\n',
                "teardown": '#!/bin/sh\nset -eu\nrm -rf "$VOL_DIR"\n',
                "helperPod.yaml": json.dumps(
                    {
                        "apiVersion": "v1",
                        "kind": "Pod",
                        "metadata": {"name": "helper-pod"},
                        "spec": {
                            "containers": [{"name": "helper-pod", "image": pause, "imagePullPolicy": "IfNotPresent"}]
                        },
                    }
                ),
            },
        },
        {
            "apiVersion": "storage.k8s.io/v1",
            "kind": "StorageClass",
            "provisioner": "rancher.io/local-path",
            "reclaimPolicy": "Delete",
            "metadata": {"name": "local-path", "annotations": {"storageclass.kubernetes.io/is-default-class": "true"}},
            "volumeBindingMode": "WaitForFirstConsumer",
        },
        {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "ClusterRoleBinding",
            "metadata": {"name": "skipjack-kube-proxy"},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "system:node-proxier"},
            "subjects": [{"kind": "User", "name": "system:kube-proxy", "apiGroup": "rbac.authorization.k8s.io"}],
        },
    ]
    (RUN / "volumes").mkdir(exist_ok=True)
    config = write("provisioner.json", {"sharedFileSystemPath": str(RUN / "volumes")})
    helper = RUN / "helper-pod.yaml"
    helper.write_text(next(o for o in objects if o["kind"] == "ConfigMap")["data"]["helperPod.yaml"])
    kubectl = (kubernetes / "kubectl", "--kubeconfig", kubeconfig("admin"))
    sh(*kubectl, "apply", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": objects}))
    spawn(
        "local-path-provisioner",
        *inside(
            storage / "local-path-provisioner",
            "start",
            "--config",
            config,
            "--provisioner-name",
            "rancher.io/local-path",
            "--helper-image",
            pause,
            "--namespace",
            "local-path-storage",
            "--configmap-name",
            "local-path-config",
            "--kubeconfig",
            kubeconfig("storage"),
            "--helper-pod-file",
            helper,
        ),
    )
