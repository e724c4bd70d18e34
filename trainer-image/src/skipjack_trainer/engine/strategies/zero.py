"""DeepSpeed's ZeRO (Rajbhandari et al. 2020, arXiv:1910.02054): optimiser state (1), gradients too (2), weights too (3) are
shared out among the ranks; what is offloaded lies in the host's memory, or on its disk.

Of DeepSpeed only the sharding is used. Micro-batches, arithmetic, loss scale and the division by a step's weight are the
loop's, and the optimiser is torch's own, whose fused AdamW is vectorised on any CPU: so nothing is compiled at run time.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any

import torch

from skipjack.api.v1alpha1.compute import OptimizerOffload
from skipjack.api.v1alpha1.compute import Strategy as Kind
from skipjack.resolve import ResolvedSpec

from ...methods.base import Tensors
from ...tasks.base import MicroBatch
from ..objective import Objective, trained
from ..peers import Peers, losing_peers
from .base import MOMENTS, prepare, set_rate, set_step

STAGES = {Kind.ZERO1: 1, Kind.ZERO2: 2, Kind.ZERO3: 3}
BUCKET_ELEMENTS = 50_000_000
"""Gradients and weights that are reduced or gathered at a time: 200 MB in fp32."""
PERSISTENT_ELEMENTS = 100_000
"""Smaller weights stay whole on every rank under ZeRO-3: gathering them takes longer than they are worth. DeepSpeed's own."""


class Zero:
    ranks_go_together = True

    def __init__(
        self, objective: Objective, optimizer: torch.optim.Optimizer, spec: ResolvedSpec, peers: Peers, scratch: Path
    ) -> None:
        deepspeed = imported(objective.device)
        self.objective, self.optimizer, self.peers = objective, optimizer, peers
        self.parameters = dict(trained(objective.model))
        self.is_frozen_in_part = objective.trainable_parameters < objective.total_parameters
        self.gathered = deepspeed.zero.GatheredParameters
        config = settings(spec, objective.trainable_parameters, on_gpu=objective.device.type == "cuda")
        with losing_peers():
            if STAGES[spec.compute.strategy] == 3:
                # Shared out one by one, before anything is moved: the whole model needn't fit on any device.
                deepspeed.zero.Init(module=objective, config_dict_or_path=config)
                for buffer in objective.buffers():
                    buffer.data = buffer.data.to(objective.device)
            self.engine, *_ = deepspeed.initialize(
                model=objective, optimizer=optimizer, config=config, dist_init_required=False
            )
        sharded = self.engine.optimizer
        on_disk = spec.compute.offload.optimizer is OptimizerOffload.NVME
        zeros_like = mapped_in(scratch) if on_disk else torch.zeros_like
        if STAGES[spec.compute.strategy] == 3:
            prepare(optimizer, sharded.fp32_partitioned_groups_flat, zeros_like)
        else:
            prepare(optimizer, sharded.single_partition_of_fp32_groups, zeros_like)
            # Lets the functions that read and set a parameter's state find it before the first step.
            sharded._lazy_init_hp_params_optimizer_state()

    def __call__(self, batch: MicroBatch) -> tuple[torch.Tensor, float]:
        with losing_peers():
            loss: tuple[torch.Tensor, float] = self.engine(batch)
        return loss

    def backward(self, loss: torch.Tensor, scale: float) -> None:
        self.engine.optimizer.override_loss_scale(scale)
        with losing_peers():
            # It takes the mean over the ranks: times their number that is the sum.
            self.engine.backward(loss * self.peers.world)

    def step(self, rate: float, scale: float, max_norm: float) -> float:
        set_rate(self.optimizer, rate)
        self.engine.optimizer.clip_grad = max_norm
        with losing_peers():
            self.engine.step()
        return float(self.engine.get_global_grad_norm())

    def states(self) -> Iterator[tuple[str, Tensors]]:
        from deepspeed.utils import safe_get_full_fp32_param, safe_get_full_optimizer_state

        for name, parameter in self.parameters.items():
            with losing_peers():
                yield (
                    name,
                    {"weight": safe_get_full_fp32_param(parameter)}
                    | {moment: safe_get_full_optimizer_state(parameter, moment) for moment in MOMENTS},
                )

    @torch.no_grad()
    def take(self, name: str, state: Mapping[str, torch.Tensor]) -> None:
        from deepspeed.utils import safe_set_full_fp32_param, safe_set_full_optimizer_state

        parameter = self.parameters[name]
        with losing_peers(), self.gathered([parameter], modifier_rank=0):
            parameter.copy_(state["weight"])
        safe_set_full_fp32_param(parameter, state["weight"])
        for moment in MOMENTS:
            safe_set_full_optimizer_state(parameter, state[moment], moment)

    def take_step(self, step: int) -> None:
        set_step(self.optimizer, step)

    @contextmanager
    def whole(self) -> Iterator[dict[str, Any]]:
        if self.is_frozen_in_part:
            with self.gathered(list(self.parameters.values())):
                yield {}
        else:
            # One by one into rank 0's host memory: a whole model may not fit on any device.
            kept = {}
            for name, parameter in self.parameters.items():
                with self.gathered([parameter]):
                    if self.peers.rank == 0:
                        kept[name] = parameter.detach().cpu().clone()
            yield {"state_dict": kept}


