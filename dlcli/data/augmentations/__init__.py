"""Ways to vary pictures, one file each; adding the file is all there is to adding one.

A module has

    ABOUT                                       its value: what it means, and its range
    DRAWS                                       random numbers that it takes of each picture
    vary(x, draws, value) -> x                  pictures (B, H, W, C) uint8, which it may change in
                                                place; draws (B, DRAWS) in [0, 1)
    mix(x, other, draws, value) -> x, share     instead, where each picture is mixed with another
                                                one; share (B,) float64: what is left of its own

What comes of a picture depends on its own row of the draws alone: neither on the others of its
batch nor on their number.
"""
