"""URIs of models, data and results. What a pod is built from, a claim's or ConfigMap's name, is judged here."""

from __future__ import annotations

from typing import Annotated

from pydantic import StringConstraints

from .common import SUBDOMAIN
from .rules import matches, never, with_scheme

PART = r"[^\x00-\x20\x7f/?#]+"
REPOSITORY = r"[A-Za-z0-9_]+((-|\.|-\.|\.-)[A-Za-z0-9_]+)*"
HUB_NAME = rf"{REPOSITORY}/{REPOSITORY}(@[A-Za-z0-9._-]+)?"

URI = StringConstraints(max_length=1024)

NO_CLIMBING = never(
    r"^[a-z]+://.*/\.\.?(/|$)",
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
    "^[a-z]+://[^/]*@",
    "a URI holds no user or password: name a Secret in spec.credentials, and write https://example.com/train.jsonl for example",
)

ModelURI = Annotated[
    str, URI,
    matches("^(hf|pvc)://", "a model is at hf://ORG/NAME[@REVISION] or pvc://CLAIM/PATH: hf://HuggingFaceTB/SmolLM2-135M-Instruct for example"),
    NO_DATASET, HUB, SHORT_HUB_NAMES, CLAIM, SHORT_NAMES, NO_CLIMBING,
]  # fmt: skip
ModelReference = Annotated[
    str, URI,
    matches(f"^({SUBDOMAIN}|(hf|pvc)://.*)$", "a model is a BaseModel's name (lower-case letters, digits, '-' and '.'), "
            "hf://ORG/NAME[@REVISION] or pvc://CLAIM/PATH: phi-3-mini or hf://HuggingFaceTB/SmolLM2-135M-Instruct for example"),
    NO_DATASET, HUB, SHORT_HUB_NAMES, CLAIM, SHORT_NAMES, NO_CLIMBING,
]  # fmt: skip
DataURI = Annotated[
    str, URI,
    matches("^(hf|https|pvc|configmap)://", "rows come from configmap://NAME/KEY, pvc://CLAIM/PATH, hf://datasets/ORG/NAME/PATH or "
            "https://HOST/PATH: configmap://support/train.jsonl for example"),
    HUB_DATA, WHOLE_DATASET, SHORT_HUB_NAMES, HTTPS, NO_PASSWORD, CLAIM, CONFIGMAP, SHORT_NAMES, NO_CLIMBING,
]  # fmt: skip
OutputURI = Annotated[
    str, URI,
    matches(rf"^pvc://{SUBDOMAIN}(/[A-Za-z0-9._-]+)+/?$", "a result goes to pvc://CLAIM/PATH: an existing PersistentVolumeClaim and a folder "
            "in it, of letters, digits, '-', '_' and '.': pvc://models/support-bot for example"),
    SHORT_NAMES, NO_CLIMBING,
]  # fmt: skip
CredentialPrefix = Annotated[
    str, URI,
    matches(r"^(hf|https)://[^\x00-\x20\x7f?#]*$", "a credential serves URIs that begin with hf:// or https://, without spaces, '?' or '#': "
            "hf:// or https://example.com/ for example"),
]  # fmt: skip
