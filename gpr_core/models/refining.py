"""Refining token by diffusion: an embedding of the next item, denoised out of seeded noise.

    x_s = sqrt(a_s) x_0 + sqrt(1 - a_s) noise              noise generator, a falls from 1 to 0
    x_0 ~ D(x_s, s, c, thoughts)                           denoiser, conditioned on the intent c
    r   = DDIM(x_S), 4 calls of D, no added noise          refined token

In training the denoiser sees noised targets. The generator never does: its refined token always
comes out of the sampler.

Letters: D width, K thinking tokens, M flat rows (readouts), S noise levels 0..S, P positions.
"""

import math
from itertools import pairwise

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gpr_core.data.keyed_sampling import keyed_normal
from gpr_core.models.attention import attention, merge_heads, split_heads
from gpr_core.models.config import ModelConfig
from gpr_core.models.feed_forward import FeedForward

_OFFSET = 0.008
_MAX_BETA = 0.999
# Share of the training rows without condition, from which guidance knows what it moves away from.
_CONDITION_DROPOUT = 0.1
_MAX_WEIGHT = 5.0
_TIME_PERIOD = 10_000.0


def cosine_schedule(num_levels: int) -> Tensor:
    """Share of the signal that is left at each noise level.

    Args:
        num_levels: S.

    Returns:
        [S + 1] float, from 1 at level 0 down to almost 0; the product of 1 - beta with beta
        clipped at 0.999.

    Source:
        Nichol and Dhariwal (2021), Eq 17; specification 3.6.2.
    """
    share_S = torch.arange(num_levels + 1, dtype=torch.float64) / num_levels
    curve_S = torch.cos((share_S + _OFFSET) / (1 + _OFFSET) * math.pi / 2).square()
    beta_S = (1 - curve_S[1:] / curve_S[:-1]).clamp(max=_MAX_BETA)
    signal_S = torch.cat([torch.ones(1, dtype=torch.float64), (1 - beta_S).cumprod(0)])
    return signal_S.to(torch.float32)


