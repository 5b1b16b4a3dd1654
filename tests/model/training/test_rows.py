"""Training rows of recordings of any length: what fits is known before training, and long ones come in windows."""

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from cardiolect.data_provider.examples import Example, RecordRef
from cardiolect.ecg_tokenizer.codes.tokenizer import ECGTokenizer
from cardiolect.model.llm.checkpoint import load_language_model, new_checkpoint
from cardiolect.model.training.rows import FinetuneDataset, PretrainDataset
from tests.helpers.ecgs import CodesInMemory, WindowsInMemory
from tests.helpers.language_models import tiny_language_model

REFS = [RecordRef(str(k), Path(str(k)), f"p{k}") for k in range(6)]


@pytest.fixture(scope="module", params=["bos", "no bos"])
def vocabulary(request, tmp_path_factory, tokenizer_folder):
    folder = tiny_language_model(tmp_path_factory.mktemp("llm"), bos=request.param == "bos")
    model, tokenizer = load_language_model(folder, "fp32")
    return new_checkpoint(model, tokenizer, ECGTokenizer.from_pretrained(tokenizer_folder), seed=0).vocabulary


def codes(length: int, first: int = 0) -> np.ndarray:
    return (np.arange(length) + first) % 125


def questions(refs=REFS) -> list[Example]:
    texts = ("What?", "Does this ECG show atrial fibrillation, and if so since when?", "Is it?")
    single = [
        Example(f"{text}{ref.record_id}", (ref,), "qa", text, ("yes",), background=f"age {50 + k}" * (k % 2))
        for k, ref in enumerate(refs)
        for text in texts[: 1 + k % 3]
    ]
    return [*single, Example("pair", tuple(refs[:2]), "qa", "What is new?", ("no",))]


@pytest.mark.parametrize("dropout", [0, 0.5])
def test_the_lengths_of_rows_are_their_numbers_of_tokens(vocabulary, dropout):
    """They were right up to a constant, with which no budget of tokens can be kept."""
    ecgs = CodesInMemory({ref: codes(20 + 13 * k) for k, ref in enumerate(REFS)})
    rows = FinetuneDataset(vocabulary, questions(), ecgs, 2, ecg_dropout=dropout, patient_dropout=dropout)
    for epoch in range(3):
        rows.set_epoch(epoch)
        lengths = [len(rows[i]) for i in range(len(rows))]
        assert rows.lengths().tolist() == lengths and max(lengths) <= rows.longest_row()[0]
    for objective in ("causal", "multiscale"):
        rows = PretrainDataset(vocabulary, REFS, ecgs, objective, group=2)
        assert rows.lengths().tolist() == [len(rows[i]) for i in range(len(rows))]
        assert rows.longest_row() == (max(rows.lengths()), "5")


def test_recordings_too_long_for_the_language_model_are_left_out_before_training(vocabulary):
    ecgs = CodesInMemory({ref: codes(20 + 13 * k) for k, ref in enumerate(REFS)})
    whole = PretrainDataset(vocabulary, REFS, ecgs, "causal")
    limit = whole.lengths()[3]
    rows = PretrainDataset(vocabulary, REFS, ecgs, "causal", max_length=limit)
    assert rows.refs == rows.records == REFS[:4] and max(len(rows[i]) for i in range(4)) == limit
    said = rows.unfit.sentence("a longer STRIDE_MS")
    assert "2 of 6 recordings are left out" in said and f"more than the {limit} tokens" in said
    assert f"of record 5, has {whole.lengths()[5]} tokens; set RECORD_SECONDS" in said and "STRIDE_MS" in said
    assert rows.unfit.figures() == {"of": 6, "too_long": 2, "too_short": 0, "longest_tokens": whole.lengths()[5]}


def test_recordings_too_short_for_any_window_are_left_out_before_training(vocabulary):
    """The run ended with an error when it came to one of them."""
    ecgs = CodesInMemory({REFS[0]: codes(40), REFS[1]: codes(3), REFS[2]: codes(40)})
    rows = PretrainDataset(vocabulary, REFS[:3], ecgs, "multiscale", group=2)
    assert rows.refs == [REFS[0], REFS[2]] and all(len(rows[i]) for i in range(2))
    assert "1 of 3 recordings are left out: too short" in rows.unfit.sentence("")


def test_the_longest_window_counts_not_all_of_them(vocabulary):
    ecgs = CodesInMemory({REFS[0]: codes(100)})
    row = PretrainDataset(vocabulary, REFS[:1], ecgs, "multiscale")[0]
    longest = max(row.positions) + 1
    assert len(row) > longest
    for limit, kept in ((longest, 1), (longest - 1, 0)):
        assert len(PretrainDataset(vocabulary, REFS[:1], ecgs, "multiscale", max_length=limit)) == kept


