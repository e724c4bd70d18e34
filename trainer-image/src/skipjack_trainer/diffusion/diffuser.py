"""A diffusion pipeline as a model in training: its UNet learns, its VAE and its text encoder stay as they are.

The objective is that of Ho et al. 2020 (arXiv:2006.11239) on latents (Rombach et al. 2022, arXiv:2112.10752); v as in Salimans and Ho
2022 (arXiv:2202.00512).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch.nn.functional import mse_loss

from ..errors import ModelUnsupported
from ..weights import variant_of

JUDGED_AT = (0.125, 0.375, 0.625, 0.875)
"""Noise at which held-out pictures are judged, as shares of all steps: fixed, so that two evaluations differ by the model alone."""


class Diffuser(torch.nn.Module):
    """`pipeline`: diffusers' own, whose UNet is the one that learns; `fresh` loads another such UNet, untouched."""

    def __init__(self, pipeline: Any, fresh: Callable[[], Any]) -> None:
        from diffusers import DDPMScheduler

        super().__init__()
        self.pipeline, self.fresh = pipeline, fresh
        self.unet, self.vae, self.text_encoder = pipeline.unet, pipeline.vae, pipeline.text_encoder
        self.requires_grad_(False)
        self.noising = DDPMScheduler.from_config(pipeline.scheduler.config)
        self.tuned: Any = self.unet

    def tune(self, attach: Callable[[Any], Any]) -> Diffuser:
        """Itself, with a method attached to the UNet: PEFT changes its layers in place and stands around it."""
        self.tuned = attach(self.unet)
        return self

    @property
    def config(self) -> Any:
        return self.unet.config

    def train(self, mode: bool = True) -> Diffuser:
        super().train(mode)
        self.vae.eval()
        self.text_encoder.eval()
        return self

    def gradient_checkpointing_enable(self, gradient_checkpointing_kwargs: dict[str, Any]) -> None:
        """diffusers' checkpoints aren't reentrant unless asked."""
        self.unet.enable_gradient_checkpointing()

    def learn(self, pixels: torch.Tensor, ids: torch.Tensor, seeds: Sequence[int]) -> torch.Tensor:
        """The sum over pictures of the mean squared error at one step of noise each. All that is drawn, is drawn by each one's seed.

        `pixels` uint8 [n, side, side, 3], `ids` int64 [n, context].
        """
        draws = [torch.Generator().manual_seed(seed) for seed in seeds]
        told = self._seen(pixels)
        latents = told.mean + told.std * _normal(told.mean, draws)
        steps = self.noising.config.num_train_timesteps
        times = torch.cat([torch.randint(steps, (1,), generator=draw) for draw in draws])
        return self._errors(self._scaled(latents), _normal(told.mean, draws), times, self._read(ids))

    def judge(self, pixels: torch.Tensor, ids: torch.Tensor, seeds: Sequence[int]) -> torch.Tensor:
        """The same without chance: the mean over fixed steps of noise, each picture under the noise of its seed."""
        draws = [torch.Generator().manual_seed(seed) for seed in seeds]
        mean = self._seen(pixels).mean
        latents, noise, asked = self._scaled(mean), _normal(mean, draws), self._read(ids)
        steps = self.noising.config.num_train_timesteps
        times = [torch.full((len(seeds),), int(share * steps)) for share in JUDGED_AT]
        return torch.stack([self._errors(latents, noise, time, asked) for time in times]).mean()

    def _errors(
        self, latents: torch.Tensor, noise: torch.Tensor, times: torch.Tensor, asked: torch.Tensor
    ) -> torch.Tensor:
        times = times.to(latents.device)
        noised = self.noising.add_noise(latents, noise, times)
        of_noise = self.noising.config.prediction_type == "epsilon"
        target = noise if of_noise else self.noising.get_velocity(latents, noise, times)
        said = self.unet(noised.to(self.unet.dtype), times, encoder_hidden_states=asked).sample
        return mse_loss(said.float(), target, reduction="none").mean(dim=(1, 2, 3)).sum()

    @torch.no_grad()
    def _seen(self, pixels: torch.Tensor) -> Any:
        """The distribution of the latents; in fp32, since VAEs of this family overflow in fp16."""
        shown = pixels.permute(0, 3, 1, 2).float() / 127.5 - 1
        with torch.autocast(pixels.device.type, enabled=False):
            return self.vae.encode(shown).latent_dist

    def _scaled(self, latents: torch.Tensor) -> torch.Tensor:
        scaled: torch.Tensor = (latents - (self.vae.config.shift_factor or 0.0)) * self.vae.config.scaling_factor
        return scaled

    @torch.no_grad()
    def _read(self, ids: torch.Tensor) -> torch.Tensor:
        """[n, context, width], as the pipeline reads captions."""
        read: torch.Tensor = self.text_encoder(ids).last_hidden_state
        return read

    @contextmanager
    def untouched(self) -> Iterator[None]:
        """Within it the pipeline draws as before it was tuned."""
        if self.tuned is not self.unet:
            with self.tuned.disable_adapter():
                yield
            return
        self.pipeline.unet = self.fresh()
        try:
            yield
        finally:
            self.pipeline.unet = self.unet

    def save_pretrained(self, folder: Path) -> None:
        """The whole pipeline, or what was attached: LoRA as `pipeline.load_lora_weights` reads it, others as PEFT does."""
        if self.tuned is self.unet:
            self.pipeline.save_pretrained(folder)
        elif self.tuned.peft_config["default"].peft_type.value == "LORA":
            self._save_lora(folder)
        else:
            self.tuned.save_pretrained(folder)

    def _save_lora(self, folder: Path) -> None:
        from diffusers.utils import convert_state_dict_to_diffusers
        from peft import get_peft_model_state_dict

        prefix = "base_model.model."
        learnt = {
            name.removeprefix(prefix): tensor
            for name, tensor in get_peft_model_state_dict(self.tuned, save_embedding_layers=False).items()
        }
        # The configuration goes with it: from the weights alone readers would take alpha to be the rank.
        self.pipeline.save_lora_weights(
            folder,
            unet_lora_layers=convert_state_dict_to_diffusers(learnt),
            unet_lora_adapter_metadata=self.tuned.peft_config["default"].to_dict(),
        )


