"""The agreement that repetitions of a text reach."""

from cardiolect.utils.metrics.statements.ceiling import repetition_f1


def test_repeated_texts_with_other_labels_bound_the_agreement():
    assert repetition_f1([("SR", {"SR"}), ("sr ", {"SR"}), ("once", {"LVH"})]) == (1.0, 2)
    assert repetition_f1([("SR", {"SR"}), ("SR", {"LVH"})]) == (0.0, 2)
    assert repetition_f1([("once", {"LVH"})]) == (0.0, 0)
