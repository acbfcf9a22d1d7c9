"""What Python and the emulator's runtime tell each other: structures of runtime.h and scheduler.h.

And the error that a fault of a kernel is.
"""

from __future__ import annotations

import ctypes

from ..raw import LaunchError


class EmulationError(LaunchError):
    """What a kernel did wrong. `places`: "matmul/x.cu:57" of it, then of what it clashed with."""

    def __init__(self, message: str, places: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.places = places


class Index(ctypes.Structure):
    _fields_ = (("x", ctypes.c_uint), ("y", ctypes.c_uint), ("z", ctypes.c_uint))

    def __str__(self) -> str:
        return f"({self.x},{self.y},{self.z})"

    @property
    def known(self) -> bool:
        return self.x != 0xFFFFFFFF


class Param(ctypes.Structure):
    _fields_ = (
        ("kind", ctypes.c_int),
        ("size", ctypes.c_int),
        ("to_kind", ctypes.c_int),
        ("to_size", ctypes.c_int),
    )


class Entry(ctypes.Structure):
    _fields_ = (
        ("name", ctypes.c_char_p),
        ("call", ctypes.c_void_p),
        ("params", ctypes.POINTER(Param)),
        ("count", ctypes.c_int),
        ("most_threads", ctypes.c_int),
        ("restricted", ctypes.c_char_p),
    )


class Buffer(ctypes.Structure):
    _fields_ = (
        ("begin", ctypes.c_void_p),
        ("end", ctypes.c_void_p),
        ("argument", ctypes.c_int),
        ("writable", ctypes.c_int),
        ("grain", ctypes.c_int),
    )


class Launch(ctypes.Structure):
    _fields_ = (
        ("entry", ctypes.POINTER(Entry)),
        ("args", ctypes.POINTER(ctypes.c_void_p)),
        ("values_begin", ctypes.c_void_p),
        ("values_end", ctypes.c_void_p),
        ("grid", Index),
        ("block", Index),
        ("dynamic_bytes", ctypes.c_size_t),
        ("static_begin", ctypes.c_void_p),
        ("static_end", ctypes.c_void_p),
        ("image_begin", ctypes.c_void_p),
        ("image_end", ctypes.c_void_p),
        ("buffers", ctypes.POINTER(Buffer)),
        ("buffer_count", ctypes.c_int),
        ("cooperative", ctypes.c_int),
        ("order", ctypes.c_int),
        ("seed", ctypes.c_uint),
        ("budget", ctypes.c_ulonglong),
    )


class Report(ctypes.Structure):
    _fields_ = (
        ("what", ctypes.c_char * 256),
        ("pc", ctypes.c_void_p * 2),
        ("thread", Index * 2),
        ("block", Index * 2),
        ("count", ctypes.c_int),
        ("offset", ctypes.c_longlong),
        ("argument", ctypes.c_int),
    )
