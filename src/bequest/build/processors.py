"""A pretrained image model's own processor, as tensors that a module holds.

The processors of transformers work on pictures one by one, through Pillow, which is too slow within
a fit and lets no gradient through. What they do to pictures of one shape is two matrices, a choice
of channels, a mean and a deviation. Colours are asked of the processor itself; sizes follow its
settings; and the whole is compared with the processor, so that a step unknown here is refused.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bequest.build.paths import read_json
from bequest.core.errors import Problem, RequestError
from bequest.lazy import numpy as np
from bequest.lazy import torch, transformers

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    Floats = NDArray[np.float32]

MOST_SIDE = 4096  # pixels; a processor's settings must not make images of gigabytes
_WARPED_FROM = 384  # ConvNext's processor crops nothing from this size on
_ABOUT_THE_FILE = {
    *("image_processor_type", "feature_extractor_type", "processor_class", "auto_map"),
    *("_valid_processor_keys", "transformers_version", "use_fast"),
}
# The mean difference of noise, in levels of 8 bits, that rounding explains: since version 13 Pillow
# begins with the height where that shrinks most. Another filter makes more than 1.
_ROUNDING = 0.75


@dataclass(frozen=True, eq=False)
class Preprocessing:
    """What happens to a batch of images [batch, channels, height, width] in [0, 1] first.

    rows, columns: float32 [new height, height] and [new width, width], what new lines of pixels are
        made of; None leaves the size alone.
    size: height and width to resize to where there are no such matrices; None for none.
    order: the channel that each new one is; empty leaves them alone.
    mean, std: per channel; empty leaves the values alone.
    """

    rows: Floats | None = None
    columns: Floats | None = None
    size: tuple[int, int] | None = None
    order: tuple[int, ...] = ()
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()


def settings_of(folder: Path) -> dict[str, Any]:
    """What the files of a model say of its image processor; {} if they say nothing.

    Raises:
        RequestError: a file can't be read.
    """
    whole = folder / "processor_config.json"
    told = read_json(whole).get("image_processor") if whole.is_file() else None
    if isinstance(told, dict):
        return told
    file = folder / "preprocessor_config.json"
    return read_json(file) if file.is_file() else {}


def own_processor(folder: Path, settings: Mapping[str, Any]) -> Any:
    """The image processor of the model in a folder, made by transformers, without its code.

    Raises:
        RequestError: it has settings that the processor doesn't know.
    """
    processor = transformers.AutoImageProcessor.from_pretrained(
        folder, backend="pil", local_files_only=True, trust_remote_code=False
    )
    known = {*_ABOUT_THE_FILE, *processor.valid_kwargs.__annotations__}
    odd = [
        name for name, value in settings.items()
        if value and name not in known and not hasattr(type(processor), name)
    ]  # fmt: skip
    if odd:
        what = f"its image processor has settings that are not known: {', '.join(odd)}"
        fix = f"take them out of `{folder / 'preprocessor_config.json'}` if they mean nothing"
        raise RequestError(Problem(what, fix, ("path",)))
    return processor


def preprocessing(processor: Any, channels: int, height: int, width: int) -> Preprocessing:
    """What a processor does to pictures [channels, height, width].

    Raises:
        RequestError: it gives something else than pictures.
        ValueError: its settings are out of range.
    """
    down, across = _steps(processor, height, width)
    _refuse_large([length for _, length in (*down, *across)], processor)
    order, mean, std = _colours(processor, channels)
    rows = _axis(down, height, processor.resample)
    columns = _axis(across, width, processor.resample)
    if rows is None and columns is not None:
        rows = np.eye(height, dtype=np.float32)
    if columns is None and rows is not None:
        columns = np.eye(width, dtype=np.float32)
    return Preprocessing(rows, columns, None, order, mean, std)


def compare(
    processor: Any,
    before: Preprocessing,
    ours: Callable[[torch.Tensor], torch.Tensor],
    shape: tuple[int, int, int],
) -> None:
    """Make sure that `ours` does to noise of `shape` what the processor does, but for rounding.

    before: what `ours` does; grey pictures are given to the processor in as many channels.

    Raises:
        RequestError: it doesn't, so the processor takes a step that is not known here.
    """
    noise = np.random.default_rng(0).integers(0, 256, (2, *shape), np.uint8)
    grey = shape[0] == 1 < len(before.std)
    theirs = _pixels(processor, noise.repeat(len(before.std), axis=1) if grey else noise)
    mine = ours(torch.from_numpy(noise).float() / 255).numpy()
    if mine.shape == theirs.shape:
        gap = np.abs((mine - theirs) * np.reshape(before.std, (-1, 1, 1))) * 255
        if gap.mean() <= _ROUNDING:
            return
    what = f"its image processor, {type(processor).__name__}, does more than is known here"
    raise RequestError(Problem(what, "resizing, cropping and normalising are known", ("path",)))


def enlarged_to(processor: Any, height: int, width: int) -> tuple[int, int] | None:
    """Height and width to which a processor enlarges pictures; None if it doesn't."""
    if not processor.do_resize:
        return None
    size = _resized(processor, height, width)
    return size if size[0] > height or size[1] > width else None


