"""NEFTune: noise on what is read, in training alone, the same whatever the micro-batches."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from tests.trainer import tiny
from tests.trainer.preferences import preferring
from tests.trainer.tasks import seq2seq
from tests.trainer.trainees import example, examples, trainee

from skipjack_trainer.engine.evaluate import evaluate
from skipjack_trainer.engine.loop import accumulate
from skipjack_trainer.engine.noise import noised
from skipjack_trainer.engine.trainee import Trainee

ROWS = examples(8)
EMBEDDING = torch.nn.Embedding(400, 16)


class Model(torch.nn.Module):
    """What embeds tokens."""

    def __init__(self, reads_and_says: bool = False) -> None:
        super().__init__()
        self.embedding = EMBEDDING
        self.config = tiny.model("llama").config
        self.config.is_encoder_decoder = reads_and_says

    def get_encoder(self) -> Model:
        return self

    def get_input_embeddings(self) -> torch.nn.Embedding:
        return self.embedding


def noise(model: Model, *shapes: tuple[int, int], alpha: float | None = 5.0) -> list[torch.Tensor]:
    """What is added to the embeddings of each of these forward passes over examples of 9 and 25 tokens, whose seeds are 7 and 8."""
    with torch.no_grad(), noised(model, alpha, [example(9, 1), example(25, 2)], [7, 8]):
        zeros = [torch.zeros(shape, dtype=torch.long) for shape in shapes]
        return [model.embedding(ids) - model.embedding.weight[0] for ids in zeros]


def test_it_is_uniform_up_to_alpha_over_the_root_of_tokens_times_width() -> None:
    (padded,) = noise(Model(), (2, 25))
    for row, length in ((padded[0, :9], 9), (padded[1], 25)):
        bound = 5 / (length * 16) ** 0.5
        assert row.abs().max() <= bound * 1.00001
        assert float(row.std()) == pytest.approx(bound / 3**0.5, rel=0.15)
        assert abs(float(row.mean())) < bound / 5


def test_an_example_has_the_same_packed_padded_and_alone() -> None:
    (packed,), (padded,) = noise(Model(), (1, 34)), noise(Model(), (2, 25))
    assert torch.equal(packed[0, :9], padded[0, :9])
    assert torch.equal(packed[0, 9:], padded[1])
    assert not padded[0, 9:].any(), "padding has none"
    one, other = noise(Model(), (1, 9), (1, 25))
    assert torch.equal(torch.cat([one[0], other[0]]), packed[0])


def test_what_a_sequence_to_sequence_model_is_to_say_has_none() -> None:
    read, said = noise(Model(reads_and_says=True), (2, 25), (2, 6))
    assert read.any()
    assert not said.any()


def test_without_alpha_and_outside_of_a_step_there_is_none() -> None:
    (nothing,) = noise(Model(), (2, 25), alpha=None)
    assert not nothing.any()
    noise(Model(), (2, 25))
    zeros = torch.zeros(1, 3, dtype=torch.long)
    assert torch.equal(EMBEDDING(zeros)[0, 0], EMBEDDING.weight[0])


def learning(run: Trainee) -> list[float]:
    """Loss and gradient norm of a step."""
    loss, _, _ = accumulate(run, range(8), 3, 1.0)
    return [loss, run.strategy.step(1e-3, 1.0, 1.0)]


@pytest.mark.parametrize("packing", [True, False])
def test_one_batch_of_eight_learns_what_eight_of_one_do(packing: bool) -> None:
    told = [
        learning(trainee(
            ROWS, packing=packing, method={"type": "Full"}, compute={"precision": "FP32", "microBatchTokens": tokens},
            hyperparameters={"maxSteps": 6, "globalBatchSize": 8, "neftuneAlpha": 50},
        ))
        for tokens in (4096, 8)
    ]  # fmt: skip
    assert told[0] == pytest.approx(told[1], rel=1e-4)
    plain = trainee(ROWS, packing=packing, method={"type": "Full"})
    assert abs(told[0][0] - learning(plain)[0]) > 1e-3


@pytest.mark.parametrize("loss", ["DPO", "KTO"])
def test_both_answers_of_a_pair_have_their_own(loss: str, tmp_path: Path) -> None:
    told = []
    for tokens in (4096, 8):
        steps = {"maxSteps": 6, "globalBatchSize": 8, "neftuneAlpha": 50}
        compute = {"precision": "FP32", "microBatchTokens": tokens}
        run = preferring(loss, tmp_path / str(tokens), method={"type": "Full"}, hyperparameters=steps, compute=compute)
        told.append(learning(run))
    assert told[0] == pytest.approx(told[1], rel=1e-4)


@pytest.mark.parametrize("method", ["LoRA", "PromptTuning"])
def test_it_is_drawn_anew_each_step_and_never_where_held_out_rows_are_judged(method: str) -> None:
    steps = {"maxSteps": 6, "globalBatchSize": 8, "neftuneAlpha": 50}
    noisy = trainee(ROWS, packing=method == "LoRA", method={"type": method}, hyperparameters=steps)
    still = trainee(ROWS, packing=method == "LoRA", method={"type": method})
    assert evaluate(noisy, ROWS) == evaluate(still, ROWS)
    losses = [accumulate(noisy, range(8), step, 1.0)[0] for step in (0, 0, 1)]
    assert losses[0] == losses[1] != losses[2]
    assert losses[0] != accumulate(still, range(8), 0, 1.0)[0]


@pytest.mark.parametrize("family", seq2seq.FAMILIES)
def test_it_reaches_sequence_to_sequence_models(family: str) -> None:
    model = seq2seq.model(family)
    ids, says = torch.ones(2, 25, dtype=torch.long), torch.ones(2, 6, dtype=torch.long)
    with torch.no_grad():
        plain = model.eval()(input_ids=ids, decoder_input_ids=says).logits
        with noised(model, 50.0, [example(9, 1), example(25, 2)], [7, 8]):
            noisy = model(input_ids=ids, decoder_input_ids=says).logits
    assert not torch.allclose(plain, noisy)