class _AdaptiveLayer(nn.Module):
    """Self-attention and feed-forward, scaled and shifted by a condition (AdaLN-Zero)."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        width = config.width
        self.num_heads = config.attention_heads
        self.norm = nn.LayerNorm(width, elementwise_affine=False)
        self.modulate = nn.Linear(width, 6 * width)
        nn.init.zeros_(self.modulate.weight)
        nn.init.zeros_(self.modulate.bias)
        self.project = nn.Linear(width, 3 * width, bias=False)
        self.merge = nn.Linear(width, width, bias=False)
        self.feed_forward = FeedForward(width, config.decoder_ffn_multiple)
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, x_MPD: Tensor, condition_MD: Tensor) -> Tensor:
        """Apply the layer: [M, P, D]."""
        modulation = self.modulate(F.silu(condition_MD))[:, None].chunk(6, dim=-1)
        shift, scale, gate, shift_ffn, scale_ffn, gate_ffn = modulation
        z_MPD = self.norm(x_MPD) * (1 + scale) + shift
        query, key, value = (
            split_heads(part, self.num_heads) for part in self.project(z_MPD).chunk(3, dim=-1)
        )
        everything = torch.ones(1, 1, dtype=torch.bool, device=x_MPD.device)
        attended_MPD = merge_heads(attention(query, key, value, mask=everything))
        x_MPD = x_MPD + gate * self.dropout(self.merge(attended_MPD))
        z_MPD = self.norm(x_MPD) * (1 + scale_ffn) + shift_ffn
        out_MPD: Tensor = x_MPD + gate_ffn * self.dropout(self.feed_forward(z_MPD))
        return out_MPD


class DiffusionRefining(nn.Module):
    """Makes the refined token, and the loss that teaches it.

    Args:
        config: Sizes and switches; `refine.kind` is `diffusion`.

    Source:
        Paper section 2.2 (refining module, condition by sum pooling); specification 3.6.2. The
        paper does not say what the diffusion is to reproduce: ours is the embedding of the target.
    """

    noise_version: Tensor

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        width, refine = config.width, config.refine
        self.num_levels = refine.noise_levels
        self.sampling_steps = refine.sampling_steps
        self.guidance, self.starts_from_thought = refine.guidance, refine.start == "hypothesis"
        self.register_buffer("signal_S", cosine_schedule(self.num_levels), persistent=False)
        # Policies with one version see the same noise at the same request, whatever their weights.
        self.register_buffer("noise_version", torch.zeros((), dtype=torch.int64))
        self.time = nn.Sequential(nn.Linear(width, width), nn.SiLU(), nn.Linear(width, width))
        self.slot_PD = nn.Parameter(torch.randn(config.num_thoughts + 1, width) * width**-0.5)
        self.layers = nn.ModuleList(_AdaptiveLayer(config) for _ in range(refine.layers))
        self.norm_out = nn.LayerNorm(width)
        self.out = nn.Linear(width, width)

    def forward(self, thought_MKD: Tensor, intent_MD: Tensor, request_key_M: Tensor) -> Tensor:
        """Sample the refined token.

        Args:
            thought_MKD: [M, K, D] float, thinking tokens.
            intent_MD: [M, D] float, their sum, c.
            request_key_M: [M] int64, request of each readout: it fixes the noise.

        Returns:
            [M, D] float. Gradient flows through the last call of the denoiser only.
        """
        x_MD, first = self.start_noise(request_key_M, intent_MD), self.num_levels
        with torch.no_grad():
            if self.starts_from_thought:
                # Under all of the noise nothing would be left of the thought.
                first = max(self.num_levels // 2, self.sampling_steps)
                hypothesis_MD = torch.cat([intent_MD[:, None], thought_MKD], dim=1)[:, -1]
                level_M = torch.full_like(request_key_M, first)
                x_MD = self.noise(self.clean(hypothesis_MD), level_M, x_MD)
            levels = torch.linspace(first, 0, self.sampling_steps + 1).round().long().tolist()
            for level, lower in pairwise(levels[:-1]):
                x_MD = self._step_down(x_MD, level, lower, intent_MD, thought_MKD)
        level_M = torch.full_like(request_key_M, levels[-2])
        return self._guess(x_MD, level_M, intent_MD, thought_MKD)

    def loss(self, thought_MKD: Tensor, intent_MD: Tensor, target_MD: Tensor) -> Tensor:
        """Denoise noised targets; levels and noise come from torch's global stream.

        Args:
            thought_MKD: [M, K, D] float, thinking tokens.
            intent_MD: [M, D] float, their sum, c.
            target_MD: [M, D] float, embedding of the target; no gradient reaches it.

        Returns:
            Scalar, squared error of x_0 weighed by min(signal to noise, 5).
        """
        x0_MD = self.clean(target_MD)
        level_M = torch.randint(1, self.num_levels + 1, x0_MD.shape[:1], device=x0_MD.device)
        noised_MD = self.noise(x0_MD, level_M, torch.randn_like(x0_MD))
        if self.guidance > 1:
            is_kept_M1 = torch.rand(len(x0_MD), 1, device=x0_MD.device) >= _CONDITION_DROPOUT
            intent_MD, thought_MKD = intent_MD * is_kept_M1, thought_MKD * is_kept_M1[:, None]
        found_MD = self.denoise(noised_MD, level_M, intent_MD, thought_MKD)
        return (self.weight(level_M) * (x0_MD - found_MD).square().mean(dim=1)).mean()

    def clean(self, target_MD: Tensor) -> Tensor:
        """Give what the denoiser is to find.

        Args:
            target_MD: [M, D] float, embedding of the target.

        Returns:
            [M, D] float, x_0, normalized, without gradient.
        """
        return F.layer_norm(target_MD.detach(), target_MD.shape[1:])

    def noise(self, x0_MD: Tensor, level_M: Tensor, noise_MD: Tensor) -> Tensor:
        """Mix signal and noise.

        Args:
            x0_MD: [M, D] float, signal.
            level_M: [M] int64, noise level, 0..S.
            noise_MD: [M, D] float, standard normal.

        Returns:
            [M, D] float, x_s.
        """
        signal_M1 = self._signal(level_M)[:, None]
        return signal_M1.sqrt() * x0_MD + (1 - signal_M1).sqrt() * noise_MD

    def denoise(
        self, x_MD: Tensor, level_M: Tensor, intent_MD: Tensor, thought_MKD: Tensor
    ) -> Tensor:
        """Guess the signal.

        Args:
            x_MD: [M, D] float, x_s.
            level_M: [M] int64, noise level s.
            intent_MD: [M, D] float, condition c.
            thought_MKD: [M, K, D] float, thinking tokens.

        Returns:
            [M, D] float, guess of x_0.
        """
        condition_MD = intent_MD + self.time(_waves(level_M, x_MD.shape[1]))
        x_MPD = torch.cat([x_MD[:, None], thought_MKD], dim=1) + self.slot_PD
        for layer in self.layers:
            x_MPD = layer(x_MPD, condition_MD)
        found_MD: Tensor = self.out(self.norm_out(x_MPD[:, 0]))
        return found_MD

    def weight(self, level_M: Tensor) -> Tensor:
        """Give the weight of the loss at noise levels.

        Args:
            level_M: [M] int64, 1..S.

        Returns:
            [M] float, min(a / (1 - a), 5).

        Source:
            Hang et al. (2023), min-SNR-5 for the prediction of x_0.
        """
        signal_M = self._signal(level_M)
        return (signal_M / (1 - signal_M)).clamp(max=_MAX_WEIGHT)

    def start_noise(self, request_key_M: Tensor, like_MD: Tensor) -> Tensor:
        """Give the noise from which the refined token of each request is denoised.

        Args:
            request_key_M: [M] int64.
            like_MD: [M, D] float, sets width, type and device.

        Returns:
            [M, D] float, standard normal, a function of request and `noise_version` only.
        """
        key_M1 = request_key_M.cpu().numpy()[:, None]
        column_D = np.arange(like_MD.shape[1])
        drawn_MD = keyed_normal(int(self.noise_version), "refining", key_M1, column_D)
        return torch.from_numpy(drawn_MD).to(like_MD)

    def _guess(
        self, x_MD: Tensor, level_M: Tensor, intent_MD: Tensor, thought_MKD: Tensor
    ) -> Tensor:
        """Guess the signal, moved away from the guess without condition if there is guidance."""
        found_MD = self.denoise(x_MD, level_M, intent_MD, thought_MKD)
        if self.guidance == 1:
            return found_MD
        free_MD = self.denoise(x_MD, level_M, intent_MD * 0.0, thought_MKD * 0.0)
        return free_MD + self.guidance * (found_MD - free_MD)

    def _step_down(
        self, x_MD: Tensor, level: int, lower: int, intent_MD: Tensor, thought_MKD: Tensor
    ) -> Tensor:
        """Take one deterministic DDIM step from a noise level to a lower one."""
        level_M = torch.full(x_MD.shape[:1], level, device=x_MD.device)
        x0_MD = self._guess(x_MD, level_M, intent_MD, thought_MKD)
        signal_M1 = self._signal(level_M)[:, None]
        noise_MD = (x_MD - signal_M1.sqrt() * x0_MD) / (1 - signal_M1).sqrt()
        return self.noise(x0_MD, torch.full_like(level_M, lower), noise_MD)

    def _signal(self, level_M: Tensor) -> Tensor:
        """Share of the signal at noise levels, [M]."""
        signal_S: Tensor = self.get_buffer("signal_S")
        return signal_S.index_select(0, level_M)


def _waves(level_M: Tensor, width: int) -> Tensor:
    """Turn noise levels into sines and cosines of many periods, [M, D]."""
    half = (width + 1) // 2
    rate_X = _TIME_PERIOD ** (-torch.arange(half, device=level_M.device) / half)
    angle_MX = level_M[:, None] * rate_X
    return torch.cat([angle_MX.sin(), angle_MX.cos()], dim=1)[:, :width]
