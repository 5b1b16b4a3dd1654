"""Language models and text tokenizers that are made in a moment."""

from pathlib import Path

from tokenizers import Tokenizer, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from cardiolect.model.llm.tiny import build_tiny_llama, train_bpe


def tiny_language_model(folder: Path, tied: bool = True, bos: bool = True) -> Path:
    """A saved Llama of two layers x 32 and its BPE, as a user's local LLM_PATH."""
    tokenizer = train_bpe({"Does this ECG show atrial fibrillation? yes no", "Sinus rhythm. Normal ECG."}, 300)
    model = build_tiny_llama(tokenizer, layers=2, hidden=32, heads=2, tied=tied, seed=1)
    if not bos:
        tokenizer.bos_token = None
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def sentencepiece(scheme: str):
    """Spaces are written as part of words, before the first too; the schemes are those of Llama 2 and its like."""
    bpe = Tokenizer(models.BPE(byte_fallback=True, unk_token="<unk>"))
    bpe.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme=scheme)
    special = ["<unk>", "<s>", "</s>", "<start_of_turn>", *(f"<0x{byte:02X}>" for byte in range(256))]
    texts = [f"Patient: age {k}.\nQuestion: Is it?\nAnswer: yes.\nReport: no" for k in range(50)]
    bpe.train_from_iterator(texts, trainers.BpeTrainer(vocab_size=400, special_tokens=special, show_progress=False))
    return PreTrainedTokenizerFast(tokenizer_object=bpe, bos_token="<s>", eos_token="</s>", unk_token="<unk>")