def resized(images: torch.Tensor, rows: torch.Tensor, columns: torch.Tensor) -> torch.Tensor:
    """Images [batch, channels, height, width] in [0, 1] in another size, as Pillow makes it.

    Pillow resizes across and then down, and rounds to whole levels each time. So does this, where a
    picture is in whole levels of 8 bits; what was computed or has more bits keeps its fractions.
    """
    with torch.autocast(images.device.type, enabled=False):
        levels = images.to(rows.dtype) * 255
        gap = (levels - levels.round()).abs().amax(dim=(1, 2, 3), keepdim=True)
        whole = gap < 0.01  # [batch, 1, 1, 1]
        across = _settled(levels @ columns.mT, whole)
        return _settled(rows @ across, whole) / 255


def _settled(levels: torch.Tensor, whole: torch.Tensor) -> torch.Tensor:
    """Levels in whole numbers where wanted; gradients pass as if nothing were rounded."""
    fixed = levels.detach()
    nearest = (fixed + 0.5).floor().clamp(0, 255)
    return torch.where(whole, levels + (nearest - fixed), levels)


Steps = list[tuple[str, int]]


def _steps(processor: Any, height: int, width: int) -> tuple[Steps, Steps]:
    """What is done to columns of pixels and to rows: `resize` or `crop`, and the new length."""
    sizes: list[tuple[str, tuple[int, int]]] = []
    size = dict(processor.size or {})
    if processor.do_resize:
        sizes.append(("resize", _resized(processor, height, width)))
        if _kind(processor) == "ConvNext" and size["shortest_edge"] < _WARPED_FROM:
            sizes.append(("crop", (size["shortest_edge"], size["shortest_edge"])))
    if processor.do_center_crop:
        crop = dict(processor.crop_size or {})
        cropped = crop["height"], crop["width"]
        if _kind(processor) == "Perceiver":
            ratio = size["height"] / cropped[0], size["width"] / cropped[1]
            shorter = min(height, width)
            sizes.insert(0, ("crop", (int(ratio[0] * shorter), int(ratio[1] * shorter))))
        else:
            sizes.append(("crop", cropped))
    return [(step, one[0]) for step, one in sizes], [(step, one[1]) for step, one in sizes]


def _resized(processor: Any, height: int, width: int) -> tuple[int, int]:
    """Height and width after a processor's resizing, before it crops."""
    from transformers import image_transforms as library

    size: dict[str, int] = dict(processor.size or {})
    edge = _shorter(processor, size)
    if not edge:
        return size["height"], size["width"]
    if "longest_edge" in size:
        found = library.get_size_with_aspect_ratio((height, width), edge, size["longest_edge"])
    elif _kind(processor) == "ConvNext" and edge >= _WARPED_FROM:
        found = edge, edge
    else:
        found = library.get_resize_output_image_size(
            np.empty((1, height, width)),
            edge,
            default_to_square=False,
            input_data_format="channels_first",
        )
    return int(found[0]), int(found[1])


