"""The trainer's pod: one that Pod Security `restricted` accepts, whatever the spec says."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

from skipjack.api.v1alpha1 import FineTuneJobSpec, NodeTypeSpec
from skipjack.protocol import (
    CLAIMS_PATH,
    CONFIGMAPS_PATH,
    CREDENTIALS_PATH,
    ENV_ATTEMPT,
    ENV_MASTER,
    ENV_MODEL_CACHE_BYTES,
    ENV_PLAIN_REGISTRIES,
    ENV_PROGRESS_URL,
    MLFLOW_PASSWORD,
    MLFLOW_TOKEN,
    MLFLOW_USERNAME,
    MODEL_CACHE_PATH,
    SCRATCH_PATH,
    SPEC_ANNOTATION,
    SPEC_PATH,
    TOKEN_AUDIENCE,
    TOKEN_PATH,
)
from skipjack.resolve import ResolvedSpec

from .uris import claims_of, configmaps_of, written_claims_of

GRACE_SECONDS = 120
"""Long enough for a checkpoint."""

TOKEN_SECONDS = 3600
USER = 65532
CA_PATH = "/etc/skipjack/ca"
TRACKER_VARIABLES = (MLFLOW_TOKEN, MLFLOW_USERNAME, MLFLOW_PASSWORD)


@dataclass(frozen=True, slots=True)
class PodEnvironment:
    """What the installation says of every trainer's pod."""

    image: str
    progress_url: str
    hub_endpoint: str | None = None
    plain_registries: tuple[str, ...] = ()
    pull_secrets: tuple[str, ...] = ()
    ca_configmap: str | None = None
    proxies: dict[str, str] = field(default_factory=dict)
    model_caches: dict[str, str] = field(default_factory=dict)
    """Namespace → the claim there in which its jobs keep models for one another, `model_cache_bytes` at most."""
    model_cache_bytes: int = 0


def pod_spec(
    own: FineTuneJobSpec, spec: ResolvedSpec, kind: NodeTypeSpec, attempt: int, master: str, site: PodEnvironment
) -> dict[str, Any]:
    """The pod's spec of an attempt."""
    settings = own.pod
    tolerations = [*(kind.tolerations or ()), *((settings and settings.tolerations) or ())]
    volumes, mounts = _volumes(spec, site)
    pod: dict[str, Any] = {
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": GRACE_SECONDS,
        # A first process of a namespace has no default for SIGTERM: told to end while Python still starts, the trainer
        # would never hear of it and hold its hardware for the whole grace period. So the pod's sandbox is the first.
        "shareProcessNamespace": True,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": USER,
            "runAsGroup": USER,
            "fsGroup": USER,
            "fsGroupChangePolicy": "OnRootMismatch",
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [
            {
                "name": "trainer",
                "image": site.image,
                "terminationMessagePolicy": "File",
                "securityContext": {
                    "allowPrivilegeEscalation": False,
                    "readOnlyRootFilesystem": True,
                    "capabilities": {"drop": ["ALL"]},
                },
                "resources": _resources(spec),
                "env": _environment(own, spec, attempt, master, site),
                "volumeMounts": mounts,
            }
        ],
        "volumes": volumes,
    }
    optional = {
        "serviceAccountName": own.service_account_name,
        "nodeSelector": kind.node_selector,
        "runtimeClassName": kind.runtime_class_name,
        "priorityClassName": settings.priority_class_name if settings else None,
        "tolerations": [t.model_dump(by_alias=True, exclude_none=True) for t in tolerations],
        "imagePullSecrets": [{"name": name} for name in site.pull_secrets],
    }
    return pod | {key: value for key, value in optional.items() if value}


def _resources(spec: ResolvedSpec) -> dict[str, Any]:
    compute = spec.compute
    limits = {"cpu": compute.cpu_limit, "memory": compute.memory}
    requests = {"cpu": compute.cpu, "memory": compute.memory}
    if compute.accelerator_resource and compute.accelerators_per_node:
        limits[compute.accelerator_resource] = requests[compute.accelerator_resource] = str(
            compute.accelerators_per_node
        )
    return {"requests": requests, "limits": limits}


