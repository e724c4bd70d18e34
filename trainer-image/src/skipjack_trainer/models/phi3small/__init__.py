"""Phi-3-small (`model_type: phi3small`): microsoft/Phi-3-small-8k-instruct and -128k-instruct.

Sources: the published modeling_phi3_small.py, configuration_phi3_small.py, tokenization_phi3_small.py and triton_flash_blocksparse_attn.py;
vLLM's model_executor/models/phi3_small.py and attention/ops/blocksparse_attention/utils.py; Phi-3 Technical Report, arXiv 2404.14219.
"""

from __future__ import annotations


def register() -> None:
    """Makes it known to transformers' Auto classes. Harmless when done twice."""
    from transformers import AutoConfig, AutoModelForCausalLM

    from .configuration import Phi3SmallConfig
    from .modeling import Phi3SmallForCausalLM

    AutoConfig.register(Phi3SmallConfig.model_type, Phi3SmallConfig, exist_ok=True)
    AutoModelForCausalLM.register(Phi3SmallConfig, Phi3SmallForCausalLM, exist_ok=True)
