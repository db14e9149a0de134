"""What goes wrong in the field, done to real speech on purpose: to the audio, or to how the stages run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

RATE = 16_000
Audio = NDArray[np.int16]


def _int16(samples: NDArray[np.floating[Any]]) -> Audio:
    cut: Audio = np.clip(np.rint(samples), -32768, 32767).astype(np.int16)
    return cut


def noise(audio: Audio, snr_db: float) -> Audio:
    """Add white noise, `snr_db` decibels under the recording's own level: a noisy room. The same every time."""
    power = float(np.mean(audio.astype(np.float64) ** 2))
    hiss = np.random.default_rng(len(audio)).normal(size=len(audio))
    return _int16(audio + hiss * np.sqrt(power * 10 ** (-snr_db / 10)))


def gain(audio: Audio, db: float) -> Audio:
    """Make the audio `db` decibels louder, or softer below 0; what is too loud is cut off."""
    return _int16(audio * 10 ** (db / 20))


def mixed(audio: Audio, db: float) -> Audio:
    """Make a recording `db` decibels louder, or another as much softer: the same one always so."""
    return gain(audio, db if int(audio.sum()) % 2 else -db)


def clipping(audio: Audio, share: float) -> Audio:
    """Overdrive the microphone so far that `share` of the samples (0 to 1) are cut off."""
    ceiling = float(np.quantile(np.abs(audio.astype(np.float64)), 1 - share))
    return _int16(audio * (32767 / max(ceiling, 1.0)))


def telephone_band(audio: Audio, strength: float) -> Audio:
    """Weaken what is under 300 Hz and over 3400 Hz by 60 dB times `strength` (0 to 1): a telephone line."""
    spectrum = np.fft.rfft(audio)
    hertz = np.fft.rfftfreq(len(audio), 1 / RATE)
    spectrum[(hertz < 300) | (hertz > 3400)] *= 10 ** (-3 * strength)
    return _int16(np.fft.irfft(spectrum, len(audio)))


def silence(audio: Audio, level_dbfs: float) -> Audio:
    """Replace the speech by a line's hiss at `level_dbfs`: the call is open, and nobody is heard."""
    hiss = np.random.default_rng(len(audio)).normal(size=len(audio))
    return _int16(hiss * 32768 * 10 ** (level_dbfs / 20))


def left_open(audio: Audio, seconds: float) -> Audio:
    """Add `seconds` of a line's hiss behind the speech: the client does not close the microphone."""
    return np.concatenate([audio, silence(np.zeros(round(seconds * RATE), np.int16), -60.0)])


def higher(audio: Audio, times: float) -> Audio:
    """Play the audio `times` as fast, so that voices are as much higher; silence behind it keeps the length."""
    faster = np.interp(np.arange(0, len(audio) - 1, times), np.arange(len(audio)), audio)
    return np.pad(_int16(faster), (0, len(audio) - len(faster)))


def at_pace(audio: Audio, times: float) -> Audio:
    """Have the words spoken `times` as fast, in voices as high: overlapping frames, each where it fits best."""
    frame, near = RATE // 25, RATE // 64
    step, window, sound = frame // 2, np.hanning(frame + 1)[:-1], audio.astype(np.float64)
    starts = range(0, len(audio) - frame - step - near, max(1, round(step * times)))
    spoken = np.zeros(len(starts) * step + step)
    at = 0
    for number, start in enumerate(starts):
        if number:
            first = max(0, start - near)
            fit = np.correlate(sound[first : start + near + frame], sound[at + step : at + step + frame], "valid")
            at = first + int(np.argmax(fit))
        spoken[number * step : number * step + frame] += window * sound[at : at + frame]
    return _int16(spoken)


