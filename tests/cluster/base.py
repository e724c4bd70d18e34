"""A stand-in for debian:trixie-slim where no registry has it: made of Debian's packages, as an OCI layout."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

from .registry import MANIFEST
from .steps import CACHE, sh, step

NAME = "debian:trixie-slim"
LAYOUT = CACHE / "base-1"
BUNDLE = Path("/etc/ssl/certs/ca-certificates.crt")
MEDIA = "application/vnd.oci.image"


def make() -> str:
    """The digest of the base in LAYOUT, with this machine's certificates: they are in no Dockerfile."""
    index = LAYOUT / "index.json"
    if not index.is_file():
        with step("making the base image from Debian's packages"):
            shutil.rmtree(LAYOUT, ignore_errors=True)
            blobs = LAYOUT / "blobs/sha256"
            blobs.mkdir(parents=True)
            manifest = put(blobs, image(blobs, bootstrap()), MANIFEST)
            (LAYOUT / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
            # Last, for it says that the rest is there.
            fresh = LAYOUT / "index.new"
            fresh.write_text(json.dumps({"schemaVersion": 2, "manifests": [manifest]}))
            fresh.replace(index)
    digest: str = json.loads(index.read_text())["manifests"][0]["digest"]
    return digest


def bootstrap() -> Path:
    """The root file system, as a tar file."""
    layer = LAYOUT / "layer.tar"
    certificates = f'--customize-hook=upload "{BUNDLE}" {BUNDLE}'
    sh("mmdebstrap", "--variant=minbase", "--include=ca-certificates", certificates, "trixie", layer, log="base")
    return layer


def image(blobs: Path, layer: Path) -> dict[str, object]:
    """The manifest of an image of that one layer, which is moved to the blobs."""
    with layer.open("rb") as source:
        digest = hashlib.file_digest(source, "sha256").hexdigest()
    size = layer.stat().st_size
    layer.replace(blobs / digest)
    trusted = [f"{name}={BUNDLE}" for name in ("SSL_CERT_FILE", "PIP_CERT", "REQUESTS_CA_BUNDLE")]
    config = {
        "architecture": "amd64",
        "os": "linux",
        "config": {"Env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", *trusted]},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest}"]},
    }
    return {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": put(blobs, config, f"{MEDIA}.config.v1+json"),
        "layers": [{"mediaType": f"{MEDIA}.layer.v1.tar", "digest": f"sha256:{digest}", "size": size}],
    }


def put(blobs: Path, value: object, media: str) -> dict[str, object]:
    """Keeps the value as a blob; its descriptor."""
    raw = json.dumps(value).encode()
    digest = hashlib.sha256(raw).hexdigest()
    (blobs / digest).write_bytes(raw)
    return {"mediaType": media, "digest": f"sha256:{digest}", "size": len(raw)}
