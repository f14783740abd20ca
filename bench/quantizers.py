#!/usr/bin/env python3
"""Compares quiver's quantizers with faiss's, one thread each, in turns, the best of some rounds.

    bench/quantizers                                 the demo's vectors
    bench/quantizers --base b.npy --queries q.npy    .npy files of vectors

Product quantization: seconds to train (65,536 rows) and to encode all rows, mean squared error, codes
compared a second, and how often the nearest row is among the 10 or 100 nearest codes. Then distances a
second of each code beside floats.
"""
import argparse, ctypes, gzip, os, time

import faiss
import numpy as np

here = os.path.dirname(os.path.abspath(__file__))
lib = ctypes.CDLL(os.path.join(here, "..", "build", "bench", "libbench_quantizers.so"))


def p(array):
    return array.ctypes.data_as(ctypes.c_void_p)


def u32(n):
    return ctypes.c_uint32(n)


def size(n):
    return ctypes.c_size_t(n)


def demo():
    def column(name):
        with gzip.open(os.path.join(here, "..", "demo", name), "rt") as f:
            return np.array([line.rstrip("]\n").rsplit("[", 1)[1].split(",") for line in f], np.float32)

    return column("packages.tsv.gz"), column("questions.tsv.gz")


def best(body, rounds):
    """Seconds of the fastest round."""
    least = np.inf
    for _ in range(rounds):
        start = time.perf_counter()
        body()
        least = min(least, time.perf_counter() - start)
    return least


