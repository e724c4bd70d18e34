"""What a running cluster is to those who use it."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from .steps import RUN, Failed

STATE = RUN / "cluster.json"


@dataclass(frozen=True, slots=True)
class Cluster:
    """Where the API, the images and the tools are."""

    kubeconfig: str
    kubectl: str
    helm: str
    operator_image: str
    trainer_image: str
    hub_endpoint: str
    audit_log: str

    @classmethod
    def current(cls) -> Cluster:
        """The cluster that `up` brought up last. Raises Failed when there is none."""
        if not STATE.is_file():
            raise Failed("no cluster is up: make up")
        return cls(**json.loads(STATE.read_text()))

    def save(self) -> None:
        STATE.write_text(json.dumps(asdict(self), indent=1))

    def lines(self) -> list[str]:
        return [f"{key.upper()}={value}" for key, value in asdict(self).items()] + [
            f"export KUBECONFIG={Path(self.kubeconfig)}"
        ]