def _environment(
    own: FineTuneJobSpec, spec: ResolvedSpec, attempt: int, master: str, site: PodEnvironment
) -> list[dict[str, Any]]:
    ours = {
        ENV_ATTEMPT: str(attempt),
        ENV_MASTER: master,
        ENV_PROGRESS_URL: site.progress_url,
        "HF_HOME": f"{SCRATCH_PATH}/hub",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        "HOME": "/tmp",
        "MPLCONFIGDIR": "/tmp",
        "OMP_NUM_THREADS": str(threads(spec)),
        **site.proxies,
    }
    if spec.namespace in site.model_caches:
        ours[ENV_MODEL_CACHE_BYTES] = str(site.model_cache_bytes)
    if site.hub_endpoint:
        # A mirror takes large files by LFS, as the hub does too; Xet's store is the hub's own.
        ours |= {"HF_ENDPOINT": site.hub_endpoint, "HF_HUB_DISABLE_XET": "1"}
    if site.plain_registries:
        ours[ENV_PLAIN_REGISTRIES] = ",".join(site.plain_registries)
    if site.ca_configmap:
        ours |= dict.fromkeys(("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"), f"{CA_PATH}/ca.crt")
    theirs = {variable.name: variable.value for variable in (own.pod and own.pod.env) or ()}
    secret = _tracker_secrets(spec)
    plain = {name: value for name, value in (theirs | ours).items() if name not in secret}
    return [{"name": name, "value": value} for name, value in sorted(plain.items())] + [
        {"name": name, "valueFrom": {"secretKeyRef": source}} for name, source in sorted(secret.items())
    ]


def _tracker_secrets(spec: ResolvedSpec) -> dict[str, dict[str, Any]]:
    """Variable → the Secret's key that it is taken from. Only these names: a Secret's others could load foreign code.

    A Secret or a key that is missing holds up no pod: the tracker will say that it was refused.
    """
    return {
        variable: {"name": integration.secret_name, "key": variable, "optional": True}
        for integration in spec.integrations
        if integration.secret_name
        for variable in TRACKER_VARIABLES
    }


def threads(spec: ResolvedSpec) -> int:
    """CPU threads a process may use: its share of the limit, rounded up."""
    limit = spec.compute.cpu_limit
    cores = float(limit[:-1]) / 1000 if limit.endswith("m") else float(limit)
    return max(1, math.ceil(cores / spec.compute.processes_per_node))


def _volumes(spec: ResolvedSpec, site: PodEnvironment) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    written = written_claims_of(spec)
    token_folder, _, token_file = TOKEN_PATH.rpartition("/")
    spec_folder, _, spec_file = SPEC_PATH.rpartition("/")
    claims, cache = claims_of(spec), site.model_caches.get(spec.namespace)
    volumes: list[tuple[dict[str, Any], dict[str, Any]]] = [
        ({"name": "tmp", "emptyDir": {}}, {"mountPath": "/tmp"}),
        ({"name": "scratch", "emptyDir": {}}, {"mountPath": SCRATCH_PATH}),
        ({"name": "shm", "emptyDir": {"medium": "Memory"}}, {"mountPath": "/dev/shm"}),
        (
            {
                "name": "token",
                "projected": {
                    "sources": [
                        {
                            "serviceAccountToken": {
                                "audience": TOKEN_AUDIENCE,
                                "expirationSeconds": TOKEN_SECONDS,
                                "path": token_file,
                            }
                        }
                    ]
                },
            },
            {"mountPath": token_folder, "readOnly": True},
        ),
        (
            {
                "name": "podinfo",
                "downwardAPI": {
                    "items": [
                        {"path": spec_file, "fieldRef": {"fieldPath": f"metadata.annotations['{SPEC_ANNOTATION}']"}}
                    ]
                },
            },
            {"mountPath": spec_folder, "readOnly": True},
        ),
    ]
    beside: list[dict[str, Any]] = []
    for number, claim in enumerate(sorted({*claims, *([cache] if cache else [])})):
        name, only_read = f"claim-{number}", claim not in written and claim != cache
        volume = {"name": name, "persistentVolumeClaim": {"claimName": claim, "readOnly": only_read}}
        places = [{"mountPath": f"{CLAIMS_PATH}/{claim}", "readOnly": claim not in written}] if claim in claims else []
        # A claim that is two volumes of one pod keeps it from starting: it is mounted twice instead.
        places += [{"mountPath": MODEL_CACHE_PATH}] if claim == cache else []
        volumes.append((volume, places[0]))
        beside += [{"name": name, **place} for place in places[1:]]
    for number, name in enumerate(configmaps_of(spec)):
        volume = {"name": f"configmap-{number}", "configMap": {"name": name, "optional": True}}
        volumes.append((volume, {"mountPath": f"{CONFIGMAPS_PATH}/{name}", "readOnly": True}))
    for number, name in enumerate(sorted({credential.secret_name for credential in spec.credentials})):
        volume = {"name": f"secret-{number}", "secret": {"secretName": name, "optional": True, "defaultMode": 0o440}}
        volumes.append((volume, {"mountPath": f"{CREDENTIALS_PATH}/{name}", "readOnly": True}))
    if site.ca_configmap:
        volumes.append(
            (
                {"name": "ca", "configMap": {"name": site.ca_configmap, "optional": True}},
                {"mountPath": CA_PATH, "readOnly": True},
            )
        )
    mounts = [{"name": volume["name"], **mount} for volume, mount in volumes]
    return [volume for volume, _ in volumes], [*mounts, *beside]
