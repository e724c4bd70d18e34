"""Objects that are refused, each by its field and with the remedy in words: by the API server and, in the same words, by the models."""

from __future__ import annotations

import copy
from itertools import pairwise
from typing import Any, NamedTuple

DROP = object()
"""In place of a value: the field is left out."""

API_VERSION = "skipjack.dev/v1alpha1"
SMALL: dict[str, dict[str, Any]] = {
    "FineTuneJob": {
        "model": "hf://org/m",
        "dataset": {"train": [{"uri": "configmap://d/t.jsonl"}]},
        "output": {"uri": "pvc://m/r"},
        "managedBy": "example.com/nobody",
    },
    "NodeType": {"cpu": "2", "memory": "4Gi", "precisions": ["FP32"]},
    "BaseModel": {"uri": "hf://org/m"},
}


class Refusal(NamedTuple):
    """One change to the smallest object of its kind. Numbers in the dotted `path` are places in a list."""

    kind: str
    path: str
    value: Any
    remedy: str
    """Words that the refusal holds."""
    judged: str = ""
    """The field that is named, where it is not the one at `path`."""

    @property
    def field(self) -> str:
        if self.judged:
            return self.judged
        return "".join(f"[{step}]" if step.isdigit() else f".{step}" for step in self.path.split("."))[1:]

    @property
    def body(self) -> dict[str, Any]:
        return changed(self.kind, self.path, self.value)


def changed(kind: str, path: str, value: Any) -> dict[str, Any]:
    """The smallest object of that kind with one field set, or left out."""
    body: dict[str, Any] = {"apiVersion": API_VERSION, "kind": kind, "metadata": {"name": "bot"}}
    body["spec"] = copy.deepcopy(SMALL[kind])
    at: Any = body
    steps = [int(step) if step.isdigit() else step for step in path.split(".")]
    for step, after in pairwise(steps):
        empty: Any = [{}] if isinstance(after, int) else {}
        at = at[step] if isinstance(step, int) else at.setdefault(step, empty)
    if value is DROP:
        del at[steps[-1]]
    else:
        at[steps[-1]] = value
    return body


def _job(path: str, value: Any, remedy: str, judged: str = "") -> Refusal:
    return Refusal("FineTuneJob", path, value, remedy, judged)


def _pushed(uri: str, remedy: str) -> Refusal:
    """Of an output that takes results alone, with a place for checkpoints."""
    changes = SMALL["FineTuneJob"] | {"output": {"uri": uri}, "checkpoint": {"uri": "pvc://work/bot"}}
    return _job("spec", changes, remedy, "spec.output.uri")


def _node(path: str, value: Any, remedy: str, judged: str = "") -> Refusal:
    return Refusal("NodeType", path, value, remedy, judged)


def _model(path: str, value: Any, remedy: str) -> Refusal:
    return Refusal("BaseModel", path, value, remedy)


TRAIN = "spec.dataset.train"
URI = f"{TRAIN}.0.uri"
H = "spec.hyperparameters"
LORA = "spec.method.lora"
LABELS, ANNOTATIONS = "spec.pod.labels", "spec.pod.annotations"
VARIABLE = "spec.pod.env.0.name"
TAINT = "spec.tolerations.0"
MEGABYTE = "x" * 1_000_000


def _variable(name: str, remedy: str = "choose another name, NCCL_DEBUG for example") -> Refusal:
    return _job("spec.pod.env", [{"name": name, "value": "x"}], remedy, "spec.pod.env[0].name")


