"""The trainers that Skipjack is measured against, each run in a process of its own:
`python -m tests.bench.trainer.rivals NAME METHOD FOLDER OUT STEPS BATCH`. Says what Skipjack's trainer says: one line
when training starts, one a step.
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

LEARNING_RATE = 1e-3
RANK, ALPHA = 16, 32
STARTS = "training starts"


@dataclass(frozen=True, slots=True)
class Rival:
    """A trainer and its settings. `dtype` is of the base weights: None leaves it to the trainer."""

    trainer: str
    options: dict[str, Any] = field(default_factory=dict)
    dtype: str | None = None
    same_malloc: bool = True
    """Whether the C library's allocator is set as our image sets it."""
    packs: bool = False


FAST = {"gradient_checkpointing": False, "bf16": True}
GROUPED = FAST | {"train_sampling_strategy": "group_by_length"}


def split(batch: int, per_device: int) -> dict[str, Any]:
    return {"per_device_train_batch_size": per_device, "gradient_accumulation_steps": batch // per_device}


def rivals(batch: int) -> dict[str, Rival]:
    """By name. TRL as it comes takes 8 rows at once, as Trainer does; whatever they take at once, a step learns from `batch` rows."""
    return {
        "TRL as it comes": Rival("trl", split(batch, 8), same_malloc=False),
        "transformers Trainer": Rival("transformers", {"bf16": True} | split(batch, 8), same_malloc=False),
        "TRL, rows one by one": Rival("trl", FAST | split(batch, 1), "bfloat16"),
        "TRL, grouped by length, 2 at once": Rival("trl", GROUPED | split(batch, 2), "bfloat16"),
        "TRL, grouped by length, 8 at once": Rival("trl", GROUPED | split(batch, 8), "bfloat16"),
        "TRL, padding-free, 4 at once": Rival("trl", FAST | {"padding_free": True, "max_length": None} | split(batch, 4), "bfloat16"),
        "TRL, padding-free, 8 at once": Rival("trl", FAST | {"padding_free": True, "max_length": None} | split(batch, 8), "bfloat16"),
        "TRL, packed": Rival("trl", FAST | {"packing": True}, "bfloat16", packs=True),
    }  # fmt: skip


def main(name: str, method: str, folder: Path, out: Path, steps: int, batch: int) -> None:
    rival = rivals(batch)[name]
    rows = [json.loads(line)["messages"] for line in (folder / "train.jsonl").read_text().splitlines()]
    options: dict[str, Any] = {
        "output_dir": str(out / "scratch"),
        "max_steps": steps,
        "learning_rate": LEARNING_RATE,
        "lr_scheduler_type": "cosine",
        "warmup_steps": 0,
        "weight_decay": 0.0,
        "logging_steps": 1,
        "save_strategy": "no",
        "report_to": "none",
        "disable_tqdm": True,
        "seed": 0,
        "use_cpu": not torch.cuda.is_available(),
    } | rival.options
    build = trl_trainer if rival.trainer == "trl" else transformers_trainer
    trainer = build(rival, method, folder / "base", rows, options, steps, batch)
    trainer.add_callback(told_steps(steps))
    trainer.train()
    if torch.cuda.is_available():
        print(f"peak memory {torch.cuda.max_memory_reserved() / 2**20:.1f} MiB", flush=True)
    trainer.save_model(str(out))


def adapter(method: str) -> Any:
    from peft import LoraConfig

    if method == "Full":
        return None
    return LoraConfig(r=RANK, lora_alpha=ALPHA, target_modules="all-linear", task_type="CAUSAL_LM")


def loading(rival: Rival, method: str) -> dict[str, Any]:
    """What from_pretrained is told."""
    told: dict[str, Any] = {"dtype": rival.dtype} if rival.dtype and method != "Full" else {}
    if method == "QLoRA":
        from transformers import BitsAndBytesConfig

        told["quantization_config"] = BitsAndBytesConfig(
            load_in_4bit=True,
            bnb_4bit_quant_type="nf4",
            bnb_4bit_use_double_quant=True,
            bnb_4bit_compute_dtype=torch.bfloat16,
        )
    return told


def trl_trainer(
    rival: Rival, method: str, base: Path, rows: list[Any], options: dict[str, Any], steps: int, batch: int
) -> Any:
    from datasets import Dataset
    from trl import SFTConfig, SFTTrainer

    from .material import tokenizer

    told = [{"prompt": messages[:-1], "completion": messages[-1:]} for messages in rows]
    if rival.packs:
        # Rows of packed chats, as many as there are steps: each then learns from `batch` chats on average.
        words = tokenizer()
        lengths = [len(words.apply_chat_template(m, tokenize=True, return_dict=True)["input_ids"]) for m in rows]
        options |= {"max_length": packed_length(lengths, steps), **split(1, 1)}
    options["model_init_kwargs"] = loading(rival, method)
    return SFTTrainer(
        model=str(base), args=SFTConfig(**options), train_dataset=Dataset.from_list(told), peft_config=adapter(method)
    )


def packed_length(lengths: list[int], rows: int) -> int:
    """The shortest row length with which best-fit-decreasing packing needs at most `rows` rows."""
    length = max(max(lengths), -(-sum(lengths) // rows))
    while rows_needed(lengths, length) > rows:
        length += 1
    return length


def rows_needed(lengths: list[int], limit: int) -> int:
    free: list[int] = []
    for length in sorted(lengths, reverse=True):
        fitting = [room for room in free if room >= length]
        if fitting:
            free.remove(min(fitting))
        free.append((min(fitting) if fitting else limit) - length)
    return len(free)


def transformers_trainer(
    rival: Rival, method: str, base: Path, rows: list[Any], options: dict[str, Any], steps: int, batch: int
) -> Any:
    from peft import get_peft_model
    from transformers import AutoModelForCausalLM, DataCollatorForSeq2Seq, Trainer, TrainingArguments

    from .material import tokenizer

    words = tokenizer()
    model = AutoModelForCausalLM.from_pretrained(base, **loading(rival, method))
    model = model if method == "Full" else get_peft_model(model, adapter(method))
    return Trainer(
        model,
        TrainingArguments(**options),
        DataCollatorForSeq2Seq(words, padding=True),
        [labelled(words, messages) for messages in rows],
    )


def labelled(words: Any, messages: list[dict[str, str]]) -> dict[str, list[int]]:
    """One chat, learnt from its answer on."""
    whole = words.apply_chat_template(messages, tokenize=True, return_dict=True)["input_ids"]
    before = words.apply_chat_template(messages[:-1], add_generation_prompt=True, tokenize=True, return_dict=True)
    learnt_from = len(before["input_ids"])
    labels = [-100] * learnt_from + whole[learnt_from:]
    return {"input_ids": whole, "attention_mask": [1] * len(whole), "labels": labels}


def told_steps(steps: int) -> Any:
    from transformers import TrainerCallback

    class Tell(TrainerCallback):  # type: ignore[misc]
        def on_train_begin(self, *_: Any, **__: Any) -> None:
            print(STARTS, flush=True)

        def on_log(self, _: Any, state: Any, __: Any, logs: dict[str, float], **___: Any) -> None:
            if "loss" in logs:
                print(f"step {state.global_step}/{steps}  loss {float(logs['loss']):.4f}", flush=True)

    return Tell()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], Path(sys.argv[3]), Path(sys.argv[4]), int(sys.argv[5]), int(sys.argv[6]))
