"""Every example runs to its end on the real cluster, to a quality that the untouched model doesn't have; docs/scenarios.md tells what was seen."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from PIL import Image
from tests.cluster import Cluster
from tests.support import tables
from tests.support.abc_notation import tunes_of, validity
from tests.support.kubectl import Kubectl, a_namespace

from .scenarios import Scenario, load, resolved, stored, told, train

pytestmark = pytest.mark.cluster

SCENARIOS = (
    Scenario("Domain adaptation", "domain-text.yaml", "loss", 2.5, {"domain": "domain"}),
    Scenario("Instructions", "instructions.yaml", "loss", 0.8, {"instructions": "instructions"}),
    Scenario("Text classification", "classification.yaml", "f1", 0.7, {"tickets": "tickets"}),
    Scenario("Named entities", "entities.yaml", "f1", 0.7, {"harbour": "harbour"}),
    Scenario("Translation", "translation.yaml", "bleu", 60, {"tongue": "tongue"}),
    Scenario("Question answering", "question-answering.yaml", "f1", 0.7, {"pilots": "pilots"}),
    Scenario("Chatbot", "chatbot.yaml", "loss", 0.3, {"ferries": "ferries"}),
    Scenario("Preferences", "preference.yaml", "reward_accuracy", 0.9, {"bindery": "bindery"}),
    Scenario("Music", "music.yaml", "loss", 1.3, {"music": "music"}),
    Scenario("Art", "art.yaml", "loss", 0.1, {"art": "art"}),
)
MEASURED = ("before", "after", "seconds", "peak MiB", "trained")
COLUMNS = ("example", "data", "base model", "method", "held-out rows are judged by", *MEASURED)

Ended = Callable[[Scenario], dict[str, Any]]


@pytest.fixture(scope="module")
def kubectl(cluster: Cluster) -> Iterator[Kubectl]:
    with a_namespace(cluster) as made:
        yield made


@pytest.fixture(scope="module")
def ended(kubectl: Kubectl) -> Ended:
    """Each scenario's job at its end, trained once."""
    seen: dict[str, dict[str, Any]] = {}

    def at_its_end(scenario: Scenario) -> dict[str, Any]:
        if scenario.name not in seen:
            seen[scenario.name] = train(kubectl, scenario)
        return seen[scenario.name]

    return at_its_end


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
def test_an_example_learns_what_the_untouched_model_cannot(ended: Ended, scenario: Scenario) -> None:
    metrics = told(ended(scenario))
    before, after = (metrics[f"heldout_{scenario.metric}_{when}"] for when in ("before", "after"))
    assert not scenario.passes(before)
    assert scenario.passes(after), f"{scenario.metric} was {before:.3f} and is {after:.3f}, not {scenario.bar}"


def test_tunes_are_written_that_a_parser_of_abc_notation_accepts(
    ended: Ended, kubectl: Kubectl, cluster: Cluster
) -> None:
    told(ended(next(scenario for scenario in SCENARIOS if scenario.name == "Music")))
    card = stored(kubectl, cluster.trainer_image, "music/README.md").decode()
    before, after = zip(*tunes_of(card), strict=True)
    assert sum(map(validity, before)) <= 1
    assert sum(map(validity, after)) >= 4


def test_the_tuned_model_draws_in_a_colour_that_the_untouched_one_never_saw(
    ended: Ended, kubectl: Kubectl, cluster: Cluster
) -> None:
    told(ended(next(scenario for scenario in SCENARIOS if scenario.name == "Art")))
    before, after = (
        purple(stored(kubectl, cluster.trainer_image, f"art/pictures/00-{when}.png")) for when in ("before", "after")
    )
    assert before < 0.02
    assert after > 0.2


def purple(picture: bytes) -> float:
    """Share of the pixels that have clearly less green than red and blue."""
    red, green, blue = np.asarray(Image.open(io.BytesIO(picture)).convert("RGB")).reshape(-1, 3).astype(int).T
    return float((np.minimum(red, blue) - green > 60).mean())


def test_the_page_tells_what_was_seen(ended: Ended) -> None:
    cells = {
        (scenario.name, column): cell
        for scenario in SCENARIOS
        for column, cell in zip(COLUMNS, row(scenario, ended(scenario)), strict=True)
    }
    names = [scenario.name for scenario in SCENARIOS]
    tables.hold("scenarios.md", "scenarios", "scenario", names, COLUMNS, cells, MEASURED)


def row(scenario: Scenario, seen: dict[str, Any]) -> tuple[str, ...]:
    metrics, (_, job) = told(seen), load(scenario)
    sign = "≥" if scenario.is_better_higher else "≤"
    return (
        f"[{scenario.example}](../examples/{scenario.example})",
        ", ".join(f"`{source['uri']}`" for source in job["spec"]["dataset"]["train"]),
        job["spec"].get("model", "(that of startFrom)").removeprefix("hf://"),
        resolved(seen, "method.type"),
        f"{scenario.metric} {sign} {scenario.bar:g}",
        *(f"{metrics[f'heldout_{scenario.metric}_{when}']:.3f}" for when in ("before", "after")),
        f"{metrics['training_seconds']:.0f}",
        f"{metrics['peak_memory_mib']:.0f}",
        f"{metrics['trainable_parameters'] / metrics['total_parameters']:.2%}",
    )
