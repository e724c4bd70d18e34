"""What the pod tells its trainer."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from skipjack.protocol import (
    ENV_ATTEMPT,
    ENV_INDEX,
    ENV_MASTER,
    ENV_MODEL_CACHE_BYTES,
    ENV_PLAIN_REGISTRIES,
    ENV_PROGRESS_URL,
    MODEL_CACHE_PATH,
    SPEC_PATH,
    TERMINATION_PATH,
    TOKEN_PATH,
)
from skipjack.resolve import ResolvedSpec

from .storage import Access
from .storage.cache import FOLDER


@dataclass(frozen=True, slots=True)
class Pod:
    """This pod's place in the gang and where its files are. Paths can be moved by SKIPJACK_ROOT, for running outside a pod."""

    attempt: int
    index: int
    master: str
    progress_url: str | None
    root: Path
    local_rank: int = 0
    model_cache_bytes: int = 0
    """0 without a cache."""
    plain_registries: frozenset[str] = frozenset()

    @classmethod
    def from_environment(cls) -> Pod:
        return cls(
            attempt=int(os.environ.get(ENV_ATTEMPT, "1")),
            index=int(os.environ.get(ENV_INDEX, "0")),
            master=os.environ.get(ENV_MASTER, "localhost"),
            progress_url=os.environ.get(ENV_PROGRESS_URL),
            root=Path(os.environ.get("SKIPJACK_ROOT", "/")),
            local_rank=int(os.environ.get("LOCAL_RANK", "0")),
            model_cache_bytes=int(os.environ.get(ENV_MODEL_CACHE_BYTES, "0")),
            plain_registries=frozenset(filter(None, os.environ.get(ENV_PLAIN_REGISTRIES, "").split(","))),
        )

    @property
    def speaks(self) -> bool:
        """Whether this process is the one of its pod that writes the pod's last word."""
        return self.local_rank == 0

    def at(self, path: str) -> Path:
        return self.root / path.removeprefix("/")

    @property
    def token_path(self) -> Path:
        return self.at(TOKEN_PATH)

    @property
    def termination_path(self) -> Path:
        return self.at(TERMINATION_PATH)

    def spec(self) -> ResolvedSpec:
        return ResolvedSpec.model_validate_json(self.at(SPEC_PATH).read_text())

    def access(self, spec: ResolvedSpec) -> Access:
        usual = Access()
        return Access(
            claims=self.at(str(usual.claims)),
            configmaps=self.at(str(usual.configmaps)),
            credentials=self.at(str(usual.credentials)),
            scratch=self.at(str(usual.scratch)),
            plain_registries=self.plain_registries,
            secrets={credential.uri_prefix: credential.secret_name for credential in spec.credentials},
            models=self.at(MODEL_CACHE_PATH) / FOLDER if self.model_cache_bytes else None,
            models_bytes=self.model_cache_bytes,
        )
