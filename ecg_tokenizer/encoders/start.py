"""What the training of an encoder starts from: random weights, those of VISION_ENCODER, or of another run."""

from dataclasses import asdict, replace

import torch

from cardiolect.data_provider.audit.seen import Earlier, seen_before
from cardiolect.ecg_tokenizer.encoders.architectures.picture import load_weights
from cardiolect.ecg_tokenizer.encoders.representation import ECGEncoder
from cardiolect.ecg_tokenizer.encoders.settings import EncoderSettings
from cardiolect.ecg_tokenizer.representations import load_representation
from cardiolect.utils.errors import UserError

MAY_DIFFER = ("tokens", "frozen")  # of its configuration: they change no weight


def first_encoder(settings: EncoderSettings) -> ECGEncoder:
    """The encoder that training starts from, its parameters trainable.

    Raises `UserError` if ENCODER_INIT holds no encoder, or one of other sizes or another scaling.
    """
    torch.manual_seed(settings.seed)
    if not settings.encoder_init:
        encoder = ECGEncoder(settings.config())
        if settings.vision_encoder:
            load_weights(encoder.encoder, settings.vision_encoder)
        return encoder
    earlier = load_representation(settings.encoder_init)
    if not isinstance(earlier, ECGEncoder):
        raise UserError(f"ENCODER_INIT: {settings.encoder_init} holds {earlier.name}, not an encoder")
    config = settings.config()
    config = replace(config, vision=config.vision or earlier.config.vision)
    ours, theirs = asdict(config), asdict(earlier.config)
    if others := [key for key in ours if key not in MAY_DIFFER and ours[key] != theirs[key]]:
        words = "; ".join(f"{key} is {theirs[key]} there, and {ours[key]} here" for key in others)
        raise UserError(f"ENCODER_INIT: {settings.encoder_init} holds another encoder: {words}; set the same sizes")
    encoder = ECGEncoder(config)
    encoder.load_state_dict(earlier.state_dict())
    return encoder


def seen_by_init(settings: EncoderSettings) -> Earlier:
    """The recordings that the encoder of ENCODER_INIT has seen; none without it."""
    folders = {"encoder": settings.encoder_init} if settings.encoder_init else {}
    return seen_before(folders, settings.accept_unknown_leakage)
