"""What the model says to the spec's prompts."""

from __future__ import annotations

from typing import Any

import torch

from skipjack.api.v1alpha1.finetunejob import Task

from .engine.loop import Trainee


@torch.no_grad()
def answers(run: Trainee, tokenizer: Any) -> list[str]:
    """One greedy answer a prompt, on rank 0; all ranks must ask. Draws nothing from any generator."""
    together = run.strategy.ranks_go_together
    if run.peers.rank > 0 and not together:
        return []
    run.model.eval()
    said = []
    for prompt in run.spec.evaluation.prompts:
        ids = asked(prompt, run.spec.task, tokenizer).to(run.strategy.objective.device)
        with run.strategy.objective.autocast():
            out = run.model.generate(
                input_ids=ids,
                attention_mask=torch.ones_like(ids),
                max_new_tokens=run.spec.evaluation.max_new_tokens,
                do_sample=False,
                use_cache=True,
                synced_gpus=together and run.peers.world > 1,
                pad_token_id=tokenizer.pad_token_id if tokenizer.pad_token_id is not None else tokenizer.eos_token_id,
            )
        said.append(tokenizer.decode(out[0, ids.shape[1] :], skip_special_tokens=True))
    return said


def asked(prompt: str, task: Task | None, tokenizer: Any) -> torch.Tensor:
    """[1, length]: a user's turn for a chat, the bare words for a completion, as the training data has them."""
    if task is Task.CHAT and tokenizer.chat_template:
        chat = [{"role": "user", "content": prompt}]
        encoded = tokenizer.apply_chat_template(
            chat, add_generation_prompt=True, tokenize=True, return_dict=True, return_tensors="pt"
        )
    else:
        encoded = tokenizer(prompt, return_tensors="pt")
    ids: torch.Tensor = encoded["input_ids"]
    return ids
