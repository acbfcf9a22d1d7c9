"""WAV files: every width and number of channels is the sound that it is, and what cannot be read
is refused with the reason.
"""

import re
import tracemalloc
import wave

import numpy as np
import pytest

from dlcli.data import resample, wav
from dlcli.errors import DataError
from tests.data.wav_files import FLOAT, PCM, chunk, tone, wav_bytes

SOUND = np.random.default_rng(0).uniform(-0.9, 0.9, 500)
FORMATS = [(PCM, 8), (PCM, 16), (PCM, 24), (PCM, 32), (FLOAT, 32), (FLOAT, 64)]


def decode(data, rate=8000, most=10**6):
    return wav.decode(data, "a.wav", rate, most)


@pytest.fixture
def saved(tmp_path):
    def write(data, name="a.wav"):
        (tmp_path / name).write_bytes(data)
        return tmp_path / name

    return write


# --- what is read -------------------------------------------------------------------------------


@pytest.mark.parametrize(("code", "bits"), FORMATS)
@pytest.mark.parametrize("extensible", [False, True])
def test_every_width_is_the_same_sound(code, bits, extensible):
    read = decode(wav_bytes(SOUND, code=code, bits=bits, extensible=extensible))
    assert read.dtype == np.float32
    np.testing.assert_allclose(read, SOUND, atol=max(2.0**-bits, 1e-7) if code == PCM else 1e-7)


@pytest.mark.parametrize(("code", "bits"), FORMATS)
def test_the_largest_and_the_smallest_sample_keep_their_sign(code, bits):
    read = decode(wav_bytes([-1, 1, 0], code=code, bits=bits))
    np.testing.assert_allclose(read, [-1, 1, 0], atol=2.0 ** (1 - min(bits, 24)))


def test_channels_are_averaged():
    left, right = SOUND, SOUND[::-1]
    read = decode(wav_bytes(np.stack([left, right], 1), code=FLOAT, bits=32))
    np.testing.assert_allclose(read, (left + right) / 2, atol=1e-7)
    assert decode(wav_bytes(np.tile(SOUND[:, None], 7))) == pytest.approx(SOUND, abs=1e-4)


def test_what_the_standard_library_writes_is_read(tmp_path):
    whole = np.rint(SOUND * 32767).astype("<i2")
    with wave.open(str(tmp_path / "s.wav"), "wb") as file:
        file.setnchannels(2)
        file.setsampwidth(2)
        file.setframerate(16000)
        file.writeframes(whole.tobytes())
    header = wav.probe(tmp_path / "s.wav")
    assert (header.rate, header.channels, header.frames) == (16000, 2, 250)
    read = wav.read(tmp_path / "s.wav", 16000, 1000)
    np.testing.assert_allclose(read, whole.reshape(-1, 2).mean(1) / 32768, atol=1e-7)


def test_other_chunks_are_passed_over(saved):
    extra = chunk(b"LIST", b"INFOISFT123") + chunk(b"fact", b"\0\0\0\1")
    path = saved(wav_bytes(SOUND, extra=extra) + chunk(b"LIST", b"after"))
    np.testing.assert_allclose(wav.read(path, 8000, 1000), SOUND, atol=1e-4)


@pytest.mark.parametrize("length", [0xFFFFFFFF, 0x7FFFF000])
def test_a_length_that_a_pipe_could_not_know_means_up_to_the_end(length):
    np.testing.assert_allclose(decode(wav_bytes(SOUND, length=length)), SOUND, atol=1e-4)


def test_of_a_longer_sound_the_middle_is_kept(saved):
    path = saved(wav_bytes(SOUND, code=FLOAT, bits=64))
    np.testing.assert_allclose(wav.read(path, 8000, 100), SOUND[200:300], atol=1e-7)


def test_of_a_long_file_only_what_is_needed_is_read(saved):
    path = saved(wav_bytes(np.zeros(4_000_000), bits=8))
    tracemalloc.start()
    try:
        assert len(wav.read(path, 8000, 100)) == 100
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()


# --- another rate -------------------------------------------------------------------------------


@pytest.mark.parametrize("rate", [8000, 11025, 16000, 22050, 44100, 48000, 6000])
def test_another_rate_is_the_same_sound(rate):
    read = decode(wav_bytes(tone(440, rate=rate), rate, code=FLOAT, bits=32))
    assert len(read) == 2000
    inside = slice(100, -100)  # at the ends the sound begins and stops at once
    np.testing.assert_allclose(read[inside], tone(440)[inside], atol=1e-3)


@pytest.mark.parametrize("rate", [11025, 44100])
@pytest.mark.parametrize("frequency", [4200, 5000])
def test_what_a_rate_cannot_hold_is_not_folded_back(rate, frequency):
    read = resample.resample(tone(frequency, 0.5, rate), rate, 8000)[200:-200]
    assert np.sqrt(np.mean(read.astype(float) ** 2)) < 0.5 * 10 ** (-44 / 20)


