"""Two nodes: pods that meet over them by name and by volume, and a node that is lost and comes back."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.cluster import Cluster
from tests.cluster.node import NODES
from tests.support.kubectl import CommandFailed, Kubectl, condition, is_true
from tests.support.two_nodes import NEEDS_TWO_NODES, SECOND, cluster

pytestmark = NEEDS_TWO_NODES
MEET = """
import os, pathlib, socket, threading, time
index = int(os.environ["JOB_COMPLETION_INDEX"])
shared = pathlib.Path("/shared")
(shared / f"from-{index}").write_text(os.environ["NODE"])
server = socket.create_server(("", 8000))

def meet():
    while True:
        try:
            return socket.create_connection((f"meeting-{1 - index}.meeting", 8000), timeout=5)
        except OSError as error:
            print("not yet:", error, flush=True)
            time.sleep(0.5)

caller = meet()
caller.sendall(os.environ["NODE"].encode())
caller.shutdown(socket.SHUT_WR)
heard = server.accept()[0].makefile().read()
while not (shared / f"from-{1 - index}").exists():
    time.sleep(0.2)
print("I am on", os.environ["NODE"], "heard", heard, "read", (shared / f"from-{1 - index}").read_text(), flush=True)
"""


@pytest.fixture
def kubectl() -> Iterator[Kubectl]:
    namespace = "two-nodes"
    kubectl = Kubectl.of(Cluster.current(), namespace)
    kubectl("delete", "namespace", namespace, "--ignore-not-found", timeout_seconds=120)
    kubectl("create", "namespace", namespace)
    yield kubectl
    kubectl("delete", "namespace", namespace, "--wait=false")


def meeting(image: str) -> list[dict[str, Any]]:
    """Two pods, one a node, that meet by name and leave each other a file."""
    labels = {"job-name": "meeting"}
    pod = {
        "subdomain": "meeting",
        "restartPolicy": "Never",
        "topologySpreadConstraints": [
            {
                "maxSkew": 1,
                "topologyKey": "kubernetes.io/hostname",
                "whenUnsatisfiable": "DoNotSchedule",
                "labelSelector": {"matchLabels": labels},
            }
        ],
        "containers": [
            {
                "name": "meet",
                "image": image,
                "command": ["python3", "-c", MEET],
                "env": [{"name": "NODE", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}}],
                "volumeMounts": [{"name": "shared", "mountPath": "/shared"}],
            }
        ],
        "volumes": [{"name": "shared", "persistentVolumeClaim": {"claimName": "shared"}}],
    }
    return [
        {
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "metadata": {"name": "shared"},
            "spec": {"accessModes": ["ReadWriteMany"], "resources": {"requests": {"storage": "1Mi"}}},
        },
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": "meeting"},
            "spec": {"clusterIP": "None", "selector": labels, "publishNotReadyAddresses": True},
        },
        {
            "apiVersion": "batch/v1",
            "kind": "Job",
            "metadata": {"name": "meeting"},
            "spec": {
                "completionMode": "Indexed",
                "completions": 2,
                "parallelism": 2,
                "backoffLimit": 0,
                "template": {"spec": pod},
            },
        },
    ]


def test_pods_on_two_nodes_reach_each_other_by_name_and_share_a_volume(kubectl: Kubectl) -> None:
    items = meeting(Cluster.current().operator_image)
    kubectl("apply", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": items}))
    kubectl.until("job", "meeting", is_true("Complete"), timeout_seconds=90)
    told = {
        kubectl("logs", pod["metadata"]["name"]).splitlines()[-1] for pod in kubectl.list("pods", "job-name=meeting")
    }
    one, two = (node.name for node in NODES)
    assert told == {f"I am on {one} heard {two} read {two}", f"I am on {two} heard {one} read {one}"}


def test_a_node_is_lost_and_comes_back(kubectl: Kubectl) -> None:
    cluster("lose", "2")
    try:
        kubectl.until("node", SECOND.name, lambda node: condition(node, "Ready")["status"] == "Unknown", 120)
        assert is_true("Ready")(kubectl.get("node", NODES[0].name))
        with pytest.raises(CommandFailed):
            kubectl("get", "--raw", f"/api/v1/nodes/{SECOND.name}/proxy/healthz", timeout_seconds=60)
    finally:
        cluster("up")
    assert is_true("Ready")(kubectl.get("node", SECOND.name))
    assert kubectl("get", "--raw", f"/api/v1/nodes/{SECOND.name}/proxy/healthz") == "ok"
