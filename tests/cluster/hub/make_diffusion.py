"""A tiny Stable Diffusion that really draws: circles, squares and triangles in the colour that is asked for, 32 x 32.

VAE, text encoder and UNet are trained here, in a minute or two on two cores. All is seeded.
"""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageDraw
from torch.nn.functional import mse_loss

from tests.cluster.hub.make_plain_vae import keep_mean_colours

SIDE = 32
COLOURS = {"red": (220, 40, 40), "green": (40, 160, 60), "blue": (40, 70, 220), "yellow": (235, 200, 40)}
SHAPES = ("circle", "square", "triangle")
BACKGROUNDS = {"white": (245, 245, 245), "black": (20, 20, 20)}
CAPTION_TOKENS = 16
DIFFUSION_STEPS = 1000
UNCAPTIONED = 0.15
"""Share of the pictures that are learnt without their caption, which guidance needs (Ho and Salimans 2022, arXiv:2207.12598)."""


def picture(shape: str, colour: tuple[int, ...], background: tuple[int, ...], chance: random.Random) -> Image.Image:
    """A shape of some size at some place, drawn large and made small for smooth edges."""
    large = 4 * SIDE
    drawn = Image.new("RGB", (large, large), background)
    radius = chance.uniform(0.24, 0.38) * large
    x, y = (chance.uniform(radius, large - radius) for _ in range(2))
    pen = ImageDraw.Draw(drawn)
    box = (x - radius, y - radius, x + radius, y + radius)
    match shape:
        case "circle":
            pen.ellipse(box, fill=colour)
        case "square":
            pen.rectangle(box, fill=colour)
        case _:
            pen.polygon([(x, y - radius), (x - radius, y + radius), (x + radius, y + radius)], fill=colour)
    return drawn.resize((SIDE, SIDE), Image.Resampling.BOX)


def numbers(pictures: list[Image.Image]) -> torch.Tensor:
    """[n, 3, side, side] between -1 and 1."""
    return torch.from_numpy(np.stack([np.asarray(one) for one in pictures])).permute(0, 3, 1, 2).float() / 127.5 - 1


def captioned(count: int, chance: random.Random) -> tuple[list[str], torch.Tensor]:
    captions, pictures = [], []
    for _ in range(count):
        colour, shape, ground = (chance.choice(list(some)) for some in (COLOURS, SHAPES, BACKGROUNDS))
        captions.append(chance.choice([f"a {colour} {shape}", f"a {colour} {shape} on {ground}"]))
        pictures.append(picture(shape, COLOURS[colour], BACKGROUNDS[ground], chance))
    return captions, numbers(pictures)


def any_colours(count: int, chance: random.Random) -> torch.Tensor:
    """What the VAE learns: it must be able to show colours that the UNet has never been asked for."""

    def colour() -> tuple[int, ...]:
        return tuple(chance.randrange(256) for _ in range(3))

    pictures = []
    for _ in range(count):
        one = picture(chance.choice(SHAPES), colour(), colour(), chance)
        other = picture(chance.choice(SHAPES), colour(), colour(), chance)
        pictures.append(chance.choice([one, Image.blend(one, other, 0.5)]))
    return numbers(pictures)


def learn(parameters: list[torch.nn.Parameter], rate: float, steps: int, loss_of: Any) -> float:
    """The mean of the last fifty losses."""
    optimizer = torch.optim.AdamW(parameters, lr=rate, weight_decay=0.0)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, rate, steps, pct_start=0.1)
    losses = []
    for _ in range(steps):
        loss = loss_of()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        optimizer.zero_grad()
        schedule.step()
        losses.append(loss.item())
    return sum(losses[-50:]) / 50


def teach_vae(vae: Any, steps: int = 250, batch: int = 16) -> None:
    keep_mean_colours(vae)
    shown = any_colours(1000, random.Random(1))

    def loss_of() -> torch.Tensor:
        some = shown[torch.randint(len(shown), (batch,))]
        return mse_loss(vae.decode(vae.encode(some).latent_dist.sample()).sample, some)

    print(f"VAE: squared error {learn(list(vae.parameters()), 3e-4, steps, loss_of):.4f}")
    with torch.no_grad():
        spread = vae.encode(shown[:256]).latent_dist.mode().std().item()
    vae.register_to_config(scaling_factor=1 / spread)


