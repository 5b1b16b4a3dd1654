"""What reaches a model is a heart's voltage: everything else is masked, cut off or refused, and said."""

import numpy as np
import pytest

from cardiolect.data_provider.readers.assembly import assemble, law_broken
from cardiolect.data_provider.readers.channels import Channels, FileError
from cardiolect.data_provider.readers.usable import unusable_runs
from cardiolect.data_provider.record import LEADS, ECGRecord, complete_limb_leads, without_offsets

FS, V2 = 500.0, LEADS.index("V2")


def heart(seconds: float = 10.0, seed: int = 0) -> np.ndarray:
    """(12, T) mV: beats of different shape in every lead, with noise; limb leads obey Einthoven and Goldberger."""
    rng, t = np.random.default_rng(seed), np.arange(round(seconds * FS)) / FS
    beat = np.exp(-0.5 * ((t % 0.8 - 0.3) / 0.012) ** 2)
    wave = np.exp(-0.5 * ((t % 0.8 - 0.55) / 0.05) ** 2)
    signal = np.full((12, len(t)), np.nan)
    for row in (0, 1, *range(6, 12)):
        signal[row] = rng.normal(1, 0.5) * beat + rng.normal(0.3, 0.1) * wave + rng.normal(0, 0.004, len(t))
    given = [row in (0, 1) for row in range(12)]
    complete_limb_leads(signal, given, [not each for each in given])
    return signal


def record(signal: np.ndarray, leads=LEADS, **options) -> ECGRecord:
    ecg = assemble(Channels(dict(zip(leads, signal, strict=True)), FS), **options)
    return ECGRecord(ecg.signal, FS, ecg.good, "1", None, ecg.computed, ecg.notes)


def changed(first: int, end: int, value, row: int = V2) -> np.ndarray:
    signal = heart()
    signal[row, first:end] = value
    return signal


@pytest.mark.parametrize("value", [-32.768, 32.767, 5.12, -9.999, 0.0, 0.013, np.nan])
def test_a_value_that_lasts_is_no_voltage(value):
    ecg = record(changed(4000, 5000, value))
    assert ecg.masked == {"V2": pytest.approx(0.2)}
    others = np.delete(np.arange(12), V2)
    np.testing.assert_allclose(ecg.signal[others], heart()[others], atol=1e-5)
    np.testing.assert_allclose(ecg.signal[V2, :4000], heart()[V2, :4000], atol=1e-5)
    assert np.abs(ecg.signal[V2, 4000:]).max() < 0.2


def test_what_is_masked_is_said():
    (said,) = record(changed(2000, 3500, 5.1175)).notes
    assert said == "masked in V2: 4.00-7.00 s (constant at 5.117 mV)" or said.endswith("(constant at 5.118 mV)")
    many = heart()
    for first in range(0, 5000, 600):
        many[V2, first : first + 120] = 9.9
    assert "5 more stretches of 1.20 s in all" in record(many).notes[0]


def test_an_isoelectric_line_between_beats_stays():
    """Leads on a coarse grid rest at one value for up to 0.33 s in PTB-XL; a rail that lasts as long is masked."""
    assert record(changed(1000, 1160, 0.01)).good.all()
    assert not record(changed(1000, 1160, 7.5)).good[V2, 1000:1160].any()


def test_a_spike_is_masked_with_its_surroundings_and_the_rest_read():
    ecg = record(changed(2500, 2501, 80.0))
    gap = np.flatnonzero(~ecg.good[V2])
    assert gap[0] == 2490 and gap[-1] == 2510
    assert np.abs(ecg.signal[V2]).max() < 5 and "a spike of 8" in ecg.notes[0]
    paced = heart()
    paced[:, 200::400] = 60.0
    assert record(paced, check_leads=False).good.mean() > 0.9


@pytest.mark.parametrize(("first", "end"), [(2500, 2501), (2500, 2550), (4990, 5000), (0, 3)])
@pytest.mark.parametrize("sentinel", [-32.768, 32.767, -16.384])
def test_a_sentinel_is_masked_however_short_its_gap(sentinel, first, end):
    """16-bit steps of 1 uV: the smallest and the largest number, and aVR computed from two leads at the smallest."""
    ecg = record(changed(first, end, sentinel))
    assert np.flatnonzero(~ecg.good[V2]).tolist() == list(range(first, end))
    assert np.abs(ecg.signal).max() < 5 and f"(jumps to {sentinel:.4g} mV)" in ecg.notes[0]


