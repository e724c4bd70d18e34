"""What makes a node of a namespace: containerd, kubelet and kube-proxy, each with its configuration."""

from __future__ import annotations

from pathlib import Path

from . import groups
from .access import is_healthy, kubeconfig
from .network import PODS
from .node import FIRST, Node
from .registry import REGISTRY
from .steps import listens, spawn, wait, write

PROGRAMS = ("kubelet", "kube-proxy", "containerd")
"""In the order in which they are ended."""


def containerd(node: Node, containers: Path, kubernetes: Path, pause: str) -> None:
    """The node's containers. `kubernetes` holds the CNI plugins; it may still be empty."""
    networks = node.folder / "cni"
    write(networks / "10-skipjack.conflist", network(node))
    mirrors = node.folder / "certs.d"
    hosts = mirrors / REGISTRY / "hosts.toml"
    hosts.parent.mkdir(parents=True, exist_ok=True)
    hosts.write_text(
        f'server = "http://{REGISTRY}"\n[host."http://{REGISTRY}"]\n  capabilities = ["pull", "resolve"]\n'
    )
    config = node.folder / "containerd.toml"
    config.write_text(f"""version = 3
root = "{node.store}"
state = "{node.folder / "containerd"}"
[grpc]
  address = "{node.containerd}"
[plugins.'io.containerd.internal.v1.opt']
  path = "{node.folder / "opt"}"
[plugins.'io.containerd.nri.v1.nri']
  disable = true
[plugins.'io.containerd.cri.v1.images']
  discard_unpacked_layers = true
[plugins.'io.containerd.cri.v1.images'.pinned_images]
  sandbox = "{pause}"
[plugins.'io.containerd.cri.v1.images'.registry]
  config_path = "{mirrors}"
[plugins.'io.containerd.cri.v1.runtime']
  netns_mounts_under_state_dir = true
  restrict_oom_score_adj = true
  tolerate_missing_hugetlb_controller = true
[plugins.'io.containerd.cri.v1.runtime'.cni]
  bin_dirs = ["{kubernetes}"]
  conf_dir = "{networks}"
[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc]
  runtime_type = "io.containerd.runc.v2"
[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc.options]
  Root = "{node.folder / "runc"}"
  SystemdCgroup = false
""")
    path = f"{containers}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    command = node.inside(containers / "containerd", "--config", config)
    spawn(node.process("containerd"), *command, env={"PATH": path})
    wait(f"containerd of {node.name} answers", lambda: listens(node.containerd))


def network(node: Node) -> dict[str, object]:
    """The CNI configuration: a bridge of the node's own, addresses from its subnet, no masquerading."""
    return {
        "cniVersion": "1.0.0",
        "name": node.name,
        "plugins": [
            {
                "type": "bridge",
                "bridge": "cni0",
                "isGateway": True,
                "hairpinMode": True,
                "ipam": {
                    "type": "host-local",
                    "ranges": [[{"subnet": node.pods}]],
                    "routes": [{"dst": "0.0.0.0/0"}],
                    "dataDir": str(node.folder / "ipam"),
                },
            },
            {"type": "portmap", "capabilities": {"portMappings": True}},
        ],
    }


def kubelet(node: Node, programs: Path) -> None:
    groups.make(node)
    config = write(
        node.folder / "kubelet.yaml",
        {
            "apiVersion": "kubelet.config.k8s.io/v1beta1",
            "kind": "KubeletConfiguration",
            "cgroupDriver": "cgroupfs",
            "cgroupRoot": f"/{node.name}",
            "failCgroupV1": False,
            "failSwapOn": False,
            "oomScoreAdj": 0,
            "clusterDNS": [FIRST.address],
            "clusterDomain": "cluster.local",
            "resolvConf": "",
            "authentication": {"anonymous": {"enabled": True}, "webhook": {"enabled": False}},
            "authorization": {"mode": "AlwaysAllow"},
            "imageGCHighThresholdPercent": 100,
            "imageGCLowThresholdPercent": 99,
            "podLogsDir": str(node.folder / "pod-logs"),
            "evictionHard": {"memory.available": "100Mi", "nodefs.available": "1%", "imagefs.available": "1%"},
            "containerRuntimeEndpoint": f"unix://{node.containerd}",
            "serializeImagePulls": False,
            "staticPodPath": "",
            "volumePluginDir": str(node.folder / "volume-plugins"),
        },
    )
    spawn(
        node.process("kubelet"),
        *node.inside(
            programs / "kubelet",
            f"--config={config}",
            f"--kubeconfig={kubeconfig(node.name)}",
            f"--hostname-override={node.name}",
            f"--node-ip={node.address}",
            f"--root-dir={node.folder / 'kubelet'}",
            f"--cert-dir={node.folder / 'kubelet-certs'}",
        ),
    )


def proxy(node: Node, programs: Path) -> None:
    config = write(
        node.folder / "proxy.yaml",
        {
            "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
            "kind": "KubeProxyConfiguration",
            "mode": "iptables",
            "clusterCIDR": PODS,
            "clientConnection": {"kubeconfig": str(kubeconfig("proxy"))},
            "hostnameOverride": node.name,
            "oomScoreAdj": 0,
            "conntrack": {"maxPerCore": 0, "min": 0, "tcpEstablishedTimeout": "0s", "tcpCloseWaitTimeout": "0s"},
        },
    )
    spawn(node.process("kube-proxy"), *node.inside(programs / "kube-proxy", "--config", config))


def kubelet_answers(node: Node) -> bool:
    return is_healthy(f"https://{node.address}:10250/healthz")
