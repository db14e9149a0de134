"""What a stage's version is made of."""

from __future__ import annotations

import argparse
import dataclasses
import enum
import importlib.util
import logging
import os
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta, timezone
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipemon.errors import DeclarationError
from pipemon.instrument import digest
from pipemon.instrument.model import Model

PARAMS: dict[str, Any] = {
    "lr": 1e-3,
    "layers": [512, 256],
    "dropout": None,
    "name": "größer",
    "deep": {"b": 1, "a": True},
}


def tiny(audio: list[float]) -> int:
    return len(audio)


def module_of(folder: Path, source: str) -> ModuleType:
    path = folder / "recogniser.py"
    path.write_bytes(source.encode())
    spec = importlib.util.spec_from_file_location("recogniser", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_what_is_named_stays_readable_in_the_version() -> None:
    model = Model(code="v1.4", params="large", data="2026-06", trained="2026-06-30T12:00:00Z")
    assert model.version == "v1.4-large-2026-06"
    assert model.labels == {"code": "v1.4", "params": "large", "data": "2026-06"}
    assert model.trained_timestamp == datetime(2026, 6, 30, 12, tzinfo=UTC).timestamp()


def test_what_is_not_named_is_a_hash_of_eight_digits() -> None:
    model = Model(code=tiny, params=PARAMS, data=np.arange(10))
    assert [len(text) for text in model.labels.values()] == [8, 8, 8]
    assert model.version == "-".join(model.labels.values())
    assert model == Model(code=tiny, params=PARAMS, data=np.arange(10))


def test_what_was_not_given_is_no_part_of_the_version() -> None:
    model = Model(params={"beam": 5})
    assert model.labels == {"code": "", "params": model.version, "data": ""}
    assert model.trained_timestamp is None
    assert Model(trained=date(2026, 6, 30)).version == "2026-06-30T00:00:00Z"


@given(st.text(st.characters(codec="utf-8"), min_size=1))
def test_a_name_is_kept_or_refused_and_never_longer_than_40_characters(name: str) -> None:
    try:
        model = Model(code=name)
    except DeclarationError:
        assert not name.isprintable() or name != name.strip()
        return
    assert model.version == name if len(name) <= 40 else len(model.version) == 40


def test_long_names_that_differ_at_their_end_make_different_versions() -> None:
    assert Model(data="s3://bucket/" + "x" * 40 + "1").version != Model(data="s3://bucket/" + "x" * 40 + "2").version


def test_hashes_are_the_same_in_every_process_and_on_every_machine() -> None:
    code = """
import numpy as np
from pipemon.instrument.model import Model
params = {'lr': 1e-3, 'names': {'b', 'a', 'c'}, 'layers': (512, 256), 'act': len, 'f': np.float32(0.5)}
print(Model(code=b'abc', params=params, data=np.arange(6.0).reshape(2, 3)).version)
"""
    versions = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
        for seed in ("1", "2")
    }
    assert len(versions) == 1
    # Digests that a released version gave stay: else every model would look new after an upgrade.
    assert Model(code=b"abc", params=PARAMS, data=np.arange(6.0).reshape(2, 3)).version == "ce91dc5e-8c3f83f4-6d3abe8c"


@given(st.dictionaries(st.text(), st.none() | st.booleans() | st.integers() | st.floats() | st.lists(st.text())))
def test_the_order_of_hyperparameters_does_not_count(params: dict[str, Any]) -> None:
    assert Model(params=params) == Model(params=dict(reversed(params.items())))


@pytest.mark.parametrize(
    "other",
    [
        {**PARAMS, "lr": 2e-3},
        {**PARAMS, "layers": [256, 512]},
        {**PARAMS, "dropout": 0},
        {**PARAMS, "more": 1},
        {**PARAMS, "deep": {"b": 1, "a": False}},
    ],
)
def test_another_hyperparameter_is_another_version(other: dict[str, Any]) -> None:
    assert Model(params=PARAMS).version != Model(params=other).version


def test_hyperparameters_are_a_mapping_a_namespace_or_a_dataclass() -> None:
    @dataclasses.dataclass
    class Settings:
        beam: int
        path: Path

    settings = {"beam": 5, "path": Path("a/b")}
    expected = Model(params=settings).version
    assert Model(params=argparse.Namespace(**settings)).version == expected
    assert Model(params=Settings(5, Path("a/b"))).version == expected


