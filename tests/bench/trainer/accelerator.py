"""The part that needs a GPU: which shapes and methods it runs, whether they fit, and what share of the hardware's peak was used."""

from __future__ import annotations

from dataclasses import dataclass

from .material import VOCABULARY, Facts, Shape

CASES = tuple((shape, method) for shape in ("llama-1b", "llama-8b") for method in ("LoRA", "QLoRA", "Full"))
RIVALS = ("TRL, rows one by one", "TRL, grouped by length, 2 at once", "TRL, padding-free, 4 at once", "TRL, packed")
"""What is tuned TRL on a GPU with rows of up to 4,096 tokens: its best is the fastest of these."""

PEAK_TFLOPS = {
    "H200": 989,
    "H100 PCIe": 756,
    "H100": 989,
    "A100": 312,
    "L40S": 362,
    "L4": 121,
    "A10": 125,
    "RTX 4090": 165,
}
"""Dense bf16, by the makers' data sheets; by a part of the device's name, the first that fits."""  # fmt: skip
BYTES_PER_PARAMETER = {"LoRA": 2.0, "QLoRA": 0.6, "Full": 16.0}
"""Weights, gradients and AdamW's moments; all else is left to the device's other tenth and a half."""


@dataclass(frozen=True, slots=True)
class Work:
    """Of one pass over the training chats."""

    flops: float
    """Of full fine-tuning: forward once, backward twice."""
    adapter_share: float
    """Trained parameters by frozen ones; 0 for Full."""


def needs_gib(method: str, shape: Shape) -> float:
    embeddings = 2 * VOCABULARY * shape.sizes["hidden_size"]
    inner = matrices(shape) - embeddings / 2
    held = 2 * embeddings if method == "QLoRA" else BYTES_PER_PARAMETER[method] * embeddings
    return (held + BYTES_PER_PARAMETER[method] * inner) / 2**30


def matrices(shape: Shape) -> float:
    """Parameters that tokens are multiplied with: each layer's, and the output head's; looking up an embedding costs nothing."""
    told = shape.sizes
    hidden, inner = told["hidden_size"], told["intermediate_size"]
    keys = hidden * told["num_key_value_heads"] // told["num_attention_heads"]
    return (
        told["num_hidden_layers"] * (2 * hidden * hidden + 2 * hidden * keys + 3 * hidden * inner) + hidden * VOCABULARY
    )


def work(shape: Shape, facts: Facts, trained: float) -> Work:
    """6 FLOPs a token and parameter; attention's two products over the half that is seen of each chat's square."""
    attention = 3 * 4 * shape.sizes["num_hidden_layers"] * shape.sizes["hidden_size"] * facts.squared_lengths / 2
    return Work(6 * matrices(shape) * facts.tokens + attention, trained / matrices(shape) if trained else 0.0)


def utilisation(done: Work, seconds: float, tflops: float) -> float:
    """Model FLOPs utilisation. With adapters no gradient of a frozen weight is made: 2 of 3 parts are left, and the adapter's."""
    share = (2 + done.adapter_share) / 3 if done.adapter_share else 1.0
    return done.flops * share / seconds / (tflops * 1e12)


def peak_tflops(device: str) -> float | None:
    return next((peak for name, peak in PEAK_TFLOPS.items() if name in device), None)


def lora_parameters(shape: Shape, rank: int) -> float:
    """Of adapters beside every linear layer but the head."""
    told = shape.sizes
    hidden, inner = told["hidden_size"], told["intermediate_size"]
    keys = hidden * told["num_key_value_heads"] // told["num_attention_heads"]
    ends = 2 * (hidden + hidden) + 2 * (hidden + keys) + 3 * (hidden + inner)
    return float(told["num_hidden_layers"] * rank * ends)
