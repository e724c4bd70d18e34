"""What a job may say of its pods: an allow-list, never a raw pod template."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, StringConstraints

from .common import APIModel, LabelKey, LabelValue, Name, Toleration
from .rules import either, matches, never

OURS_IN_LABELS = never(
    "^(skipjack[.]dev/|batch[.]kubernetes[.]io/|(job-name|controller-uid|app[.]kubernetes[.]io/managed-by)$)",
    "labels of skipjack.dev/ and batch.kubernetes.io/, job-name, controller-uid and app.kubernetes.io/managed-by are Skipjack's and "
    "Kubernetes' own: choose another key, example.com/team for example",
)
OURS_IN_ANNOTATIONS = never(
    "^(skipjack[.]dev|batch[.]kubernetes[.]io|(container[.]apparmor|seccomp)[.]security[.](alpha|beta)[.]kubernetes[.]io)/",
    "annotations of skipjack.dev/ and batch.kubernetes.io/ and those that loosen a pod's security are Skipjack's and Kubernetes' own: "
    "choose another key, example.com/owner for example",
)

RESERVED = "this variable is Skipjack's own or could load foreign code: choose another name, NCCL_DEBUG for example"

FOREIGN_CODE = never("PRELOAD|INJECTION|PLUGIN|TOOLS?_LIB", RESERVED)
"""How NVIDIA's, AMD's and OpenMP's libraries call the variables that name libraries to load."""

RUNS_CODE = (
    "LD_.*|PYTHON.*|GCONV_PATH|LOCPATH|NLSPATH|GLIBC_TUNABLES|BASH_ENV|ENV|PATH|CC|CXX|OPENSSL_.*|MPL.*|USE_.*",
    "NCCL_CONF_FILE|FI_PROVIDER_PATH|(IBV|RDMAV)_DRIVERS|CUDA_(HOME|PATH|CACHE_PATH)|PYTORCH_KERNEL_CACHE_PATH",
    "TRITON_.*|TORCH_.*|TORCHINDUCTOR_.*|TORCHDYNAMO_.*",
)
"""The loader, the interpreter, compilers, and libraries that take a library or a compiled kernel from a path. TORCH_* holds the switch
that lets pickles run code."""

SKIPJACKS_OWN = (
    "SKIPJACK_.*|JOB_.*|HOME|USER|LOGNAME|HOSTNAME|MALLOC_.*|OMP_NUM_THREADS|XDG_.*|HF_.*|HUGGING.*|TRANSFORMERS_.*|ACCELERATE_.*",
    "(CUDA|HIP|ROCR)_VISIBLE_DEVICES|NVIDIA_.*|((GROUP|ROLE|LOCAL)_)?(RANK|WORLD_SIZE)|MASTER_(ADDR|PORT)|TORCHELASTIC_.*",
    "(HTTP|HTTPS|NO|ALL)_PROXY|SSL.*|(REQUESTS_CA|CURL_CA)_BUNDLE",
)
"""What the pod is told by Skipjack, by its node and by its launcher: devices, places in the gang, caches, proxies, trust."""

TUNING = "HF_(HUB_(DOWNLOAD|ETAG)_TIMEOUT|HUB_DISABLE_XET|XET_.*)|TORCH_(NCCL_.*|LOGS|DISTRIBUTED_DEBUG|CPP_LOG_LEVEL)|TRANSFORMERS_VERBOSITY"
"""Of those, what only changes speed, patience or talk."""

EnvName = Annotated[
    str,
    StringConstraints(max_length=128),
    matches("^[A-Z][A-Z0-9_]*$", "a variable's name holds capitals, digits and '_', and begins with a capital: NCCL_DEBUG for example"),
    FOREIGN_CODE,
    either(never(f"^({'|'.join((*RUNS_CODE, *SKIPJACKS_OWN))})$", RESERVED), matches(f"^({TUNING})$", RESERVED)),
]  # fmt: skip


class EnvVar(APIModel):
    """An environment variable of the trainer."""

    name: EnvName = Field(description="Its name, in capitals.")
    value: Annotated[
        str,
        StringConstraints(max_length=4096),
        matches(r"^[^\x00]*$", "a variable's value can't hold the character NUL: remove it"),
    ] = Field(description="Its value.")


class PodSettings(APIModel):
    """What may be said of the trainer's pods. Never a raw pod template."""

    labels: Annotated[dict[Annotated[LabelKey, OURS_IN_LABELS], LabelValue], Field(max_length=32)] | None = Field(
        None, description="More labels."
    )
    annotations: (
        Annotated[
            dict[Annotated[LabelKey, OURS_IN_ANNOTATIONS], Annotated[str, StringConstraints(max_length=1024)]],
            Field(max_length=32),
        ]
        | None
    ) = Field(None, description="More annotations.")
    tolerations: Annotated[list[Toleration], Field(max_length=32)] | None = Field(None, description="More tolerations.")
    priority_class_name: Name | None = Field(None, description="PriorityClass of the pods.")
    env: Annotated[list[EnvVar], Field(max_length=64)] | None = Field(None, description="More environment variables.")
