"""Reasoning chains about simulated ECGs: their answers are what the signal shows."""

import re
from contextlib import suppress

import numpy as np
import pytest

from cardiolect.data_provider.corpora.ptbxl_database import load_database
from cardiolect.data_provider.record import LEADS
from cardiolect.data_provider.simulator.chains.beat_waves import LeadWaves, judge, q_r, r_s
from cardiolect.data_provider.simulator.chains.command import write_corpus_chains, write_grounding
from cardiolect.data_provider.simulator.chains.facts import Facts, option_of
from cardiolect.data_provider.simulator.chains.making import UnwrittenError, make_chain
from cardiolect.data_provider.simulator.corpus import Variety, write_corpus
from cardiolect.data_provider.simulator.patients import draw_patient, plan_patients
from cardiolect.data_provider.simulator.varied.render import clean_varied, varied_heart
from cardiolect.data_provider.texts.questions import load_examples
from cardiolect.data_provider.texts.reasoning.loading import load_chains
from cardiolect.data_provider.texts.reasoning.turns import examples_of
from cardiolect.utils.errors import UserError

SEED, RECORDS = 8, 40


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A varied corpus and its chains."""
    folder = tmp_path_factory.mktemp("varied")
    write_corpus(folder / "corpus", RECORDS, SEED, workers=1, variety=Variety())
    write_corpus_chains(folder / "corpus", folder / "chains", balanced=False)
    return folder


@pytest.fixture(scope="module")
def chains(made):
    return load_chains(sorted((made / "chains").glob("*.jsonl"))).chains


@pytest.fixture(scope="module")
def signals(chains):
    """ecg_id -> its signal without noise, and its truth."""
    owner, folds = plan_patients(SEED, RECORDS)
    numbers = {int(chain.ecg_id) - 1 for chain in chains}
    people = {i: draw_patient(SEED, int(owner[i]), int(folds[owner[i]])) for i in numbers}
    return {str(i + 1): clean_varied(SEED, i, people[i]) for i in numbers}


def test_qrs_complexes_are_where_the_signal_is_steepest(chains, signals):
    compared = 0
    for chain in chains:
        slope = np.abs(np.diff(signals[chain.ecg_id][1], axis=1)).sum(axis=0)
        for step in (s for s in chain.steps if s.kind == "wave" and "locate the QRS complex" in s.question):
            ranges = {o: [round(500 * float(x)) for x in re.findall(r"[\d.]+(?=s)", o)] for o in step.options}
            steepness = {option: slope[a:b].mean() for option, (a, b) in ranges.items()}
            assert max(steepness, key=steepness.__getitem__) == step.answer, (chain.chain_id, step)
            compared += 1
    assert compared > 20


def test_measured_ranges_hold_the_true_intervals(chains, signals):
    compared = 0
    for chain in chains:
        truth, _ = signals[chain.ecg_id]
        for step in chain.steps:
            for what, value in (("PR interval", truth.intervals["pr interval"]), ("QRS axis", truth.axis_degrees)):
                if step.kind == "measurement" and what in step.question:
                    numbers = [float(x) for x in re.findall(r"(?<![\d])-?\d+", step.answer)]
                    low = -np.inf if step.answer.startswith("Below") else numbers[0]
                    high = np.inf if step.answer.startswith("Above") else numbers[-1]
                    assert low <= value <= high, (chain.chain_id, step.answer, value)
                    compared += 1
    assert compared > 5


def test_leads_that_are_answered_are_offered_among_five(chains):
    for step in (step for chain in chains for step in chain.steps if step.kind == "lead" and "all" in step.question):
        names = [option.removeprefix("Lead ") for option in step.options]
        assert len(names) == 5 and names == sorted(names, key=LEADS.index)


def test_training_reads_the_conversations_as_the_chains_are_evaluated(made):
    refs = load_database(made / "corpus")
    loaded = load_examples([made / "chains/train.jsonl"], made / "corpus", refs, False)
    chains = load_chains([made / "chains/train.jsonl"]).chains
    asked = [e for chain in chains for e in examples_of(chain, refs[chain.ecg_id])]
    assert [(e.task, e.records, e.question, e.answers, e.history, e.background) for e in loaded.examples] == [
        (e.task, e.records, e.question, e.answers, e.history, e.background) for e in asked
    ]


def test_questions_for_times_and_values_alone_are_answered_as_in_chains(made, signals, tmp_path):
    counts = write_grounding(made / "corpus", tmp_path, most=6)
    refs = load_database(made / "corpus")
    files = [tmp_path / f"grounding/{split}.json" for split in ("train", "valid", "test")]
    asked = load_examples(files, made / "corpus", refs, False).examples
    assert sum(not example.history for example in asked) == sum(counts.values()) > RECORDS / 2
    compared = 0
    for example in asked:
        options = example.question.split("\nOptions: ")[1].split(" | ")
        assert len(example.history) < 6 and example.answers[0] in options
        _, signal = signals.get(example.records[0].record_id, (None, None))
        if signal is not None and "locate the QRS complex" in example.question:
            slope = np.abs(np.diff(signal, axis=1)).sum(axis=0)
            ranges = {o: [round(500 * float(x)) for x in re.findall(r"[\d.]+(?=s)", o)] for o in options}
            steepness = {option: slope[a:b].mean() for option, (a, b) in ranges.items()}
            assert example.answers[0] == max(steepness, key=steepness.__getitem__)
            compared += 1
    assert compared > 20
    with pytest.raises(UserError, match="not a simulated corpus"):
        write_grounding(tmp_path, tmp_path, most=6)


def test_one_premature_beat_is_offered_and_no_second_one():
    owner, folds = plan_patients(SEED, 400)
    compared = 0
    for i in range(400):
        facts = Facts(varied_heart(SEED, i, draw_patient(SEED, int(owner[i]), int(folds[owner[i]]))))
        early = [beat.waves["QRS"] for beat in facts.beats[1:] if beat.kind != "normal"]
        if len(early) < 2:
            continue
        for diagnosis in ("premature_atrial_complex", "premature_ventricular_complex"):
            with suppress(UnwrittenError):
                chain = make_chain(diagnosis, facts, "1", "1", np.random.default_rng(i))
                for step in (s for s in chain.steps if s.kind == "wave" and "premature beat" in s.question):
                    shown = {f"[{a:.2f}s - {b:.2f}s]" for a, b in early} & set(step.options)
                    assert shown == set(step.answers)
                    compared += 1
    assert compared > 20


def test_a_diagnosis_is_as_often_right_as_wrong_and_what_is_not_written_is_counted(made, tmp_path):
    counts = write_corpus_chains(made / "corpus", tmp_path, balanced=True)
    for diagnosis, left_out in counts["left_out"].items():
        written = [split.get(diagnosis, {"yes": 0, "no": 0}) for split in counts["written"].values()]
        assert all(each["yes"] == each["no"] for each in written)
        assert sum(sum(each.values()) for each in written) + sum(left_out.values()) == RECORDS
    assert counts["written"]["train"]
    everything = load_chains([made / "chains/train.jsonl"]).chains
    assert set(load_chains([tmp_path / "train.jsonl"]).chains) < set(everything)


def test_a_corpus_that_is_not_varied_is_refused(corpus, tmp_path):
    with pytest.raises(UserError, match="not a varied corpus"):
        write_corpus_chains(corpus, tmp_path, balanced=True)


def test_patterns_near_their_limit_are_open():
    def lead(q: float, r: float, s: float) -> LeadWaves:
        parts = ((-q, 12), (r, 20), (-s, 14))
        return LeadWaves(np.concatenate([h * np.sin(np.linspace(0, np.pi, n)) for h, n in parts]), 0.0, 0.2)

    assert judge(q_r, lead(0.2, 1.0, 0.0)) is True and judge(q_r, lead(0.0, 1.0, 0.0)) is False
    assert judge(q_r, lead(0.2, 1.0, 0.5)) is None
    assert judge(r_s, lead(0.0, 0.3, 1.0)) is True and judge(r_s, lead(0.0, 1.0, 0.5)) is False


def test_a_value_near_the_end_of_a_range_has_no_range():
    options = ["Below 90ms", "[90ms - 100ms]", "Above 160ms"]
    found = [option_of(value, options) for value in (80, 90.5, 95, 120, 170)]
    assert found == ["Below 90ms", None, "[90ms - 100ms]", None, "Above 160ms"]
    degrees = ["[-90 degrees - -60 degrees]", "[-60 degrees - -45 degrees]"]
    assert option_of(-70, degrees) == degrees[0]