class Ours:
    def __init__(self, dims, m, bits):
        self.shape = u32(dims), u32(m), u32(bits)
        self.codebook = np.zeros(dims << bits, np.float32)
        self.bytes = m if bits == 8 else (m + 1) // 2
        self.dims, self.m, self.bits = dims, m, bits

    def train(self, x):
        lib.pq_train(*self.shape, p(x), size(len(x)), p(self.codebook))

    def encode(self, x):
        self.codes = np.zeros((len(x), self.bytes), np.uint8)
        lib.pq_encode(*self.shape, p(self.codebook), p(x), size(len(x)), p(self.codes))

    def decoded(self):
        book = self.codebook.reshape(self.dims, 1 << self.bits)
        out = np.empty((len(self.codes), self.dims), np.float32)
        for s in range(self.m):
            code = self.codes[:, s] if self.bits == 8 else self.codes[:, s // 2] >> 4 * (s % 2) & 15
            for j in range(s * self.dims // self.m, (s + 1) * self.dims // self.m):
                out[:, j] = book[j, code]
        return out

    def search(self, queries, k):
        """The k nearest codes of each query, in no order."""
        out = np.empty(len(self.codes), np.float32)
        rows = []
        for q in queries:
            lib.pq_distances(*self.shape, p(self.codebook), p(q), p(self.codes), size(len(self.codes)), p(out))
            rows.append(np.argpartition(out, k)[:k])
        return np.array(rows)

    def scan(self, queries):
        out = np.empty(len(self.codes), np.float32)
        for q in queries:
            lib.pq_distances(*self.shape, p(self.codebook), p(q), p(self.codes), size(len(self.codes)), p(out))


class Faiss:
    def __init__(self, dims, m, bits):
        self.pq = faiss.ProductQuantizer(dims, m, bits)

    def train(self, x):
        self.pq.train(x)

    def encode(self, x):
        self.codes = self.pq.compute_codes(x)

    def decoded(self):
        return self.pq.decode(self.codes)

    def index(self):
        index = faiss.IndexPQ(self.pq.d, self.pq.M, self.pq.nbits)
        index.pq, index.is_trained, index.ntotal = self.pq, True, len(self.codes)
        faiss.copy_array_to_vector(self.codes.ravel(), index.codes)
        return index

    def search(self, queries, k):
        return self.index().search(queries, k)[1]

    def scan(self, queries):
        index = self.index()
        for q in queries:
            index.search(q[None], 1)


class Rotated:
    """One of the above after a learnt rotation (OPQ)."""

    def __init__(self, inner, dims, m, bits):
        self.pq, self.dims, self.m, self.bits = inner(dims, m, bits), dims, m, bits

    def train(self, x):
        if isinstance(self.pq, Ours):
            self.matrix = np.zeros((self.dims, self.dims), np.float32)
            lib.pq_train_rotation(*self.pq.shape, p(x), size(len(x)), p(self.matrix))
        else:
            opq = faiss.OPQMatrix(self.dims, self.m)
            opq.pq = faiss.ProductQuantizer(self.dims, self.m, self.bits)
            opq.train(x)
            self.matrix = faiss.vector_to_array(opq.A).reshape(self.dims, self.dims)
        self.pq.train(self.turn(x))

    def turn(self, x):
        return np.ascontiguousarray(x @ self.matrix.T)

    def encode(self, x):
        self.pq.encode(self.turn(x))

    def decoded(self):
        return self.pq.decoded() @ self.matrix

    def search(self, queries, k):
        return self.pq.search(self.turn(queries), k)

    def scan(self, queries):
        self.pq.scan(self.turn(queries))


def product(base, queries, rounds):
    dims = base.shape[1]
    sample = np.ascontiguousarray(base[np.random.default_rng(1).permutation(len(base))[:65536]])
    nearest = np.array([np.argmin(((base - q) ** 2).sum(1)) for q in queries])
    print(f"\n{'product quantization':36}{'train s':>9}{'encode s':>9}{'error':>10}{'M codes/s':>10}{'1@10':>7}{'1@100':>7}")
    for m, bits, rotated in ((32, 8, False), (32, 4, False), (64, 4, False), (32, 8, True), (32, 4, True)):
        engines = {"quiver": Ours, "faiss": Faiss}
        engines = {name: Rotated(e, dims, m, bits) if rotated else e(dims, m, bits) for name, e in engines.items()}
        seconds = {}
        for step in ("train", "encode", "scan"):
            for name, e in list(engines.items()) * (1 if step == "train" else rounds):
                body = {"train": lambda: e.train(sample), "encode": lambda: e.encode(base),
                        "scan": lambda: e.scan(queries[:20])}[step]
                seconds[name, step] = min(seconds.get((name, step), np.inf), best(body, 1))
        for name, e in engines.items():
            error = ((e.decoded() - base) ** 2).sum(1).mean()
            hits = [np.mean([n in row for n, row in zip(nearest, e.search(queries, k))]) for k in (10, 100)]
            rate = 20 * len(base) / seconds[name, "scan"] / 1e6
            print(f"  {m} x {bits} bits, {m * bits // 8} bytes, {name + ' rotated' * rotated:14}{seconds[name, 'train']:9.2f}"
                  f"{seconds[name, 'encode']:9.2f}{error:10.4g}{rate:10.0f}{hits[0]:7.3f}{hits[1]:7.3f}")


def rates(dims, rounds):
    """Distances a second from a set that stays in the second-level cache."""
    rows = max(64, 400_000 // (dims * 4))
    rng = np.random.default_rng(2)
    x, q = rng.standard_normal((rows, dims), np.float32), rng.standard_normal(dims, np.float32)
    codes, query = rng.integers(0, 256, (rows, dims), np.uint8), rng.integers(0, 256, dims, np.uint8)
    bits, bit_query = np.ascontiguousarray(codes[:, : dims // 8]), np.ascontiguousarray(query[: dims // 8])
    f, u, b = np.empty(rows, np.float32), np.empty(rows, np.uint32), np.empty(rows, np.uint64)
    pq = dims // 4   # bytes of a code, 8 bits for 4 dimensions
    table, pq_codes = rng.standard_normal(pq * 256, np.float32), np.ascontiguousarray(codes[:, :pq])
    times = size(200)
    bodies = {
        "floats": lambda: lib.f32_distances(size(dims), p(q), p(x), size(rows), p(f), times),
        "8-bit codes": lambda: lib.u8_distances(size(dims), p(query), p(codes), size(rows), p(u), times),
        f"product, {pq} bytes": lambda: lib.code_distances(size(pq), p(table), p(pq_codes), size(rows), p(f), times),
        "bits": lambda: lib.bit_distances(size(dims // 8), p(bit_query), p(bits), size(rows), p(b), times),
    }
    least = {name: np.inf for name in bodies}
    for _ in range(rounds * 3):
        for name, body in bodies.items():
            least[name] = min(least[name], best(body, 3) / 200)
    for name, seconds in least.items():
        print(f"  {dims:5} dimensions, {name:19}{rows / seconds / 1e6:10.0f}{least['floats'] / seconds:10.1f}")


def main():
    args = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    args.add_argument("--base")
    args.add_argument("--queries")
    args.add_argument("--rounds", type=int, default=5)
    args = args.parse_args()
    faiss.omp_set_num_threads(1)
    if args.base:
        base, queries = (np.ascontiguousarray(np.load(f), np.float32) for f in (args.base, args.queries))
    else:
        base, queries = demo()
    print(f"{len(base)} rows of {base.shape[1]} dimensions, faiss {faiss.__version__}")
    product(base, queries[:200], args.rounds)
    print(f"\n{'distances':38}{'M/s':>9}{'to floats':>10}")
    for dims in (128, 1536):
        rates(dims, args.rounds)


if __name__ == "__main__":
    main()
