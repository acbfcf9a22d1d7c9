"""The ops of convolution by way of products that read their operands in place: what the variants of
several precisions share. A variant says how a product is cut and brings its kernels.
"""

from collections.abc import Callable
from math import gcd
from typing import Any, NamedTuple

from ..elementwise.activations import NUMBERS
from ..raw import Source
from ..spec import Spec
from .raw_geometry import Geometry, blocks, countable, geometry_of, struct
from .raw_passes import add_parts, bias_grad, bias_ranges, pool_parts, unpool


class Plan(NamedTuple):
    """How a product is done: parts that its terms are cut into, tiles of a layer; of the kernel,
    the threads of a block, its constants and bytes of dynamic shared memory.
    """

    parts: int
    tiles: int
    threads: int
    constants: dict[str, int | str]
    shared: int = 0


class Size(NamedTuple):
    """`layers` products (m, terms) · (terms, n)."""

    m: int
    n: int
    terms: int
    layers: int


def fused(name, g):
    """Whether pooling is done where the product is: windows of four."""
    return name == "conv2d_pool" and g.ph * g.pw == 4


def size_of(name, g):
    """The products that an op is: conv_views.cuh says of what."""
    if name.endswith("wgrad"):
        return Size(g.Kg, g.taps, g.N * g.P * g.Q, g.groups)
    if name.endswith("dgrad"):
        pixels = g.N * blocks(g.H, g.sh) * blocks(g.W, g.sw)  # of a phase of the stride
        terms = blocks(g.R, g.sh) * blocks(g.S, g.sw) * g.Kg
        return Size(pixels, g.Cg, terms, g.groups * g.sh * g.sw)
    pixels = g.rows * g.columns * 4 if fused(name, g) else g.P * g.Q
    return Size(g.N * pixels, g.Kg, g.taps, g.groups)


def unpooled(g):
    """The geometry of the convolution without the pooling behind it."""
    return g._replace(ph=1, pw=1, rows=g.P, columns=g.Q)