def _shorter(processor: Any, size: Mapping[str, int]) -> int | None:
    """What a processor brings the shorter side to; None if it gives height and width."""
    kind, edge = _kind(processor), size.get("shortest_edge")
    share = getattr(processor, "crop_pct", None)
    if kind == "PoolFormer" and share and "height" in size and size["height"] == size["width"]:
        edge = size["height"]
    if not edge:
        return None
    if share and (kind == "PoolFormer" or (kind == "ConvNext" and edge < _WARPED_FROM)):
        return int(edge / share)
    return int((256 / 224) * edge) if kind == "Levit" else edge


def _kind(processor: Any) -> str:
    return type(processor).__name__.partition("ImageProcessor")[0]


def _refuse_large(lengths: list[int], processor: Any) -> None:
    pad = dict(getattr(processor, "pad_size", None) or {})
    largest = max([*lengths, *pad.values()], default=0)
    if largest > MOST_SIDE:
        raise ValueError(f"its images are {largest} pixels wide; at most {MOST_SIDE} are taken")


def _axis(steps: Steps, length: int, resample: Any) -> Floats | None:
    """The matrix [new length, length] of steps along one axis; None if nothing changes."""
    from PIL import Image
    from transformers.image_transforms import center_crop

    matrix = np.eye(length, dtype=np.float32)
    for step, new in steps:
        if step == "crop":
            shape = new, length
            both = {"data_format": "channels_first", "input_data_format": "channels_first"}
            matrix = center_crop(matrix[None], shape, **both)[0]
        elif new != len(matrix):
            # Pillow's own weights: what it makes of pictures that are black but for one pixel.
            each = Image.fromarray(np.eye(len(matrix), dtype=np.float32))
            filter_ = Image.Resampling.BILINEAR if resample is None else Image.Resampling(resample)
            matrix = np.asarray(each.resize((new, len(matrix)), filter_)).T @ matrix
    same = matrix.shape == (length, length) and np.array_equal(matrix, np.eye(length))
    return None if same else np.ascontiguousarray(matrix)


def _colours(
    processor: Any, channels: int
) -> tuple[tuple[int, ...], tuple[float, ...], tuple[float, ...]]:
    """Order of channels, mean and deviation, found by pictures of a single colour."""
    pictures = np.zeros((channels + 1, channels, 8, 8), np.uint8)
    for channel in range(channels):
        pictures[channel + 1, channel] = 255
    alone = {"do_resize": False, "do_center_crop": False, "do_pad": False}
    seen = _pixels(processor, pictures, **alone)[..., 0, 0].astype(np.float64)
    black, effect = seen[0], seen[1:] - seen[0]  # [new channels], [channels, new channels]
    order = np.abs(effect).argmax(axis=0)
    gain = effect[order, np.arange(len(order))]
    if not np.all(np.isfinite(gain) & (gain != 0)):
        raise ValueError("its image processor makes all pictures alike")
    # Seven digits are what float32 holds of a setting such as 0.485.
    mean, std = (
        [float(f"{value:.7g}") for value in values] for values in (-black / gain, 1 / gain)
    )
    same = np.array_equal(order, np.arange(channels))
    return () if same else tuple(order.tolist()), tuple(mean), tuple(std)


def _pixels(processor: Any, pictures: NDArray[np.uint8], **settings: Any) -> Floats:
    """What a processor makes of pictures [n, channels, height, width]."""
    form = {"input_data_format": "channels_first", "return_tensors": "np"}
    made = processor(list(pictures), **form, **settings)
    if "pixel_values" not in made:
        what = f"its image processor gives {', '.join(made)}, not pictures"
        raise RequestError(Problem(what, field=("path",)))
    return np.asarray(made["pixel_values"], np.float32)
