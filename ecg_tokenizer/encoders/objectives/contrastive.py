"""Contrastive training: the ECGs and reports of the same recordings are brought together, those of others are not.

MERL (Liu et al. 2024, arXiv 2403.06659) adds a loss between two views of an ECG that differ in dropout only, ESI (Yu et
al. 2024, arXiv 2405.19366) a decoder that writes the report from all tokens of the ECG. Each has a weight here. Reports
of the same patient and reports in the same words do not count as negatives.
"""

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cardiolect.data_provider.splits import Split
from cardiolect.data_provider.storage.signal_cache import SignalCache
from cardiolect.ecg_tokenizer.encoders.base import pool
from cardiolect.ecg_tokenizer.encoders.objectives.alignment import MOST, AlignedEncoders, Alignment
from cardiolect.ecg_tokenizer.encoders.objectives.captions import CaptionDecoder
from cardiolect.ecg_tokenizer.encoders.objectives.contrast import (
    false_negatives,
    info_nce,
    retrieval,
    sigmoid_loss,
)
from cardiolect.ecg_tokenizer.encoders.objectives.text_encoder import TextEncoder
from cardiolect.ecg_tokenizer.encoders.settings import TINY, EncoderSettings
from cardiolect.ecg_tokenizer.encoders.start import first_encoder
from cardiolect.ecg_tokenizer.training.crops import CropSampler
from cardiolect.ecg_tokenizer.training.loop import Learner
from cardiolect.ecg_tokenizer.training.optimizers import adamw, descend
from cardiolect.utils import launch
from cardiolect.utils.device import choose_device
from cardiolect.utils.metrics.statements.extraction import language
from cardiolect.utils.schedule import make_schedule

VIEW_DROPOUT = 0.1
START = {"infonce": (1 / 0.07, 0.0), "siglip": (10.0, -10.0)}  # factor and bias, as published
_TEXTS, _VIEWS = 10**6, 2 * 10**6  # added to a crop's number: generators of its text and its dropout


