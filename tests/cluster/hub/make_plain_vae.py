"""A VAE whose weights are set by hand so that it keeps each 4 x 4 pixels' mean colour: training then only has to add what is finer.

Left to itself so small a one takes an hour to learn colours, since group norms take away how bright a picture is. Channels hold the
colour, its negative, and ±LOUD, beside which the norms' scale hardly depends on the picture; and silu(x) − silu(−x) = x.
"""

from __future__ import annotations

from typing import Any

import torch

LOUD = 10.0
COLOURS, NEGATIVES, PLUS, MINUS = (0, 1, 2), (3, 4, 5), 6, 7
USED = 8
QUIET_LOGVAR = -8.0


@torch.no_grad()
def keep_mean_colours(vae: Any) -> None:
    """Sets the weights of an AutoencoderKL with 4 latent channels, one norm group and no attention."""
    for name, module in vae.named_modules():
        if name.endswith(".conv2"):
            zero(module)
        elif name.endswith(".conv_shortcut"):
            pass_on(module)
        elif ".downsamplers." in name and isinstance(module, torch.nn.Conv2d):
            halve(module)
        elif ".upsamplers." in name and isinstance(module, torch.nn.Conv2d):
            pass_on(module)
    for half, outputs in ((vae.encoder, 3), (vae.decoder, 3)):
        take_in(half.conv_in)
        give_out(half.conv_norm_out, half.conv_out, outputs)
    vae.encoder.conv_out.bias[4:] = QUIET_LOGVAR
    for convolution in (vae.quant_conv, vae.post_quant_conv):
        zero(convolution)
        for channel in range(convolution.out_channels):
            convolution.weight[channel, channel] = 1.0


def zero(convolution: torch.nn.Conv2d) -> None:
    convolution.weight.zero_()
    assert convolution.bias is not None
    convolution.bias.zero_()


def middle(convolution: torch.nn.Conv2d) -> int:
    return convolution.kernel_size[0] // 2


def pass_on(convolution: torch.nn.Conv2d) -> None:
    """The channels in use, as they are."""
    zero(convolution)
    at = middle(convolution)
    for channel in range(USED):
        convolution.weight[channel, channel, at, at] = 1.0


def halve(convolution: torch.nn.Conv2d) -> None:
    """The mean of 2 x 2: diffusers fills up at the right and the bottom."""
    zero(convolution)
    for channel in range(USED):
        convolution.weight[channel, channel, :2, :2] = 0.25


def take_in(convolution: torch.nn.Conv2d) -> None:
    zero(convolution)
    at = middle(convolution)
    for colour, negative in zip(COLOURS, NEGATIVES, strict=True):
        convolution.weight[colour, colour, at, at] = 1.0
        convolution.weight[negative, colour, at, at] = -1.0
    assert convolution.bias is not None
    convolution.bias[PLUS], convolution.bias[MINUS] = LOUD, -LOUD


def give_out(norm: torch.nn.GroupNorm, convolution: torch.nn.Conv2d, outputs: int) -> None:
    zero(convolution)
    norm.weight.fill_(LOUD * (2 / norm.num_channels) ** 0.5)
    at = middle(convolution)
    for output in range(outputs):
        convolution.weight[output, COLOURS[output], at, at] = 1.0
        convolution.weight[output, NEGATIVES[output], at, at] = -1.0
