"""Reconstruction losses of the tokenizer."""

import torch

from cardiolect.ecg_tokenizer.training.reconstruction import compand, reconstruction_loss, texture_loss


def test_missing_leads_carry_no_loss():
    signal = torch.randn(2, 12, 64)
    present = torch.ones(2, 12)
    present[:, 3] = 0
    wrong = signal.clone()
    wrong[:, 3] += 9
    assert reconstruction_loss(signal, wrong, present, 0.5) == 0


def test_smoothing_noise_away_costs_texture_loss():
    """Squared error alone prefers the smooth reconstruction, and noise never reaches the codes."""
    torch.manual_seed(0)
    beat = torch.sin(torch.arange(500) / 20).expand(1, 12, 500)
    noise = [0.1 * torch.randn(1, 12, 500) for _ in range(2)]
    present = torch.ones(1, 12)
    smooth, noisy = beat, beat + noise[1]
    assert reconstruction_loss(beat + noise[0], smooth, present, 0.0) < reconstruction_loss(
        beat + noise[0], noisy, present, 0.0
    )
    assert texture_loss(beat + noise[0], noisy, present, 16) < 0.3 * texture_loss(beat + noise[0], smooth, present, 16)


def test_companding_raises_the_cost_of_a_lost_p_wave_relative_to_a_distorted_r_wave():
    wave = torch.zeros(1, 12, 500)
    wave[..., 100:120] = 0.1  # P
    wave[..., 150:160] = 1.5  # R
    no_p, low_r = wave.clone(), wave.clone()
    no_p[..., 100:120] = 0
    low_r[..., 150:160] = 1.4

    def cost(scale, reconstruction) -> float:
        return reconstruction_loss(scale(wave), scale(reconstruction), torch.ones(1, 12), 0.0).item()

    plain = cost(lambda x: x, no_p) / cost(lambda x: x, low_r)
    assert cost(compand, no_p) / cost(compand, low_r) > 10 * plain
