"""A checkpoint's calibration maps margins to probabilities, and belongs to its weights."""

import json
import shutil
from dataclasses import replace

import pytest

from cardiolect.model.inference.calibration import Calibration, QuestionMap, copy_calibration, decide, sigmoid
from cardiolect.model.llm.checkpoint import load_checkpoint
from cardiolect.model.llm.checkpoint_folder import CALIBRATION, fingerprint
from cardiolect.model.llm.saving import save_checkpoint
from cardiolect.model.serving.publish import merge
from cardiolect.utils.errors import UserError
from tests.helpers.checkpoints import calibrated

RARE = QuestionMap(a=2.0, b=-3.0, n=100, positives=5, prevalence=0.05, prior_log_odds=-2.5)


@pytest.fixture
def folder(tmp_path, stock):
    return shutil.copytree(stock, tmp_path / "checkpoint")


def test_yes_needs_a_probability_of_one_half_at_the_operating_point():
    found = Calibration("", {"AF?": RARE}, {}, 0.8, {}, {})
    at_prevalence, balanced = (found.probability_of_yes("AF?", 1.0, point) for point in ("prevalence", "balanced"))
    assert at_prevalence == pytest.approx(sigmoid(-1)) and balanced == pytest.approx(sigmoid(1.5))
    assert decide(at_prevalence) == ("no", pytest.approx(1 - sigmoid(-1))) and decide(balanced)[0] == "yes"
    assert found.probability_of_yes("another question?", 1.0) is None
    assert (decide(0.5), sigmoid(1000), sigmoid(-1000)) == (("yes", 0.5), 1.0, 0.0)


@pytest.mark.parametrize(
    ("margin", "sure"),
    [
        (3.0, True),  # yes, however rare
        (1.7, False),  # yes, but hardly
        (1.0, False),  # no as the finding is rare, yes if half of the patients had it
        (0.0, True),  # the same, but no is 95 % probable
        (-2.0, True),
    ],
)
def test_an_answer_is_sure_if_it_is_probable_and_not_for_its_rarity_alone(margin, sure):
    assert Calibration("", {"AF?": RARE}, {}, 0.8, {}, {}).is_sure("AF?", margin) == sure


@pytest.mark.parametrize("positives", [0, 100])
def test_no_answer_is_sure_if_validation_had_only_one(positives):
    line = replace(RARE, positives=positives)
    found = Calibration("", {"AF?": line}, {}, 0.8, {}, {})
    assert [found.is_sure("AF?", margin) for margin in (-10.0, -2.0, 3.0, 10.0)] == [False] * 4


def test_it_is_read_as_it_was_written_and_none_without_a_file(folder):
    assert Calibration.of(folder) is None
    written = calibrated(folder, {"AF?": RARE})
    assert Calibration.of(folder) == written and written.weights == fingerprint(folder)


def test_other_weights_and_a_damaged_file_are_refused(folder):
    calibrated(folder, {"AF?": RARE}, weights="0123")
    with pytest.raises(UserError, match="fitted with other weights"):
        Calibration.of(folder)
    (folder / CALIBRATION).write_text(json.dumps({"questions": {"AF?": {"a": "steep"}}}))
    with pytest.raises(UserError, match=r"calibration.json: .*run cardiolect calibrate again"):
        Calibration.of(folder)


def test_a_merged_checkpoint_takes_the_calibration_along_and_new_weights_do_not(tmp_path, adapters):
    trained = shutil.copytree(adapters, tmp_path / "trained")
    calibrated(trained, {"AF?": RARE})
    merge(trained, tmp_path / "merged")
    assert Calibration.of(tmp_path / "merged").questions == {"AF?": RARE}
    save_checkpoint(load_checkpoint(trained), trained, merge=False)
    assert Calibration.of(trained) is None


def test_a_checkpoint_without_a_calibration_gives_none(tmp_path, folder):
    copy_calibration(folder, tmp_path)
    assert not (tmp_path / CALIBRATION).exists()
