"""Zero-shot scores: every statement has words, and a class is the direction of its statements."""

import json

import torch

from cardiolect.ecg_tokenizer.encoders.config import EncoderConfig
from cardiolect.ecg_tokenizer.encoders.objectives.alignment import AlignedEncoders, Alignment
from cardiolect.ecg_tokenizer.encoders.objectives.text_encoder import TextEncoder
from cardiolect.ecg_tokenizer.encoders.representation import ECGEncoder
from cardiolect.ecg_tokenizer.probe.command import main
from cardiolect.ecg_tokenizer.probe.zero_shot import NORMAL, ZeroShot, prompts
from cardiolect.utils.scp_codes import SCP_CODES


def some_model() -> AlignedEncoders:
    torch.manual_seed(0)
    encoder = ECGEncoder(EncoderConfig("convnext-atto", width=8, depth=1))
    text = TextEncoder.tiny(sorted(each for code in SCP_CODES for each in prompts(code)), 16, 1, 32)
    return AlignedEncoders(encoder, text, Alignment(encoder.embedding_width, text.width, 8, 10.0, 0.0)).eval()


def test_every_statement_has_prompts_and_no_two_share_one():
    said = [prompt for code in SCP_CODES for prompt in prompts(code)]
    assert len(SCP_CODES) == 71 and len(said) == len(set(said))
    assert prompts("AFIB") == ("Atrial fibrillation.",)
    assert prompts("IMI") == ("Myocardial infarction in inferior leads.", "Inferior infarct.")


def test_a_class_is_scored_by_the_cosine_with_its_statements():
    model = some_model()
    scorer = ZeroShot(model, "superclass")
    assert scorer.classes == ("CD", "HYP", "MI", "NORM", "STTC")
    signal = torch.randn(2, 12, 500)
    scores, to_normal = scorer(signal)
    assert scores.shape == (2, 5) and scores.abs().max() <= 1 + 1e-6
    normal = model.embed_texts(prompts("NORM"))[0]
    torch.testing.assert_close(scores[:, 3], model.embed_ecg(signal) @ normal)
    torch.testing.assert_close(scorer(signal[:1])[0], scores[:1])
    like_normal = model.embed_ecg(signal) @ torch.nn.functional.normalize(model.embed_texts(NORMAL).mean(0), dim=0)
    torch.testing.assert_close(to_normal[:, 2], scores[:, 2] - like_normal)
    assert torch.equal(to_normal[:, 3], scores[:, 3])


def test_the_probe_has_a_column_for_encoders_that_were_trained_with_reports(tmp_path, corpus, capsys):
    some_model().save_pretrained(tmp_path / "aligned")
    some_model().representation.save_pretrained(tmp_path / "alone")
    words = [tmp_path / "aligned", tmp_path / "alone", "--data", corpus, "--train-folds", "1-2", "--valid-folds", "3-8"]
    words += ["--reports", corpus / "reports/valid.json", corpus / "reports/test.json"]
    words += ["--cache-dir", tmp_path / "cache"]
    main([str(each) for each in (*words, "--folds", "9-10", "--workers", "0", "--out", tmp_path / "out")])
    result = json.loads((tmp_path / "out/probe.json").read_text())
    columns, pairs = result["found"], result["pairs"]
    assert pairs["pairs"] > 10 and 0 <= pairs["aligned"]["reports_of_ecgs"]["recall_1"] <= 1
    found = columns["zero-shot"]
    assert columns["zero-shot to normal"]["aligned"] != found["aligned"]
    assert found["records"][0] == 0 and "aligned" in found and "alone" not in found and "raw" not in found
    assert 0 <= found["aligned"]["auroc"] <= 1 and "f1" in found["aligned"]
    printed = capsys.readouterr().out
    assert "zero-shot" in printed and f"found again among {pairs['pairs']} pairs" in printed
