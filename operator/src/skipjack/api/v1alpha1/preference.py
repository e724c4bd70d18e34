"""How preferences are learnt: the loss, and what it may be told."""

from __future__ import annotations

from enum import StrEnum

from pydantic import Field

from .common import APIModel


class PreferenceLoss(StrEnum):
    DPO = "DPO"
    IPO = "IPO"
    HINGE = "Hinge"
    KTO = "KTO"
    ORPO = "ORPO"
    SIMPO = "SimPO"


class Preference(APIModel):
    """The loss of a preference tuning. What of these settings a loss has, docs/scenarios.md tells."""

    loss: PreferenceLoss = Field(
        description="DPO, IPO, Hinge and KTO hold the model close to the one it was, ORPO and SimPO need no such reference. "
        "KTO learns from single answers that are judged, the others from pairs."
    )
    beta: float | None = Field(
        None,
        gt=0,
        le=1000,
        description="DPO, IPO, Hinge, KTO: how closely the model is held to its reference. SimPO: scale of the reward. "
        "ORPO: weight of the odds ratio. Default: 2 for SimPO, else 0.1.",
    )
    label_smoothing: float | None = Field(
        None,
        ge=0,
        lt=0.5,
        description="DPO, SimPO: share of pairs that are taken to be the wrong way round. Default: 0.",
    )
    gamma: float | None = Field(
        None,
        ge=0,
        le=1000,
        description="SimPO: margin by which the chosen answer's reward is to be higher. Default: 0.5.",
    )
    desirable_weight: float | None = Field(
        None, gt=0, le=1000, description="KTO: how much answers count whose label is true. Default: 1."
    )
    undesirable_weight: float | None = Field(
        None, gt=0, le=1000, description="KTO: how much answers count whose label is false. Default: 1."
    )
    sft_weight: float | None = Field(
        None,
        ge=0,
        le=1000,
        description="DPO, IPO, Hinge, SimPO: how much the chosen answer's own cross-entropy counts beside the loss. Default: 0.",
    )
