"""Any spec that the API may accept."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st
from pydantic import ValidationError

from skipjack.api.v1alpha1 import FineTuneJobSpec
from skipjack.api.v1alpha1.method import MethodType, block_of
from skipjack.api.v1alpha1.pod import EnvVar
from skipjack.api.v1alpha1.preference import PreferenceLoss

names = st.from_regex(r"[a-z0-9]([-a-z0-9]{0,20}[a-z0-9])?", fullmatch=True)
label_values = st.from_regex(r"([A-Za-z0-9]([-A-Za-z0-9_.]{0,20}[A-Za-z0-9])?)?", fullmatch=True)
parts = st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,12}", fullmatch=True)
paths = st.lists(parts, min_size=1, max_size=3).map("/".join)
repositories = st.from_regex("[a-z0-9]{1,9}([-._][a-z0-9]{1,9})?", fullmatch=True)
nasty = st.text(max_size=40) | st.sampled_from(
    ["$(PATH)", "; rm -rf /", "../../etc/passwd", "a\nb: c", "{{ .Values }}"]
)

claims = st.builds("pvc://{}/{}".format, names, paths)
hubs = st.builds("hf://{}/{}".format, repositories, repositories)
buckets = st.builds(
    "{}://{}/{}".format,
    st.sampled_from(["s3", "az", "gs"]),
    st.from_regex("[a-z][a-z0-9]{2,20}", fullmatch=True),
    paths,
)
configmaps = st.builds("configmap://{}/{}".format, names, parts)
columns = st.dictionaries(st.from_regex("[A-Za-z_][A-Za-z0-9_]{0,9}", fullmatch=True), nasty.filter(bool), max_size=3)
told = {"columns": columns, "weight": st.floats(0.001, 1000)}
chosen = told | {"split": nasty.filter(bool), "subset": nasty.filter(bool)}
sources = st.fixed_dictionaries({"uri": configmaps}, optional=told) | st.fixed_dictionaries(
    {"uri": claims | hubs | buckets}, optional=chosen
)


def _some(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({}, optional=fields)


def _is_free(name: str) -> bool:
    try:
        EnvVar(name=name, value="")
    except ValidationError:
        return False
    return True


env = st.fixed_dictionaries(
    {
        "name": st.from_regex(r"[A-Z][A-Z0-9_]{0,12}", fullmatch=True).filter(_is_free),
        "value": nasty.map(lambda text: text.replace("\0", "")),
    }
)
keys = st.from_regex(r"([a-z]{1,5}\.dev/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,20}[A-Za-z0-9])?", fullmatch=True)
toleration = _some(key=keys).map(lambda own: own | {"operator": "Exists"}) | st.fixed_dictionaries(
    {"key": keys}, optional={"operator": st.just("Equal"), "value": label_values}
)
pods = _some(
    labels=st.dictionaries(keys, label_values, max_size=3),
    annotations=st.dictionaries(keys, nasty, max_size=3),
    tolerations=st.lists(toleration, max_size=2),
    priorityClassName=names,
    env=st.lists(env, max_size=3),
)
ranks = st.fixed_dictionaries({"rank": st.integers(1, 1024)})
kinds = st.sampled_from(list(MethodType)).flatmap(
    lambda kind: st.fixed_dictionaries(
        {"type": st.just(kind.value)}, optional={"lora": ranks} if block_of(kind) == "lora" else {}
    )
)
methods = kinds | st.just({"type": "DoRA", "quantization": {"type": "NF4", "doubleQuant": False}})
losses = st.sampled_from([loss.value for loss in PreferenceLoss])
credentials = st.fixed_dictionaries({"uriPrefix": st.sampled_from(["hf://", "s3://"]), "secretName": names})
integrations = st.lists(
    st.just({"type": "TensorBoard"})
    | st.fixed_dictionaries(
        {"type": st.just("MLflow"), "uri": st.just("http://mlflow:5000")}, optional={"secretName": names}
    ),
    max_size=2,
    unique_by=lambda own: own["type"],
)

specs = st.fixed_dictionaries(
    {
        "model": names | claims | hubs | buckets,
        "dataset": st.fixed_dictionaries(
            {"train": st.lists(sources, min_size=1, max_size=4)},
            optional={"stride": st.integers(0, 7), "instruction": nasty.filter(bool)},
        ),
        "output": st.fixed_dictionaries({"uri": claims | buckets}),
    },
    optional={
        "method": methods,
        "preference": st.fixed_dictionaries({"loss": losses}, optional={"beta": st.floats(0.01, 10)}),
        "checkpoint": _some(uri=claims),
        "hyperparameters": _some(maxSteps=st.integers(1, 10_000_000), maxLength=st.integers(8, 1_048_576)),
        "evaluation": _some(prompts=st.lists(nasty.filter(bool), max_size=3)),
        "compute": _some(
            nodeType=st.sampled_from(["cpu", "h100x8", "nothing"]),
            nodes=st.integers(1, 1024),
            acceleratorsPerNode=st.integers(1, 64),
            precision=st.sampled_from(["FP32", "BF16"]),
        ),
        "credentials": st.lists(credentials, max_size=3),
        "integrations": integrations,
        "serviceAccountName": names,
        "pod": pods,
    },
).map(FineTuneJobSpec.model_validate)
