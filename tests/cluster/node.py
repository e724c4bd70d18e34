"""One node and its control plane: each program with its configuration, in the node's network namespace."""

from __future__ import annotations

import json
import secrets
import ssl
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from .images import REGISTRY
from .network import NODE, PODS, SERVICES, inside
from .steps import CACHE, RUN, sh, spawn, wait

NAME = "skipjack-n1"
API = f"https://{NODE}:6443"
AUDIT = RUN / "audit.log"
CONTAINERD = RUN / "containerd.sock"
CGROUP = "skipjack"
USERS = {
    "admin": ("admin", "system:masters"),
    "manager": ("system:kube-controller-manager", ""),
    "scheduler": ("system:kube-scheduler", ""),
    "proxy": ("system:kube-proxy", ""),
    "kubelet": (f"system:node:{NAME}", "system:nodes"),
    "dns": ("skipjack-dns", "system:masters"),
    "storage": ("skipjack-storage", "system:masters"),
}


def start(kubernetes: Path, containers: Path, pause: str) -> None:
    """Everything that a node and its control plane need; what runs already is left alone."""
    control_plane(kubernetes)
    containerd(containers, kubernetes, pause)
    kubelet(kubernetes)
    write(
        "proxy.yaml",
        {
            "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
            "kind": "KubeProxyConfiguration",
            "mode": "iptables",
            "clusterCIDR": PODS,
            "clientConnection": {"kubeconfig": str(kubeconfig("proxy"))},
            "hostnameOverride": NAME,
            "oomScoreAdj": 0,
            "conntrack": {"maxPerCore": 0, "min": 0, "tcpEstablishedTimeout": "0s", "tcpCloseWaitTimeout": "0s"},
        },
    )
    spawn("kube-proxy", *inside(kubernetes / "kube-proxy", "--config", RUN / "proxy.yaml"))


def control_plane(programs: Path) -> None:
    RUN.mkdir(parents=True, exist_ok=True)
    key = RUN / "service-account.key"
    if not key.exists():
        sh("openssl", "genrsa", "-out", key, "2048")
    tokens = RUN / "tokens.csv"
    if not tokens.exists():
        lines = [f'{secrets.token_hex(16)},{user},{short},"{group}"' for short, (user, group) in USERS.items()]
        tokens.write_text("\n".join(lines) + "\n")
        tokens.chmod(0o600)
    write(
        "audit.yaml",
        {
            "apiVersion": "audit.k8s.io/v1",
            "kind": "Policy",
            "omitStages": ["RequestReceived"],
            "rules": [{"level": "Metadata", "verbs": ["create", "update", "patch", "delete"]}, {"level": "None"}],
        },
    )
    spawn(
        "etcd",
        *inside(
            programs / "server",
            "--data-dir",
            RUN / "etcd",
            "--unsafe-no-fsync",
            "--listen-client-urls",
            "http://127.0.0.1:2379",
            "--advertise-client-urls",
            "http://127.0.0.1:2379",
            "--listen-peer-urls",
            "http://127.0.0.1:2380",
            "--log-level",
            "warn",
        ),
    )
    spawn(
        "kube-apiserver",
        *inside(
            programs / "kube-apiserver",
            "--etcd-servers=http://127.0.0.1:2379",
            f"--service-cluster-ip-range={SERVICES}",
            f"--advertise-address={NODE}",
            f"--cert-dir={RUN / 'certs'}",
            f"--token-auth-file={tokens}",
            "--authorization-mode=Node,RBAC",
            f"--service-account-key-file={key}",
            f"--service-account-signing-key-file={key}",
            "--service-account-issuer=https://kubernetes.default.svc",
            "--allow-privileged",
            "--kubelet-preferred-address-types=InternalIP",
            f"--audit-log-path={AUDIT}",
            f"--audit-policy-file={RUN / 'audit.yaml'}",
        ),
    )
    wait("the API server is ready", ready)
    manager = kubeconfig("manager")
    spawn(
        "kube-controller-manager",
        *inside(
            programs / "kube-controller-manager",
            f"--kubeconfig={manager}",
            f"--authentication-kubeconfig={manager}",
            f"--authorization-kubeconfig={manager}",
            f"--service-account-private-key-file={key}",
            f"--root-ca-file={RUN / 'certs/apiserver.crt'}",
            "--use-service-account-credentials",
            "--leader-elect=false",
            f"--cert-dir={RUN / 'certs/manager'}",
        ),
    )
    scheduler = kubeconfig("scheduler")
    spawn(
        "kube-scheduler",
        *inside(
            programs / "kube-scheduler",
            f"--kubeconfig={scheduler}",
            f"--authentication-kubeconfig={scheduler}",
            f"--authorization-kubeconfig={scheduler}",
            "--leader-elect=false",
            f"--cert-dir={RUN / 'certs/scheduler'}",
        ),
    )


def ready() -> bool:
    try:
        unverified = ssl._create_unverified_context()
        request = urllib.request.Request(f"{API}/readyz", headers={"Authorization": f"Bearer {token('admin')}"})
        with urllib.request.urlopen(request, timeout=2, context=unverified) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def token(short: str) -> str:
    lines = (RUN / "tokens.csv").read_text().splitlines()
    return next(line.split(",")[0] for line in lines if line.split(",")[2] == short)


