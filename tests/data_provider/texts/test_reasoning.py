"""Chains of ECG-Reasoning-Benchmark: reading, questions, and the table of wordings."""

import json
from collections import Counter

import pytest

from cardiolect.data_provider.corpora.ptbxl_database import load_database
from cardiolect.data_provider.examples import RecordRef
from cardiolect.data_provider.texts.reasoning.form import LEAD, Step
from cardiolect.data_provider.texts.reasoning.loading import chain_of, json_of, load_chains
from cardiolect.data_provider.texts.reasoning.turns import examples_of
from cardiolect.data_provider.texts.reasoning.wordings import table_of, wordings
from cardiolect.utils.errors import UserError
from tests.helpers.chains import negative, positive

SCORER_NAMES = {
    "criterion_selection": "criterion",
    "finding_identification": "finding",
    "ecg_grounding": "grounding",
    "diagnostic_decision": "decision",
}


def test_both_spellings_of_steps_are_read():
    released, other = positive(1, 7), positive(1, 7)
    other["data"]["reasoning"] = [{SCORER_NAMES[k]: v for k, v in loop.items()} for loop in other["data"]["reasoning"]]
    chain = chain_of(released, Counter())
    assert chain == chain_of(other, Counter()) == chain_of(json_of(chain), Counter())
    assert [step.kind for step in chain.steps] == ["initial", "criterion", "finding", "lead", "wave", "decision"]


def test_unknown_fields_are_named(tmp_path):
    row = positive(1, 7) | {"extra": 1}
    row["data"]["reasoning"][0]["ecg_grounding"][0]["hint"] = "V2"
    (tmp_path / "chains.jsonl").write_text(json.dumps(row) + "\n")
    loaded = load_chains([tmp_path / "chains.jsonl"])
    assert loaded.line() == "1 chains of 1 recordings; unknown fields are ignored: extra (1), question.hint (1)"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda row: row["data"]["reasoning"][0]["ecg_grounding"][0].update(answer=["Lead V9"]), "not among the optio"),
        (lambda row: row["data"]["reasoning"][0].pop("diagnostic_decision"), "has no diagnostic_decision or decision"),
        (lambda row: row["metadata"].update(dx_label=False), "contradicts metadata.dx_label"),
        (lambda row: row["metadata"].update(id=1), "chain 1 occurs twice"),
    ],
)
def test_a_line_that_is_not_a_chain_is_refused_by_number(tmp_path, change, message):
    row = positive(2, 7)
    change(row)
    path = tmp_path / "chains.jsonl"
    path.write_text(json.dumps(negative(1, 3)) + "\n" + json.dumps(row) + "\n")
    with pytest.raises(UserError, match=rf"chains\.jsonl: line 2: .*{message}"):
        load_chains([path])


def test_leads_are_answered_by_every_set_of_them_or_by_one():
    leads = ("Lead I", "Lead V2", "Lead V3")
    several = Step(LEAD, "Which leads? Select all possible leads from the options below.", leads, ("Lead V3", "Lead I"))
    assert len(several.candidates) == 7 and several.answer == "Lead I, Lead V3" and several.answer in several.candidates
    one = Step(LEAD, "Which lead is larger? Select the lead from the options below.", leads[1:], ("Lead V3",))
    assert one.candidates == ["Lead V2", "Lead V3"]


def test_earlier_questions_have_their_gold_answers(tmp_path):
    chain = chain_of(negative(4, 7), Counter())
    ref = RecordRef("7", tmp_path / "7")
    examples = examples_of(chain, ref)
    assert [e.sample_id for e in examples] == [f"4:{turn}" for turn in range(7)]
    assert examples[0].history == () and examples[2].question == "Is it met (1)?\nOptions: Yes | No"
    assert examples[2].history[0] == ("Does this ECG suggest it?\nOptions: Yes | No", "No")
    assert examples_of(chain, ref, condensed=True)[2].history[0] == ("Does this ECG suggest it?", "No")


def test_the_table_of_wordings_is_that_of_the_published_chains_of_folds_1_to_8(shared_data):
    folds = {ref.record_id: ref.fold for ref in load_database(shared_data / "ptb-xl-labels").values()}
    loaded = load_chains([shared_data / "reasoning/ptbxl.jsonl"])
    chains = [chain for chain in loaded.chains if folds[chain.ecg_id] <= 8]
    assert not loaded.unknown and len(chains) == 232
    assert table_of(chains, wordings()) == wordings()