def test_functions_classes_and_enum_members_count_by_their_names() -> None:
    class Mode(enum.Enum):
        FAST = 1
        SLOW = 2

    versions = {Model(params={"x": value}).version for value in (divmod, len, dict, Path, Mode.FAST, Mode.SLOW)}
    assert len(versions) == 6


@pytest.mark.parametrize("value", [object(), lambda: 1, [1, {2: object()}]])
def test_what_has_no_stable_text_is_refused_with_its_place(value: object) -> None:
    with pytest.raises(DeclarationError, match=r"params\['optimizer'\].*not the same text in every process"):
        Model(params={"optimizer": value})


def test_hyperparameters_that_hold_themselves_are_refused() -> None:
    params: dict[str, Any] = {}
    params["self"] = params
    with pytest.raises(DeclarationError, match="holds itself"):
        Model(params=params)


def test_code_is_hashed_by_its_source_however_its_lines_end(tmp_path: Path) -> None:
    source = "def vad(audio):\n    return audio\n"
    first = module_of(tmp_path, source)
    inside, whole = Model(code=first.vad).version, Model(code=first).version
    assert Model(code=module_of(tmp_path, source.replace("\n", "\r\n"))).version == whole
    changed = module_of(tmp_path, source.replace("return audio", "return audio[1:]"))
    assert Model(code=changed).version != whole
    assert len(inside) == 8


def test_a_package_is_hashed_by_all_of_its_modules(tmp_path: Path) -> None:
    def version() -> str:
        package = ModuleType("recogniser")
        package.__file__ = str(tmp_path / "__init__.py")
        return Model(code=package).version

    (tmp_path / "__init__.py").write_text("")
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "beam.py").write_text("WIDTH = 5\n")
    before = version()
    (tmp_path / "notes.txt").write_text("not code")
    assert version() == before
    (tmp_path / "deep" / "beam.py").write_text("WIDTH = 6\n")
    assert version() != before


def test_classes_and_methods_are_code_too() -> None:
    assert len({Model(code=code).version for code in (Model, Model.__post_init__, tiny)}) == 3


@pytest.mark.parametrize("code", [len, sys, eval("lambda: 1"), int])
def test_code_without_a_source_is_to_be_named(code: Any) -> None:
    with pytest.raises(DeclarationError, match="name it: code='v3'"):
        Model(code=code)


def test_a_file_is_hashed_by_what_is_in_it(tmp_path: Path) -> None:
    first, second = tmp_path / "a.bin", tmp_path / "b.bin"
    first.write_bytes(b"weights")
    second.write_bytes(b"weights")
    assert Model(data=first).version == Model(data=second).version == Model(data=b"weights").version
    second.write_bytes(b"weightz")
    assert Model(data=first).version != Model(data=second).version


def test_a_file_that_can_not_be_read_is_told_by_its_path(tmp_path: Path) -> None:
    with pytest.raises(DeclarationError, match=r"missing\.npz' can't be read: No such file"):
        Model(data=tmp_path / "missing.npz")
    with pytest.raises(DeclarationError, match="can't be read: Is a directory"):
        Model(code=tmp_path)


def test_a_large_file_is_read_in_parts_from_its_start_to_its_end_and_that_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(digest, "MOST_BYTES", 640)
    path = tmp_path / "data.bin"
    content = bytearray(range(256)) * 40
    versions = []
    for changed in (None, 0, len(content) - 1, 15):
        data = bytearray(content)
        if changed is not None:
            data[changed] ^= 1
        path.write_bytes(data)
        with caplog.at_level(logging.INFO, "pipemon"):
            versions.append(Model(data=path).version)
    whole, start, end, between = versions
    assert len({whole, start, end}) == 3
    assert between == whole
    assert "name its version instead" in caplog.text


def test_a_large_array_is_read_in_parts_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(digest, "MOST_BYTES", 640)
    array = np.arange(10_000.0)
    whole = Model(data=array).version
    array[-1] += 1
    assert Model(data=array).version != whole


def test_an_array_is_hashed_by_shape_type_and_values_however_it_lies_in_memory() -> None:
    array = np.arange(6, dtype=np.int32).reshape(2, 3)
    version = Model(data=array).version
    assert Model(data=np.asfortranarray(array)).version == version
    assert Model(data=array.astype(">i4")).version == version
    others = [array.reshape(3, 2), array.astype(np.float32), array + 1]
    assert version not in {Model(data=other).version for other in others}


