"""The geometry of a convolution: the extents of its output, its attributes by name, how a batch is
cut where filters are large.
"""

MANY_FILTERS = 1 << 14  # floats: packing them anew takes 1 % of a product with 512 rows
LARGE_FILTERS = 1 << 17  # half a megabyte
ROWS_FOR_LARGE = 512  # of a product, so that this costs little against it


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


def images_for(filters, rows, images):
    """Images of a range, each `rows` rows of the product with `filters` floats; None: as many as
    fit the cache. There are four ranges or more for threads to share, eight of them where filters
    are not large, and no more than sixteen.
    """
    if filters < MANY_FILTERS:
        return None
    least, most = -(-images // 16), -(-images // (4 if filters >= LARGE_FILTERS else 8))
    return max(1, min(max(-(-ROWS_FOR_LARGE // max(rows, 1)), least), most))