REFUSALS = [
    _job("metadata.name", "a" * 53, "at most 52"),
    _job("metadata.name", "1bot", "begin with a letter"),
    _job("metadata.name", "bot.v2", "lower-case letters"),
    _job("spec.model", DROP, "or what to startFrom", "spec"),
    _job("spec.startFrom", {}, "name one thing to start from"),
    _job("spec.startFrom", {"job": "sft", "uri": "pvc://models/sft"}, "name one thing to start from"),
    _job("spec.startFrom.job", "SFT", "lower-case letters"),
    _job("spec.startFrom.uri", "https://example.com/adapter", "a model is at hf://ORG/NAME"),
    _job("spec.startFrom", {"job": "sft", "checkpoint": "First"}, "'Last' or '120'", "spec.startFrom.checkpoint"),
    _job("spec.startFrom", {"job": "sft", "checkpoint": "0"}, "'Last' or '120'", "spec.startFrom.checkpoint"),
    _job("spec.startFrom", {"uri": "hf://org/adapter", "checkpoint": "Last"}, "only a job's output has checkpoints"),
    _job("spec.startFrom", {"job": "sft", "state": "Everything"}, "'Full'", "spec.startFrom.state"),
    _job("spec.startFrom", {"uri": "pvc://models/sft", "state": "Full"}, "name that job"),
    _job("spec.model", "", "phi-3-mini or hf://"),
    _job("spec.model", "My Model", "phi-3-mini or hf://"),
    _job("spec.model", "ftp://a/b", "phi-3-mini or hf://"),
    _job("spec.model", "https://example.com/model", "phi-3-mini or hf://"),
    _job("spec.model", "hf://a/b?x=1", "hf://ORG/NAME"),
    _job("spec.model", "hf://only", "hf://ORG/NAME"),
    _job("spec.model", "hf://org/a--b", "hf://ORG/NAME"),
    _job("spec.model", "hf://org/" + "a" * 97, "at most 96 characters"),
    _job("spec.model", "hf://datasets/org/m", "is no model"),
    _job("spec.model", "pvc://My_Claim/llama", "names a PersistentVolumeClaim"),
    _job("spec.model", "pvc://a..b/llama", "names a PersistentVolumeClaim"),
    _job("spec.model", f"pvc://{'a' * 254}/llama", "at most 253 characters"),
    _job("spec.model", "pvc://models/../llama", "could climb out"),
    _job("spec.model", "hf://" + "a" * 1100, "1024"),
    _job("spec.modle", "x", ""),
    _job("spec.task", "chat", "'Chat'"),
    _job("spec.dataset", DROP, "equired"),
    _job(TRAIN, DROP, "equired"),
    _job(TRAIN, [], "at least 1"),
    _job(TRAIN, [{"uri": "configmap://d/t"}] * 65, "at most 64"),
    _job(TRAIN, [{"uri": f"configmap://d/{'t' * 200}"}] * 5000, "at most 64"),
    _job(URI, DROP, "equired"),
    _job(URI, MEGABYTE, "1024"),
    _job(URI, "/data/t.jsonl", "configmap://support/train.jsonl"),
    _job(URI, "configmap://d", "one of its keys"),
    _job(URI, "configmap://My Data/t.jsonl", "names a ConfigMap"),
    _job(URI, "configmap://d/a/b.jsonl", "one of its keys"),
    _job(URI, "configmap://d/..", "one of its keys"),
    _job(URI, "configmap://d/" + "t" * 254, "at most 253 letters"),
    _job(URI, "pvc://c/../t.jsonl", "could climb out"),
    _job(URI, "pvc://c//t.jsonl", "without empty parts"),
    _job(URI, "pvc://c/a\nb", "spaces"),
    _job(URI, "https://me:secret@h/t.jsonl", "spec.credentials"),
    _job(URI, "https://h/t.jsonl?token=1", "https://example.com/train.jsonl"),
    _job(URI, "hf://datasets/org", "hf://datasets/ORG/NAME"),
    _job(f"{TRAIN}.0.format", "ShareGPT", "'Conversations'"),
    _job(f"{TRAIN}.0", {"uri": "configmap://d/t.jsonl", "weight": 0}, "from 0.001 to 1000"),
    _job(f"{TRAIN}.0", {"uri": "configmap://d/t.jsonl", "weight": 0.0009}, "from 0.001 to 1000"),
    _job(f"{TRAIN}.0.weight", 1001, "less than or equal to 1000"),
    _job(f"{TRAIN}.0.split", "", "at least 1"),
    _job(f"{TRAIN}.0.split", MEGABYTE, "128"),
    _job(f"{TRAIN}.0", {"uri": "configmap://d/t.jsonl", "split": "train"}, "elsewhere name the file itself"),
    _job(f"{TRAIN}.0", {"uri": "https://h/t.jsonl", "subset": "en"}, "elsewhere name the file itself"),
    _job(f"{TRAIN}.0.columns", {"the prompt": "question"}, "{prompt: question} for example"),
    _job(f"{TRAIN}.0.columns", {"prompt": ""}, "at least 1", f"{TRAIN}[0].columns.prompt"),
    _job(f"{TRAIN}.0.columns", {f"field{n}": "x" for n in range(17)}, "at most 16"),
    _job("spec.dataset.validation", [], "at least 1"),
    _job("spec.dataset", SMALL["FineTuneJob"]["dataset"] | {"validation": [{"uri": "configmap://d/v", "weight": 2}]}, "it belongs to the sources of train"),
    _job("spec.dataset.chatTemplate", "llama3", "'llama-3'"),
    _job("spec.dataset.validationSplit", "0.05", "'5%' or '200'"),
    _job("spec.dataset.validationSplit", 5, "string"),
    _job("spec.dataset", SMALL["FineTuneJob"]["dataset"] | {"validation": [{"uri": "configmap://d/v"}], "validationSplit": "5%"},
         "exclude each other"),
    _job("spec.dataset.stride", -1, "greater than or equal to 0"),
    _job("spec.dataset.stride", 2_000_000, "less than or equal to 1048576"),
    _job("spec.dataset.trainOn", "User", "'Assistant'"),
    _job("spec.dataset.overlong", "Split", "'Truncate'"),
    _job("spec.dataset.resolution", 8, "16"),
    _job("spec.dataset.resolution", 8192, "4096"),
    _job("spec.dataset.packing", "perhaps", "boolean"),
    _job("spec.method.type", "qlora", "'QLoRA'"),
    _job("spec.method", {"type": "Full", "lora": {}}, "type Full trains every weight as it is and has no settings"),
    _job("spec.method", {"type": "Full", "quantization": {"type": "NF4"}}, "remove the block, or change the type"),
    _job("spec.method", {"type": "QLoRA", "prompt": {}}, "LoKr, SHiRA go in method.lora"),
    _job("spec.method", {"type": "OFT", "lora": {"rank": 8}}, "OFT, BOFT go in method.orthogonal"),
    _job("spec.method", {"type": "FourierFT", "lora": {}}, "FourierFT go in method.fourier"),
    _job("spec.method", {"type": "IA3", "lora": {}}, "IA3 go in method.ia3"),
    _job("spec.method", {"type": "PromptTuning", "ia3": {}}, "PrefixTuning, PromptTuning, PTuning go in method.prompt"),
    _job("spec.method", {"type": "QLoRA", "quantization": {}}, "equired", "spec.method.quantization.type"),
    _job("spec.method", {"type": "QLoRA", "quantization": {"type": "INT8"}}, "'NF4'", "spec.method.quantization.type"),
    _job("spec.method", {"type": "PTuning", "prompt": {"virtualTokens": 0}}, "greater than or equal to 1", "spec.method.prompt.virtualTokens"),
    _job("spec.method", {"lora": {}}, "equired", "spec.method.type"),
    _job("spec.method", {"type": "LoRA", "lora": {"rank": 0}}, "greater than or equal to 1", f"{LORA}.rank"),
    _job("spec.method", {"type": "LoRA", "lora": {"dropout": 1}}, "less than 1", f"{LORA}.dropout"),
    _job("spec.method", {"type": "LoRA", "lora": {"alpha": 0}}, "greater than 0", f"{LORA}.alpha"),
    _job("spec.method", {"type": "LoRA", "lora": {"targetModules": []}}, "at least 1", f"{LORA}.targetModules"),
    _job(H, {"epochs": 1, "maxSteps": 5}, "exclude each other"),
    _job(H, {"classWeights": {"urgent": 3}, "balanceClasses": True}, "classWeights and balanceClasses exclude each other"),
    _job(f"{H}.classWeights", {"": 1}, "urgent for example"),
    _job(f"{H}.classWeights", {"u" * 129: 1}, "urgent for example"),
    _job(f"{H}.classWeights", {"urgent": 0}, "greater than 0"),
    _job(f"{H}.classWeights", {}, "at least 1"),
    _job(f"{H}.balanceClasses", "perhaps", "boolean"),
    _job("spec.dataset.labels", ["spam"], "at least 2"),
    _job(f"{H}.epochs", 0, "greater than 0"),
    _job(f"{H}.learningRate", "fast", "number"),
    _job(f"{H}.learningRate", 2, "less than or equal to 1"),
    _job(f"{H}.globalBatchSize", 0, "greater than or equal to 1"),
    _job(f"{H}.scheduler", "cosine", "'Cosine'"),
    _job(f"{H}.warmupRatio", 1.5, "less than or equal to 1"),
    _job(f"{H}.seed", -1, "greater than or equal to 0"),
    _job(f"{H}.maxLength", 4, "greater than or equal to 8"),
    _job(f"{H}.labelSmoothing", 1, "less than 1"),
    _job(f"{H}.neftuneAlpha", 0, "greater than 0"),
    _job("spec.preference", {"beta": 0.1}, "equired", "spec.preference.loss"),
    _job("spec.preference", {"loss": "dpo"}, "'DPO'", "spec.preference.loss"),
    _job("spec.preference", {"loss": "DPO", "beta": 0}, "greater than 0", "spec.preference.beta"),
    _job("spec.preference", {"loss": "DPO", "labelSmoothing": 0.5}, "less than 0.5", "spec.preference.labelSmoothing"),
    _job("spec.preference", {"loss": "SimPO", "gamma": -1}, "greater than or equal to 0", "spec.preference.gamma"),
    _job("spec.preference", {"loss": "KTO", "desirableWeight": 0}, "greater than 0", "spec.preference.desirableWeight"),
    _job("spec.preference", {"loss": "KTO", "undesirableWeight": 1001}, "less than or equal to 1000", "spec.preference.undesirableWeight"),
    _job("spec.preference", {"loss": "DPO", "sftWeight": -0.1}, "greater than or equal to 0", "spec.preference.sftWeight"),
    _job("spec.evaluation", {"prompts": [""]}, "at least 1", "spec.evaluation.prompts[0]"),
    _job("spec.evaluation.metric", "Perplexity", "'Loss'"),
    _job("spec.evaluation.earlyStopping", {}, "equired", "spec.evaluation.earlyStopping.patience"),
    _job("spec.evaluation.earlyStopping", {"patience": 0}, "greater than or equal to 1", "spec.evaluation.earlyStopping.patience"),
    _job("spec.evaluation.earlyStopping", {"patience": 1, "minDelta": -1}, "greater than or equal to 0", "spec.evaluation.earlyStopping.minDelta"),
    _job("spec.evaluation.temperature", 3, "less than or equal to 2"),
    _job("spec.evaluation", {"temperature": 1, "topP": 0}, "greater than 0", "spec.evaluation.topP"),
    _job("spec.evaluation.topP", 0.9, "set temperature, or remove topP", "spec.evaluation"),
    _job("spec.evaluation", {"temperature": 0, "topP": 0.9}, "set temperature, or remove topP", "spec.evaluation"),
    _job("spec.checkpoint.keep", 0, "greater than or equal to 1"),
    _job("spec.compute.nodes", 0, "greater than or equal to 1"),
    _job("spec.compute.precision", "FP8", "'BF16'"),
    _job("spec.compute.strategy", "FSDP", "'ZeRO3'"),
    _job("spec.compute.offload", {"optimizer": "CPU"}, "choose strategy: ZeRO1, ZeRO2 or ZeRO3", "spec.compute"),
    _job("spec.compute", {"strategy": "ZeRO2", "offload": {"parameters": "CPU"}}, "choose strategy: ZeRO3", "spec.compute"),
    _job("spec.compute.offload", {"optimizer": "GPU"}, "'CPU'", "spec.compute.offload.optimizer"),
    _job("spec.compute.nodeType", "A 100", "lower-case letters"),
    _job("spec.output", DROP, "equired"),
    _job("spec.output.uri", "https://h/r", "a result goes to pvc://CLAIM/PATH, s3://BUCKET/PATH"),
    _job("spec.output.uri", "s3://b/r", "3 to 63 characters"),
    _job("spec.output.uri", "s3://" + "b" * 64 + "/r", "3 to 63 characters"),
    _job("spec.output.uri", "s3://models", "a folder in the claim or bucket"),
    _job("spec.output.uri", "s3://models/a b", "s3://BUCKET/PATH names a bucket"),
    _job("spec.output.uri", "s3://models/../r", "could climb out"),
    _job("spec.output.uri", "s3://My_Models/r", "s3://BUCKET/PATH names a bucket"),
    _job("spec.output.uri", "s3://models..eu/r", "s3://BUCKET/PATH names a bucket"),
    _job("spec.output.uri", "s3://10.0.0.1/r", "isn't named by an IP address"),
    _job("spec.output.uri", "s3://key:secret@models/r", "holds no user or password"),
    _job("spec.output.uri", "az://team.a/r", "az://CONTAINER/PATH names a container"),
    _job("spec.output.uri", "az://team--a/r", "az://CONTAINER/PATH names a container"),
    _job("spec.output.uri", "gs://-models/r", "gs://BUCKET/PATH names a bucket"),
    _job("spec.model", "s3://models//llama", "without empty parts"),
    _job("spec.model", "gs://models/llama?v=1", "'?' or '#'"),
    _job("spec.output.uri", "pvc://m", "pvc://models/support-bot"),
    _job("spec.output.uri", "pvc://m/a b", "pvc://models/support-bot"),
    _job("spec.output.uri", "pvc://m/a/../b", "could climb out"),
    _job("spec.output.uri", "pvc://m/.", "could climb out"),
    _job("spec.model", "oci://ghcr.io/org/Bot:v1", "its repository in lower case"),
    _job("spec.model", "oci://ghcr.io/org/bot:v 1", "names an artifact"),
    _job("spec.model", "oci://ghcr.io/org/bot@sha256:12", "names an artifact"),
    _job(URI, "oci://ghcr.io/org/rows:v1//a.jsonl", "names an artifact"),
    _job(URI, "oci://me:secret@ghcr.io/org/rows:v1", "holds no user or password"),
    _job("spec.output", {"uri": "oci://ghcr.io/org/bot:v1"}, "take results and no checkpoints", "spec"),
    _job("spec.output", {"uri": "hf://org/bot"}, "pvc://work/support-bot for example", "spec"),
    _pushed("oci://ghcr.io/org/bot:v1/folder", "no digest and no path"),
    _pushed(f"oci://ghcr.io/org/bot@sha256:{'0' * 64}", "no digest and no path"),
    _pushed("oci://ghcr.io", "no digest and no path"),
    _pushed("oci://me:secret@ghcr.io/org/bot", "holds no user or password"),
    _pushed("hf://org/bot/folder", "hf://ORG/NAME@REVISION"),
    _pushed("hf://me:secret@org/bot", "hf://ORG/NAME@REVISION"),
    _pushed("hf://datasets/org/bot", "a dataset is no model"),
    _job("spec.checkpoint.uri", "oci://ghcr.io/org/bot:v1", "checkpoints go to pvc://CLAIM/PATH"),
    _job("spec.checkpoint.uri", "hf://org/bot", "checkpoints go to pvc://CLAIM/PATH"),
    _job("spec.checkpoint.uri", "pvc://work", "checkpoints go to a folder"),
    _job("spec.checkpoint.uri", "s3://work/../a", "could climb out"),
    _job("spec.startFrom", {"uri": "oci://ghcr.io/org/bot:v1", "checkpoint": "Last"}, "only a job's output has checkpoints"),
    _job("spec.output.ifExists", "Overwrite", "'Replace'"),
    _job("spec.integrations", [{"type": "MLflow"}], "name it for MLflow", "spec.integrations[0]"),
    _job("spec.integrations", [{"type": "WandB", "uri": "https://wandb.example.com"}], "write files beside the output", "spec.integrations[0]"),
    _job("spec.integrations", [{"type": "TensorBoard", "experiment": "a"}], "name the run", "spec.integrations[0]"),
    _job("spec.integrations", [{"type": "WandB", "secretName": "a"}], "need none: remove it", "spec.integrations[0]"),
    _job("spec.integrations", [{"type": "TensorBoard"}, {"type": "TensorBoard"}], "at most one integration of each type"),
    _job("spec.integrations", [{"type": "Comet"}], "'TensorBoard'", "spec.integrations[0].type"),
    _job("spec.integrations", [{"type": "MLflow", "uri": "mlflow:5000"}], "http://mlflow.tracking:5000", "spec.integrations[0].uri"),
    _job("spec.integrations", [{"type": "MLflow", "uri": "http://me:secret@mlflow"}], "name a Secret in secretName", "spec.integrations[0].uri"),
    _job("spec.integrations", [{"type": "TensorBoard", "run": "../a"}], "support bot 2 for example", "spec.integrations[0].run"),
    _job("spec.limits.backoffLimit", -1, "greater than or equal to 0"),
    _job("spec.limits.budget", "25 EUR", ""),
    _job("spec.stop", "Now", "'Finish'"),
    _job("spec.suspend", "perhaps", "boolean"),
    _job("spec.credentials", [{"uriPrefix": "hf://"}], "equired", "spec.credentials[0].secretName"),
    _job("spec.credentials", [{"uriPrefix": "pvc://", "secretName": "s"}], "URIs that begin with s3://, az://", "spec.credentials[0].uriPrefix"),
    _job("spec.credentials", [{"uriPrefix": "hf://", "secretName": "a/b"}], "lower-case letters", "spec.credentials[0].secretName"),
    _job("spec.serviceAccountName", "-trainer", "lower-case letters"),
    _job("spec.managedBy", "nobody", "example.com/scheduler"),
    _job("spec.pod.hostNetwork", True, ""),
    _job("spec.pod.priorityClassName", "High", "lower-case letters"),
    _job(LABELS, {"a": "b\nc"}, "a label's value"),
    _job(LABELS, {"a b": "c"}, "a key is NAME or DOMAIN/NAME"),
    _job(LABELS, {"a" * 64: "c"}, "at most 63"),
    _job(LABELS, {f"{'a.' * 127}a/b": "c"}, "at most 253 characters"),
    _job(LABELS, {"Example.com/a": "c"}, "lower case"),
    _job(LABELS, {"skipjack.dev/job": "other"}, "choose another key"),
    _job(LABELS, {"job-name": "other"}, "choose another key"),
    _job(LABELS, {"batch.kubernetes.io/controller-uid": "other"}, "choose another key"),
    _job(ANNOTATIONS, {"a//b": "c"}, "a key is NAME or DOMAIN/NAME"),
    _job(ANNOTATIONS, {"skipjack.dev/resolved-spec": "{}"}, "choose another key"),
    _job(ANNOTATIONS, {"container.apparmor.security.beta.kubernetes.io/trainer": "unconfined"}, "choose another key"),
    *(_variable(name) for name in (
        "LD_PRELOAD", "PYTHONPATH", "PYTHONSTARTUP", "GCONV_PATH", "OPENSSL_CONF", "MPLBACKEND", "CUDA_INJECTION64_PATH", "NCCL_NET_PLUGIN",
        "OMP_TOOL_LIBRARIES", "TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "TORCH_NCCL_PLUGIN", "TRITON_CACHE_DIR", "HF_ENDPOINT", "HF_TOKEN",
        "CUDA_CACHE_PATH", "USE_HUB_KERNELS",
        "NVIDIA_VISIBLE_DEVICES", "CUDA_VISIBLE_DEVICES", "MASTER_ADDR", "LOCAL_RANK", "JOB_COMPLETION_INDEX", "SKIPJACK_ATTEMPT",
        "HTTPS_PROXY", "SSL_CERT_FILE", "HOME", "PATH", "ENV",
    )),
    _variable("a;b", "begins with a capital"),
    _job("spec.pod.env", [{"name": "A", "value": "b\0c"}], "NUL", "spec.pod.env[0].value"),
    _job("spec.pod.env", [{"name": "A", "value": MEGABYTE}], "4096", "spec.pod.env[0].value"),
    _job("spec.pod.tolerations", [{"operator": "Maybe"}], "'Exists'", "spec.pod.tolerations[0].operator"),
    _job("spec.pod.tolerations", [{"effect": "NoExecute"}], "name the taint's key", "spec.pod.tolerations[0]"),
    _node("spec.cpu", DROP, "equired"),
    _node("spec.cpu", "two", "500m for example"),
    _node("spec.cpu", "0.0001", "500m for example"),
    _node("spec.cpu", "2k", "500m for example"),
    _node("spec.cpu", "0", "no CPU at all"),
    _node("spec.cpu", "0m", "no CPU at all"),
    _node("spec.cpuLimit", "1500m", "raise it to cpu or more", "spec"),
    _node("spec.memory", "16GB", "16Gi for example"),
    _node("spec.memory", "500m", "16Gi for example"),
    _node("spec.memory", "0", "is the unit missing?"),
    _node("spec.memory", "16", "is the unit missing?"),
    _node("spec.precisions", [], "at least 1"),
    _node("spec.precisions", ["FP8"], "'BF16'", "spec.precisions[0]"),
    _node("spec.nodeSelector", {"a b": "c"}, "a key is NAME or DOMAIN/NAME"),
    _node("spec.nodeSelector", {"gpu": "NVIDIA H100"}, "a label's value"),
    _node("spec.runtimeClassName", "Kata!", "lower-case letters"),
    _node("spec.tolerations", [{"key": "a b"}], "a key is NAME or DOMAIN/NAME", "spec.tolerations[0].key"),
    _node("spec.tolerations", [{"key": "a", "operator": "Exists", "value": "b"}], "remove the value", "spec.tolerations[0]"),
    _node("spec.tolerations", [{"key": "a", "value": "b c"}], "a label's value", "spec.tolerations[0].value"),
    _node("spec.tolerations", [{"key": "a", "tolerationSeconds": 5}], "add the effect", "spec.tolerations[0]"),
    _node("spec.accelerator", {"resource": "gpu", "count": 1, "memory": "80Gi"}, "nvidia.com/gpu for example", "spec.accelerator.resource"),
    _node("spec.accelerator", {"resource": "requests.nvidia.com/gpu", "count": 1, "memory": "80Gi"}, "Kubernetes' own",
          "spec.accelerator.resource"),
    _node("spec.accelerator", {"resource": "kubernetes.io/gpu", "count": 1, "memory": "80Gi"}, "Kubernetes' own", "spec.accelerator.resource"),
    _node("spec.accelerator", {"resource": f"{'a.' * 122}a/gpu", "count": 1, "memory": "80Gi"}, "at most 243", "spec.accelerator.resource"),
    _node("spec.accelerator", {"resource": "nvidia.com/gpu", "count": 0, "memory": "80Gi"}, "greater than or equal to 1",
          "spec.accelerator.count"),
    _node("spec.accelerator", {"resource": "nvidia.com/gpu", "count": 1, "memory": "80"}, "is the unit missing?", "spec.accelerator.memory"),
    _node("spec.price", "3 EUR", ""),
    _model("spec.uri", DROP, "equired"),
    _model("spec.uri", "phi-3-mini", "hf://HuggingFaceTB/SmolLM2-135M-Instruct"),
    _model("spec.uri", "https://example.com/model", "hf://HuggingFaceTB/SmolLM2-135M-Instruct"),
    _model("spec.uri", "hf://org/m@main@b", "hf://ORG/NAME@REVISION"),
    _model("spec.uri", "pvc://Claim/path", "names a PersistentVolumeClaim"),
    _model("spec.parameters", "3.8B", "3.8G for example"),
    _model("spec.contextLength", 4, "greater than or equal to 8"),
    _model("spec.remoteCode", True, ""),
]  # fmt: skip
