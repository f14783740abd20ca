#!/usr/bin/env python3
"""Compares quiver's quantizers with faiss's: one thread each, in turns, best of several rounds.

    bench/quantizers                                 the demo's vectors
    bench/quantizers --base b.npy --queries q.npy    .npy files of vectors

Product quantization: seconds to train (of 8 bits on 65,536 rows, of 4 on 16,384, as pq_train does; faiss takes
4,096 of those) and to encode all rows, mean squared error, codes searched per second for the 10 nearest, and how
often the nearest row is among the 10 or 100 nearest codes, and among the first 10 after the 100 nearest codes
were ordered by exact distance. Then distances per second of each code, from the cache and from memory, compared
with floats and with faiss.
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


def in_lines(array):
    """A copy of the array, aligned to a cache line."""
    room = np.empty(array.nbytes + 64, np.uint8)
    at = -room.ctypes.data % 64
    to = room[at:at + array.nbytes].view(array.dtype).reshape(array.shape)
    to[...] = array
    return to


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
        self.ids = np.arange(len(x))
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
        out = np.empty((len(queries), k), np.int64)
        for q, to in zip(queries, out):
            lib.pq_search(*self.shape, p(self.codebook), p(q), p(self.codes), p(self.ids), size(len(self.ids)), size(k), p(to))
        return out


class Faiss:
    def __init__(self, dims, m, bits):
        self.pq = faiss.ProductQuantizer(dims, m, bits)

    def train(self, x):
        self.pq.train(x)

    def encode(self, x):
        self.codes = self.pq.compute_codes(x)
        self.index = self.encoded()

    def decoded(self):
        return self.pq.decode(self.codes)

    def encoded(self):
        index = faiss.IndexPQ(self.pq.d, self.pq.M, self.pq.nbits)
        index.pq, index.is_trained, index.ntotal = self.pq, True, len(self.codes)
        faiss.copy_array_to_vector(self.codes.ravel(), index.codes)
        return index

    def search(self, queries, k):
        return np.concatenate([self.index.search(q[None], k)[1] for q in queries])


class FaissPacked(Faiss):
    """Codes in its packed layout (Andre et al. 2015), searched in bytes."""

    def encode(self, x):
        self.codes = self.pq.compute_codes(x)
        self.index = faiss.IndexPQFastScan(self.encoded())


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


def product(base, queries, rounds):
    dims = base.shape[1]
    order = np.random.default_rng(1).permutation(len(base))
    nearest = np.array([np.argmin(((base - q) ** 2).sum(1)) for q in queries])
    print(f"\n{'product quantization':42}{'train s':>9}{'encode s':>9}{'error':>10}{'M codes/s':>10}{'1@10':>7}{'1@100':>7}{'reranked':>10}")
    for m, bits, rotated in ((32, 8, False), (32, 4, False), (64, 4, False), (32, 8, True), (32, 4, True)):
        sample = np.ascontiguousarray(base[order[: max(256 << bits, 16384)]])
        engines = {"quiver": Ours, "faiss": Faiss}
        if bits == 4:
            engines["faiss packed"] = FaissPacked
        engines = {name: Rotated(e, dims, m, bits) if rotated else e(dims, m, bits) for name, e in engines.items()}
        seconds = {}
        for step in ("train", "encode", "search"):
            for name, e in list(engines.items()) * (1 if step == "train" else rounds):
                body = {"train": lambda: e.train(sample), "encode": lambda: e.encode(base),
                        "search": lambda: e.search(queries[:20], 10)}[step]
                seconds[name, step] = min(seconds.get((name, step), np.inf), best(body, 1))
        for name, e in engines.items():
            error = ((e.decoded() - base) ** 2).sum(1).mean()
            found = e.search(queries, 100)
            ten = e.search(queries, 10)
            hits = [np.mean([n in row for n, row in zip(nearest, rows)]) for rows in (ten, found)]
            exact = [row[np.argsort(((base[row] - q) ** 2).sum(1))[:10]] for q, row in zip(queries, found)]
            hits.append(np.mean([n in row for n, row in zip(nearest, exact)]))
            rate = 20 * len(base) / seconds[name, "search"] / 1e6
            print(f"  {m} x {bits} bits, {m * bits // 8} bytes, {name + ' rotated' * rotated:20}{seconds[name, 'train']:9.2f}"
                  f"{seconds[name, 'encode']:9.2f}{error:10.4g}{rate:10.0f}{hits[0]:7.3f}{hits[1]:7.3f}{hits[2]:10.3f}")


def rates(dims, where, floats, rounds):
    """Distances a second of one query to as many rows as make `floats` numbers; faiss's with a search of the nearest."""
    rows, times = floats // dims // 8 * 8, max(1, 400_000_000 // floats)
    rng = np.random.default_rng(2)
    x, q = rng.standard_normal((rows, dims), np.float32), rng.standard_normal(dims, np.float32)
    codes, query = rng.integers(0, 256, (rows, dims), np.uint8), rng.integers(0, 256, dims, np.uint8)
    bits, bit_query = np.ascontiguousarray(codes[:, : dims // 8]), np.ascontiguousarray(query[: dims // 8])
    x, q, codes, query, bits, bit_query = (in_lines(a) for a in (x, q, codes, query, bits, bit_query))
    f, u, b = (in_lines(np.empty(rows, kind)) for kind in (np.float32, np.uint32, np.uint64))
    bodies = {
        "floats": lambda: lib.f32_distances(size(dims), p(q), p(x), size(rows), p(f), size(times)),
        "8-bit codes": lambda: lib.u8_distances(size(dims), p(query), p(codes), size(rows), p(u), size(times)),
        "bits": lambda: lib.bit_distances(size(dims // 8), p(bit_query), p(bits), size(rows), p(b), size(times)),
    }

    def search(index, q):
        def body():
            for _ in range(times):
                index.search(q[None], 1)
        return body

    few = x[:20000] if rows > 20000 else x
    scalar = faiss.IndexScalarQuantizer(dims, faiss.ScalarQuantizer.QT_8bit)
    scalar.train(few)
    scalar.add(x)
    binary = faiss.IndexBinaryFlat(dims)
    binary.add(bits)
    bodies |= {"8-bit codes, faiss": search(scalar, q), "bits, faiss": search(binary, bit_query)}
    for m, n in ((32, 8), (32, 4), (64, 4)) if where == "from memory" else ():   # with the making of tables
        name = f"{m} x {n} bits"
        sample = np.ascontiguousarray(few[:4096] if len(few) > 4096 else np.tile(few, (4096 // len(few) + 1, 1)))
        for engine, e in (("", Ours), (", faiss", Faiss), (", faiss packed", FaissPacked)):
            if engine != ", faiss packed" or n == 4:
                e = e(dims, m, n)
                e.train(sample)
                e.encode(x)
                bodies[name + engine] = lambda e=e: [e.search(q[None], 1) for _ in range(times)]
    least = {name: np.inf for name in bodies}
    for _ in range(rounds):
        for name, body in bodies.items():
            least[name] = min(least[name], best(body, 1) / times)
    print(f"\n{f'{rows} rows of {dims} dimensions, {where}':42}{'M/s':>9}{'to floats':>10}")
    for name in sorted(least, key=lambda n: (n.split(",")[0] != "floats", n)):
        print(f"  {name:40}{rows / least[name] / 1e6:9.0f}{least['floats'] / least[name]:10.1f}")


def main():
    args = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    args.add_argument("--base")
    args.add_argument("--queries")
    args.add_argument("--rounds", type=int, default=5)
    args.add_argument("--queries-used", type=int, default=1000)
    args = args.parse_args()
    faiss.omp_set_num_threads(1)
    if args.base:
        base, queries = (np.ascontiguousarray(np.load(f), np.float32) for f in (args.base, args.queries))
    else:
        base, queries = demo()
    print(f"{len(base)} rows of {base.shape[1]} dimensions, faiss {faiss.__version__}")
    product(base, queries[: args.queries_used], args.rounds)
    for dims in (128, 1536):
        rates(dims, "from the cache", 131_072, args.rounds * 5)
        rates(dims, "from memory", 128_000_000, args.rounds * 2)


if __name__ == "__main__":
    main()