FRAME = {"age": [31, 45], "name": ["Anna", None], "score": [0.5, float("nan")], "at": [datetime(2026, 1, 1)] * 2}


@pytest.mark.parametrize("frame", [pd.DataFrame, pl.DataFrame])
def test_a_data_frame_is_hashed_by_its_columns(frame: Callable[..., Any]) -> None:
    version = Model(data=frame(FRAME)).version
    assert Model(data=frame(FRAME)).version == version
    assert Model(data=frame({**FRAME, "name": ["Anna", "Bert"]})).version != version
    assert Model(data=frame({**FRAME, "age": [31, 46]})).version != version
    assert Model(data=frame({("years" if k == "age" else k): v for k, v in FRAME.items()})).version != version


@pytest.mark.parametrize("frame", [pd.DataFrame, pl.DataFrame])
def test_the_columns_of_a_wide_frame_share_what_may_be_read(
    frame: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(digest, "MOST_BYTES", 64_000)
    narrow = {"a": np.arange(4000.0)}
    wide = narrow | dict.fromkeys("bcdefgh", narrow["a"])

    def sees(columns: dict[str, Any], place: int) -> bool:
        changed = columns | {"a": np.where(np.arange(4000) == place, -1.0, columns["a"])}
        return Model(data=frame(columns)).version != Model(data=frame(changed)).version

    assert [sees(narrow, place) for place in (0, 100, 3999)] == [True, True, True]
    assert [sees(wide, place) for place in (0, 100, 3999)] == [True, False, True]


def test_missing_values_and_categories_of_pandas_are_read() -> None:
    frame = pd.DataFrame({"n": pd.array([1, None], dtype="Int64"), "c": pd.Categorical(["a", "b"])})
    frame.columns = pd.Index(["same", "same"])
    assert len(Model(data=frame).version) == 8


def test_a_frame_with_objects_is_refused() -> None:
    with pytest.raises(DeclarationError, match=r"data\[0\] is of type object"):
        Model(data=pd.DataFrame({"x": [object()]}))


MOMENT = datetime(2026, 6, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    "trained",
    [
        MOMENT,
        MOMENT.astimezone(timezone(timedelta(hours=2))),
        pd.Timestamp(MOMENT),
        "2026-06-01T12:00:00Z",
        "2026-06-01T14:00:00+02:00",
        MOMENT.timestamp(),
        int(MOMENT.timestamp()),
    ],
)
def test_when_it_was_trained_is_a_moment_however_it_is_written(trained: Any) -> None:
    assert Model(code="v1", trained=trained).trained_timestamp == MOMENT.timestamp()


@pytest.mark.parametrize("trained", [date(2026, 6, 1), "2026-06-01"])
def test_a_date_is_its_midnight_in_utc(trained: Any) -> None:
    assert Model(code="v1", trained=trained).trained_timestamp == datetime(2026, 6, 1, tzinfo=UTC).timestamp()


@pytest.mark.parametrize(
    ("trained", "told"),
    [
        (datetime(2026, 6, 1, 12), "needs its time zone"),
        ("2026-06-01T12:00:00", "needs its time zone"),
        ("last week", "no ISO time"),
        (1.78e12, "look like milliseconds"),
        (-1, "no time after 1970"),
        (float("nan"), "no time after 1970"),
        (True, "must be a datetime"),
        (["2026"], "must be a datetime"),
    ],
)
def test_a_time_that_could_mean_another_is_refused(trained: Any, told: str) -> None:
    with pytest.raises(DeclarationError, match=told):
        Model(code="v1", trained=trained)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({}, "at least one of"),
        ({"code": ""}, "is not empty"),
        ({"code": " v1"}, "white space"),
        ({"code": "a\nb"}, "white space"),
        ({"code": "\ud800"}, "not a text"),
        ({"code": 5}, "code must be a name .* not int"),
        ({"params": [1]}, "params must be a name .* not list"),
        ({"data": 5}, "data must be a name .* not int"),
    ],
)
def test_what_is_no_model_is_refused_in_one_sentence(given: dict[str, Any], told: str) -> None:
    with pytest.raises(DeclarationError, match=told):
        Model(**given)


def test_reading_is_bounded_for_texts_and_other_objects_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(digest, "_MOST_OBJECTS", 10)

    texts = np.array(["a"] * 1000, dtype=object)
    whole = Model(data=texts).version
    texts[-1] = "b"
    assert Model(data=texts).version != whole
    texts[-1], texts[1] = "a", "b"
    assert Model(data=texts).version == whole
