"""The geometry of a convolution: the extents of its output, and its attributes by name."""


def extents(size, filters, stride, padding, dilation):
    """(P, Q) of the output for an input of `size` (H, W) and filters (R, S).

    ValueError if a filter does not fit, or for a stride, dilation or padding that is none.
    """
    if min(*filters, *stride, *dilation) < 1 or min(*padding[0], *padding[1]) < 0:
        raise ValueError(
            f"conv2d: filters {filters}, stride {stride} and dilation {dilation} must be positive, "
            f"padding {padding} not negative"
        )
    found = []
    for n, r, s, (before, after), d in zip(size, filters, stride, padding, dilation, strict=True):
        length = (n + before + after - d * (r - 1) - 1) // s + 1
        if length < 1:
            raise ValueError(
                f"conv2d: a filter of {d * (r - 1) + 1} does not fit into {n + before + after}"
            )
        found.append(length)
    return tuple(found)


def linear(stride, padding, dilation, groups):
    return {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
