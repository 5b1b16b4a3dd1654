import pytest
import torch
from vector_quantize_pytorch import FSQ

from cardiolect.ecg_tokenizer.codes.quantizers import FiniteScalarQuantizer


@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize(("levels", "width"), [((8, 5, 5, 5), 64), ((7, 7), 16), ((8, 8, 8, 6), 128), ((3, 4), 2)])
def test_fsq_equals_that_of_vector_quantize_pytorch(levels, width, precision):
    """Weights, codes, features and gradients, to the last bit."""
    torch.manual_seed(0)
    reference = FSQ(levels=list(levels), dim=width)
    torch.manual_seed(0)
    ours = FiniteScalarQuantizer(levels, width)
    theirs = reference.state_dict()
    assert theirs.keys() == ours.fsq.state_dict().keys()
    assert all(torch.equal(theirs[name], weight) for name, weight in ours.fsq.state_dict().items())

    features = [(3 * torch.randn(4, 500, width)).requires_grad_()]
    features.append(features[0].detach().clone().requires_grad_())
    with torch.autocast("cpu", dtype=precision, enabled=precision == torch.bfloat16):
        (expected, numbers), (quantized, codes, _) = reference(features[0]), ours(features[1])
    assert torch.equal(codes, numbers.long()) and torch.equal(quantized, expected)
    for each in (expected, quantized):
        each.float().square().sum().backward()
    assert features[0].grad.abs().max() > 0 and torch.equal(features[0].grad, features[1].grad)

    assert torch.equal(ours.geometry(), reference.implicit_codebook)
    assert torch.equal(ours.lookup(codes), reference.indices_to_codes(numbers))


def test_neighbours_of_a_code_are_one_level_away():
    quantizer = FiniteScalarQuantizer((4, 3), 8)
    assert quantizer.neighbours()[5].tolist() == [6, 9, 4, 1]  # level 1 of both: up in each, then down in each
    assert quantizer.neighbours()[0].tolist() == [1, 4, 0, 0]