@pytest.mark.parametrize("dropout", [0, 0.999])
def test_questions_too_long_for_the_language_model_are_left_out_before_training(vocabulary, dropout):
    """Also if the row loses its ECG in this epoch: it has it in the next."""
    ecgs = CodesInMemory({ref: codes(60) for ref in REFS})
    asked = questions()
    limit = max(FinetuneDataset(vocabulary, [e], ecgs).lengths()[0] for e in asked if len(e.records) == 1)
    rows = FinetuneDataset(vocabulary, asked, ecgs, 1, ecg_dropout=dropout, max_length=limit)
    assert rows.unfit.too_long == 1 and len(rows) == len(asked) - 1, "the pair has two ECGs"
    assert "record 0 and 1" in rows.unfit.sentence("")
    assert list(rows.examples) == [e for e in asked if len(e.records) == 1], "of which floors and counts are"
    assert set(rows.records) == {ref for e in rows.examples for ref in e.records}
    rows = FinetuneDataset(vocabulary, asked, ecgs, 8, ecg_dropout=dropout, max_length=limit - 1)
    assert rows.unfit.total == len(asked) and 1 < rows.unfit.too_long < len(asked)
    for i in range(len(rows)):
        assert max(rows[i].positions) < limit - 1
    assert len(FinetuneDataset(vocabulary, asked, ecgs, max_length=10)) == 0


def test_windows_are_drawn_by_seed_epoch_and_recording(vocabulary):
    ecgs = WindowsInMemory({ref: [codes(20, 20 * k) for k in range(5)] for ref in REFS})

    def drawn(rows) -> dict[str, tuple[int, ...]]:
        """Recording -> windows that occur in this epoch."""
        found = {}
        for i in range(len(rows)):
            first = [t - vocabulary.first_code_id for t in rows[i].ids if t >= vocabulary.first_code_id][::20]
            group = rows.records_of(i) if isinstance(rows, FinetuneDataset) else [rows.refs[i]]
            for ref, code in zip(group, first, strict=True):
                found.setdefault(ref.record_id, set()).add(code // 20)
        return {record: tuple(windows) for record, windows in found.items()}

    def datasets(seed: int, random_windows: bool = True) -> list:
        options = dict(seed=seed, random_windows=random_windows)
        return [
            PretrainDataset(vocabulary, REFS, ecgs, "causal", **options),
            FinetuneDataset(vocabulary, questions(), ecgs, 1, **options),
        ]

    seen = Counter()
    for epoch in range(12):
        per_dataset = []
        for rows in datasets(1):
            rows.set_epoch(epoch)
            per_dataset.append(drawn(rows))
            assert all(len(windows) == 1 for windows in per_dataset[-1].values()), "all questions see one window"
        assert per_dataset[0] == per_dataset[1]
        seen.update(windows[0] for windows in per_dataset[0].values())
    assert set(seen) == set(range(5))
    one, other = (drawn(datasets(seed)[0]) for seed in (1, 2))
    assert one != other
    for rows in datasets(1, random_windows=False):  # validation
        rows.set_epoch(3)
        assert set(drawn(rows).values()) == {(0,)}


def test_the_longest_window_decides_whether_a_recording_fits(vocabulary):
    ecgs = WindowsInMemory({REFS[0]: [codes(20), codes(200)], REFS[1]: [codes(20)]})
    limit = max(PretrainDataset(vocabulary, REFS[1:2], ecgs, "causal").lengths())
    rows = PretrainDataset(vocabulary, REFS[:2], ecgs, "causal", max_length=limit, random_windows=True)
    assert rows.refs == [REFS[1]]
    asked = [replace(e, records=e.records[:1]) for e in questions(REFS[:2])]
    limit = max(FinetuneDataset(vocabulary, [e for e in asked if e.records[0] == REFS[1]], ecgs).lengths())
    rows = FinetuneDataset(vocabulary, asked, ecgs, max_length=limit, random_windows=True)
    assert rows.unfit.too_long and max(len(rows[i]) for i in range(len(rows))) <= 2 * limit


def test_a_corpus_that_no_epoch_contains_is_not_counted_as_trained_on(vocabulary):
    refs = [replace(ref, corpus="ab"[k % 2]) for k, ref in enumerate(REFS)]
    ecgs = CodesInMemory({ref: codes(60) for ref in refs})
    asked = [replace(questions()[0], sample_id=str(k), records=(ref,)) for k, ref in enumerate(refs)]
    tuned = FinetuneDataset(vocabulary, asked, ecgs, corpus_weights={"a": 0, "b": 0.5})
    assert list(tuned.examples) == asked[1::2] and tuned.records == refs[1::2]
    assert PretrainDataset(vocabulary, refs, ecgs, "causal", corpus_weights={"a": 0}).records == refs[1::2]