def new_words(audio: Audio, seconds: float) -> Audio:
    """Put pieces of about `seconds` in reverse order, cut where it is quiet: the sounds of words that nobody knows.

    What the microphone hears, the level, the noise, the voice, stays as it was.
    """
    step, wanted = RATE // 100, round(100 * seconds)
    steps = len(audio) // step
    loud = np.abs(audio[: steps * step].reshape(steps, step).astype(float)).mean(1)
    loud = np.convolve(loud, np.ones(3), mode="same")
    cuts = [0]
    while (middle := cuts[-1] + wanted) < steps - wanted // 2:
        near = middle - wanted // 2
        cuts.append(near + int(np.argmin(loud[near : middle + wanted // 2])))
    return np.concatenate(np.split(audio, [cut * step for cut in cuts[1:]])[::-1])


def noise_taken_away(audio: Audio, db: float) -> Audio:
    """Make what is over 25 dB softer than the voice softer still, by up to `db`: a phone that suppresses noise."""
    frame = RATE // 50
    power = (audio[: len(audio) // frame * frame].reshape(-1, frame).astype(float) ** 2).mean(1)
    level = 10 * np.log10(np.maximum(power, 1e-2))
    softer = db * np.clip((np.quantile(level, 0.9) - 25 - level) / 15, 0, 1)
    middles = frame * (np.arange(len(level)) + 0.5)
    return _int16(audio * 10 ** (-np.interp(np.arange(len(audio)), middles, softer) / 20))


@dataclass(frozen=True)
class Fault:
    """A fault that can be switched on while calls come in.

    `where` is "audio" (`change` takes and returns the samples that reach the first stage), "callers", or the field
    of `cascade.Setup` that the strength is put into. `strength` is the usual one, in `unit`. `only` is the age
    of the callers that it is about, "" for all; `client` is what they begin to call with.
    """

    what: str
    where: Literal["audio", "callers", "vad_mode", "least", "wait", "queue", "passes", "leak", "longest", "lengthless"]
    strength: float
    unit: str
    change: Callable[[Audio, float], Audio] | None = None
    only: str = ""
    client: str = ""
    unknown: bool = False


FAULTS: dict[str, Fault] = {
    "noise": Fault("a noisy room", "audio", 10.0, "dB of speech over noise", noise),
    "gain": Fault("a softer microphone", "audio", -20.0, "dB", gain),
    "clipping": Fault("an overdriven microphone", "audio", 0.2, "of the samples cut off", clipping),
    "telephone_band": Fault("a telephone line", "audio", 1.0, "of 60 dB", telephone_band),
    "silence": Fault("a dead line", "audio", -75.0, "dBFS of hiss", silence),
    "open_microphone": Fault(
        "a microphone that stays open", "audio", 6.0, "seconds of hiss behind the words", left_open
    ),
    "new_words": Fault("words that nobody has trained on", "audio", 0.4, "seconds a piece", new_words, unknown=True),
    "better_phones": Fault("phones that take noise away", "audio", 15.0, "dB", noise_taken_away),
    "children": Fault("children, with voices as high", "audio", 1.25, "times as high", higher, only="child"),
    "fast_talkers": Fault("people who speak faster", "audio", 1.4, "times as fast", at_pace),
    "aggressive_vad": Fault("a detector set to cut more", "vad_mode", 3.0, "mode, 0 to 3"),
    "deaf_vad": Fault("a detector that wants longer words", "least", 60.0, "frames of 30 ms"),
    "crashes": Fault("a recogniser whose memory ends", "longest", 3.0, "seconds of speech that it still takes"),
    "lengthless": Fault("a release that forgets the length", "lengthless", 1.0, "for all calls"),
    # The recogniser does its usual work; each call waits first, asleep, as in the queue of a busy server.
    "slow": Fault("a busy recogniser", "wait", 2.0, "seconds of waiting"),
    "queue": Fault("more calls than recognisers", "queue", 2.0, "seconds in the queue before it"),
    "unoptimised": Fault("a detector that does its work again and again", "passes", 200.0, "times"),
    "leak": Fault("a service that lets go of nothing", "leak", 4.0, "megabytes a call"),
    "mixed_phones": Fault("phones that are louder, and others that are softer", "audio", 5.0, "dB", mixed),
    "impatient": Fault("listeners who ask again whatever they are told", "callers", 0.06, "of them"),
    "few_callers": Fault("callers who stay away", "callers", 0.3, "times as many calls"),
    "unscored": Fault("calls whose words nobody wrote down", "callers", 0.8, "of them"),
    "web_callers": Fault("callers who move to the web", "callers", 0.6, "of them", client="web"),
    "new_client": Fault("a client that nobody told us of", "callers", 0.05, "of the callers", client="kiosk"),
}


def applied(fault: str | None, strength: float | None, audio: Audio) -> Audio:
    """Return what reaches the first stage under `fault` (a name of FAULTS, or None)."""
    chosen = FAULTS[fault] if fault else None
    if chosen is None or chosen.change is None:
        return audio
    return chosen.change(audio, chosen.strength if strength is None else strength)
