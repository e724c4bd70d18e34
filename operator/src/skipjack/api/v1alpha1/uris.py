"""URIs of models, data and results. What a pod is built from, a claim's or ConfigMap's name, is judged here."""

from __future__ import annotations

from typing import Annotated

from pydantic import StringConstraints

from .common import LABEL, SUBDOMAIN
from .rules import matches, never, with_scheme

PART = r"[^\x00-\x20\x7f/?#]+"
REPOSITORY = r"[A-Za-z0-9_]+((-|\.|-\.|\.-)[A-Za-z0-9_]+)*"
HUB_NAME = rf"{REPOSITORY}/{REPOSITORY}(@[A-Za-z0-9._-]+)?"

URI = StringConstraints(max_length=1024)

NO_CLIMBING = never(
    r"^[a-z0-9]+://.*/\.\.?(/|$)",
    "no part of the path may be '.' or '..', which could climb out of the source: pvc://data/a.jsonl for example",
)
SHORT_NAMES = never(
    "^(pvc|configmap)://[^/]{254}",
    "the name of a claim or ConfigMap has at most 253 characters: pvc://models/support-bot for example",
)
CLAIM = with_scheme(
    "pvc",
    rf"{SUBDOMAIN}(/{PART})*/?",
    "pvc://CLAIM/PATH names a PersistentVolumeClaim (lower-case letters, digits, '-' and '.') and a path without empty parts, spaces, "
    "'?' or '#': pvc://models/support-bot for example",
)
HUB = with_scheme(
    "hf",
    rf"{HUB_NAME}/?",
    "hf://ORG/NAME or hf://ORG/NAME@REVISION names a repository of the hub by letters, digits, '-', '_' and '.': "
    "hf://HuggingFaceTB/SmolLM2-135M-Instruct for example",
)
HUB_DATA = with_scheme(
    "hf",
    rf"(datasets/)?{HUB_NAME}(/{PART})*/?",
    "hf://datasets/ORG/NAME[@REVISION]/PATH names a repository of the hub and files in it: hf://datasets/org/chats/train.jsonl for example",
)
NO_DATASET = never("^hf://datasets/", "a dataset is no model: hf://HuggingFaceTB/SmolLM2-135M-Instruct for example")
WHOLE_DATASET = never("^hf://datasets/[^/]*/?$", HUB_DATA.message)
SHORT_HUB_NAMES = never(
    "^hf://(datasets/)?([^/]{97}|[^/]+/[^/@]{97})",
    "ORG and NAME of hf:// have at most 96 characters each: hf://HuggingFaceTB/SmolLM2-135M-Instruct for example",
)
CONFIGMAP = with_scheme(
    "configmap",
    rf"{SUBDOMAIN}/([-_a-zA-Z0-9*]|\.[-_a-zA-Z0-9*])[-._a-zA-Z0-9*]{{0,251}}",
    "configmap://NAME/KEY names a ConfigMap (lower-case letters, digits, '-' and '.') and one of its keys (at most 253 letters, digits, "
    "'-', '_' and '.'; '*' stands for any): configmap://support/train.jsonl for example",
)
HTTPS = with_scheme(
    "https",
    r"[^\x00-\x20\x7f/?#]+(/[^\x00-\x20\x7f?#]*)?",
    "https://HOST/PATH holds no spaces, '?' or '#': https://example.com/train.jsonl for example",
)
NO_PASSWORD = never(
    "^[a-z0-9]+://[^/]*@",
    "a URI holds no user or password: name a Secret in spec.credentials, and write https://example.com/train.jsonl for example",
)

S3 = with_scheme(
    "s3",
    rf"{LABEL}(\.{LABEL})*(/{PART})*/?",
    "s3://BUCKET/PATH names a bucket (lower-case letters, digits, '-' and '.') and a path without empty parts, spaces, '?' or '#': "
    "s3://models/support-bot for example",
)
AZURE = with_scheme(
    "az",
    rf"[a-z0-9]+(-[a-z0-9]+)*(/{PART})*/?",
    "az://CONTAINER/PATH names a container (lower-case letters, digits and single '-') and a path without empty parts, spaces, '?' or '#': "
    "az://models/support-bot for example",
)
GOOGLE = with_scheme(
    "gs",
    rf"[a-z0-9]([-_.a-z0-9]*[a-z0-9])?(/{PART})*/?",
    "gs://BUCKET/PATH names a bucket (lower-case letters, digits, '-', '_' and '.') and a path without empty parts, spaces, '?' or '#': "
    "gs://models/support-bot for example",
)
BUCKET_LENGTHS = never(
    "^(s3|az|gs)://([^/]{0,2}(/|$)|[^/]{64})",
    "the name of a bucket or container has 3 to 63 characters: s3://models/support-bot for example",
)
NO_ADDRESS = never(
    r"^s3://[0-9]+(\.[0-9]+){3}(/|$)",
    "a bucket isn't named by an IP address: name the endpoint in the Secret of spec.credentials, and the bucket as s3://models/support-bot for example",
)
REGISTRY = r"[A-Za-z0-9.-]+(:[0-9]+)?"
COMPONENT = "[a-z0-9]+((\\.|_|__|-+)[a-z0-9]+)*"
ARTIFACTS = rf"{REGISTRY}/{COMPONENT}(/{COMPONENT})*"
TAG = "[A-Za-z0-9_][A-Za-z0-9._-]{0,127}"
DIGEST = "sha256:[0-9a-f]{64}"
ARTIFACT = with_scheme(
    "oci",
    rf"{ARTIFACTS}((:{TAG}(@{DIGEST})?|@{DIGEST})(/{PART})*/?)?",
    "oci://REGISTRY/REPOSITORY:TAG or oci://REGISTRY/REPOSITORY@sha256:… names an artifact, its repository in lower case, and files in it by "
    "/PATH behind that: oci://ghcr.io/org/support-bot:v1 for example",
)
ARTIFACT_OUTPUT = with_scheme(
    "oci",
    rf"{ARTIFACTS}(:{TAG})?",
    "a result is pushed to oci://REGISTRY/REPOSITORY or oci://REGISTRY/REPOSITORY:TAG, its repository in lower case, no digest and no path: "
    "oci://ghcr.io/org/support-bot:v1 for example",
)
BUCKETS = (NO_PASSWORD, S3, AZURE, GOOGLE, BUCKET_LENGTHS, NO_ADDRESS)

