"""WAV files for tests, written from the specification, with whatever may be wrong about them."""

import struct

import numpy as np

PCM, FLOAT = 1, 3
GUID_END = bytes.fromhex("000000001000800000aa00389b71")


def stored(x, code, bits):
    """Samples (n, channels) in −1 … 1 as a file's bytes."""
    if code == FLOAT:
        return np.asarray(x, f"<f{bits // 8}").tobytes()
    whole = np.rint(np.clip(x, -1, 1 - 2.0 ** (1 - bits)) * 2.0 ** (bits - 1)).astype(np.int64)
    if bits == 8:
        return (whole + 128).astype(np.uint8).tobytes()
    wide = np.ascontiguousarray(whole).astype("<i8").view(np.uint8).reshape(*whole.shape, 8)
    return wide[..., : bits // 8].tobytes()


def chunk(name, content, length=None):
    """A chunk; length: what it says, where that is not so."""
    said = len(content) if length is None else length
    return name + struct.pack("<I", said) + content + b"\0" * (len(content) % 2)


def wav_bytes(x, rate=8000, *, code=PCM, bits=16, extensible=False, length=None, extra=b"", **lies):
    """A file of x (n,) or (n, channels). extra: chunks before the samples. lies: of the header's
    channels, rate, speed, width and bits.
    """
    x = np.asarray(x, float)
    x = x[:, None] if x.ndim == 1 else x
    says = {"channels": x.shape[1], "rate": rate, "bits": bits}
    says["width"] = says["channels"] * bits // 8
    says["speed"] = rate * says["width"]
    says |= lies
    fields = (says["channels"], says["rate"], says["speed"], says["width"], says["bits"])
    form = struct.pack("<HHIIHH", 0xFFFE if extensible else code, *fields)
    if extensible:
        form += struct.pack("<HHIH", 22, bits, 0, code) + GUID_END
    body = b"WAVE" + chunk(b"fmt ", form) + extra + chunk(b"data", stored(x, code, bits), length)
    return b"RIFF" + struct.pack("<I", len(body)) + body


def tone(frequency, seconds=0.25, rate=8000):
    """A sine of half of full scale."""
    return 0.5 * np.sin(2 * np.pi * frequency * np.arange(round(seconds * rate)) / rate)


def write_tones(root, classes=("high", "low"), count=8, rate=8000):
    """A folder per class, with tones of two pitches that differ a little."""
    for c, name in enumerate(classes):
        (root / name).mkdir(parents=True)
        for i in range(count):
            wave = tone((1500, 300)[c % 2] + 10 * i, 0.1 + 0.01 * (i % 3), rate)
            (root / name / f"{i}.wav").write_bytes(wav_bytes(wave, rate))
    return root