class Products:
    """The six ops. cut(name, g, size) is a variant's plan for an op; forward and grads are the
    sources of conv_forward, conv_forward_pool and of conv_dgrad, conv_wgrad.
    """

    def __init__(
        self, cut: Callable[[str, Geometry, Size], Plan], forward: Source, grads: Source
    ) -> None:
        self.cut, self.forward, self.grads = cut, forward, grads

    def plan(self, name, g):
        return self.cut(name, g, size_of(name, g))

    def supports(self, name, *ins, **attrs):
        g = geometry_of(name, *ins, **attrs)
        return countable(g, *ins) and g.groups * g.sh * g.sw <= 65535

    def regions(self, name, g):
        """Floats of scratch: the map before or after pooling, parts of a sum, sums of db."""
        map_size, parts = g.N * g.P * g.Q * g.K, self.plan(name, g).parts
        found = {"map": 0, "parts": 0, "bias": 0}
        if name == "conv2d_pool":
            found["map"] = 0 if fused(name, g) else parts * map_size
        else:
            of = {"conv2d": map_size, "wgrad": g.K * g.taps, "dgrad": g.N * g.H * g.W * g.C}
            found["parts"] = parts * of[name.rpartition("_")[2]] if parts > 1 else 0
            found["map"] = map_size if "pool" in name else 0
        if name.endswith("wgrad"):
            found["bias"] = bias_ranges(g) * g.K
        return {what: blocks(size, 4) * 4 for what, size in found.items()}  # each aligned

    def workspace(self, name, *ins, **attrs):
        """One array; `carve` finds the regions in it."""
        total = sum(self.regions(name, geometry_of(name, *ins, **attrs)).values())
        return Spec((total,), ins[0].dtype) if total else None

    def carve(self, name, g, scratch):
        """The regions of the workspace by name; None for an empty one."""
        begin, found = 0, dict[str, Any]()
        for what, size in self.regions(name, g).items():
            found[what] = scratch[begin : begin + size] if size else None
            begin += size
        return found

    def run(self, source, kernel, plan, layers, *arrays, **constants):
        """Launches a kernel over tiles, parts and layers."""
        source.kernel(kernel, **plan.constants, **constants)(
            (plan.tiles, plan.parts, layers), plan.threads, *arrays, shared=plan.shared
        )

    def conv2d(self, out, x, w, b, *, act, scratch=None, **attrs):
        g = geometry_of("conv2d", x, w, **attrs)
        plan = self.plan("conv2d", g)
        whole = plan.parts == 1
        to, bias, number = (out, b, NUMBERS[act]) if whole else (scratch, None, 0)
        args = to, x, w, bias, struct(g)
        self.run(self.forward, "conv_forward", plan, g.groups, *args, ACT=number)
        if not whole:
            add_parts(out, scratch, b, g.K, plan.parts, act)

    def conv2d_pool(self, out, argmax, x, w, b, *, act, scratch=None, **attrs):
        g = geometry_of("conv2d_pool", x, w, **attrs)
        plan = self.plan("conv2d_pool", g)
        if fused("conv2d_pool", g):
            args = out, argmax, x, w, b, struct(g)
            number = NUMBERS[act]
            self.run(self.forward, "conv_forward_pool", plan, g.groups, *args, ACT=number)
        else:
            args = scratch, x, w, None, struct(unpooled(g))
            self.run(self.forward, "conv_forward", plan, g.groups, *args, ACT=0)
            pool_parts(out, argmax, scratch, b, g, struct(g), plan.parts, act)

    def dgrad(self, name, out, dout, w, g, regions):
        plan = self.plan(name, g)
        to = out if plan.parts == 1 else regions["parts"]
        steps = g.sh // gcd(g.sh, g.dh), g.sw // gcd(g.sw, g.dw)
        layers, args = g.groups * g.sh * g.sw, (to, dout, w, struct(g), *steps)
        self.run(self.grads, "conv_dgrad", plan, layers, *args)
        if plan.parts > 1:
            add_parts(out, to, None, g.C, plan.parts)

    def conv2d_dgrad(self, out, dout, w, *, scratch=None, **attrs):
        g = geometry_of("conv2d_dgrad", dout, w, **attrs)
        self.dgrad("conv2d_dgrad", out, dout, w, g, self.carve("conv2d_dgrad", g, scratch))

    def conv2d_pool_dgrad(self, out, dout, argmax, w, *, scratch=None, **attrs):
        name = "conv2d_pool_dgrad"
        g = geometry_of(name, dout, argmax, w, **attrs)
        regions = self.carve(name, g, scratch)
        unpool(regions["map"], dout, argmax, g, struct(g))
        self.dgrad(name, out, regions["map"], w, unpooled(g), regions)

    def wgrad(self, name, dw, dz, x, g, regions):
        plan = self.plan(name, g)
        to = dw if plan.parts == 1 else regions["parts"]
        self.run(self.grads, "conv_wgrad", plan, g.groups, to, dz, x, struct(g))
        if plan.parts > 1:
            add_parts(dw, to, None, g.taps, plan.parts)

    def conv2d_wgrad(self, dw, *rest, scratch=None, bias, **attrs):
        *db, dout, x = rest
        g = geometry_of("conv2d_wgrad", dout, x, **attrs)
        regions = self.carve("conv2d_wgrad", g, scratch)
        self.wgrad("conv2d_wgrad", dw, dout, x, g, regions)
        if bias:
            bias_grad(db[0], dout, g, regions["bias"])

    def conv2d_pool_wgrad(self, dw, *rest, scratch=None, bias, **attrs):
        name, (*db, dout, argmax, x) = "conv2d_pool_wgrad", rest
        g = geometry_of(name, dout, argmax, x, **attrs)
        regions = self.carve(name, g, scratch)
        if bias:
            bias_grad(db[0], dout, g, regions["bias"])
        unpool(regions["map"], dout, argmax, g, struct(g))
        self.wgrad(name, dw, regions["map"], x, unpooled(g), regions)
