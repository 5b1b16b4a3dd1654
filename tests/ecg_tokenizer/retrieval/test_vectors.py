"""What recordings are compared by, and what prompts say of them."""

import numpy as np
import pytest

from cardiolect.data_provider.readers import read_record
from cardiolect.ecg_tokenizer.codes.tokenizer import ECGTokenizer
from cardiolect.ecg_tokenizer.encoders.config import EncoderConfig
from cardiolect.ecg_tokenizer.encoders.representation import ECGEncoder
from cardiolect.ecg_tokenizer.retrieval.features import SIGNAL_FEATURES
from cardiolect.ecg_tokenizer.retrieval.texts import neighbour_text, shortened
from cardiolect.ecg_tokenizer.retrieval.vectors import vector_of
from cardiolect.utils.errors import UserError
from tests.helpers.representations import LeadMeans


@pytest.fixture(scope="module")
def ecg(record):
    return read_record(record)


@pytest.mark.parametrize("by, width", [("measured", 118), ("ecg-bench", 288)])
def test_features_of_a_signal_do_not_depend_on_offsets_or_the_rate(ecg, by, width):
    features = SIGNAL_FEATURES[by]
    (own,) = features.prepare([ecg.signal], ecg.fs)
    (shifted,) = features.prepare([ecg.signal + 0.7], ecg.fs)
    assert own.shape == (width,) == features.weights.shape and np.isfinite(own).mean() > 0.9
    assert np.allclose(own, shifted, rtol=1e-2, atol=1e-3, equal_nan=True)
    assert (features.weights**2).sum() == pytest.approx(1)


def test_the_features_of_ecg_bench_are_24_for_each_lead(ecg):
    (own,) = SIGNAL_FEATURES["ecg-bench"].prepare([ecg.signal], ecg.fs)
    by_lead = own.reshape(12, 24)
    lead = ecg.signal - np.median(ecg.signal, axis=1)[:, None]
    assert np.allclose(by_lead[:, :4], np.stack([lead.mean(1), lead.std(1), lead.max(1), lead.min(1)], 1), atol=1e-4)
    assert len(np.unique(by_lead[:, 11])) == 1 and 30 < by_lead[0, 11] < 200, "the rate is that of all leads"


def test_a_flat_line_has_a_vector():
    for features in SIGNAL_FEATURES.values():
        (own,) = features.prepare([np.zeros((12, 5000), np.float32)], 500)
        assert len(own) == len(features.weights)


def test_items_are_compared_by_their_tokens(ecg, tokenizer_folder):
    codes = ECGTokenizer.from_pretrained(tokenizer_folder)
    (item,) = codes.prepare([ecg.signal], ecg.fs)
    histogram = vector_of("histogram", codes, None, 0, item)
    assert histogram.shape == (codes.vocabulary_size,) and histogram.sum() == pytest.approx(1)
    assert np.array_equal(histogram * len(item), np.bincount(item, minlength=codes.vocabulary_size).astype(np.float32))
    embedding = vector_of("embedding", codes, None, 0, item)
    assert np.allclose(embedding, codes.geometry().numpy()[item].mean(0), atol=1e-6)


def test_embedded_ecgs_are_compared_by_the_mean_of_their_rows(ecg):
    means = LeadMeans()
    (item,) = means.prepare([ecg.signal], ecg.fs)
    assert np.allclose(vector_of("embedding", means, None, 0, item), item.astype(np.float32).mean(0), atol=1e-4)
    with pytest.raises(UserError, match="RETRIEVE=histogram: lead_means have no tokens to count"):
        vector_of("histogram", means, None, 0, item)


def test_an_encoder_that_trains_along_is_refused():
    sizes = dict(encoder="s4", width=8, depth=1, sampling_rate=100)
    with pytest.raises(UserError, match="RETRIEVE=embedding: the encoder trains with the language model"):
        vector_of("embedding", ECGEncoder(EncoderConfig(**sizes, frozen=False)), None, 0, np.zeros((12, 100)))


def test_findings_are_what_a_report_states_in_english():
    report = "sinusrhythmus. linkstyp. v.a. linkshypertrophie. kein hinweis auf infarkt."
    assert neighbour_text(report, "findings").startswith("sinus rhythm, ")
    assert "left ventricular hypertrophy" in neighbour_text(report, "findings")
    assert "infarct" not in neighbour_text(report, "findings")
    assert neighbour_text("trace only requested", "findings") == ""
    for report, findings in (
        ("Sinus rhythm. Otherwise normal ECG.", "sinus rhythm"),
        ("sinusrhythmus. sonst normales ekg.", "sinus rhythm"),
        ("Possibly normal ECG.", ""),
        ("Normal ECG.", "normal ECG"),
        ("Ventricular tachycardia, poor R wave progression.", "ventricular tachycardia, poor R wave progression"),
    ):
        assert neighbour_text(report, "findings") == findings
    assert neighbour_text(" Sinus\n rhythm. ", "report") == "Sinus rhythm."


def test_long_texts_are_cut_between_words():
    assert shortened("a b c", 3) == "a b c" and shortened("a b c d", 3) == "a b c ..."
