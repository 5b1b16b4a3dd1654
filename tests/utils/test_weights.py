"""Weights that were not written whole are noticed and do not stay."""

import pytest
import torch
from safetensors.torch import save_file

from cardiolect.utils.weights import check_written


def write(folder, **shapes):
    save_file({name: torch.ones(shape) for name, shape in shapes.items()}, folder / "model.safetensors")
    return [folder / "model.safetensors"]


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ({"a": (0,), "b": (3,)}, r"a has \[0\], the model \[2, 3\]"),
        ({"a": (3, 2), "b": (3,)}, r"a has \[3, 2\], the model \[2, 3\]"),
        ({"a": (2, 3)}, "b is missing"),
        ({"a": (2, 3), "b": (3,), "c": (1,)}, "c is unknown"),
        ({"a": (2, 3), "b": (3,), "c": (0,)}, r"c has \[0\]"),
    ],
)
def test_damaged_weights_are_deleted(tmp_path, written, message):
    files = write(tmp_path, **written)
    with pytest.raises(RuntimeError, match=message):
        check_written(files, {"a": (2, 3), "b": (3,)})
    assert not files[0].exists()


def test_tied_tensors_are_written_once_and_some_models_rename_others(tmp_path):
    files = write(tmp_path, embedding=(4, 2), expert_0=(2, 2), expert_1=(2, 2))
    check_written(
        files, {"embedding": (4, 2), "head": (4, 2), "experts": (2, 2, 2)}, [frozenset({"head", "embedding"})]
    )
    assert files[0].exists()


def test_nothing_written_is_noticed():
    with pytest.raises(RuntimeError, match="a is missing"):
        check_written([], {"a": (2,)})
