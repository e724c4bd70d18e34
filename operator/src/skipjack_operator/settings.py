"""What the operator is told by its Deployment."""

from __future__ import annotations

import os
from dataclasses import dataclass

from skipjack.api.v1alpha1.rules import quantity
from skipjack.protocol import ENV_PLAIN_REGISTRIES
from skipjack_operator.manifests import PodEnvironment


@dataclass(frozen=True, slots=True)
class Settings:
    """From environment variables, once."""

    namespace: str
    pod_name: str | None
    watch_namespaces: tuple[str, ...]
    log_level: str
    pods: PodEnvironment

    @classmethod
    def from_environment(cls) -> Settings:
        def words(name: str) -> tuple[str, ...]:
            return tuple(word.strip() for word in os.environ.get(name, "").split(",") if word.strip())

        proxies = {name: os.environ[name] for name in ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY") if os.environ.get(name)}
        return cls(
            namespace=os.environ.get("SKIPJACK_NAMESPACE", "skipjack-system"),
            pod_name=os.environ.get("SKIPJACK_POD_NAME"),
            watch_namespaces=words("SKIPJACK_WATCH_NAMESPACES"),
            log_level=os.environ.get("SKIPJACK_LOG_LEVEL", "INFO"),
            pods=PodEnvironment(
                image=os.environ["SKIPJACK_TRAINER_IMAGE"],
                progress_url=os.environ["SKIPJACK_PROGRESS_URL"],
                hub_endpoint=os.environ.get("SKIPJACK_HUB_ENDPOINT") or None,
                plain_registries=words(ENV_PLAIN_REGISTRIES),
                pull_secrets=words("SKIPJACK_IMAGE_PULL_SECRETS"),
                ca_configmap=os.environ.get("SKIPJACK_CA_CONFIGMAP") or None,
                proxies=proxies,
                model_caches=dict(pair.split("=", 1) for pair in words("SKIPJACK_MODEL_CACHES")),
                model_cache_bytes=int(quantity(os.environ.get("SKIPJACK_MODEL_CACHE_SIZE", "0"))),
            ),
        )
