"""Table of encoders by the names that ENCODER takes, with their published sizes, and smaller ones."""

from collections.abc import Callable

from cardiolect.ecg_tokenizer.encoders.architectures.convnext import ConvNeXtV2
from cardiolect.ecg_tokenizer.encoders.architectures.picture import PictureEncoder
from cardiolect.ecg_tokenizer.encoders.architectures.resnet import Residual, ResNet1D
from cardiolect.ecg_tokenizer.encoders.architectures.s4 import StateSpaces
from cardiolect.ecg_tokenizer.encoders.architectures.transformer import Patching, PatchTransformer, TransformerSizes
from cardiolect.ecg_tokenizer.encoders.base import SignalEncoder
from cardiolect.ecg_tokenizer.encoders.config import EncoderConfig
from cardiolect.utils.errors import UserError


def build_encoder(config: EncoderConfig) -> SignalEncoder:
    """The encoder of a configuration, with random weights. Raises `UserError` if its width cannot be had."""
    return _BUILD[config.encoder](config)


def _residual(blocks: tuple[int, ...], expansion: int, **sizes) -> Callable[[EncoderConfig], SignalEncoder]:
    """MERL's; stages are twice as wide as the one before."""

    def build(config: EncoderConfig) -> SignalEncoder:
        width = config.width or 64
        widths = tuple(width * 2**k for k in range(len(blocks)))
        return ResNet1D(Residual(_depths(config, blocks), widths, expansion, stem=(width,), **sizes))

    return build


def _xresnet(config: EncoderConfig) -> SignalEncoder:
    width = config.width or 64
    stem = (width // 2, width // 2, width)
    return ResNet1D(Residual(_depths(config, (3, 4, 23, 3)), (width,) * 4, 4, 5, stem, 5, pooled=True, averaged=True))


def _convnext(width: int, *blocks: int) -> Callable[[EncoderConfig], SignalEncoder]:
    def build(config: EncoderConfig) -> SignalEncoder:
        first = config.width or width
        return ConvNeXtV2(_depths(config, blocks), [first * 2**k for k in range(len(blocks))])

    return build


def _transformer(patching: Patching) -> Callable[[EncoderConfig], SignalEncoder]:
    def build(config: EncoderConfig) -> SignalEncoder:
        width = config.width or 768
        if width % HEAD_WIDTH and width > HEAD_WIDTH:
            raise UserError(f"ENCODER_WIDTH={width}: {config.encoder} takes multiples of {HEAD_WIDTH}, or less than it")
        heads = max(1, width // HEAD_WIDTH)
        return PatchTransformer(TransformerSizes(patching, config.patch, width, config.depth or 12, heads))

    return build


def _state_spaces(config: EncoderConfig) -> SignalEncoder:
    stride = round(config.sampling_rate * 0.032)
    return StateSpaces(config.width or 128, config.depth or 4, states=16, stride=stride)


def _depths(config: EncoderConfig, published: tuple[int, ...]) -> tuple[int, ...]:
    return (config.depth,) * len(published) if config.depth else published


HEAD_WIDTH = 64  # of an attention head
_BUILD: dict[str, Callable[[EncoderConfig], SignalEncoder]] = {
    "s4": _state_spaces,
    "resnet18": _residual((2, 2, 2, 2), 1),
    "resnet50": _residual((3, 4, 6, 3), 4),
    "resnet101": _residual((3, 4, 23, 3), 4),
    "xresnet101": _xresnet,
    "convnext-atto": _convnext(40, 2, 2, 6, 2),
    "convnext-femto": _convnext(48, 2, 2, 6, 2),
    "convnext-pico": _convnext(64, 2, 2, 6, 2),
    "convnext-nano": _convnext(80, 2, 2, 8, 2),
    "convnext-tiny": _convnext(96, 3, 3, 9, 3),
    "convnext-base": _convnext(128, 3, 3, 27, 3),
    "convnext-large": _convnext(192, 3, 3, 27, 3),
    "convnext-huge": _convnext(352, 3, 3, 27, 3),
    "st-mem": _transformer("lead"),
    "mtae": _transformer("time"),
    "mlae": _transformer("whole"),
    "picture": lambda config: PictureEncoder(config.vision),
}
