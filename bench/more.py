#!/usr/bin/env python3
"""Generates more vectors from those in a file, to measure the cost of a larger table.

    bench/more.py 1000000 base.npy base-1m.npy

The rows of base.npy come first. Each further one is a row of base.npy plus 0.3 times the difference of two
others, so that the new rows vary in the same directions as the data. The seed is fixed. Integer types are
rounded and clamped to their range.
"""
import sys

import numpy as np


def main():
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    rows, base = int(sys.argv[1]), np.load(sys.argv[2])
    y = np.lib.format.open_memmap(sys.argv[3], mode="w+", dtype=base.dtype, shape=(rows, base.shape[1]))
    y[:len(base)] = base[:rows]
    rng = np.random.default_rng(7)
    whole = np.issubdtype(base.dtype, np.integer)
    for at in range(len(base), rows, 65536):
        n = min(65536, rows - at)
        a, b, c = (base[rng.integers(len(base), size=n)].astype(np.float32) for _ in range(3))
        part = a + 0.3 * (b - c)
        if whole:
            info = np.iinfo(base.dtype)
            part = np.clip(np.rint(part), info.min, info.max)
        y[at:at + n] = part
    y.flush()


if __name__ == "__main__":
    main()
