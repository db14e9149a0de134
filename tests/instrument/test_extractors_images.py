"""What the ready-made features of images mean."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image, ImageFilter

from pipemon import Feature
from pipemon.features import brightness, contrast, resolution, sharpness

ALL: tuple[Callable[[], Feature], ...] = (brightness, contrast, sharpness, resolution)
CHECKERBOARD = (np.indices((8, 8)).sum(axis=0) % 2 * 255).astype(np.uint8)
GREY = arrays.arrays(np.uint8, st.tuples(st.integers(3, 12), st.integers(5, 12)))


def photo() -> Image.Image:
    pixels = np.random.default_rng(0).integers(0, 256, (48, 64, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


@pytest.mark.parametrize(
    ("image", "light"),
    [
        (np.zeros((4, 4), np.uint8), 0.0),
        (np.full((4, 4), 255, np.uint8), 1.0),
        (np.full((4, 4), 65_535, np.uint16), 1.0),
        (np.full((4, 4, 3), 1.0), 1.0),
        (np.ones((4, 4), bool), 1.0),
        ([[0, 255], [255, 0]], 0.5),
        (np.tile(np.array([255, 0, 0], np.uint8), (4, 4, 1)), 0.299),
        (np.tile(np.array([0, 255, 0], np.uint8), (4, 4, 1)), 0.587),
        (np.tile(np.array([0, 0, 255, 7], np.uint8), (4, 4, 1)), 0.114),
        (CHECKERBOARD, 0.5),
    ],
)
def test_brightness_is_the_mean_luma(image: object, light: float) -> None:
    assert brightness().extractor(image) == pytest.approx(light, abs=1e-6)


def test_contrast_is_the_spread_of_luma() -> None:
    assert contrast().extractor(CHECKERBOARD) == pytest.approx(0.5)
    assert contrast().extractor(np.full((5, 5), 93, np.uint8)) == pytest.approx(0, abs=1e-6)


@given(GREY)
def test_sharpness_is_the_variance_of_the_laplacian(image: Any) -> None:
    grey = image.astype(float)
    laplacian = [
        grey[y - 1, x] + grey[y + 1, x] + grey[y, x - 1] + grey[y, x + 1] - 4 * grey[y, x]
        for y in range(1, grey.shape[0] - 1)
        for x in range(1, grey.shape[1] - 1)
    ]
    assert sharpness().extractor(image) == pytest.approx(np.var(laplacian), rel=1e-4, abs=1e-3)


def test_a_blurred_image_is_less_sharp_and_has_less_contrast_but_is_as_bright() -> None:
    sharp, blurred = photo(), photo().filter(ImageFilter.GaussianBlur(2))
    assert sharpness().extractor(blurred) < 0.05 * sharpness().extractor(sharp)  # type: ignore[operator]
    assert contrast().extractor(blurred) < contrast().extractor(sharp)  # type: ignore[operator]
    assert brightness().extractor(blurred) == pytest.approx(brightness().extractor(sharp), abs=0.01)


@pytest.mark.parametrize("shape", [(2, 9), (9, 2), (1, 1), (2, 2, 3)])
def test_an_image_too_small_for_a_laplacian_has_no_sharpness(shape: tuple[int, ...]) -> None:
    assert math.isnan(sharpness().extractor(np.zeros(shape)))  # type: ignore[arg-type]


@given(GREY, st.sampled_from([1, 3, 4]))
def test_the_same_picture_has_the_same_features_in_any_form(grey: Any, channels: int) -> None:
    last = np.stack([grey] * channels, axis=-1)
    for form in (last, np.moveaxis(last, -1, 0), grey / 255, (grey / 255).astype(np.float32), grey.tolist()):
        for feature in ALL:
            assert feature().extractor(form) == pytest.approx(feature().extractor(grey), rel=1e-3, abs=1e-3)


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "LA", "P", "CMYK", "YCbCr", "1"])
def test_pillows_images_are_what_they_show(mode: str) -> None:
    image = Image.new("RGB", (6, 4), (255, 255, 255)).convert(mode)
    assert brightness().extractor(image) == pytest.approx(1.0, abs=0.02)
    assert resolution().extractor(image) == 24


@pytest.mark.parametrize("shape", [(10, 20), (10, 20, 3), (3, 10, 20), (10, 20, 1), (4, 10, 20)])
def test_resolution_is_in_pixels_whatever_the_channels(shape: tuple[int, ...]) -> None:
    assert resolution().extractor(np.zeros(shape)) == 200


@pytest.mark.parametrize("feature", ALL)
@pytest.mark.parametrize("shape", [(16,), (), (5, 16, 16), (2, 16, 16, 3)])
def test_what_is_no_image_raises(feature: Callable[[], Feature], shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="an image's shape is height x width"):
        feature().extractor(np.zeros(shape))


@pytest.mark.parametrize("feature", [brightness, contrast, sharpness])
def test_an_image_without_pixels_or_with_nan_is_missing(feature: Callable[[], Feature]) -> None:
    assert math.isnan(feature().extractor(np.zeros((0, 4))))  # type: ignore[arg-type]
    assert math.isnan(feature().extractor(np.full((4, 4), np.nan)))  # type: ignore[arg-type]