def test_an_offset_is_no_jump():
    assert record(heart() + 30 * np.arange(12)[:, None], check_leads=False).good.all()


def test_a_wrong_gain_is_refused_in_one_line():
    with pytest.raises(FileError, match=r"lead I reaches [0-9]+ mV; check gain and unit"):
        assemble(Channels(dict(zip(LEADS, 1000 * heart(), strict=True)), FS))


@pytest.mark.parametrize("pad", [0.0, np.nan, 1.7])
def test_padding_of_all_leads_is_cut_off(pad):
    padded = np.pad(heart(7), ((0, 0), (750, 750)), constant_values=pad)
    ecg = record(padded)
    assert ecg.seconds == 7 and ecg.good.all()
    np.testing.assert_allclose(ecg.signal, heart(7), atol=1e-5)
    assert ecg.notes == (
        "1.50 s without any signal cut off at the beginning",
        "1.50 s without any signal cut off at the end",
    )


def test_a_value_held_after_the_end_is_cut_off():
    held = heart()
    held[:, 3500:] = held[:, 3499:3500]
    assert record(held).seconds == pytest.approx(7, abs=0.01)


def test_a_recording_of_padding_alone_is_refused():
    with pytest.raises(FileError, match="none of its leads ever changes"):
        record(np.ones((12, 5000)))
    with pytest.raises(FileError, match=r"only 0\.50 s long.*\(9\.50 s without any signal cut off"):
        record(np.pad(heart(0.5), ((0, 0), (0, 4750))))


@pytest.mark.parametrize(
    "order",
    [
        ("I", "II", "V1", "V2", "V3", "V4", "V5", "V6", "III", "aVR", "aVL", "aVF"),
        ("I", "II", "III", "aVL", "aVR", "aVF", *LEADS[6:]),
        ("I", "II", "III", "aVR", "aVF", "aVL", *LEADS[6:]),
    ],
    ids=["independent leads first", "aVL before aVR", "aVF before aVL"],
)
def test_leads_in_another_order_than_stated_are_refused(order):
    wrong = heart()[[LEADS.index(lead) for lead in order]]
    with pytest.raises(FileError, match=r"contradict Einthoven's law \(III = II - I.*LEAD_LAW=warn") as refused:
        record(wrong)
    if set(order[:6]) == set(LEADS[:6]):
        assert f"I, II, III, aVR, aVL, aVF fit it if they are {', '.join(order[:6])};" in str(refused.value)
    allowed = record(wrong, check_leads=False)
    assert allowed.contradicts and any("contradict Einthoven's law" in said for said in allowed.remarks())


def test_offsets_masks_and_rounding_do_not_break_the_law():
    signal = heart() + np.linspace(-180, 210, 12)[:, None]
    signal[2, 1000:3000] = 32.767
    assert not record(signal).contradicts
    noise = np.random.default_rng(0).normal(0, 0.02, (12, 5000))  # leads of no more than a few steps of a converter
    complete_limb_leads(noise, [True] * 2 + [False] * 10, [False] * 2 + [True] * 4 + [False] * 6)
    coarse = np.round(noise / 0.02) * 0.02
    assert law_broken(coarse) > 0.2 and not record(coarse).contradicts


def test_real_recordings_obey_the_law(shared_data):
    from cardiolect.data_provider.readers.formats import read_channels

    for path in sorted((shared_data / "ptb-xl/records500/00000").glob("*.hea"))[:20]:
        leads = read_channels(path.with_suffix("")).leads
        assert law_broken(np.stack([leads[lead] for lead in LEADS])) < 0.1


def test_an_offset_is_no_reason_to_refuse_and_is_said():
    ecg = record(heart() + np.eye(12)[V2][:, None] * 200)
    assert ecg.good.all() and ecg.signal[V2].min() > 150  # the record keeps what the file says
    (said,) = ecg.remarks()
    assert said.startswith("Offsets, taken off before encoding: V2 +200.")
    np.testing.assert_allclose(without_offsets(ecg.signal), without_offsets(heart()), atol=2e-5)


def test_leads_computed_absent_and_drifting_are_said():
    signal, rows = heart(), [0, 1, 6, 7, 8, 9]
    signal[6] += np.linspace(0, 4, 5000)
    said = record(signal[rows], [LEADS[row] for row in rows]).remarks()
    assert said[0] == "Not recorded, treated as flat: V5, V6."
    assert said[1] == "Not recorded, computed from other limb leads: III, aVR, aVL, aVF."
    assert "Baselines that drift by more than codes keep: V1 3.6 mV." in said
    assert record(heart()).remarks() == []


