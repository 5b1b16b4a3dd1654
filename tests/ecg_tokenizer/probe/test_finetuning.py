"""Fine-tuning of an encoder by the supervised objective: which weights move, and which are kept."""

import numpy as np
import pytest
import torch

from cardiolect.data_provider.audit.seen import SEEN, id_marks, load_seen
from cardiolect.data_provider.splits import find_database
from cardiolect.ecg_tokenizer.encoders.config import EncoderConfig
from cardiolect.ecg_tokenizer.encoders.objectives.supervised import SupervisedLearner
from cardiolect.ecg_tokenizer.encoders.representation import ECGEncoder
from cardiolect.ecg_tokenizer.probe.finetuning import FineTuning, fine_tune, last_layers

SMALL = {
    "s4": {"width": 8, "depth": 2},
    "resnet18": {"width": 8},
    "convnext-atto": {"width": 8, "depth": 1},
    "mtae": {"width": 16, "depth": 2},
}


@pytest.fixture
def tuned(corpus, tmp_path, monkeypatch):
    """Fine-tunes an encoder on 30 simulated recordings: the encoder before and after, and logits."""
    monkeypatch.setenv("CACHE_DIR", str(tmp_path / "cache"))
    refs = sorted(find_database(corpus).values(), key=lambda ref: ref.fold)

    def run(name: str, layers: str, rate: float = 1e-2, steps: int = 3):
        torch.manual_seed(1)
        before = ECGEncoder(EncoderConfig(name, **SMALL[name]))
        before.save_pretrained(tmp_path / "before")
        (tmp_path / "before" / SEEN).write_text('["record:1"]')
        before = ECGEncoder.from_pretrained(tmp_path / "before")
        how = FineTuning(layers, corpus, "all", steps, rate, 4, workers=0, seed=0)
        logits = fine_tune(before, how, refs[:30], refs[-30:-10], refs[-10:], tmp_path / "after", tmp_path / "before")
        return before, ECGEncoder.from_pretrained(tmp_path / "after"), logits, refs

    return run


def _moved(before: ECGEncoder, after: ECGEncoder) -> set[str]:
    now = after.encoder.state_dict()
    return {name for name, value in before.encoder.state_dict().items() if not torch.equal(value, now[name])}


@pytest.mark.parametrize("name", ["resnet18", "convnext-atto"])
def test_the_last_layers_are_trained_alone_and_batch_norms_keep_their_statistics(name, tuned):
    before, after, logits, _ = tuned(name, "last")
    trained = {id(value) for module in last_layers(before.encoder) for value in module.parameters()}
    allowed = {key for key, value in before.encoder.named_parameters() if id(value) in trained}
    moved = _moved(before, after)
    assert moved and moved <= allowed and len(allowed) < len(dict(before.encoder.named_parameters()))
    assert [each.shape for each in logits] == [(20, 71), (10, 71)]


def test_all_layers_are_trained_except_statistics_of_batch_norms(tuned):
    before, after, _, _ = tuned("resnet18", "all")
    assert _moved(before, after) == {key for key, _ in before.encoder.named_parameters()}


def test_scores_are_those_of_the_best_validation_and_what_was_trained_on_is_seen(tuned, tmp_path, monkeypatch):
    auroc, at_step = iter([0.5, 0.9, 0.6]), []

    def validate(learner: SupervisedLearner) -> dict:
        at_step.append(learner.scores(learner.valid))
        return {"macro_auroc": next(auroc), "classes": 1, "recordings": 20}

    monkeypatch.setattr(SupervisedLearner, "validate", validate)
    _, _, (logits, _), refs = tuned("mtae", "all")
    np.testing.assert_array_equal(logits, at_step[1])
    assert not np.allclose(logits, at_step[2])
    trained_on = {mark for ref in refs[:30] + refs[-30:-10] for mark in id_marks(ref)}
    assert load_seen(tmp_path / "after") == {"record:1", *trained_on}
