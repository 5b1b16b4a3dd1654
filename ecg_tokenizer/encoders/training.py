"""Stage 1 of encoders: ``REPRESENTATION=encoder`` in an env file of run_tokenizer.sh."""

import json
from functools import partial

from cardiolect.data_provider.audit.seen import record_seen, save_seen
from cardiolect.ecg_tokenizer.encoders.objectives.contrastive import ContrastiveLearner
from cardiolect.ecg_tokenizer.encoders.objectives.masked import MaskedLearner
from cardiolect.ecg_tokenizer.encoders.objectives.supervised import SupervisedLearner
from cardiolect.ecg_tokenizer.encoders.settings import EncoderSettings
from cardiolect.ecg_tokenizer.encoders.start import first_encoder, seen_by_init
from cardiolect.ecg_tokenizer.training.loop import run_stage
from cardiolect.ecg_tokenizer.training.resume import METRICS, SETTINGS
from cardiolect.utils import launch
from cardiolect.utils.errors import UserError

LEARNERS = {"supervised": SupervisedLearner, "masked": MaskedLearner, "contrastive": ContrastiveLearner}


def train_encoder(settings: EncoderSettings) -> dict:
    """Write the encoder to OUTPUT_DIR and return its figures."""
    if settings.objective == "none":
        return _write_untrained(settings)
    learner = LEARNERS[settings.objective]
    return run_stage(settings, partial(learner, settings), seen_by_init(settings))


def _write_untrained(settings: EncoderSettings) -> dict:
    metrics = settings.output_dir / METRICS
    if settings.resume != "false" and metrics.is_file() and "step" in json.loads(metrics.read_text()):
        raise UserError(
            f"OUTPUT_DIR: {settings.output_dir} holds what was trained; another OUTPUT_DIR keeps it, RESUME=false "
            "replaces it"
        )
    earlier, encoder = seen_by_init(settings), first_encoder(settings)
    figures = {"parameters": sum(value.numel() for value in encoder.parameters())}
    if launch.is_main():
        encoder.save_pretrained(settings.output_dir)
        record_seen(settings.output_dir, save_seen(settings.output_dir, [], earlier.marks) | earlier.record)
        (settings.output_dir / SETTINGS).write_text(settings.to_json())
        (settings.output_dir / METRICS).write_text(json.dumps(figures, indent=2) + "\n")
        source = settings.encoder_init or settings.vision_encoder
        weights = f"the weights of {source}" if source else "random weights"
        print(f"{settings.encoder} with {weights}, {figures['parameters']:,} parameters: {settings.output_dir}")
    return figures
