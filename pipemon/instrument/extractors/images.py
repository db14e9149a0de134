"""Features of images.

All take arrays of shape height x width (grey) or height x width x channels, also channels x height x width, with
1 channel (grey), 2 (grey and alpha), 3 (RGB) or 4 (RGB and alpha; alpha is left out); lists of such; and Pillow's
images. Black is 0; white is 1 for floats, the type's maximum for unsigned integers, 255 for signed ones. Colours are
weighed as ITU-R BT.601 weighs luma: 0.299 R + 0.587 G + 0.114 B. A value that has no such shape raises, which is
counted.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from pipemon.instrument.extractors.rows import Array, as_array, by_rows
from pipemon.instrument.features import Feature

_CHANNELS = (1, 2, 3, 4)
_LUMA = (0.299, 0.587, 0.114)
_READ_AS_THEY_ARE = ("1", "L", "LA", "RGB", "RGBA", "I;16")


def brightness(name: str | None = None, sample: float = 1.0) -> Feature:
    """Mean luma, 0 (black) to 1 (white), in `ratio`. Cost: one pass."""
    return by_rows("brightness", _brightness, name=name, unit="ratio", sample=sample, read=_read)


def contrast(name: str | None = None, sample: float = 1.0) -> Feature:
    """RMS contrast: standard deviation of luma, 0 (one grey) to 0.5 (half black, half white), in `ratio`.

    Source: E. Peli, Contrast in complex images, J. Opt. Soc. Am. A 7, 1990. Cost: four passes.
    """
    return by_rows("contrast", _contrast, name=name, unit="ratio", sample=sample, read=_read)


def sharpness(name: str | None = None, sample: float = 1.0) -> Feature:
    """Variance of the Laplacian of luma from 0 to 255, in squared levels of grey: low where an image is blurred.

    The kernel is [[0, 1, 0], [1, -4, 1], [0, 1, 0]] and the outermost pixels are left out; otherwise it is
    OpenCV's `cv2.Laplacian(grey, cv2.CV_64F).var()`, of which 100 is a usual threshold. An image of less than 3 x 3
    pixels is missing. Source: J. Pech-Pacheco et al., Diatom autofocusing in brightfield microscopy, 2000.
    Cost: about ten passes, some 10 ms a megapixel: lower `sample` for large images.
    """
    return by_rows("sharpness", _sharpness, name=name, unit="levels^2", sample=sample, read=_read)


def resolution(name: str | None = None) -> Feature:
    """Height x width, in `pixels`. Cost: constant."""
    return Feature(name or "resolution", _resolution, "pixels", prefix=name is None, many=_resolutions)


def _brightness(images: Array) -> Array:
    return np.asarray(_luma(images).mean(axis=(1, 2), dtype=float))


def _contrast(images: Array) -> Array:
    return np.asarray(_luma(images).std(axis=(1, 2), dtype=float))


def _sharpness(images: Array) -> Array:
    grey = _luma(images) * np.float32(255)
    if min(grey.shape[1:]) < 3:
        return np.full(len(grey), math.nan)
    laplacian = -4 * grey[:, 1:-1, 1:-1]
    for neighbour in (grey[:, :-2, 1:-1], grey[:, 2:, 1:-1], grey[:, 1:-1, :-2], grey[:, 1:-1, 2:]):
        laplacian += neighbour
    return np.asarray(laplacian.var(axis=(1, 2), dtype=float))


def _resolution(image: Any) -> float:
    if hasattr(image, "width") and hasattr(image, "height"):
        return float(image.width * image.height)
    shape = getattr(image, "shape", None)
    return _pixels(tuple(np.shape(image) if shape is None else shape))


def _resolutions(images: Any) -> Array:
    array = as_array(images)
    if array is not None:
        return np.full(len(array), _pixels(array.shape[1:]))
    return np.array([math.nan if image is None else _resolution(image) for image in images], dtype=float)


def _pixels(shape: tuple[int, ...]) -> float:
    axis = _channel_axis(shape)
    return float(math.prod(shape) // (1 if axis is None else shape[axis]))


def _luma(images: Array) -> Array:
    """Return images of shape (n, ...) as luma, 0 to 1, in single precision: shape (n, height, width)."""
    axis = _channel_axis(images.shape[1:])
    planes = images[..., np.newaxis] if axis is None else np.moveaxis(images, axis + 1, -1)
    weights = _LUMA if planes.shape[-1] > 2 else (1.0,)
    white = _white(images.dtype)
    luma = np.zeros(planes.shape[:-1], dtype=np.float32)
    for index, weight in enumerate(weights):
        luma += planes[..., index].astype(np.float32) * np.float32(weight / white)
    return luma


def _white(dtype: np.dtype[Any]) -> float:
    if dtype.kind == "u":
        return float(np.iinfo(dtype).max)
    return 255.0 if dtype.kind == "i" else 1.0


def _channel_axis(shape: tuple[int, ...]) -> int | None:
    if len(shape) == 2:
        return None
    if len(shape) == 3:
        for axis in (2, 0):
            if shape[axis] in _CHANNELS:
                return axis
    raise ValueError(f"an image's shape is height x width, with 1 to 4 channels last or first, not {shape}")


def _read(image: Any) -> Array:
    if getattr(image, "mode", "L") not in _READ_AS_THEY_ARE:  # Pillow's palettes, CMYK, HSV
        image = image.convert("RGB")
    return np.asarray(image)