class ContrastiveLearner(Learner):
    """An encoder, a text encoder and heads; their views and the caption decoder are for training only."""

    metric, title, lower_is_better = "mrr", "the mean reciprocal rank", False

    def __init__(self, settings: EncoderSettings, train: SignalCache, valid: SignalCache, splits: Mapping[str, Split]):
        self.settings, self.valid, self.device = settings, valid, choose_device(settings.device)
        self.texts, self.valid_texts = (
            texts_of(splits[name], side.record_ids) for name, side in (("train", train), ("valid", valid))
        )
        distinct = sorted({text for texts in self.texts for text in texts})
        self.numbers = dict(zip(distinct, np.unique(list(map(words, distinct)), return_inverse=True)[1], strict=True))
        self.patients = np.unique(_patients(splits["train"], train.record_ids), return_inverse=True)[1]
        representation = first_encoder(settings)
        text = make_text_encoder(settings, distinct)
        alignment = Alignment(
            representation.embedding_width, text.width, settings.alignment_width, *START[settings.contrastive_loss]
        )
        self.model = AlignedEncoders(representation, text, alignment).to(self.device)
        self.representation, self.alignment = representation, alignment
        width = settings.alignment_width
        self.views = nn.ModuleList(nn.Linear(2 * representation.embedding_width, width) for _ in range(2))
        self.captions = nn.ModuleList()  # empty without captions
        if settings.caption_weight:
            sizes = settings.decoder_width, settings.decoder_depth
            self.captions.append(CaptionDecoder(representation.embedding_width, len(text.tokenizer), *sizes))
        self.views.to(self.device)
        self.captions.to(self.device)
        self.cut = text.count_cut(distinct)
        if self.cut and launch.is_main():
            print(f"TEXT_TOKENS={settings.text_tokens}: {self.cut} of {len(distinct)} texts are longer and are cut")
        others = sum(language(each) != "English" for each in distinct)
        if others and launch.is_main():
            print(f"{others} of {len(distinct)} texts are not in English, as the prompts of zero-shot are")
        if settings.text_frozen:
            text.requires_grad_(False)
        self.optimizer = adamw(self._trained(), settings.learning_rate, settings.weight_decay, betas=(0.9, 0.999))
        self.schedule = make_schedule(settings.schedule, self.optimizer, settings.steps, settings.warmup)
        self.sampler = CropSampler(settings, train)

    def _trained(self) -> list[nn.Module]:
        text = [] if self.settings.text_frozen else [self.model.text]
        return [self.representation.encoder, self.alignment, self.views, self.captions, *text]

    @property
    def kept(self) -> nn.Module:
        return self.model

    def learn(self, step: int) -> dict[str, Tensor]:
        signal, _, rows = self.sampler.draw(step)
        numbers = range(self.settings.batch_size)[launch.share()]
        texts = [self._drawn(self.texts[row], step, number) for row, number in zip(rows, numbers, strict=True)]
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.settings.precision == "bf16"):
            losses = self._losses(signal.to(self.device), texts, self.patients[rows], step, numbers)
        weights = {"pairs": 1.0, "views": self.settings.view_weight, "captions": self.settings.caption_weight}
        loss = sum(weights[name] * each for name, each in losses.items())
        descend(loss, [self.optimizer])
        with torch.no_grad():
            self.alignment.log_factor.clamp_(max=math.log(MOST))  # in place, as in CLIP: so that it can come back
        self.schedule.step()
        return {"loss": loss.detach(), **{name: each.detach() for name, each in losses.items()}}

    def _losses(
        self, signal: Tensor, texts: Sequence[str], patients: np.ndarray, step: int, numbers: Sequence[int]
    ) -> dict[str, Tensor]:
        """The losses of this rank's rows, whose means over ranks are those of the whole batch."""
        features = self.representation.encoder(self.representation.scaled(signal))
        pooled, (ids, mask) = pool(features), self.model.text.tokens(texts)
        with torch.set_grad_enabled(not self.settings.text_frozen):
            of_texts = self.model.text(ids, mask)
        pair = self.alignment.of_ecg(pooled), self.alignment.of_text(of_texts)
        excluded, places = false_negatives([patients, np.array([self.numbers[text] for text in texts])], self.device)
        if self.settings.contrastive_loss == "siglip":
            losses = {"pairs": sigmoid_loss(*pair, self.alignment.factor, self.alignment.bias, excluded, places)}
        else:
            losses = {"pairs": info_nce(*pair, self.alignment.factor, excluded, places)}
        if self.settings.view_weight:
            excluded, places = false_negatives([patients], self.device)
            one, other = (
                F.normalize(head(pooled * self._dropout(pooled, step, numbers, k)).float(), dim=1)
                for k, head in enumerate(self.views)
            )
            losses["views"] = info_nce(one, other, torch.tensor(START["infonce"][0]), excluded, places)
        for decoder in self.captions:
            total, count = decoder.loss(features, ids, mask)
            launch.average([count])
            losses["captions"] = total / count.clamp(min=1 / launch.world_size())
        return losses

    def _drawn(self, texts: Sequence[str], step: int, number: int) -> str:
        """One of a recording's texts."""
        return texts[int(np.random.default_rng((self.settings.seed, step, _TEXTS + number)).integers(len(texts)))]

    def _dropout(self, pooled: Tensor, step: int, numbers: Sequence[int], view: int) -> Tensor:
        """A mask drawn for each row, so that it does not depend on the number of ranks."""
        seeds = [(self.settings.seed, step, _VIEWS + number, view) for number in numbers]
        kept = np.stack([np.random.default_rng(seed).random(pooled.shape[1]) >= VIEW_DROPOUT for seed in seeds])
        return torch.from_numpy(kept / (1 - VIEW_DROPOUT)).to(pooled)

    @torch.inference_mode()
    def validate(self) -> dict[str, Any]:
        """How well whole ECGs find their own reports among all of validation, and reports their ECGs.

        Reports in the same words are all right. Of a recording with several texts, the first counts.
        """
        self.representation.average_statistics()
        signals = (torch.from_numpy(self.valid.signal(k))[None] for k in range(len(self.valid))[launch.share()])
        found = launch.gather_shares([self.model.embed_ecg(signal)[0].cpu().numpy() for signal in signals])
        texts = [each[0] for each in self.valid_texts]
        similarities = np.stack(found) @ self.model.embed_texts(texts).cpu().numpy().T
        said = np.array(list(map(words, texts)))
        same = said[:, None] == said[None]
        if not np.isfinite(similarities).all():  # training has diverged
            return {"mrr": float("nan")}
        one, other = retrieval(similarities, same), retrieval(similarities.T, same)
        return {
            "mrr": (one["mrr"] + other["mrr"]) / 2,
            "reports_of_ecgs": one,
            "ecgs_of_reports": other,
            "recordings": len(texts),
        }

    def parts(self) -> dict[str, list]:
        return {"modules": self._trained(), "optimizers": [self.optimizer], "schedules": [self.schedule]}

    def in_words(self, figures: Mapping[str, Any]) -> str:
        found = figures.get("reports_of_ecgs", {})
        if "recall_1" not in found:
            return f"mean reciprocal rank {figures['mrr']:.3f}"
        return (
            f"mean reciprocal rank {figures['mrr']:.3f}; the right report first for {100 * found['recall_1']:.1f} % of "
            f"{figures['recordings']} ECGs (chance {100 * found['chance_1']:.1f} %, always the commonest "
            f"{100 * found['constant_1']:.1f} %)"
        )

    def figures(self) -> dict[str, Any]:
        return {
            "parameters": sum(value.numel() for value in self.representation.encoder.parameters()),
            "text_parameters": sum(value.numel() for value in self.model.text.parameters()),
            "distinct_texts": len(self.numbers),
            "texts_cut": self.cut,
        }


def make_text_encoder(settings: EncoderSettings, texts: Sequence[str]) -> TextEncoder:
    """The text encoder of these settings, a tiny one with word pieces of ``texts``."""
    if settings.text_encoder == TINY:
        return TextEncoder.tiny(texts, settings.text_width, settings.text_depth, settings.text_tokens)
    return TextEncoder.load(settings.text_encoder, settings.text_tokens)


def words(text: str) -> str:
    """The words of a text, in lower case: reports that differ in punctuation only say the same."""
    return " ".join(re.findall(r"\w+", text.lower()))


def texts_of(split: Split, record_ids: Sequence[str]) -> list[tuple[str, ...]]:
    """The reports of each recording."""
    found: dict[str, list[str]] = {}
    for example in split.examples:
        found.setdefault(example.records[0].record_id, []).append(example.answers[0])
    return [tuple(found[record]) for record in record_ids]


def _patients(split: Split, record_ids: Sequence[str]) -> list[str]:
    """The patient of each recording; one of an unknown patient counts as a patient of its own."""
    found = {ref.record_id: ref.patient_id or f"record {ref.record_id}" for ref in split.records}
    return [found[record] for record in record_ids]