def _normal(like: torch.Tensor, draws: Sequence[torch.Generator]) -> torch.Tensor:
    """Of the same shape; each row by its own generator, on the host, so that all hardware draws the same."""
    return torch.stack([torch.randn(like.shape[1:], generator=draw) for draw in draws]).to(like.device)


def load_pipeline(folder: Path, frozen: torch.dtype, trained: torch.dtype, device: torch.device) -> Diffuser:
    """`trained`: the type of the UNet, `frozen` that of the text encoder and of a UNet that only draws. Raises ModelUnsupported."""
    import diffusers
    from transformers import AutoTokenizer, CLIPTextModel

    diffusers.utils.logging.set_verbosity_error()
    scheduler = getattr(diffusers, json.loads((folder / "scheduler/scheduler_config.json").read_text())["_class_name"])

    def unet(dtype: torch.dtype) -> Any:
        return _part(diffusers.UNet2DConditionModel, folder / "unet", torch_dtype=dtype)

    try:
        pipeline = diffusers.StableDiffusionPipeline(
            vae=_part(diffusers.AutoencoderKL, folder / "vae", torch_dtype=torch.float32),
            text_encoder=_part(CLIPTextModel, folder / "text_encoder", dtype=frozen),
            tokenizer=AutoTokenizer.from_pretrained(folder / "tokenizer", trust_remote_code=False),
            unet=unet(trained),
            scheduler=scheduler.from_pretrained(folder / "scheduler"),
            safety_checker=None,
            feature_extractor=None,
            requires_safety_checker=False,
        )
    except (OSError, ValueError, KeyError) as error:
        raise ModelUnsupported(f"it can't be loaded by diffusers: {error}") from error
    pipeline.set_progress_bar_config(disable=True)
    return Diffuser(pipeline.to(device), lambda: unet(frozen).to(device))


def _part(kind: Any, folder: Path, **how: Any) -> Any:
    """A part of the pipeline, from its safetensors; those in half precision where there are no others."""
    return kind.from_pretrained(folder, use_safetensors=True, variant=variant_of(folder), **how)
