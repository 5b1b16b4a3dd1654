"""What a stock server cannot do for a model that embeds ECGs is said by every command that would need it."""

import numpy as np
import pytest
import torch

from cardiolect.data_provider.record import LEADS
from cardiolect.ecg_tokenizer.patches.representation import ECGPatches
from cardiolect.ecg_tokenizer.patches.settings import PatchConfig
from cardiolect.model.cli import commands as cli
from cardiolect.model.evaluation.card import write_card
from cardiolect.model.inference.chat import ECGChat
from cardiolect.model.inference.generation import generate_texts
from cardiolect.model.llm.checkpoint import load_language_model, new_checkpoint
from cardiolect.model.llm.saving import save_checkpoint
from cardiolect.model.prompt.rendering import make_prompt
from cardiolect.model.serving.endpoint import EndpointChat
from cardiolect.model.serving.serve import serve
from cardiolect.utils.errors import UserError
from tests.helpers.language_models import tiny_language_model
from tests.helpers.results import evaluated

QUESTION = "Does this ECG show atrial fibrillation?"


@pytest.fixture(scope="module")
def embedding(tmp_path_factory):
    """A checkpoint with random weights that embeds patches."""
    folder = tmp_path_factory.mktemp("embedding")
    model, words = load_language_model(tiny_language_model(folder / "llm"), "fp32")
    torch.manual_seed(0)
    patches = ECGPatches(PatchConfig("conv", patch=50))
    checkpoint = new_checkpoint(model, words, patches, seed=0)
    with torch.no_grad():
        for name, parameter in checkpoint.model.named_parameters():
            parameter.add_((3 if "projector" in name else 0.1) * torch.randn_like(parameter))
    checkpoint.info |= {"stage": "finetune", "settings": {"data_root": [str(folder / "ptb-xl")], "precision": "fp32"}}
    save_checkpoint(checkpoint, folder / "checkpoint", merge=True)
    write_card(folder / "checkpoint")
    return folder / "checkpoint"


def test_it_is_asked_like_any_checkpoint(embedding, record, said):
    asked = ["ask", record, QUESTION, "--checkpoint", embedding, "--max-new-tokens", 8, "--device", "cpu"]
    chat = ECGChat.from_pretrained(embedding, "cpu")
    ecg = chat.read(record)
    assert said(*asked).strip() == chat.ask(ecg, QUESTION, max_new_tokens=8)
    silent = np.zeros((len(LEADS), 5000), np.float32)
    items = chat.encode(ecg), chat.representation.prepare([silent], 500)[0]
    ecgs = [chat.representation.prepared(key, item) for key, item in enumerate(items)]
    prompts = [make_prompt(chat.checkpoint.vocabulary, [ecg], [""], "qa", QUESTION) for ecg in ecgs]
    answers = dict(generate_texts(chat.checkpoint.model, chat.checkpoint.vocabulary, prompts, 8, 2))
    assert abs(answers[0].logprob - answers[1].logprob) > 1e-3, "the ECG has to reach the model"


def test_what_needs_tokens_or_a_reconstruction_is_refused(embedding, record, tmp_path):
    for command, message in (
        (["tokens", record, "--checkpoint", str(embedding)], r"embeds ECGs \(patches\); they have no tokens to print"),
        (
            ["show", record, "--checkpoint", str(embedding), "--reconstruction", "--out", str(tmp_path / "x.png")],
            "patches cannot be turned back into a signal",
        ),
        (["merge", str(embedding), "--out", str(tmp_path / "merged")], "holds no adapters"),
    ):
        with pytest.raises(UserError, match=message):
            cli.main(command)


def test_servers_and_endpoints_are_refused(embedding):
    with pytest.raises(UserError, match="embeds ECGs, which stock servers cannot do; use cardiolect ask"):
        serve(embedding)
    with pytest.raises(UserError, match="embeds ECGs, which cannot be sent to a server"):
        EndpointChat.from_pretrained("http://127.0.0.1:1", embedding)


def test_an_export_and_its_card_say_so(embedding, said, tmp_path, capsys, record):
    assert "stock server\ncannot show it an ECG" in (embedding / "README.md").read_text()
    out, result = tmp_path / "exported", evaluated(tmp_path / "result", embedding)
    cli.main(["export", str(embedding), "--results", str(result), "--out", str(out)])
    assert "stock servers can load its language model but not show it an ECG" in capsys.readouterr().err
    card = (out / "README.md").read_text()
    assert "cannot show it an ECG" in card and "With transformers alone" not in card
    asked = ["ask", record, QUESTION, "--max-new-tokens", 8, "--device", "cpu", "--checkpoint"]
    assert said(*asked, out) == said(*asked, embedding)


def test_the_demo_shows_such_an_ecg_without_tokens_or_reconstruction(embedding, record):
    from cardiolect.model.demo.pictures import TokenStrip, draw_reconstruction

    chat = ECGChat.from_pretrained(embedding, "cpu")
    ecg = chat.read(record)
    item = chat.encode(ecg)
    assert TokenStrip(chat.representation).draw(ecg, item) is None
    assert draw_reconstruction(ecg, chat.representation, item) is None
