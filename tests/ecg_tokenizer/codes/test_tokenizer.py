"""The ECG tokenizer: millivolts to codes and back, whatever the lead order, rate, length and batch."""

import json

import numpy as np
import pytest
import torch
import wfdb

from cardiolect.data_provider.readers import read_record
from cardiolect.data_provider.record import LEADS
from cardiolect.ecg_tokenizer.codes.config import TokenizerConfig
from cardiolect.ecg_tokenizer.codes.quantizers import FiniteScalarQuantizer
from cardiolect.ecg_tokenizer.codes.tokenizer import ECGTokenizer
from cardiolect.ecg_tokenizer.fidelity.probe import code_dims, code_series
from cardiolect.utils.errors import UserError
from tests.helpers.signals import some_ecg

MIMIC_ORDER = ("I", "II", "III", "aVR", "aVF", "aVL", "V1", "V2", "V3", "V4", "V5", "V6")


@pytest.fixture(
    scope="module",
    params=[
        "fsq",
        "vq",
        "rvq",
        "fsq with coarse codes",
        "rvq with coarse codes",
        "light fsq",
        "light fsq with coarse codes",
    ],
)
def tokenizer(request) -> ECGTokenizer:
    torch.manual_seed(0)
    *light, architecture = request.param.split("light ")
    quantizer, *coarse = architecture.split(" with ")
    config = TokenizerConfig(
        quantizer=quantizer,
        codebook_size=64,
        num_codebooks=3 if quantizer == "rvq" else 1,
        hidden=32,
        encoder_depth=1,
        decoder_depth=1,
        stride=8,
        coarse_frames=4 if coarse else 0,
        backbone="light" if light else "standard",
    )
    built = ECGTokenizer(config)
    if quantizer != "fsq":  # their codebooks start from data
        built.train()
        built(torch.randn(8, 12, 400, generator=torch.Generator().manual_seed(1)) * 0.3)
    return built.eval()


def write_wfdb(folder, name, signal, leads, fs=500):
    wfdb.wrsamp(
        name,
        fs=fs,
        units=["mV"] * 12,
        sig_name=list(leads),
        p_signal=signal.T.astype(float),
        fmt=["16"] * 12,
        adc_gain=[1000.0] * 12,
        baseline=[0] * 12,
        write_dir=str(folder),
    )


def test_the_same_ecg_in_mimic_and_ptbxl_lead_order_gives_identical_codes(tokenizer, tmp_path):
    signal = some_ecg()
    write_wfdb(tmp_path, "ptbxl", signal, LEADS)
    write_wfdb(tmp_path, "mimic", signal[[LEADS.index(lead) for lead in MIMIC_ORDER]], MIMIC_ORDER)
    ptbxl, mimic = (read_record(tmp_path / name) for name in ("ptbxl", "mimic"))
    np.testing.assert_array_equal(tokenizer.encode(ptbxl.signal, 500), tokenizer.encode(mimic.signal, 500))


