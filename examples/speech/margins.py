"""Print how far each fault of audio and detector moves each feature: what the thresholds were chosen from.

python margins.py
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Sequence
from inspect import unwrap
from pathlib import Path
from statistics import fmean, pstdev

import cascade
import faults
import recordings
import traffic
from recordings import Recording

from pipemon.demo.programs import default_cache
from pipemon.features import level_dbfs, snr_db

Call = dict[str, float | None]
"""A call's features by their exported names; `seconds` is the recogniser's time."""

_MORE = (("telephone_band", 0.9), ("noise", 20.0))
_HEARD = ("audio", "vad_mode", "least")
_level, _snr = level_dbfs().extractor, snr_db(recordings.RATE).extractor


def measure(recording: Recording, fault: str | None = None, strength: float | None = None) -> Call:
    """Return the features of one call under `fault`; nothing is recorded or exported."""
    audio = faults.applied(fault, strength, recording.samples)
    usual, cascade.setup = cascade.setup, traffic.set_up(fault, strength)
    try:
        found = unwrap(cascade.find_speech)(audio)
        call: Call = {
            "audio_level_dbfs": float(_level(audio)),  # type: ignore[arg-type]
            "audio_snr_db": float(_snr(audio)),  # type: ignore[arg-type]
            "audio_high_band_db": cascade.high_band_db(audio),
            "segments": len(found),
            "speech_share": found.share,
        }
        if found.segments:
            said = unwrap(cascade.transcribe)(found, traffic.spoken(recording, fault))
            call |= {
                "words": len(said.text.split()),
                "words_per_second": said.words_per_second,
                "acoustic_score": said.acoustic_score,
                "language_score": said.language_score,
                "word_error_rate": said.word_error_rate,
                "seconds": said.seconds,
            }
        return call
    finally:
        cascade.setup = usual


def values(calls: Iterable[Call], feature: str) -> list[float]:
    """Return what is known of a feature."""
    return [value for call in calls if (value := call.get(feature)) is not None]


def moved(good: Sequence[Call], calls: Sequence[Call], feature: str) -> float:
    """Return how far the feature's mean moved, in standard deviations of its good values."""
    normal = values(good, feature)
    return (fmean(values(calls, feature)) - fmean(normal)) / pstdev(normal)


def main() -> None:
    """Measure every recording under every fault, and print a table."""
    parser = argparse.ArgumentParser(description="Print how far each fault moves each feature.")
    parser.add_argument("--cache", type=Path, default=default_cache(), help="where fetched recordings are kept")
    cache = parser.parse_args().cache
    every = recordings.found_or_fetched(cache)
    measure(every[0])  # loads the models
    good = [measure(recording) for recording in every]
    print(f"{'feature':<22}{'good mean':>10}{'sd':>8}")
    for name in good[0]:
        print(f"{name:<22}{fmean(values(good, name)):>10.3g}{pstdev(values(good, name)):>8.2g}")
    heard = {name: fault.strength for name, fault in faults.FAULTS.items() if fault.where in _HEARD}
    for fault, strength in (*heard.items(), *_MORE):
        calls = [measure(recording, fault, strength) for recording in every]
        print(f"\n{fault} {strength:g}: {faults.FAULTS[fault].what}, in standard deviations of the good values")
        told = [(name, values(calls, name)) for name in good[0] if pstdev(values(good, name))]
        moves = [f"{name} {moved(good, calls, name):+.1f}" if known else f"{name} none" for name, known in told]
        print("  " + ", ".join(moves))
        if not (errors := values(calls, "word_error_rate")):
            continue
        bad = sum(error > traffic.BAD for error in errors)
        print(f"  word error rate {fmean(errors):.2f}, {bad} of {len(errors)} misunderstood")


if __name__ == "__main__":
    main()