def settings(spec: ResolvedSpec, trainable: int, on_gpu: bool) -> dict[str, Any]:
    """DeepSpeed's configuration: https://www.deepspeed.ai/docs/config-json/."""
    bucket = min(BUCKET_ELEMENTS, max(trainable, 1))
    compute = spec.compute
    zero: dict[str, Any] = {
        "stage": STAGES[compute.strategy],
        "reduce_bucket_size": bucket,
        "allgather_bucket_size": bucket,
        "stage3_prefetch_bucket_size": bucket,
        "stage3_param_persistence_threshold": PERSISTENT_ELEMENTS,
        "overlap_comm": on_gpu,
    }
    if compute.offload.optimizer:
        zero["offload_optimizer"] = {"device": "cpu", "pin_memory": on_gpu}
    if compute.offload.parameters:
        zero["offload_param"] = {"device": "cpu", "pin_memory": on_gpu}
    return {
        # How many make a step is decided step by step, and told by calling `step`.
        "managed_gradient_accumulation": False,
        "train_micro_batch_size_per_gpu": 1,
        "gradient_clipping": spec.hyperparameters.max_grad_norm,
        "zero_optimization": zero,
        "zero_force_ds_cpu_optimizer": False,
    }


def mapped_in(folder: Path) -> Callable[[torch.Tensor], torch.Tensor]:
    """Makes zeros that lie in files of `folder`, mapped into memory: the kernel brings their pages and takes them away.

    DeepSpeed's own way to a disk needs an operator to be compiled. The files have no names, so they end with the process.
    """

    def zeros_like(tensor: torch.Tensor) -> torch.Tensor:
        folder.mkdir(parents=True, exist_ok=True)
        with NamedTemporaryFile(dir=folder) as file:
            # Allocated now: a page that finds the disk full would kill the process without a word.
            os.posix_fallocate(file.fileno(), 0, tensor.nbytes)
            return torch.from_file(file.name, shared=True, size=tensor.numel(), dtype=tensor.dtype)

    return zeros_like


def imported(device: torch.device) -> Any:
    """DeepSpeed, told what it would find out with a compiler: which accelerator there is, and that no operator can be built."""
    if device.type == "cpu":
        os.environ.setdefault("DS_ACCELERATOR", "cpu")
    os.environ.setdefault("LOCAL_RANK", "0")
    import deepspeed

    # Where it thinks it can, it compiles collectives over shared memory. Gloo has its own.
    deepspeed.ops.__compatible_ops__ = {}
    return deepspeed