def test_a_constant_stays_what_it_is_and_the_length_is_rounded_up():
    for rate, to in ((7919, 8000), (44100, 8000), (3, 2)):
        out = resample.resample(np.ones(999), rate, to)
        assert len(out) == -(-999 * to // rate)
        middle = len(out) // 2
        np.testing.assert_allclose(out[middle - 50 : middle + 50], 1, atol=1e-6)
    assert resample.resample(np.zeros(0), 3, 2).shape == (0,)


def test_a_long_sound_is_the_same_in_pieces_and_at_once(monkeypatch):
    sound = np.random.default_rng(1).normal(size=9000)
    pieces = resample.resample(sound, 11025, 8000)
    monkeypatch.setattr(resample, "CHUNK", 10**6)
    np.testing.assert_array_equal(resample.resample(sound, 11025, 8000), pieces)


# --- what is refused ----------------------------------------------------------------------------

GOOD = wav_bytes(SOUND)
REFUSED = [
    (b"RIFF", "does not begin with RIFF"),
    (b"\0" * 200, "does not begin with RIFF"),
    (b"fLaC" + b"\0" * 100, "begins as FLAC"),
    (b"RF64" + GOOD[4:], "begins as RF64"),
    (GOOD[:30], "a part of 16 bytes in a file of 30"),
    (GOOD[:40], "ends before its samples"),
    (GOOD[:-1], "cut off: 999 of 1,000 bytes"),
    (GOOD[:60], "cut off"),
    (wav_bytes(SOUND, length=2000), "cut off"),
    (wav_bytes(SOUND, length=0x7FFFEFFF), "cut off"),
    (wav_bytes(SOUND, length=999), "not a whole number"),
    (wav_bytes([]), "holds no samples"),
    (wav_bytes(SOUND, channels=2), "2 × 16 bits .* are not 2 bytes"),
    (wav_bytes(SOUND, channels=0, width=0, speed=0), "0 channels"),
    (wav_bytes(SOUND, channels=65535, width=0, speed=0), "65,535 channels"),
    (wav_bytes(SOUND, rate=0, speed=0), "0 samples per second"),
    (wav_bytes(SOUND, rate=2**31, speed=0), "samples per second"),
    (wav_bytes(SOUND, speed=16001), "16,001 a second"),
    (wav_bytes(SOUND, width=4), "are not 4 bytes"),
    (wav_bytes(SOUND, bits=12), "samples have 12 bits"),
    (wav_bytes(SOUND, code=6, bits=8), "A-law"),
    (wav_bytes(SOUND, code=0x55), "MP3"),
    (wav_bytes(SOUND, code=0x1234), "code 4660"),
    (wav_bytes(SOUND, extra=GOOD[12:36]), "two formats"),
    (wav_bytes(SOUND, extra=chunk(b"LIST", b"x", 10**9)), "1,000,000,000 bytes in a file of"),
    (wav_bytes(SOUND, extra=chunk(b"a   ", b"") * 1000), "more than 1,000 parts"),
    (GOOD[:12] + GOOD[36:], "samples come before their format"),
    (wav_bytes([0.1, np.nan], code=FLOAT, bits=32), "not finite"),
    (wav_bytes([0.1, -np.inf], code=FLOAT, bits=64), "not finite"),
    (wav_bytes([1e30], code=FLOAT, bits=32), "beyond full scale"),
]


@pytest.mark.parametrize(("data", "message"), REFUSED, ids=[m for _, m in REFUSED])
def test_what_cannot_be_read_is_refused_with_the_file_and_the_reason(saved, data, message):
    for read in (lambda: decode(data), lambda: wav.read(saved(data), 8000, 10**6)):
        with pytest.raises(DataError, match=r"a\.wav: ") as caught:
            read()
        assert re.search(message, "; ".join(filter(None, (caught.value.what, caught.value.why))))


def test_an_empty_file_a_folder_and_no_file_are_data_errors(saved, tmp_path):
    for path in (saved(b""), tmp_path, tmp_path / "absent.wav"):
        with pytest.raises(DataError, match=str(path)):
            wav.read(path, 8000, 10)
    with pytest.raises(DataError, match="nothing in it"):
        decode(b"")


def test_any_single_wrong_byte_of_a_header_is_read_or_refused_and_never_fails_otherwise():
    random = np.random.default_rng(0)
    refused = 0
    for at in range(44):
        for value in random.integers(0, 256, 6):
            data = bytearray(GOOD)
            data[at] = value
            try:
                read = decode(bytes(data), most=10**5)
                assert np.isfinite(read).all()
            except DataError:
                refused += 1
    assert refused > 100