ModelURI = Annotated[
    str, URI,
    matches("^(hf|pvc|s3|az|gs|oci)://", "a model is at hf://ORG/NAME[@REVISION], pvc://CLAIM/PATH, s3://BUCKET/PATH, az://CONTAINER/PATH, "
            "gs://BUCKET/PATH or oci://REGISTRY/REPOSITORY:TAG: hf://HuggingFaceTB/SmolLM2-135M-Instruct for example"),
    NO_DATASET, HUB, SHORT_HUB_NAMES, *BUCKETS, ARTIFACT, CLAIM, SHORT_NAMES, NO_CLIMBING,
]  # fmt: skip
ModelReference = Annotated[
    str, URI,
    matches(f"^({SUBDOMAIN}|(hf|pvc|s3|az|gs|oci)://.*)$", "a model is a BaseModel's name (lower-case letters, digits, '-' and '.'), "
            "hf://ORG/NAME[@REVISION], pvc://CLAIM/PATH, s3://BUCKET/PATH, az://CONTAINER/PATH, gs://BUCKET/PATH or oci://REGISTRY/REPOSITORY:TAG: "
            "phi-3-mini or hf://HuggingFaceTB/SmolLM2-135M-Instruct for example"),
    NO_DATASET, HUB, SHORT_HUB_NAMES, *BUCKETS, ARTIFACT, CLAIM, SHORT_NAMES, NO_CLIMBING,
]  # fmt: skip
DataURI = Annotated[
    str, URI,
    matches("^(hf|https|pvc|configmap|s3|az|gs|oci)://", "rows come from configmap://NAME/KEY, pvc://CLAIM/PATH, s3://BUCKET/PATH, "
            "az://CONTAINER/PATH, gs://BUCKET/PATH, oci://REGISTRY/REPOSITORY:TAG/PATH, hf://datasets/ORG/NAME/PATH or https://HOST/PATH: "
            "configmap://support/train.jsonl for example"),
    HUB_DATA, WHOLE_DATASET, SHORT_HUB_NAMES, HTTPS, *BUCKETS, ARTIFACT, CLAIM, CONFIGMAP, SHORT_NAMES, NO_CLIMBING,
]  # fmt: skip


def takes_results_alone(uri: str) -> bool:
    """Whether what is there is replaced as a whole, so that checkpoints need another place."""
    return uri.startswith(("oci://", "hf://"))


CheckpointURI = Annotated[
    str, URI,
    matches("^(pvc|s3|az|gs)://", "checkpoints go to pvc://CLAIM/PATH, s3://BUCKET/PATH, az://CONTAINER/PATH or gs://BUCKET/PATH: "
            "pvc://work/support-bot for example"),
    *BUCKETS, CLAIM, SHORT_NAMES, NO_CLIMBING,
    matches("^[a-z0-9]+://[^/]*(/[A-Za-z0-9._-]+)+/?$", "checkpoints go to a folder in the claim or bucket, of letters, digits, '-', '_' and '.': "
            "pvc://work/support-bot for example"),
]  # fmt: skip
OutputURI = Annotated[
    str, URI,
    matches("^(pvc|s3|az|gs|oci|hf)://", "a result goes to pvc://CLAIM/PATH, s3://BUCKET/PATH, az://CONTAINER/PATH, gs://BUCKET/PATH, "
            "oci://REGISTRY/REPOSITORY:TAG or hf://ORG/NAME[@BRANCH]: pvc://models/support-bot for example"),
    NO_DATASET, HUB, SHORT_HUB_NAMES, *BUCKETS, ARTIFACT_OUTPUT, CLAIM, SHORT_NAMES, NO_CLIMBING,
    matches("^((oci|hf)://.*|[a-z0-9]+://[^/]*(/[A-Za-z0-9._-]+)+/?)$", "a result goes to a folder in the claim or bucket, of letters, digits, "
            "'-', '_' and '.': pvc://models/support-bot for example"),
]  # fmt: skip
CredentialPrefix = Annotated[
    str, URI,
    matches(r"^(hf|https|s3|az|gs|oci)://[^\x00-\x20\x7f?#]*$", "a credential serves URIs that begin with s3://, az://, gs://, oci://, hf:// or https://, "
            "without spaces, '?' or '#': s3://models/ or https://example.com/ for example"),
]  # fmt: skip
