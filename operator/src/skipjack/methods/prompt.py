"""Methods that learn virtual tokens. The base stays as it is, and can't take the tokens in.

Rates are those of PEFT's own examples; of prompt tuning, which has 1e-3 to 1 there, that of the causal one.
"""

from .base import Base, MethodDefaults

PREFIX_TUNING = MethodDefaults(
    about="Learns keys and values that every layer sees before the text.",
    paper="Li and Liang 2021, arXiv:2101.00190",
    take_it="The base's weights must stay untouched, with more to learn than a prompt has.",
    learning_rate=1e-2,
    settings={"virtual_tokens": 20, "projection": False, "hidden_size": None},
    base=Base.MAY_BE_QUANTIZED,
    packs=False,
    merges=False,
    checkpoints_gradients=False,
)

PROMPT_TUNING = MethodDefaults(
    about="Learns the embeddings of virtual tokens before the text.",
    paper="Lester et al. 2021, arXiv:2104.08691",
    take_it="Large models and small tasks: some thousand numbers are all there is.",
    learning_rate=3e-2,
    settings={"virtual_tokens": 20, "init_text": None},
    base=Base.MAY_BE_QUANTIZED,
    packs=False,
    merges=False,
    labels_tokens=False,
)

P_TUNING = MethodDefaults(
    about="Learns virtual tokens through a small network.",
    paper="Liu et al. 2021, arXiv:2103.10385",
    take_it="As prompt tuning, where that is unstable.",
    learning_rate=1e-3,
    settings={"virtual_tokens": 20, "hidden_size": None},
    base=Base.MAY_BE_QUANTIZED,
    packs=False,
    merges=False,
    labels_tokens=False,
)
