"""Images without a Docker engine: buildkit builds our own Dockerfiles, a local registry keeps the layers."""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
import urllib.error
import urllib.request
from pathlib import Path

from .network import HOST
from .steps import CACHE, LOGS, ROOT, RUN, key, sh, spawn, step, wait

REGISTRY = f"{HOST}:5000"
BUILDKIT = RUN / "buildkit.sock"
BUNDLE = Path("/etc/ssl/certs/ca-certificates.crt")
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
SOURCES = {
    "operator": ("operator/Dockerfile", "requirements/uv.txt", "requirements/operator.txt", "operator/src"),
    "trainer": (
        "trainer-image/Dockerfile",
        "requirements/uv.txt",
        "requirements/trainer.txt",
        "operator/src/skipjack",
        "trainer-image/src",
    ),
}


def serve(programs: Path) -> None:
    """Registry and buildkit, on the host's side of the bridge."""
    config = RUN / "registry.yaml"
    config.write_text(
        json.dumps(
            {
                "version": 0.1,
                "storage": {"filesystem": {"rootdirectory": str(CACHE / "registry")}, "delete": {"enabled": True}},
                "http": {"addr": REGISTRY},
                "log": {"level": "warn"},
            }
        )
    )
    spawn("registry", programs / "registry", "serve", config, env={"OTEL_TRACES_EXPORTER": "none"})
    toml = RUN / "buildkitd.toml"
    toml.write_text(f'[registry."{REGISTRY}"]\n  http = true\n[worker.oci]\n  gc = true\n  maxUsedSpace = "16GB"\n')
    spawn(
        "buildkitd",
        programs / "buildkitd",
        "--config",
        toml,
        "--root",
        CACHE / "buildkit",
        "--addr",
        f"unix://{BUILDKIT}",
        "--containerd-worker=false",
        "--oci-worker-net=host",
        "--allow-insecure-entitlement=network.host",
    )
    wait("the registry answers", lambda: answers(f"http://{REGISTRY}/v2/"))
    wait("buildkit answers", BUILDKIT.exists)


def answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=3):
            return True
    except (urllib.error.URLError, OSError):
        return False


def reference(image: str) -> str:
    tag = key(*(ROOT / source for source in SOURCES[image]))
    return f"{REGISTRY}/skipjack/{image}:{tag}"


def build(image: str, programs: Path) -> str:
    """The reference of the image of this tree; built and pushed unless the registry has it."""
    name = reference(image)
    if has(name):
        return name
    dockerfile = ROOT / SOURCES[image][0]
    with step(f"building the {image} image (log: {LOGS}/image-{image}.log)"):
        buildctl(programs, name, ROOT, dockerfile.parent, f"image-{image}")
    return name


def build_base(programs: Path) -> str:
    """An image that sleeps, of the stand-in base alone: the pods' sandbox, and the storage provisioner's helper."""
    name = f"{REGISTRY}/skipjack/pause:1"
    if not has(name):
        with tempfile.TemporaryDirectory() as folder:
            (Path(folder) / "Dockerfile").write_text('FROM debian:trixie-slim\nENTRYPOINT ["sleep", "infinity"]\n')
            buildctl(programs, name, Path(folder), Path(folder), "image-pause")
    return name


def buildctl(programs: Path, name: str, context: Path, dockerfile: Path, log: str) -> None:
    base = base_layout()
    digest = json.loads((base / "index.json").read_text())["manifests"][0]["digest"]
    sh(
        programs / "buildctl",
        "--addr",
        f"unix://{BUILDKIT}",
        "build",
        "--progress=plain",
        "--frontend=dockerfile.v0",
        "--local",
        f"context={context}",
        "--local",
        f"dockerfile={dockerfile}",
        "--oci-layout",
        f"base={base}",
        "--opt",
        f"context:debian:trixie-slim=oci-layout://base@{digest}",
        "--opt",
        "force-network-mode=host",
        "--allow",
        "network.host",
        "--output",
        f"type=image,name={name},push=true,registry.insecure=true,compression=uncompressed",
        log=log,
    )


def has(name: str) -> bool:
    path, _, tag = name.removeprefix(f"{REGISTRY}/").rpartition(":")
    request = urllib.request.Request(
        f"http://{REGISTRY}/v2/{path}/manifests/{tag}", method="HEAD", headers={"Accept": MANIFEST}
    )
    try:
        with urllib.request.urlopen(request, timeout=5):
            return True
    except urllib.error.HTTPError as error:
        if error.code == 404:
            return False
        raise


def base_layout() -> Path:
    """debian:trixie-slim's stand-in as an OCI layout, with this machine's certificates: in no Dockerfile."""
    folder = CACHE / "base-1"
    if (folder / "index.json").is_file():
        return folder
    with step("making the base image from Debian's packages"):
        shutil.rmtree(folder, ignore_errors=True)
        blobs = folder / "blobs/sha256"
        blobs.mkdir(parents=True)
        layer = folder / "layer.tar"
        hook = f'--customize-hook=upload "{BUNDLE}" /etc/ssl/certs/ca-certificates.crt'
        sh(
            "mmdebstrap",
            "--variant=minbase",
            "--include=ca-certificates",
            hook,
            "trixie",
            layer,
            log="base",
        )
        with layer.open("rb") as source:
            digest = hashlib.file_digest(source, "sha256").hexdigest()
        size = layer.stat().st_size
        layer.replace(blobs / digest)
        environment = [f"{name}={BUNDLE}" for name in ("SSL_CERT_FILE", "PIP_CERT", "REQUESTS_CA_BUNDLE")]
        config = {
            "architecture": "amd64",
            "os": "linux",
            "config": {"Env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", *environment]},
            "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest}"]},
        }
        media = "application/vnd.oci.image"
        manifest = {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": put(blobs, config, f"{media}.config.v1+json"),
            "layers": [{"mediaType": f"{media}.layer.v1.tar", "digest": f"sha256:{digest}", "size": size}],
        }
        index = {"schemaVersion": 2, "manifests": [put(blobs, manifest, MANIFEST)]}
        (folder / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
        (folder / "index.json").write_text(json.dumps(index))
    return folder


def put(blobs: Path, value: object, media: str) -> dict[str, object]:
    raw = json.dumps(value).encode()
    digest = hashlib.sha256(raw).hexdigest()
    (blobs / digest).write_bytes(raw)
    return {"mediaType": media, "digest": f"sha256:{digest}", "size": len(raw)}
