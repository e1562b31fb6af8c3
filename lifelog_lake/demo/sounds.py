"""Minutes of sound: a murmur like talk behind a door, and a quiet room with a tone in it."""

from __future__ import annotations

import hashlib
import io
import struct
from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt
import soundfile

from lifelog_lake.demo.chance import Chance

OPUS = "audio/ogg"
RATE_HZ = 16_000
LENGTH_S = 60
#: What there is: a talk, a room. The index is that of ``minutes_of_sound``.
KINDS = ("talk", "room")
_STEP = RATE_HZ // 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Sound:
    """A minute as a file, with what the audio collector would have measured."""

    content: bytes
    sha256: str
    speech: float
    level_dbfs: float


def sound(seed: int, kind: str, variant: int) -> Sound:
    """A minute of a kind, mono."""
    chance = Chance(seed, "sound", kind, variant)
    wave, speech = _talk(chance) if kind == "talk" else (_room(chance), 0.0)
    pcm = np.round(wave * 32767).astype(np.int16)
    file = io.BytesIO()
    soundfile.write(file, pcm, RATE_HZ, format="OGG", subtype="OPUS", compression_level=1.0)
    content = _with_serial(file.getvalue(), chance.one(1, 2**31 - 1))
    level = 20 * np.log10(np.sqrt(np.mean(np.square(pcm / 32767.0))))
    return Sound(
        content=content,
        sha256=hashlib.sha256(content).hexdigest(),
        speech=speech,
        level_dbfs=round(float(level), 1),
    )


def _talk(chance: Chance) -> tuple[npt.NDArray[np.float64], float]:
    """Syllables of two voices with pauses between sentences; the share of time that is speech."""
    count = LENGTH_S * 100  # steps of 10 ms
    loud, pitch = np.zeros(count), np.full(count, 120.0)
    here, spoken, voice = chance.one(0, 80), 0, 0
    while here < count:
        for _ in range(chance.one(6, 22)):  # a sentence
            length = chance.one(9, 26)
            end = min(here + length, count)
            if end <= here:
                break
            loud[here:end] = np.hanning(length + 2)[1 : 1 + end - here] * chance.one(50, 100) / 100
            pitch[here:end] = (108, 172)[voice] + chance.near(0, 22)
            spoken += end - here
            here = end + chance.one(0, 3)
        here += chance.one(20, 190)
        voice = chance.one(0, 1)
    loudness, hertz = np.repeat(loud, _STEP), np.repeat(pitch, _STEP)
    phase = np.cumsum(hertz) * (2 * np.pi / RATE_HZ)
    wave = sum(
        np.sin(phase * part) * weight
        for part, weight in ((1, 0.5), (2, 0.32), (3, 0.2), (4, 0.24), (5, 0.1), (7, 0.05))
    )
    return 0.16 * loudness * wave + _air(chance), round(spoken / count, 3)


def _room(chance: Chance) -> npt.NDArray[np.float64]:
    """A soft chord that comes and goes above the noise of a room."""
    time_s = np.arange(LENGTH_S * RATE_HZ) / RATE_HZ
    root = (196.0, 220.0, 246.94, 261.63)[chance.one(0, 3)]
    wave = np.zeros_like(time_s)
    for ratio in (1.0, 1.25, 1.5, 2.0):
        swell = 0.5 + 0.5 * np.sin(2 * np.pi * time_s / chance.one(7, 19))
        wave += np.sin(2 * np.pi * root * ratio * time_s) * swell
    return 0.022 * wave + _air(chance)


def _air(chance: Chance) -> npt.NDArray[np.float64]:
    noise = chance.many(LENGTH_S * RATE_HZ, 2001) - 1000
    return np.convolve(noise, np.ones(12) / 12, "same") / 1000 * 0.004


def _with_serial(content: bytes, serial: int) -> bytes:
    """The same Ogg stream under a serial number of our own: libsndfile draws one by the clock.

    A page (RFC 3533): ``OggS``, 22 bytes with the serial at 14 and the checksum at 22, the number
    of segments, their lengths, the segments.
    """
    pages, here = [], 0
    while here < len(content):
        lengths = content[here + 27 : here + 27 + content[here + 26]]
        end = here + 27 + len(lengths) + sum(lengths)
        page = bytearray(content[here:end])
        page[14:18], page[22:26] = struct.pack("<I", serial), bytes(4)
        page[22:26] = struct.pack("<I", _checksum(page))
        pages.append(bytes(page))
        here = end
    return b"".join(pages)


def _checksum(page: bytes | bytearray) -> int:
    """CRC-32 as Ogg has it: polynomial 0x04c11db7, from 0, not reflected."""
    table, value = _table(), 0
    for byte in page:
        value = (value << 8 & 0xFFFF_FFFF) ^ table[value >> 24 ^ byte]
    return value


@cache
def _table() -> tuple[int, ...]:
    values = []
    for index in range(256):
        value = index << 24
        for _ in range(8):
            value = value << 1 ^ (0x04C1_1DB7 if value & 0x8000_0000 else 0)
        values.append(value & 0xFFFF_FFFF)
    return tuple(values)
