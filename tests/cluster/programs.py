"""The cluster's programs and the tests' servers, built from Go and npm modules once for each state of what locks them."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from .steps import CACHE, ROOT, Failed, key, sh, step

VERSION = "v1.36.3"
STAMP = (
    f"-s -w -X k8s.io/component-base/version.gitVersion={VERSION}"
    " -X k8s.io/component-base/version.gitMajor=1 -X k8s.io/component-base/version.gitMinor=36"
)
MODULES = ("containers", "kubernetes")
"""What a cluster takes; `checks` and `storage` are for tests alone. What uses Kubernetes' libraries is in one module: compiled once."""
COMPONENTS = ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "kube-proxy", "kubelet", "kubectl")
DEBIAN = {
    "runc": "runc",
    "iptables": "iptables",
    "ip": "iproute2",
    "mmdebstrap": "mmdebstrap",
    "openssl": "openssl",
    "nsenter": "util-linux",
}


def folder(module: str) -> Path:
    """Where the programs of tests/cluster/go/`module` are, once they are built."""
    return CACHE / "programs" / f"{module}-{key(ROOT / 'tests/cluster/go' / module)}"


def is_built(module: str) -> bool:
    return (folder(module) / ".done").is_file()


def build(module: str) -> Path:
    """The folder with the programs of tests/cluster/go/`module`."""
    source, target = ROOT / "tests/cluster/go" / module, folder(module)
    if is_built(module):
        return target
    target.mkdir(parents=True, exist_ok=True)
    environment = {"GOBIN": str(target), "CGO_ENABLED": "0", "GOFLAGS": "-buildvcs=false"}
    with step(f"building {module} from its Go modules"):
        if (source / "main.go").is_file():
            sh("go", "build", "-trimpath", "-ldflags", STAMP, "-o", target / module, ".", cwd=source, env=environment)
            for component in COMPONENTS:
                (target / component).unlink(missing_ok=True)
                (target / component).symlink_to(module)
        # One by one: two of them spell a library's name differently, which one command refuses.
        for tool in sh("go", "list", "-find", "tool", cwd=source).split():
            sh("go", "install", "-trimpath", "-ldflags", STAMP, tool, cwd=source, env=environment)
    (target / ".done").touch()
    return target


def install(package: str) -> Path:
    """The folder with the programs that tests/cluster/npm/`package` locks."""
    source = ROOT / "tests/cluster/npm" / package
    target = CACHE / "programs" / f"{package}-{key(source)}"
    if not (target / ".done").is_file():
        with step(f"installing {package} from its npm packages"):
            target.mkdir(parents=True, exist_ok=True)
            for file in ("package.json", "package-lock.json"):
                shutil.copyfile(source / file, target / file)
            sh("npm", "ci", "--omit=dev", "--ignore-scripts", "--no-audit", "--no-fund", cwd=target)
        (target / ".done").touch()
    return target / "node_modules/.bin"


def need_debian_packages() -> None:
    """Installs what is missing. Raises Failed where that can't be done."""
    paths = [*os.environ.get("PATH", "").split(":"), "/usr/sbin", "/sbin"]
    missing = [
        package for program, package in DEBIAN.items() if not any((Path(p) / program).is_file() for p in paths if p)
    ]
    if not missing:
        return
    if not Path("/usr/bin/apt-get").is_file():
        raise Failed(f"install {', '.join(missing)} first")
    with step(f"installing {', '.join(missing)}"):
        sh("apt-get", "update", "-qq")
        sh(
            "apt-get",
            "install",
            "-y",
            "-qq",
            "--no-install-recommends",
            *missing,
            env={"DEBIAN_FRONTEND": "noninteractive"},
        )