def test_no_run_is_found_in_nothing():
    assert unusable_runs(np.full(1000, np.nan), FS, "I") == []


def overdriven(row: int = V2) -> np.ndarray:
    """An amplifier at its limits for 1.2 s, which then holds zero for 0.25 s, between ringing, in a lead at -2.2 mV."""
    signal = heart()
    signal[row] -= 2.2
    signal[row, 2000:2300], signal[row, 2300:2600] = 15.2, -15.5
    signal[row, 2300:2600] += np.random.default_rng(1).normal(0, 0.02, 300)
    signal[row, 2000:2300] += np.random.default_rng(2).normal(0, 0.02, 300)
    ring = 2 * np.exp(-np.arange(10) / 3) * np.cos(np.arange(10) * 2)
    signal[row, 2600:2610], signal[row, 2610:2735], signal[row, 2735:2745] = ring, 0.0, ring[::-1]
    return signal


@pytest.mark.parametrize("row", [0, V2, 11])
def test_what_an_overdriven_amplifier_writes_is_masked_and_neither_gain_nor_drift_is_blamed(row):
    ecg = record(overdriven(row), check_leads=False)
    lead, bad = LEADS[row], np.flatnonzero(~ecg.good[row])
    assert (bad[0], bad[-1]) == (1950, 2759) and len(bad) == 810 and ecg.good[np.arange(12) != row].all()
    (said,) = [note for note in ecg.notes if note.startswith("masked")]
    assert said == (
        f"masked in {lead}: 3.90-5.27 s (a disturbance of 17 mV), 5.17-5.52 s (constant at 0 mV between two jumps)"
    )
    assert not any("gain" in each or "drift" in each for each in ecg.remarks())
    np.testing.assert_allclose(ecg.signal[V2, 3000:] - np.median(ecg.signal[V2]), heart()[V2, 3000:], atol=0.1)


@pytest.mark.parametrize("seconds", [0.2, 0.3, 0.45])
@pytest.mark.parametrize("offset", [-2.25, 0.8, 4.0])
def test_a_value_held_between_two_jumps_is_masked(seconds, offset):
    signal = heart()
    signal[V2] += offset
    end = 2000 + round(seconds * FS)
    signal[V2, 2000:end] = 0.0
    ecg = record(signal)
    assert not ecg.good[V2, 2000:end].any() and ecg.good[V2].sum() >= 5000 - (end - 2000) - 50


def test_beats_are_no_disturbance_however_large_or_on_whatever_baseline():
    drifting = heart()
    drifting[V2] += np.linspace(12, 0, 5000) ** 2 / 12
    large = heart()
    large[V2] *= 8 / np.ptp(large[V2])
    for signal in (drifting, large):
        assert record(signal, check_leads=False).good.all()


def test_a_gain_that_is_ten_times_too_large_masks_no_beat_and_is_said():
    ecg = record(heart() * 20)
    assert ecg.good.all() and any("check gain and unit" in note for note in ecg.notes)


def test_gaps_get_their_times_and_leads_with_the_same_ones_share_a_clause():
    signal = heart()
    signal[6:9, 1000:1500] = np.nan
    signal[V2, 3000:3100] = np.nan
    assert record(signal).notes == ("no value in V1, V3: 2.00-3.00 s", "no value in V2: 2.00-3.00 s, 6.00-6.20 s")
    signal = heart()
    signal[:, 1000:1500] = np.nan
    assert record(signal).notes == ("no value in all leads: 2.00-3.00 s",)


def test_too_few_leads_are_named_with_the_others():
    def said(leads: list[str], others: tuple[str, ...] = ()) -> str:
        by_lead = {lead: heart()[LEADS.index(lead)] for lead in leads}
        with pytest.raises(FileError) as error:
            assemble(Channels(by_lead, FS, ignored=others))
        return str(error.value)

    assert said(["V5"], ("MLII",)) == "only 1 usable lead (V5); MLII is none of the 12; at least 6 are needed"
    assert said(["V1", "V5"]) == "only 2 usable leads (V1, V5); at least 6 are needed"
    many = said(["V1"], tuple("x" * 500 for _ in range(60)))
    assert "and 55 more are none of the 12" in many and len(many) < 220
