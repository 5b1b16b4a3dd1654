"""A folder of texts becomes passages with lines; passages are found by words or by embeddings."""

import numpy as np
import pytest
from transformers import BertConfig, BertModel, BertTokenizerFast

from cardiolect.data_provider.texts.describe.extractive import choose
from cardiolect.data_provider.texts.describe.passages import load_texts
from cardiolect.data_provider.texts.describe.retrieval import EmbeddingIndex, WordIndex
from cardiolect.data_provider.texts.describe.statements import read_statement
from cardiolect.utils.errors import UserError

MARKDOWN = """# Book

## Heart block

Intro to
blocks, i.e. delays. In first degree AV block the PR interval
exceeds 0.2 s. Dr. Smith agrees.

| a | table |
| - | ----- |

- In left bundle branch block the QRS complex is broad in V6.
- Mobitz II second degree AV block drops QRS complexes.

```
code in a fence. It is left out.
```
"""


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "part").mkdir()
    (tmp_path / "part/book.md").write_text(MARKDOWN)
    (tmp_path / "notes.txt").write_text("Atrial flutter has saw teeth in II.\n\nLBBB widens the QRS complex in V1.\n")
    return tmp_path


def test_sentences_have_their_file_and_line(folder):
    texts = load_texts(folder)
    assert [(one.source, one.text) for passage in texts.passages for one in passage.sentences] == [
        ("notes.txt:1", "Atrial flutter has saw teeth in II."),
        ("notes.txt:3", "LBBB widens the QRS complex in V1."),
        ("part/book.md:5", "Intro to blocks, i.e. delays."),
        ("part/book.md:6", "In first degree AV block the PR interval exceeds 0.2 s."),
        ("part/book.md:7", "Dr. Smith agrees."),
        ("part/book.md:12", "In left bundle branch block the QRS complex is broad in V6."),
        ("part/book.md:13", "Mobitz II second degree AV block drops QRS complexes."),
    ]
    assert [passage.heading for passage in texts.passages] == ["", "", "Heart block"]


def test_the_hash_is_of_names_and_contents(folder):
    first = load_texts(folder).sha256
    assert load_texts(folder).sha256 == first
    (folder / "notes.txt").rename(folder / "other.txt")
    renamed = load_texts(folder).sha256
    (folder / "other.txt").write_text("Atrial flutter has saw teeth in III.\n")
    assert len({first, renamed, load_texts(folder).sha256}) == 3


def chosen(text: str, folder, threshold: float = 0.5) -> list[str]:
    (finding,) = read_statement(text).findings
    return [one.source for one in choose(finding, WordIndex(load_texts(folder).passages), 4, threshold)]


def test_a_text_without_sections_for_findings_gives_sentences_that_begin_with_the_finding(folder):
    assert chosen("Left bundle branch block", folder) == ["notes.txt:3", "part/book.md:12"]
    assert chosen("First degree AV block", folder) == ["part/book.md:6"]


def test_a_special_form_is_not_said_of_the_general_finding(folder):
    assert chosen("Second degree AV block", folder) == []
    assert chosen("Second degree AV block, Mobitz II", folder) == ["part/book.md:13"]


def test_nothing_is_said_below_the_threshold_or_about_what_no_text_names(folder):
    assert chosen("Ventricular tachycardia", folder) == []
    assert chosen("Atrial flutter", folder) == ["notes.txt:1"]
    assert chosen("Atrial flutter", folder, threshold=1.01) == []


def test_scores_are_the_share_of_the_words_that_a_passage_has(folder):
    index = WordIndex(load_texts(folder).passages)
    best = index.search("atrial flutter", 2)[0]
    assert best.passage.source == "notes.txt:1" and best.score == pytest.approx(1)
    assert 0 < index.search("atrial zebra", 1)[0].score < 1
    assert index.search("zebra", 3) == []


@pytest.mark.parametrize(
    ("files", "said"),
    [({}, "no .md or .txt"), ({"a.txt": b"\n \n"}, "no sentence"), ({"a.md": b"\xff\xfe\x00a"}, "UTF-8")],
)
def test_a_folder_without_texts_is_refused(files, said, tmp_path):
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=said):
        load_texts(tmp_path)
    with pytest.raises(UserError, match="not a folder"):
        load_texts(tmp_path / "absent")


@pytest.fixture(scope="module")
def bert(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bert") / "tiny"
    folder.mkdir()
    letters = [*"abcdefghijklmnopqrstuvwxyz0123456789.,:/-'"]
    (folder / "vocab.txt").write_text(
        "\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", *letters, *(f"##{x}" for x in letters)])
    )
    BertTokenizerFast(str(folder / "vocab.txt")).save_pretrained(folder)
    config = BertConfig(
        vocab_size=100, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16
    )
    BertModel(config).save_pretrained(folder)
    return folder


def test_embeddings_of_a_local_model_find_the_passage_of_equal_text(folder, bert):
    passages = load_texts(folder).passages
    index = EmbeddingIndex(passages, bert, "cpu")
    (best, *others) = index.search(f". {passages[1].text}", 3)
    assert best.passage is passages[1] and best.score == pytest.approx(1, abs=1e-5)
    assert all(-1.001 <= hit.score <= best.score for hit in others)
    long = index._embedder.embed(["q " * 2000, "flutter"])
    assert long.shape == (2, 16) and np.allclose(np.linalg.norm(long, axis=1), 1, atol=1e-5)
    assert "tiny" in index.name


def test_padding_does_not_change_an_embedding(folder, bert):
    embed = EmbeddingIndex(load_texts(folder).passages, bert, "cpu")._embedder.embed
    assert np.allclose(embed(["flutter", "a much longer text about the heart"])[0], embed(["flutter"])[0], atol=1e-5)


def test_embeddings_need_a_model(folder, tmp_path):
    with pytest.raises(UserError, match=r"no config\.json"):
        EmbeddingIndex(load_texts(folder).passages, tmp_path, "cpu")
