#!/usr/bin/env python3
"""Makes wide vectors out of narrower ones, to measure the cost of width without a set of wide embeddings.

    bench/widen.py 1536 base.npy base-1536.npy [ROWS]

Random features: y_i = tanh(1.5 <w_i, x> + b_i) / (1 + i)^0.3, normalised, with Gaussian w_i and b_i / 2 from
a fixed seed, so neighbours stay near and the spectrum falls off, as that of text embeddings does.
"""
import sys

import numpy as np


def main():
    if len(sys.argv) not in (4, 5):
        sys.exit(__doc__)
    dims, source, target = int(sys.argv[1]), sys.argv[2], sys.argv[3]
    x = np.load(source)[: int(sys.argv[4]) if len(sys.argv) > 4 else None].astype(np.float32)
    rng = np.random.default_rng(7)
    w = rng.standard_normal((x.shape[1], dims)).astype(np.float32)
    b = rng.standard_normal(dims).astype(np.float32) / 2
    y = np.empty((len(x), dims), np.float16)
    for at in range(0, len(x), 4096):
        part = np.tanh(1.5 * x[at:at + 4096] @ w + b) * (1 + np.arange(dims, dtype=np.float32)) ** -0.3
        y[at:at + 4096] = part / np.linalg.norm(part, axis=1, keepdims=True)
    np.save(target, y)


if __name__ == "__main__":
    main()
