"""Measured values as tokens after the codes."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
import torch

from cardiolect.data_provider.examples import Example, RecordRef
from cardiolect.ecg_tokenizer.codes.config import TokenizerConfig
from cardiolect.ecg_tokenizer.codes.tokenizer import ECGTokenizer
from cardiolect.ecg_tokenizer.measured.representation import CODES, MEASURED, MeasuredECG
from cardiolect.ecg_tokenizer.measured.tokens import BINS, MeasuredTokens
from cardiolect.ecg_tokenizer.measured.values import NOISE, RHYTHM, WAVES, Values, measure
from cardiolect.model.evaluation.condition_inputs import inputs_under
from cardiolect.model.llm.checkpoint import load_checkpoint, load_language_model, new_checkpoint
from cardiolect.model.llm.saving import save_checkpoint
from cardiolect.model.prompt.chat_template import with_prompt
from cardiolect.model.prompt.rendering import make_prompt, render_answer, render_prompt
from cardiolect.model.prompt.vocabulary import Vocabulary
from cardiolect.model.training.rows import FinetuneDataset
from cardiolect.utils.errors import UserError
from tests.helpers.chat_templates import family
from tests.helpers.ecgs import ItemsInMemory
from tests.helpers.language_models import tiny_language_model
from tests.helpers.signals import some_ecg

TOKENS = MeasuredTokens(first=100)


@pytest.fixture(scope="module")
def representation() -> MeasuredECG:
    torch.manual_seed(0)
    config = TokenizerConfig(fsq_levels=(5, 5, 5), coarse_levels=(3, 3, 3), stride=16, hidden=16, encoder_depth=1)
    return MeasuredECG(ECGTokenizer(config).eval())


def values(**rhythm: float) -> Values:
    known = dict.fromkeys(RHYTHM, np.nan) | rhythm
    waves, noise = np.full((12, len(WAVES)), 0.1), np.full((12, len(NOISE)), 0.02)
    return Values(
        np.array([0.52, 1.30, 9.99, 10.4]), np.array([0, 1, 0, 0], bool), known, waves, noise, np.ones(12, bool)
    )


def test_equal_values_have_equal_tokens_and_larger_ones_later_tokens():
    for name, ends in BINS.items():
        inside = [ends[0] - 1, *((ends[:-1] + ends[1:]) / 2), ends[-1] + 1]
        tokens = [TOKENS._token(name, value) for value in inside]
        assert tokens == list(range(tokens[0], tokens[0] + len(ends) + 1))
        assert TOKENS._token(name, np.nan) == tokens[-1] + 1  # not measured
    assert 100 + TOKENS.size == TOKENS._token("burst", np.nan) + 1


def test_beats_come_first_and_one_of_another_kind_after_its_mark():
    tokens = TOKENS.encode(values())
    beats = [100 + 10, 100 + 200, 100 + 26, 100 + 199]  # 0.52 s, the mark and 1.30 s, 9.99 s; 10.4 s has no token
    assert tokens[:4] == beats
    assert len(tokens) == 4 + len(RHYTHM) + 12 * (1 + len(WAVES) + len(NOISE))
    times = TOKENS.times(np.array(tokens), 10.08)
    assert times[0] == pytest.approx([0.5, 0.55]) and times[2] == pytest.approx([1.3, 1.35])
    assert times[5].tolist() == [0, 10.08]


def test_an_absent_lead_is_marked_so():
    found = values()
    found.present[3] = False
    assert len(TOKENS.encode(found)) == len(TOKENS.encode(values())) - len(WAVES) - len(NOISE) + 1


def test_an_item_is_its_codes_and_what_is_measured(representation):
    signal = some_ecg(10, 250)
    item = representation.prepare([signal], 250)[0]
    parts = representation.parts(item)
    assert parts[CODES].tolist() == representation.tokenizer.prepare([signal], 250)[0].tolist()
    assert parts[MEASURED].tolist() == representation.measured.encode(
        measure(signal - np.median(signal, axis=1)[:, None], 250)
    )
    assert np.array_equal(representation.decode(item), representation.tokenizer.decode(parts[CODES]))
    assert representation.bits(item) == representation.tokenizer.bits(parts[CODES])
    rows = representation.geometry()
    assert len(rows) == representation.vocabulary_size and len(torch.unique(rows, dim=0)) == len(rows)


def test_training_leaves_out_each_part_as_often_as_it_is_told(representation, tmp_path):
    refs = [RecordRef(str(k), str(k)) for k in range(200)]
    item = representation.prepare([some_ecg(5, 250)], 250)[0]
    cache = ItemsInMemory(representation, dict.fromkeys(refs, item))
    _, tokenizer = load_language_model(tiny_language_model(tmp_path / "llm"), "fp32")
    vocabulary = Vocabulary.extend(tokenizer, representation.vocabulary_size)
    examples = [Example(ref.record_id, (ref,), "qa", "Fast?", ("no",)) for ref in refs]
    rows = FinetuneDataset(vocabulary, examples, cache, part_dropout=0.2)
    kinds, first = [], vocabulary.first_code_id
    for i in range(len(rows)):
        numbers = [token - first for token in rows[i].ids if token in vocabulary.new_ids and token >= first]
        codes = any(number < representation.measured.first for number in numbers)
        kinds.append((codes, any(number >= representation.measured.first for number in numbers)))
        assert len(rows[i]) <= rows.lengths()[i]
    shares = [kinds.count(kind) / 200 for kind in ((True, True), (True, False), (False, True))]
    assert shares == pytest.approx([0.6, 0.2, 0.2], abs=0.08)
    assert all(
        len(whole) == n for whole, n in zip(FinetuneDataset(vocabulary, examples, cache), rows.lengths(), strict=True)
    )


def test_an_evaluation_can_show_each_part_alone(representation):
    ref = RecordRef("1", "1")
    item = representation.prepare([some_ecg(5, 250)], 250)[0]
    cache = ItemsInMemory(representation, {ref: item})
    for condition, part in (("codes_only", CODES), ("measured_only", MEASURED)):
        (shown,) = inputs_under(condition, [(ref,)], [(ref,)], cache, settings=None)([ref])
        assert shown.token_ids == representation.parts(item)[part].tolist() and shown.key == ("1", condition)
    plain = ItemsInMemory(representation.tokenizer, {ref: representation.parts(item)[CODES]})
    with pytest.raises(UserError, match=r"FLOORS=measured_only: .*codes.* no parts"):
        inputs_under("measured_only", [(ref,)], [(ref,)], plain, settings=None)([ref])


def test_another_version_of_the_measurements_is_refused(representation, tmp_path):
    representation.save_pretrained(tmp_path)
    config = tmp_path / "config.json"
    config.write_text(config.read_text().replace('"version": 1', '"version": 0'))
    with pytest.raises(UserError, match="version 0, this is version 1"):
        MeasuredECG.from_pretrained(tmp_path)


def timed_vocabulary(representation, folder) -> Vocabulary:
    _, tokenizer = load_language_model(tiny_language_model(folder / "llm"), "fp32")
    words = Vocabulary.extend(tokenizer, representation.vocabulary_size)
    return replace(words, time_bins=representation.time_bins)


def ecg_tokens(words: Vocabulary, ids: Sequence[int]) -> list[int]:
    """The token numbers among ids."""
    return [token - words.first_code_id for token in ids if token in words.new_ids and token >= words.first_code_id]


def test_ranges_of_times_in_a_question_have_the_tokens_of_r_waves_in_them(representation, tmp_path):
    bins = representation.time_bins
    assert [bins.of(*times) for times in ((9.96, 10.04), (0.5, 0.4))] == [range(0), range(0)]
    assert list(bins.of(0.50, 0.61)) == [bins.first + k for k in (10, 11, 12)]
    assert bins.first + 10 in representation.measured.encode(values())  # the R wave at 0.52 s
    plain = timed_vocabulary(representation, tmp_path)
    chat = replace(Vocabulary.extend(family("ChatML"), representation.vocabulary_size), time_bins=bins)
    question = "Which one: [0.50s - 0.61s], [3.00s - 4.50s], QRS 0.12 s, 2s to 2.04 s, <|ecg_5|>?"
    for words in (plain, with_prompt(chat, "chat")):
        asked = render_prompt(words, "qa", question)
        begin, late = bins.first + 10, bins.first + 40
        # When each begins, then all of it; not the long one, the duration, or what was typed.
        assert ecg_tokens(words, asked) == [begin, begin, begin + 1, begin + 2, late, late]
        shown = words.tokenizer.decode([token for token in asked if token not in words.new_ids])
        assert "[0.50s - 0.61s], [3.00s - 4.50s], QRS 0.12 s, 2s to 2.04 s, < |ecg_5|>?" in shown
        assert not set(render_answer(words, ["[0.50s - 0.61s]"])) & set(words.new_ids)
    history = [("When? [0.50s - 0.61s]", "[0.50s - 0.61s]")]
    assert ecg_tokens(plain, render_prompt(plain, "qa", "Sure?", history)) == [begin, begin, begin + 1, begin + 2]


def test_a_question_about_one_ecg_has_the_codes_in_its_ranges_of_times(representation, tmp_path):
    words, bins = timed_vocabulary(representation, tmp_path), representation.time_bins
    items = [representation.prepare([some_ecg(seconds, 250)], 250)[0] for seconds in (10, 2.33)]
    whole, short = (representation.prepared(str(key), item) for key, item in enumerate(items))
    codes, values = representation.parts(whole.item).values()
    frames = {
        start: int(code)
        for (start, end), code in zip(representation.tokenizer.times(codes), codes, strict=True)
        if end - start < 0.1  # coarse codes last longer
    }
    middles = (0.525, 0.575, 0.625, 2.325, 2.375)
    shown = [frames[max(start for start in frames if start <= second)] for second in middles]
    question = "QRS? [0.50s - 0.61s] | [2.31s - 2.36s]"

    def asked(*ecgs) -> list[int]:
        return ecg_tokens(words, make_prompt(words, ecgs, [""] * len(ecgs), "qa", question).question)

    first, second = bins.first + 10, bins.first + 46
    assert asked(whole) == [first, *shown[:3], second, *shown[3:]]
    assert asked(short)[-2:] == [asked(short)[-2], second + 1] and asked(short)[-2] < bins.first  # it ends at 2.33 s
    for nothing in ((None,), (whole, short), (representation.prepared("values", values),)):
        assert asked(*nothing) == [first, first, first + 1, first + 2, second, second, second + 1]
    ref = RecordRef("1", "1")
    example = Example("1", (ref,), "qa", question, ("no",))
    (row,) = FinetuneDataset(words, [example], ItemsInMemory(representation, {ref: whole.item}))
    prompt = make_prompt(words, [whole], [""], "qa", question)
    assert row.ids[: len(prompt.prefix) + len(prompt.question)] == [*prompt.prefix, *prompt.question]


def test_an_evaluation_can_show_codes_in_the_ranges_of_a_question_alone_or_everywhere_else(representation, tmp_path):
    words, ref = timed_vocabulary(representation, tmp_path), RecordRef("1", "1")
    cache = ItemsInMemory(representation, {ref: representation.prepare([some_ecg(10, 250)], 250)[0]})
    prompts = {}
    for condition in ("with_ecg", "no_ecg", "ranges_only", "no_ranges"):
        ecgs = inputs_under(condition, [(ref,)], [(ref,)], cache, settings=None)([ref])
        prompts[condition] = make_prompt(words, ecgs, [""], "qa", "QRS? [0.50s - 0.61s]")
    whole, none = prompts["with_ecg"], prompts["no_ecg"]
    assert whole.prefix != none.prefix and whole.question != none.question
    ranges, rest = prompts["ranges_only"], prompts["no_ranges"]
    assert (ranges.prefix, ranges.question) == (none.prefix, whole.question)
    assert (rest.prefix, rest.question) == (whole.prefix, none.question)
    assert len({prompt.key for prompt in prompts.values()}) == 4  # prompts with equal keys share their prefix
    plain = ItemsInMemory(representation.tokenizer, {ref: representation.parts(cache.item(ref))[CODES]})
    with pytest.raises(UserError, match=r"FLOORS=no_ranges: questions hold no codes of ECGs that are codes"):
        inputs_under("no_ranges", [(ref,)], [(ref,)], plain, settings=None)([ref])


def test_a_checkpoint_marks_times_if_its_training_did(representation, tmp_path):
    language_model = load_language_model(tiny_language_model(tmp_path / "llm"), "fp32")
    checkpoint = new_checkpoint(*language_model, representation, seed=0)
    for folder, marked in (("before", False), ("after", True)):
        save_checkpoint(checkpoint, tmp_path / folder, merge=False)
        assert (load_checkpoint(tmp_path / folder).vocabulary.time_bins is not None) == marked
        checkpoint.mark_times(True)