def test_real_codes_do_not_depend_on_the_batch(tokenizer, shared_data):
    folder = shared_data / "ptb-xl/records500/00000"
    signals = [read_record(p.with_suffix("")).signal[:, ::2] for p in sorted(folder.glob("*.hea"))[:9]]
    alone = [tokenizer.encode_batch([s])[0] for s in signals]
    together = tokenizer.encode_batch(signals)
    for one, other in zip(alone, together, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("fs", [100, 250, 400, 500, 1000])
def test_every_sampling_rate_gives_a_frame_every_32_ms(tokenizer, fs):
    codes = tokenizer.encode(some_ecg(fs=fs), fs)
    frames = len(codes) - tokenizer.layout.is_coarse(len(codes)).sum()
    assert frames == 313 * tokenizer.layout.num_codebooks and codes.dtype.kind == "i"
    assert len(codes) == tokenizer.tokens_in(10)
    assert tokenizer.frame_rate == 31.25


@pytest.mark.parametrize("seconds", [1.0, 2.5, 8.192, 37.3])
def test_any_length_is_encoded_and_decoded(tokenizer, seconds):
    codes = tokenizer.encode(some_ecg(seconds, 250), 250)
    frames = -(-round(seconds * 250) // 8)
    assert len(codes) == tokenizer.layout.codes_in(frames)
    decoded = tokenizer.decode(codes)
    assert decoded.shape == (12, frames * 8) and decoded.dtype == np.float32 and np.isfinite(decoded).all()


def test_codes_far_from_a_change_do_not_see_it(tokenizer):
    signal = some_ecg(10, 250)
    changed = signal.copy()
    changed[:, -200:] += 1
    before, after = (tokenizer.encode_batch([each])[0] for each in (signal, changed))
    far = tokenizer.layout.codes_in(200)
    np.testing.assert_array_equal(before[:far], after[:far])


def test_codes_stand_frame_by_frame_each_codebook_in_its_own_range(tokenizer):
    codes, layout = tokenizer.encode(some_ecg(), 500), tokenizer.layout
    slow = layout.is_coarse(len(codes))
    frames = codes[~slow].reshape(313, layout.num_codebooks)
    assert (frames // layout.codebook_size == np.arange(layout.num_codebooks)).all()
    assert (codes[slow] >= layout.num_codebooks * layout.codebook_size).all()
    assert slow.sum() == (79 if tokenizer.config.coarse_frames else 0)  # of 313 frames four by four
    assert tokenizer.vocabulary_size == sum(layout.sizes) > codes.max()
    assert tokenizer.code_geometry().shape[0] == tokenizer.vocabulary_size
    assert layout.fits(codes)
    if layout.group > 1:
        for wrong in (codes[[1, 0, *range(2, 20)]], codes[1:], codes[: layout.group + 1]):
            with pytest.raises(UserError, match="whole frames in the order of encoding"):
                tokenizer.decode(wrong)


def test_every_code_knows_the_time_it_stands_for(tokenizer):
    books, coarse = tokenizer.num_codebooks, tokenizer.config.coarse_frames
    times = tokenizer.code_times(tokenizer.layout.codes_in(6))  # frames of 32 ms; with coarse codes, four and two
    frames = [(0.032 * k, 0.032 * (k + 1)) for k in range(6) for _ in range(books)]
    if coarse:
        frames = [(0, 0.128), *frames[: 4 * books], (0.128, 0.192), *frames[4 * books :]]
    assert times.dtype == np.float64
    np.testing.assert_allclose(times, frames, atol=1e-12)
    codes = tokenizer.encode(some_ecg(10.01), 500)
    assert tokenizer.code_times(len(codes)).max() == pytest.approx(313 * 0.032)  # the padded tail included
    for wrong in {0, len(times) - 1, len(times) + 1} - {tokenizer.layout.codes_in(k) for k in range(1, 8)}:
        with pytest.raises(UserError, match="do not form whole frames"):
            tokenizer.code_times(wrong)


@pytest.mark.parametrize("tokenizer", ["fsq with coarse codes"], indirect=True)
def test_a_coarse_code_moves_the_frames_around_it_alone(tokenizer):
    codes = tokenizer.encode(some_ecg(), 500)
    where = 20 * tokenizer.layout.group  # before frames 80-83
    changed = codes.copy()
    changed[where] = 1000 + (codes[where] - 1000 + 300) % 625
    moved = np.abs(tokenizer.decode(changed) - tokenizer.decode(codes)).max(axis=0)
    around = slice(80 * 8, 84 * 8)
    reach = 5 * 4 * 8  # samples that five means to either side cover: two blocks of kernel 5, and interpolation
    assert moved[around].max() > 0
    assert moved[: around.start - reach].max() == moved[around.stop + reach :].max() == 0


def test_what_codes_add_sums_to_what_the_decoder_sees(tokenizer):
    """Codes of several codebooks are additive; their embedding rows start from these parts."""
    codes = torch.from_numpy(tokenizer.encode(some_ecg(), 500))
    with torch.no_grad():
        codes = tokenizer.layout.split(codes[None])[0]
        parts = tokenizer.quantizer.vectors()[codes[0]].unflatten(0, (-1, tokenizer.layout.num_codebooks))
        whole = tokenizer.quantizer.lookup(codes)[0]
        none = parts.new_zeros(())  # a projection's bias is added once, not once per codebook
        if tokenizer.layout.num_codebooks > 1:
            none = (tokenizer.layout.num_codebooks - 1) * tokenizer.quantizer.rvq.project_out.bias
    torch.testing.assert_close(parts.sum(1) - none, whole, atol=1e-5, rtol=1e-4)


def test_voltage_reaches_the_codes():
    """HeartLLM's z-score makes an ECG and its double the same; low voltage and hypertrophy would look alike."""
    torch.manual_seed(0)
    tokenizer = ECGTokenizer(TokenizerConfig(hidden=32, encoder_depth=1, decoder_depth=1)).eval()
    signal = some_ecg(4, 250)
    assert (tokenizer.encode(signal, 250) != tokenizer.encode(2 * signal, 250)).any()


def test_nan_and_wrong_shapes_are_refused(tokenizer):
    signal = some_ecg(2)
    with pytest.raises(UserError, match="NaN"):
        tokenizer.encode(np.where(np.arange(signal.shape[1]) == 7, np.nan, signal), 500)
    for wrong in (signal[:11], signal.T, signal[:, :0]):
        with pytest.raises(UserError, match="shape"):
            tokenizer.encode(wrong, 500)
    for codes in ([-1], [tokenizer.vocabulary_size], []):
        with pytest.raises(UserError):
            tokenizer.decode(np.array(codes, dtype=int))


def test_saved_and_loaded_it_gives_the_same_codes(tokenizer, tmp_path):
    tokenizer.save_pretrained(tmp_path)
    loaded = ECGTokenizer.from_pretrained(tmp_path)
    signal = some_ecg()
    np.testing.assert_array_equal(tokenizer.encode(signal, 500), loaded.encode(signal, 500))
    assert loaded.fingerprint() == tokenizer.fingerprint()
    assert {p.name for p in tmp_path.iterdir()} == {"config.json", "model.safetensors"}
    with pytest.raises(UserError, match="a checkpoint of a language model; its ECG tokenizer is"):
        (tmp_path / "llm/ecg_tokenizer").mkdir(parents=True)
        ECGTokenizer.from_pretrained(tmp_path / "llm")
    (tmp_path / "model.safetensors").unlink()
    with pytest.raises(UserError, match=r"model\.safetensors is missing"):
        ECGTokenizer.from_pretrained(tmp_path)


def test_decode_agrees_with_the_training_path(tokenizer):
    signal = torch.from_numpy(some_ecg(4, 250))[None]
    with torch.no_grad():
        reconstruction, codes, _ = tokenizer(signal)
    np.testing.assert_allclose(tokenizer.decode(codes[0].numpy()), reconstruction[0].numpy(), atol=1e-5)


def test_the_default_spends_3077_bits_on_10_seconds():
    tokenizer = ECGTokenizer(TokenizerConfig(hidden=16, encoder_depth=1, decoder_depth=1))
    assert tokenizer.tokens_in(10) == 250 + 63
    assert tokenizer.bits(np.empty(tokenizer.tokens_in(10))) == pytest.approx(250 * np.log2(1000) + 63 * np.log2(625))
    assert tokenizer.bits_per_second == pytest.approx(25 * np.log2(1000) + 6.25 * np.log2(625))
    assert tokenizer.token_rate == 31.25


def test_crops_that_begin_at_a_group_have_the_codes_of_the_whole():
    torch.manual_seed(0)
    tokenizer = ECGTokenizer(TokenizerConfig(hidden=32, encoder_depth=1, decoder_depth=1)).eval()
    group, signal = 40, some_ecg(20, 250)
    whole = tokenizer.encode_batch([signal])[0]
    crop = tokenizer.encode_batch([signal[:, 25 * group : 100 * group]])[0]
    np.testing.assert_array_equal(crop[20 * 5 : 50 * 5], whole[45 * 5 : 75 * 5])


def test_codes_of_another_kind_have_other_dimensions_in_the_geometry():
    torch.manual_seed(0)
    config = TokenizerConfig(fsq_levels=(5, 5, 5), coarse_levels=(3, 3, 3), hidden=16, encoder_depth=1, decoder_depth=1)
    kind, place = ECGTokenizer(config).eval().code_geometry().split([1, 3 + 28 + 3 + 12], dim=1)
    assert (kind[:125] == -1).all() and (kind[125:] == 1).all()
    assert (place[:125, 31:] == 0).all() and (place[125:, :31] == 0).all()
    assert len(place.unique(dim=0)) == 125 + 27


def test_features_of_a_coarse_code_stand_below_those_of_its_frames():
    torch.manual_seed(0)
    tokenizer = ECGTokenizer(TokenizerConfig(hidden=16, encoder_depth=1, decoder_depth=1)).eval()
    codes = tokenizer.encode(some_ecg(2.4, 250), 250)  # 60 frames, 15 groups
    series = code_series(tokenizer, codes[:-1])  # the last group lacks a frame
    assert series.shape == (code_dims(tokenizer), 59)
    slow = series[16:]
    assert all((slow[:, 4 * g : 4 * g + 4] == slow[:, [4 * g]]).all() for g in range(15))
    other = np.flatnonzero(np.diff(codes[::5]))  # groups followed by one with another coarse code
    assert len(other) and all((slow[:, 4 * g + 3] != slow[:, 4 * g + 4]).any() for g in other)


def test_a_config_without_coarse_codes_is_one_of_a_tokenizer_without(tmp_path):
    ECGTokenizer(TokenizerConfig(coarse_frames=0, hidden=16)).save_pretrained(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({k: v for k, v in config.items() if "coarse" not in k}))
    assert ECGTokenizer.from_pretrained(tmp_path).coarse is None
    (tmp_path / "config.json").write_text(json.dumps({**config, "hidden": 24}))
    with pytest.raises(UserError, match=r"does not fit its config\.json: .*size mismatch"):
        ECGTokenizer.from_pretrained(tmp_path)


def test_a_dimension_of_fsq_that_drifted_off_comes_back():
    """At the flat end of the tanh it stays at one level, and of 1000 codes 125 are left."""
    torch.manual_seed(0)
    quantizer = FiniteScalarQuantizer((8, 5, 5, 5), 16)
    features = torch.nn.functional.layer_norm(torch.randn(4, 50, 16), [16])
    assert quantizer(features)[2] < 1e-3
    with torch.no_grad():
        quantizer.fsq.project_in.bias[0] = -6
    optimizer = torch.optim.AdamW(quantizer.parameters(), 0.05)
    for _ in range(100):
        loss = quantizer(features)[2]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert quantizer.fsq.project_in(features)[..., 0].abs().median() < 2.5  # where tanh still has a slope


@pytest.mark.parametrize("stride", [1, 5, 8, 12])
@pytest.mark.parametrize("backbone", ["standard", "light"])
def test_every_stride_keeps_the_frames_in_place(backbone, stride):
    """A change of one sample moves the frames around it, as many before as after."""
    torch.manual_seed(0)
    config = TokenizerConfig(hidden=16, stride=stride, encoder_depth=1, decoder_depth=1, backbone=backbone)
    tokenizer, signal = ECGTokenizer(config), torch.randn(1, 12, 40 * stride)
    changed = signal.clone()
    changed[..., 20 * stride + stride // 2] += 1
    with torch.no_grad():
        before, after = (tokenizer.encoder(each)[0] for each in (signal, changed))
        moved = torch.nonzero((before - after).abs().amax(dim=1))[:, 0]
        assert before.shape == (40, 16) and abs((moved.min() + moved.max()) / 2 - 20) <= 0.5
        features = torch.randn(1, 40, 16)
        other = features.clone()
        other[:, 20] += 1
        decoded = [tokenizer.decoder(each)[0] for each in (features, other)]
        moved = torch.nonzero((decoded[0] - decoded[1]).abs().amax(dim=0))[:, 0]
        assert decoded[0].shape == (12, 40 * stride)
        assert abs((moved.min() + moved.max() + 1) / 2 - 20.5 * stride) <= 3


def test_tokenizers_of_the_first_backbone_keep_their_fingerprint_and_their_config(tmp_path):
    torch.manual_seed(0)
    tokenizer = ECGTokenizer(TokenizerConfig(hidden=16, encoder_depth=1, decoder_depth=1))
    assert "backbone" not in str(tokenizer.config)
    tokenizer.save_pretrained(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    del config["backbone"], config["search_rounds"]
    (tmp_path / "config.json").write_text(json.dumps(config))
    assert ECGTokenizer.from_pretrained(tmp_path).fingerprint() == tokenizer.fingerprint()
    light = ECGTokenizer(TokenizerConfig(hidden=16, encoder_depth=1, decoder_depth=1, backbone="light"))
    assert "backbone=light" in str(light.config)
    (tmp_path / "config.json").write_text(json.dumps(config | {"backbone": "heavy"}))
    with pytest.raises(UserError, match="unknown backbone 'heavy'"):
        ECGTokenizer.from_pretrained(tmp_path)