def teach_unet(pipeline: Any, steps: int = 900, batch: int = 32) -> None:
    """The text encoder with it."""
    vae, unet, encoder, scheduler = pipeline.vae, pipeline.unet, pipeline.text_encoder, pipeline.scheduler
    captions, shown = captioned(3000, random.Random(2))
    with torch.no_grad():
        latents = torch.cat([vae.encode(some).latent_dist.mode() for some in shown.split(500)])
    latents *= vae.config.scaling_factor

    def tokens(texts: list[str]) -> torch.Tensor:
        padded = pipeline.tokenizer(texts, padding="max_length", max_length=CAPTION_TOKENS, return_tensors="pt")
        ids: torch.Tensor = padded.input_ids
        return ids

    ids, nothing = tokens(captions), tokens([""])

    def loss_of() -> torch.Tensor:
        rows = torch.randint(len(latents), (batch,))
        noise = torch.randn(batch, *latents.shape[1:])
        times = torch.randint(DIFFUSION_STEPS, (batch,))
        asked = torch.where(torch.rand(batch, 1) < UNCAPTIONED, nothing, ids[rows])
        noised = scheduler.add_noise(latents[rows], noise, times)
        return mse_loss(unet(noised, times, encoder(asked).last_hidden_state).sample, noise)

    found = learn([*unet.parameters(), *encoder.parameters()], 2e-3, steps, loss_of)
    print(f"UNet: squared error {found:.3f}")


def untaught() -> Any:
    """The pipeline with random weights."""
    from diffusers import AutoencoderKL, DDIMScheduler, StableDiffusionPipeline, UNet2DConditionModel

    torch.manual_seed(0)
    tokenizer = make_tokenizer()
    vae = AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 3,
        up_block_types=("UpDecoderBlock2D",) * 3,
        block_out_channels=(8, 16, 32),
        layers_per_block=1,
        norm_num_groups=1,
        mid_block_add_attention=False,
        latent_channels=4,
        sample_size=SIDE,
    )
    unet = UNet2DConditionModel(
        sample_size=SIDE // 4,
        block_out_channels=(32, 64),
        layers_per_block=1,
        down_block_types=("CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D"),
        cross_attention_dim=64,
        attention_head_dim=8,
        norm_num_groups=8,
    )
    scheduler = DDIMScheduler(
        num_train_timesteps=DIFFUSION_STEPS,
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        clip_sample=False,
        set_alpha_to_one=False,
        steps_offset=1,
    )
    encoder = make_text_encoder(tokenizer)
    parts = (vae, encoder, tokenizer, unet, scheduler, None, None)
    return StableDiffusionPipeline(*parts, requires_safety_checker=False)


def make_tokenizer() -> Any:
    """CLIP's, of the words that captions are made of; others are spelt."""
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers
    from transformers import CLIPTokenizer

    words = Tokenizer(models.BPE(end_of_word_suffix="</w>"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    alphabet = [chr(letter) for letter in range(33, 127)]
    trainer = trainers.BpeTrainer(vocab_size=400, end_of_word_suffix="</w>", initial_alphabet=alphabet)
    words.train_from_iterator([" ".join([*COLOURS, *SHAPES, *BACKGROUNDS, "a", "on"])] * 4, trainer)
    merges = [tuple(pair) for pair in json.loads(words.to_str())["model"]["merges"]]
    known = [*alphabet, *(f"{letter}</w>" for letter in alphabet), *("".join(pair) for pair in merges)]
    known += ["<|startoftext|>", "<|endoftext|>"]
    vocabulary = {token: number for number, token in enumerate(dict.fromkeys(known))}
    return CLIPTokenizer(vocab=vocabulary, merges=merges, model_max_length=CAPTION_TOKENS)


def make_text_encoder(tokenizer: Any) -> Any:
    from transformers import CLIPTextConfig, CLIPTextModel

    return CLIPTextModel(
        CLIPTextConfig(
            vocab_size=len(tokenizer),
            hidden_size=64,
            intermediate_size=128,
            num_hidden_layers=2,
            num_attention_heads=4,
            max_position_embeddings=CAPTION_TOKENS,
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
        )
    )


def make_diffusion(target: Path) -> None:
    """The pipeline's folder."""
    pipeline = untaught()
    teach_vae(pipeline.vae)
    teach_unet(pipeline)
    pipeline.save_pretrained(target)