def kubeconfig(short: str) -> Path:
    """A kubeconfig for one of USERS."""
    return write(
        f"{short}.kubeconfig",
        {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "skipjack",
            "clusters": [
                {
                    "name": "skipjack",
                    "cluster": {"server": API, "certificate-authority": str(RUN / "certs/apiserver.crt")},
                }
            ],
            "users": [{"name": short, "user": {"token": token(short)}}],
            "contexts": [{"name": "skipjack", "context": {"cluster": "skipjack", "user": short}}],
        },
    )


def containerd(containers: Path, kubernetes: Path, pause: str) -> None:
    plugins = RUN / "cni"
    plugins.mkdir(parents=True, exist_ok=True)
    (plugins / "10-skipjack.conflist").write_text(
        json.dumps(
            {
                "cniVersion": "1.0.0",
                "name": "skipjack",
                "plugins": [
                    {
                        "type": "bridge",
                        "bridge": "cni0",
                        "isGateway": True,
                        "hairpinMode": True,
                        "ipam": {
                            "type": "host-local",
                            "ranges": [[{"subnet": PODS}]],
                            "routes": [{"dst": "0.0.0.0/0"}],
                            "dataDir": str(RUN / "ipam"),
                        },
                    },
                    {"type": "portmap", "capabilities": {"portMappings": True}},
                ],
            }
        )
    )
    hosts = RUN / "certs.d" / REGISTRY
    hosts.mkdir(parents=True, exist_ok=True)
    (hosts / "hosts.toml").write_text(
        f'server = "http://{REGISTRY}"\n[host."http://{REGISTRY}"]\n  capabilities = ["pull", "resolve"]\n'
    )
    config = RUN / "containerd.toml"
    config.write_text(f"""version = 3
root = "{CACHE / "containerd"}"
state = "{RUN / "containerd"}"
[grpc]
  address = "{CONTAINERD}"
[plugins.'io.containerd.cri.v1.images']
  discard_unpacked_layers = true
[plugins.'io.containerd.cri.v1.images'.pinned_images]
  sandbox = "{pause}"
[plugins.'io.containerd.cri.v1.images'.registry]
  config_path = "{RUN / "certs.d"}"
[plugins.'io.containerd.cri.v1.runtime']
  netns_mounts_under_state_dir = true
  restrict_oom_score_adj = true
  tolerate_missing_hugetlb_controller = true
[plugins.'io.containerd.cri.v1.runtime'.cni]
  bin_dirs = ["{kubernetes}"]
  conf_dir = "{plugins}"
[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc]
  runtime_type = "io.containerd.runc.v2"
[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc.options]
  SystemdCgroup = false
""")
    path = f"{containers}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    spawn("containerd", *inside(containers / "containerd", "--config", config), env={"PATH": path})
    wait("containerd answers", CONTAINERD.exists)


def kubelet(programs: Path) -> None:
    for controller in Path("/sys/fs/cgroup").iterdir():
        folder = controller / CGROUP
        if controller.name != "unified" and not controller.is_symlink():
            folder.mkdir(exist_ok=True)
            for name in ("cpuset.cpus", "cpuset.mems"):
                if (controller / name).exists():
                    (folder / name).write_text((controller / name).read_text())
    write(
        "kubelet.yaml",
        {
            "apiVersion": "kubelet.config.k8s.io/v1beta1",
            "kind": "KubeletConfiguration",
            "cgroupDriver": "cgroupfs",
            "cgroupRoot": f"/{CGROUP}",
            "failCgroupV1": False,
            "failSwapOn": False,
            "oomScoreAdj": 0,
            "clusterDNS": [NODE],
            "clusterDomain": "cluster.local",
            "resolvConf": "",
            "authentication": {"anonymous": {"enabled": True}, "webhook": {"enabled": False}},
            "authorization": {"mode": "AlwaysAllow"},
            "imageGCHighThresholdPercent": 100,
            "imageGCLowThresholdPercent": 99,
            "podLogsDir": str(RUN / "pod-logs"),
            "evictionHard": {"memory.available": "100Mi", "nodefs.available": "1%", "imagefs.available": "1%"},
            "containerRuntimeEndpoint": f"unix://{CONTAINERD}",
            "serializeImagePulls": False,
            "staticPodPath": "",
        },
    )
    spawn(
        "kubelet",
        *inside(
            programs / "kubelet",
            f"--config={RUN / 'kubelet.yaml'}",
            f"--kubeconfig={kubeconfig('kubelet')}",
            f"--hostname-override={NAME}",
            f"--node-ip={NODE}",
            f"--root-dir={RUN / 'kubelet'}",
            f"--cert-dir={RUN / 'kubelet-certs'}",
        ),
    )


def write(name: str, value: dict[str, Any]) -> Path:
    """A configuration file; JSON is YAML too."""
    place = RUN / name
    text = json.dumps(value, indent=1)
    # Untouched when it says that already: kube-proxy ends itself when its file is written to.
    if not place.exists() or place.read_text() != text:
        place.write_text(text)
    return place
