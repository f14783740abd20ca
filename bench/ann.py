#!/usr/bin/env python3
"""Measures vector indexes side by side: recall, speed, size, build, inserts, WAL, vacuum.

    bench/ann                                       quiver alone, on the demo's 20,000 packages
    bench/ann --engine pgvector=postgresql://...    beside another server that has pgvector
    bench/ann --base b.npy --queries q.npy --metric cosine
    bench/ann --base 'table:SELECT embedding FROM items' --dsn dbname=mine     your own table
    bench/ann --scale 10000,30000,100000 ...        how the cost of a query grows with the number of rows
    SHARED_BUFFERS=16MB bench/ann ...               an index that does not fit the server's buffers
    bench/ann --filter ...                          searches with a WHERE
    bench/ann --memory ...                          a cold kernel cache, small shared buffers, huge pages

Engines are PostgreSQL servers and, with --in-process, libraries from PyPI (hnswlib, faiss, usearch). A
server's name, up to the first "-", says which index it builds: quiver, quiver_filters (with a filter column),
quiver_ivfflat (--ef is hundredths of its lists), pgvector, ivfflat (pgvector's),
vectorchord, vectorchord_graph, pgvectorscale. --ef sets the setting that trades speed for recall:
ef_search, probes or query_search_list_size. The engines take turns in each measurement, so that their
ratios can be trusted on a noisy machine. Results are JSON lines, one for each measurement; a
measurement that the file already contains is not repeated. report.html shows them.
"""
import argparse, contextlib, glob, gzip, html, importlib, json, os, pwd, re, shlex, subprocess, sys, tempfile, time
from typing import NamedTuple

import numpy as np
import psycopg

OPERATOR = {"cosine": ("<=>", "vector_cosine_ops"), "l2": ("<->", "vector_l2_ops"), "ip": ("<#>", "vector_ip_ops")}


class Kind(NamedTuple):
    """An index type of an extension, built as its documentation recommends."""
    extension: str
    index: str               # what follows CREATE INDEX ... USING
    effort: tuple            # settings that --ef sets
    iterate: tuple = ("",)   # the ways to make a scan go on until LIMIT is met. (quiver does so by default.)
    unlimited: tuple = ()    # settings without which it may stop before


# One list for a thousand rows, as pgvector's documentation has it, and VectorChord's alike.
HNSW = "hnsw (v {opclass}) WITH (m = {m}, ef_construction = {ef_construction})"
KINDS = {
    "quiver": Kind("quiver", "hnsw (v {opclass}) WITH ({options})", ("hnsw.ef_search",)),
    "quiver_filters": Kind("quiver", "hnsw (v {opclass}, {columns}) WITH ({options})", ("hnsw.ef_search",)),
    "quiver_ivfflat": Kind("quiver", "ivfflat (v {opclass})", ("ivfflat.probes",), ("ivfflat.iterative_scan = relaxed_order",)),
    "pgvector": Kind("vector", HNSW, ("hnsw.ef_search",),
                     ("hnsw.iterative_scan = strict_order", "hnsw.iterative_scan = relaxed_order"),
                     ("hnsw.max_scan_tuples = 2147483647", "hnsw.scan_mem_multiplier = 1000")),
    "ivfflat": Kind("vector", "ivfflat (v {opclass}) WITH (lists = {lists})", ("ivfflat.probes",),
                    ("ivfflat.iterative_scan = relaxed_order",)),
    "vectorchord": Kind("vchord", "vchordrq (v {opclass}) WITH (options = $$residual_quantization = {l2}\n[build.internal]\n"
                        "lists = [{lists}]\nspherical_centroids = {not_l2}$$)", ("vchordrq.probes",)),
    "vectorchord_graph": Kind("vchord", "vchordg (v {opclass})", ("vchordg.ef_search",)),
    "pgvectorscale": Kind("vectorscale", "diskann (v {opclass})", ("diskann.query_search_list_size", "diskann.query_rescore")),
}


# ---- data -------------------------------------------------------------------------------------

def read_vectors(path, limit=None, dsn=""):
    """.npy, .fvecs, .bvecs, FILE.hdf5:DATASET, or table:QUERY of one column of vectors, as float32."""
    if path.startswith("table:"):
        with psycopg.connect(dsn) as c:
            rows = c.execute(f"SELECT v::text FROM ({path[6:]}) x (v) WHERE v IS NOT NULL" + (f" LIMIT {limit}" if limit else ""))
            return np.array([np.fromstring(r[0][1:-1], np.float32, sep=",") for r in rows], np.float32)
    if ".hdf5:" in path:
        import h5py
        file, name = path.rsplit(":", 1)
        with h5py.File(file) as f:
            return np.asarray(f[name][:limit], np.float32)
    if path.endswith(".npy"):
        return np.asarray(np.load(path, mmap_mode="r")[:limit], np.float32)
    if path.endswith((".fvecs", ".bvecs")):
        kind = np.dtype("f4" if path.endswith(".fvecs") else "u1")
        dims = int(np.fromfile(path, "i4", 1)[0])
        row = np.dtype([("dims", "i4"), ("x", kind, dims)])
        return np.asarray(np.memmap(path, row, "r")["x"][:limit], np.float32)
    sys.exit(f"{path}: not .npy, .fvecs, .bvecs, .hdf5:DATASET or table:QUERY")


def demo():
    """The quick start's packages and questions."""
    folder = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "demo")

    def column(name):
        with gzip.open(os.path.join(folder, name), "rt") as f:
            return np.array([line.rstrip("]\n").rsplit("[", 1)[1].split(",") for line in f], np.float32)

    return column("packages.tsv.gz"), column("questions.tsv.gz")


def distances(metric, base, query):
    if metric == "l2":
        return ((base - query) ** 2).sum(1)
    return -(base @ query)   # cosine: of unit vectors


def exact(metric, base, queries, k):
    """The distance of the k-th nearest row, for each query. A row at this distance counts as found: ties are equally right."""
    worst = np.empty((len(queries), k), np.float32)
    norms = (base ** 2).sum(1)
    for at in range(0, len(queries), 64):
        q = queries[at:at + 64]
        d = -(q @ base.T)
        if metric == "l2":
            d = norms + 2 * d + (q ** 2).sum(1)[:, None]
        worst[at:at + 64] = np.sort(np.partition(d, k - 1, 1)[:, :k], 1)
    return worst


# ---- conditions -------------------------------------------------------------------------------

ALL = [("true", "true")]
TENANTS = 1000
FILTER_COLUMNS = "part, other"   # those of an index, unless a workload names others
FILTER_RECALL = 0.98


class Workload(NamedTuple):
    """Queries with a WHERE. Each of `conditions` is one on the rows and one that says which of the queries have it."""
    name: str
    conditions: list
    columns: str = FILTER_COLUMNS
    partial: bool = False    # a partial index for each condition, instead of filter columns


def workloads(percents):
    yield from (Workload(f"{p:g} %, independent", [(f"part < {p * 10:g}", "true")]) for p in percents)
    yield Workload("20 % of one column, 20 % of another", [("part < 200 AND other < 2", "true")])
    largest = [(f"tenant = {t}", f"q.id % 10 = {t}") for t in range(10)]
    yield Workload(f"the ten largest of {TENANTS:,} tenants", largest, "tenant")
    yield Workload("the same, with a partial index each", largest, "tenant", partial=True)
    yield Workload(f"any of {TENANTS:,} tenants", [("tenant = q.tenant", "true")], "tenant")
    for column, p in zip(map(cell_column, percents), percents):
        yield from (Workload(f"{p:g} %, the {name} cell", [(f"{column} = q.{where}_{column}", "true")], column)
                    for where, name in (("near", "nearest"), ("far", "farthest")))


def cell_column(percent):
    return f"cell{round(100 / percent)}"


def cells(base, n):
    """Divides the vectors into n cells of equal size. Each cell is divided at quantiles of its first principal component."""
    cell = np.zeros(len(base), np.int64)
    while n > 1:
        parts = next(p for p in range(2, n + 1) if n % p == 0)
        for c in range(cell.max(), -1, -1):   # the last first, as its parts get higher numbers
            rows = np.flatnonzero(cell == c)
            x = base[rows] - base[rows].mean(0)
            axis = np.ones(base.shape[1], np.float32)
            for _ in range(10):
                axis = x.T @ (x @ axis)
                axis /= max(np.linalg.norm(axis), 1e-30)
            cell[rows[np.argsort(x @ axis)]] = c * parts + np.arange(len(rows)) * parts // max(len(rows), 1)
        n //= parts
    return cell


def columns_for(percents, base, queries):
    """The columns that workloads() compares, of the rows and of the queries: independent numbers, cells of near vectors, and
    tenants whose sizes follow Zipf's law."""
    rng = np.random.default_rng(7)
    zipf = 1 / np.arange(1, TENANTS + 1)
    rows = {"part": rng.integers(1000, size=len(base)), "other": rng.integers(10, size=len(base)),
            "tenant": rng.choice(TENANTS, len(base), p=zipf / zipf.sum())}
    asked = {"tenant": rng.choice(rows["tenant"], len(queries))}
    for column in map(cell_column, percents):
        n = int(column.removeprefix("cell"))
        rows[column] = cell = cells(base, n)
        centres = np.array([base[cell == c].mean(0) for c in range(n)])
        distance = ((queries ** 2).sum(1)[:, None] + (centres ** 2).sum(1) - 2 * queries @ centres.T)
        asked[f"near_{column}"], asked[f"far_{column}"] = distance.argmin(1), distance.argmax(1)
    return rows, asked


# ---- engines ----------------------------------------------------------------------------------

class PeakMemory:
    """The peak memory of a local process from now on, including the shared memory that it touches."""

    def __init__(self, pid):
        self.pid = pid
        try:
            with open(f"/proc/{pid}/clear_refs", "w") as f:
                f.write("5")
            self.before = self.read("VmRSS")
        except OSError:   # another machine, or another user's
            self.before = None

    def read(self, field):
        with open(f"/proc/{self.pid}/status") as f:
            return int(re.search(rf"^{field}:\s+(\d+) kB", f.read(), re.M)[1]) * 1024

    def grown(self):
        return {} if self.before is None else {"peak_bytes": self.read("VmHWM") - self.before}


class OneCpu:
    """Inside the context, this process and the postmaster of `backend` (a local backend) start their processes on one CPU."""

    def __init__(self, backend):
        self.pids = []
        if backend:
            with open(f"/proc/{backend}/status") as f:
                self.pids = [0, int(re.search(r"^PPid:\s+(\d+)", f.read(), re.M)[1])]

    def __enter__(self):
        self.before = [os.sched_getaffinity(pid) for pid in self.pids]
        for pid in self.pids:
            os.sched_setaffinity(pid, {max(self.before[0])})

    def __exit__(self, *_):
        for pid, cpus in zip(self.pids, self.before):
            os.sched_setaffinity(pid, cpus)


def graph_of(args):
    return {"m": args.m, "ef_construction": args.ef_construction}


class Server:
    """A PostgreSQL server with an extension. Each data set gets its own database."""

    def __init__(self, name, dsn, args):
        self.name, self.args = name, args
        kind = name.split("-")[0]
        if kind not in KINDS:
            sys.exit(f"Unknown engine {name}: its name must begin with one of {', '.join(KINDS)}")
        self.kind = KINDS[kind]
        self.graph = graph_of(args) | (args.options if kind.startswith("quiver") else {})
        self.operator, self.opclass = OPERATOR[args.metric]
        # Two kinds may share a server, but not an index.
        self.database = "ann_" + re.sub(r"\W", "_", args.name) + ("" if kind in ("quiver", "pgvector") else f"_{kind}")
        with psycopg.connect(dsn, autocommit=True) as c:
            if not c.execute("SELECT 1 FROM pg_database WHERE datname = %s", (self.database,)).fetchone():
                c.execute(f"CREATE DATABASE {self.database}")
        self.dsn = psycopg.conninfo.make_conninfo(dsn, dbname=self.database)
        self.start_options = None
        self.connect()
        self.c.execute(f"CREATE EXTENSION IF NOT EXISTS {self.kind.extension} CASCADE")
        version = self.c.execute("SELECT extversion FROM pg_extension WHERE extname = %s", (self.kind.extension,)).fetchone()[0]
        self.about = (f"{self.kind.extension} {version}, PostgreSQL {self.c.info.server_version // 10000}, "
                      f"shared_buffers {self.value('SHOW shared_buffers')}")

    def value(self, sql, *args):
        return self.c.execute(sql, args or None).fetchone()[0]

    def connect(self):
        self.c = psycopg.connect(self.dsn, autocommit=True)

    def restart(self, **settings):
        """Restarts the server with its first options and these; false if it does not start. Needs a local server, as root or as
        its user. Connections are lost."""
        if not self.start_options:
            self.connect()
            self.data = self.value("SHOW data_directory")
            with open(os.path.join(self.data, "postmaster.opts")) as f:
                self.program, *options = shlex.split(f.read())
            self.start_options = [o for at, o in enumerate(options) if "-D" not in (o, options[at - 1])]
        self.c.close()
        pg_ctl, log = os.path.join(os.path.dirname(self.program), "pg_ctl"), os.path.join(self.data, "bench.log")
        options = shlex.join(self.start_options + [f"--{k}={v}" for k, v in settings.items()])
        owner = pwd.getpwuid(os.stat(self.data).st_uid)
        user = {"user": owner.pw_uid, "group": owner.pw_gid, "extra_groups": []} if os.getuid() != owner.pw_uid else {}
        return subprocess.run([pg_ctl, "-D", self.data, "-l", log, "-m", "fast", "-w", "-o", options, "restart"], cwd="/",
                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **user).returncode == 0

    def evict(self):
        """Removes the table and its indexes from the kernel's cache."""
        for (path,) in self.c.execute("SELECT pg_relation_filepath(r) FROM pg_class c, "
                                      "LATERAL (SELECT c.oid UNION SELECT nullif(c.reltoastrelid, 0) UNION "
                                      "SELECT indexrelid FROM pg_index WHERE indrelid IN (c.oid, c.reltoastrelid)) x (r) "
                                      "WHERE c.oid = 'items'::regclass AND r IS NOT NULL"):
            path = os.path.join(self.data, path)
            for file in [path, *glob.glob(path + ".*")]:
                fd = os.open(file, os.O_RDONLY)
                os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
                os.close(fd)

    def copy(self, table, rows, columns, first=0):
        """Binary COPY of the ids from `first`, integer columns and vectors. Vectors are sent as arrays of big-endian floats."""
        numbers, dims = len(columns) + 1, rows.shape[1]
        record = np.zeros(len(rows), [("fields", ">i2"), ("numbers", [("size", ">i4"), ("value", ">i4")], numbers),
                                      ("size", ">i4"), ("dims", ">i2"), ("unused", ">i2"), ("v", ">f4", dims)])
        record["fields"], record["numbers"]["size"], record["size"], record["dims"] = numbers + 1, 4, 4 + 4 * dims, dims
        record["numbers"]["value"] = np.column_stack([first + np.arange(len(rows)), *columns.values()])
        record["v"] = rows
        with self.c.cursor() as cur, cur.copy(f"COPY {table} FROM STDIN WITH (FORMAT BINARY)") as copy:
            copy.write(b"PGCOPY\n\xff\r\n\0" + bytes(8))
            for at in range(0, len(rows), 1000):
                copy.write(record[at:at + 1000].tobytes())
            copy.write(b"\xff\xff")

    def load(self, base, queries, columns):
        dims = base.shape[1]
        self.c.execute("DROP TABLE IF EXISTS items, queries")
        for table, rows, numbers in (("items", base, columns[0]), ("queries", queries, columns[1])):
            self.c.execute(f"CREATE TABLE {table} (id integer, {', '.join(f'{c} integer' for c in numbers)}, v vector({dims}))")
            start = time.time()
            self.copy(table, rows, numbers)
            seconds = time.time() - start
            self.c.execute(f"ALTER TABLE {table} ADD PRIMARY KEY (id)")
            if table == "items":
                self.c.execute("ALTER TABLE items SET (autovacuum_enabled = off)")
                load = seconds
            self.c.execute(f"VACUUM ANALYZE {table}")
        return {"rows_per_s": len(base) / load}

    def has_loaded(self, columns):
        """Whether the table has these columns, and the index is there."""
        return self.value("SELECT to_regclass('items_v') IS NOT NULL AND count(*) = %s FROM pg_attribute "
                          "WHERE attrelid = to_regclass('items') AND attname = ANY(%s)", len(columns), list(columns))

    def build(self, workers=0, work_mem=None):
        self.c.execute("DROP INDEX IF EXISTS items_v")
        self.c.execute(f"ALTER TABLE items SET (parallel_workers = {workers})")
        self.c.execute(f"SET max_parallel_maintenance_workers = {workers}")
        self.c.execute(f"SET maintenance_work_mem = '{work_mem or self.args.maintenance_work_mem}'")
        memory = PeakMemory(self.value("SELECT pg_backend_pid()"))
        lsn, start = self.value("SELECT pg_current_wal_insert_lsn()"), time.time()
        self.create_index("items")
        seconds = time.time() - start
        return {"seconds": seconds, **memory.grown(), "bytes": self.value("SELECT pg_relation_size('items_v')"),
                "wal_bytes": int(self.value("SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), %s::pg_lsn)", lsn))}

    def create_index(self, table, name=None, columns=FILTER_COLUMNS, where=""):
        l2 = self.args.metric == "l2"
        options = ", ".join(f"{k} = {v}" for k, v in self.graph.items())
        index = self.kind.index.format(opclass=self.opclass, columns=columns, **self.graph, options=options,
                                       lists=max(1, self.value(f"SELECT count(*) FROM {table}") // 1000),
                                       l2=str(l2).lower(), not_l2=str(not l2).lower())
        self.c.execute(f"CREATE INDEX {name or table + '_v'} ON {table} USING {index}" + (f" WHERE {where}" if where else ""))

    def has_filters(self):
        return "{columns}" in self.kind.index

    def index_for(self, workload):
        """Makes the index that the workload needs, unless it is there."""
        self.drop_partial_indexes()
        if workload.partial:
            for n, (where, _) in enumerate(workload.conditions):
                self.create_index("items", f"items_partial_{n}", where=where)
        elif self.has_filters() and f", {workload.columns})" not in self.value("SELECT pg_get_indexdef('items_v'::regclass)"):
            with self.c.transaction():   # so that an interrupted run leaves an index
                self.c.execute("DROP INDEX items_v")
                self.create_index("items", columns=workload.columns)

    def drop_partial_indexes(self):
        self.c.execute("DROP INDEX IF EXISTS " + ", ".join(f"items_partial_{n}" for n in range(10)))

    @contextlib.contextmanager
    def b_trees(self, columns):
        """Inside the context, each of the columns has a B-tree."""
        for column in columns:
            self.c.execute(f"CREATE INDEX IF NOT EXISTS items_b_tree_{column} ON items ({column})")
        yield
        for column in columns:
            self.c.execute(f"DROP INDEX items_b_tree_{column}")

    def settings(self, ef):
        return [*(f"SET {effort} = {ef}" for effort in self.kind.effort), "SET jit = off", "SET enable_memoize = off",
                "SET enable_material = off", "SET max_parallel_workers_per_gather = 0",
                f"SET enable_seqscan = {self.planner}", f"SET enable_sort = {self.planner}"]

    # Off: the planner takes the vector index if it can.
    planner = "off"

    @contextlib.contextmanager
    def free_planner(self):
        """Inside the context, the planner may sort instead of using the vector index."""
        self.planner = "on"
        yield
        self.planner = "off"

    @contextlib.contextmanager
    def iterating(self, way=None):
        """Inside the context, scans continue until LIMIT is met."""
        settings = [*filter(None, [way or self.kind.iterate[0]]), *self.kind.unlimited]
        for s in settings:
            self.c.execute(f"SET {s}")
        yield
        for s in settings:
            self.c.execute(f"RESET {s.split()[0]}")

    def prepare(self, ef):
        for s in self.settings(ef):
            self.c.execute(s)

    def nearest(self, where, k=None, exact=False):
        """The search for the rows that are nearest to q.v. exact: without a vector index."""
        distance = f"(v {self.operator} q.v)" + (" + 0" if exact else "")
        return f"SELECT id FROM items WHERE {where} ORDER BY {distance} LIMIT {k or self.args.k}"

    def search(self, ef, conditions=ALL, n=None, k=None, exact=False):
        """The ids of the nearest rows, for each query, or for the first n."""
        self.prepare(ef)
        got = {}
        for where, of in conditions:
            for q, i in self.c.execute(f"SELECT q.id, i.id FROM queries q, LATERAL ({self.nearest(where, k, exact)}) i "
                                       f"WHERE {of} AND q.id < {n or self.queries()}"):
                got.setdefault(q, []).append(i)
        return got

    def queries(self):
        return self.value("SELECT count(*) FROM queries")

    def speed(self, ef, conditions=ALL, n=None, exact=False):
        """Queries per second inside the server: one statement runs all queries with the same condition."""
        self.prepare(ef)
        n, seconds = n or self.queries(), 0
        for where, of in conditions:
            start = time.time()
            self.c.execute(f"SELECT count(*) FROM (SELECT i.id FROM queries q, LATERAL ({self.nearest(where, exact=exact)}) i "
                           f"WHERE {of} AND q.id < {n} OFFSET 0) x").fetchone()
            seconds += time.time() - start
        return n / seconds

    def explain(self, ef, options, where, of):
        """The plan of `nearest`: its node Limit."""
        self.prepare(ef)

        def limit(plan):
            return plan if plan["Node Type"] == "Limit" else next(filter(None, map(limit, plan.get("Plans", []))), None)

        sql = f"SELECT i.id FROM queries q, LATERAL ({self.nearest(where)}) i WHERE {of}"
        return limit(self.value(f"EXPLAIN ({options}FORMAT JSON) {sql}")[0]["Plan"])

    def takes_index(self, ef, conditions):
        """For what part of the conditions the planner takes a vector index. (Otherwise it sorts.)"""
        with self.free_planner():
            return float(np.mean(["Order By" in self.explain(ef, "", *c)["Plans"][0] for c in conditions]))

    def work(self, ef, conditions=ALL, n=100):
        """Buffers for each of the first n queries, and visited nodes where the extension counts them."""
        self.prepare(ef)
        loops, buffers, visits = 0, 0, 0
        for where, of in conditions:
            of = f"{of} AND q.id < {n}"
            plan = self.explain(ef, "ANALYZE, BUFFERS, TIMING off, ", where, of)
            loops += plan["Actual Loops"]
            buffers += plan["Shared Hit Blocks"] + plan["Shared Read Blocks"]
            if self.kind.extension == "quiver":
                visits += self.value(f"SELECT coalesce(sum((hnsw_last_scan()).visited + 0 * found), 0) FROM queries q, "
                                     f"LATERAL (SELECT count(*) AS found FROM ({self.nearest(where)}) x) i WHERE {of}")
        return {"buffers": buffers / loops, **({"visits": float(visits / loops)} if visits else {})}

    def usual_distance(self, rank):
        """The median, over all queries, of the distance of the row of this rank."""
        for s in self.settings(100):
            self.c.execute(s)
        return self.value(f"SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY d) FROM queries q, LATERAL (SELECT v {self.operator} q.v AS d "
                          f"FROM items ORDER BY v {self.operator} q.v OFFSET {rank - 1} LIMIT 1) i")

    def client(self, sql, ef, seconds, clients=1, one_cpu=False):
        """Queries per second and latencies of prepared statements through pgbench. one_cpu: pgbench and the
        server's new processes run on the same CPU, so that no time is spent on waking another CPU."""
        n = self.value("SELECT count(*) FROM queries")
        with tempfile.TemporaryDirectory() as folder:
            script = os.path.join(folder, "query.sql")
            with open(script, "w") as f:
                f.write(f"\\set i random(0, {n - 1})\n{sql};\n")
            options = " ".join(f"-c {s[4:].replace(' = ', '=')}" for s in self.settings(ef))
            with OneCpu(self.value("SELECT pg_backend_pid()") if one_cpu else None):
                out = subprocess.run([self.args.pgbench, "-n", "-M", "prepared", "-T", str(seconds), "-c", str(clients), "-j",
                                      str(clients), "-l", "--log-prefix", os.path.join(folder, "log"), "-f", script, self.dsn],
                                     env={**os.environ, "PGOPTIONS": options}, capture_output=True, text=True)
            if out.returncode:
                sys.exit(out.stderr)
            times = np.concatenate([np.loadtxt(p, usecols=2, ndmin=1) for p in glob.glob(os.path.join(folder, "log*"))])
        return {"qps": float(re.search(r"tps = ([\d.]+)", out.stdout)[1]),
                **{f"p{p}_ms": float(np.percentile(times, p)) / 1000 for p in (50, 95, 99)}}

    def query_sql(self, table="items"):
        return (f"SELECT id FROM {table} ORDER BY v {self.operator} (SELECT v FROM queries WHERE id = :i) LIMIT {self.args.k}")

    def few_rows(self):
        """Creates the table `few` with twice k rows and an index, to measure the cost of a query without the search."""
        self.c.execute("DROP TABLE IF EXISTS few")
        self.c.execute(f"CREATE TABLE few AS SELECT * FROM items LIMIT {2 * self.args.k}")
        self.create_index("few")
        self.c.execute("VACUUM ANALYZE few")

    def insert(self, rows, columns, first):
        """Inserts half of the rows with full_page_writes off, so that the WAL does not depend on the time since
        the last checkpoint, and half with it on. Needs a superuser."""
        result = {}
        half = len(rows) // 2
        for key, part, setting in (("wal_bytes_per_row", slice(half), "off"),
                                   ("wal_bytes_per_row_after_checkpoint", slice(half, None), "on")):
            self.c.execute(f"ALTER SYSTEM SET full_page_writes = {setting}")
            self.c.execute("SELECT pg_reload_conf()")
            time.sleep(0.5)
            self.c.execute("CHECKPOINT")
            lsn, start = self.value("SELECT pg_current_wal_insert_lsn()"), time.time()
            added = len(rows[part])
            self.copy("items", rows[part], {c: x[first:][:added] for c, x in columns.items()}, first)
            result["rows_per_s"] = added / (time.time() - start)
            result[key] = int(self.value("SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), %s::pg_lsn)", lsn)) / added
            first += added
        self.c.execute("ALTER SYSTEM RESET full_page_writes")
        self.c.execute("SELECT pg_reload_conf()")
        return result

    def update(self, share):
        """Updates another column than the vector."""
        start = time.time()
        rows = self.c.execute(f"UPDATE items SET part = part WHERE id % {round(1 / share)} = 1").rowcount
        return {"rows_per_s": rows / (time.time() - start)}

    def vacuum(self, share):
        n = self.value("SELECT count(*) FROM items")
        self.c.execute(f"DELETE FROM items WHERE id % {round(1 / share)} = 3")
        start = time.time()
        self.c.execute("VACUUM (INDEX_CLEANUP ON) items")
        return {"seconds": time.time() - start, "deleted": n - self.value("SELECT count(*) FROM items"),
                "bytes": self.value("SELECT pg_relation_size('items_v')")}


class Library:
    """An HNSW library in this process, one thread."""

    def __init__(self, name, args):
        self.name, self.args, self.graph = name, args, graph_of(args)
        self.module = importlib.import_module(name)
        self.about = f"{name} {getattr(self.module, '__version__', '')}, in process, one thread"

    def load(self, base, queries, columns):
        self.base, self.queries = np.ascontiguousarray(base), queries
        return {}

    def build(self):
        a, (n, dims), start = self.args, self.base.shape, time.time()
        if self.name == "hnswlib":
            self.index = self.module.Index({"l2": "l2", "cosine": "cosine", "ip": "ip"}[a.metric], dims)
            self.index.init_index(n, M=a.m, ef_construction=a.ef_construction)
            self.index.add_items(self.base, num_threads=1)
        elif self.name == "faiss":
            self.module.omp_set_num_threads(1)
            kind = self.module.METRIC_L2 if a.metric == "l2" else self.module.METRIC_INNER_PRODUCT
            self.index = self.module.IndexHNSWFlat(dims, a.m, kind)
            self.index.hnsw.efConstruction = a.ef_construction
            self.index.add(self.base)
        else:
            self.index = self.module.Index(ndim=dims, metric={"l2": "l2sq", "cosine": "cos", "ip": "ip"}[a.metric],
                                           connectivity=a.m, expansion_add=a.ef_construction)
            self.index.add(np.arange(n), self.base, threads=1)
        return {"seconds": time.time() - start}

    def ask(self, ef, k=None):
        k = k or self.args.k
        if self.name == "hnswlib":
            self.index.set_ef(max(ef, k))
            return self.index.knn_query(self.queries, k, num_threads=1)[0]
        if self.name == "faiss":
            self.index.hnsw.efSearch = max(ef, k)
            return self.index.search(self.queries, k)[1]
        self.index.expansion_search = ef
        return self.index.search(self.queries, k, threads=1).keys

    def iterating(self):
        return contextlib.nullcontext()

    def search(self, ef, k=None):
        return dict(enumerate(self.ask(ef, k).tolist()))

    def speed(self, ef):
        start = time.time()
        self.ask(ef)
        return len(self.queries) / (time.time() - start)


# ---- measuring --------------------------------------------------------------------------------

class Results:
    def __init__(self, path):
        self.path, self.rows = path, []
        if os.path.exists(path):
            with open(path) as f:
                self.rows = [json.loads(line) for line in f]

    def get(self, **key):
        return next((r for r in self.rows if all(r.get(k) == v for k, v in key.items())), None)

    def add(self, **row):
        self.rows.append(row)
        with open(self.path, "a") as f:
            f.write(json.dumps(row) + "\n")
        shown = {k: round(v, 4) if isinstance(v, float) and v < 100 else round(v) if isinstance(v, float) else v
                 for k, v in row.items() if k not in ("data", "engine", "what")}
        print(f"  {row['engine']:<12} {row['what']:<8} " + "  ".join(f"{k} {v}" for k, v in shown.items()), flush=True)


def recall(metric, base, queries, worst, got, k):
    good = 0
    for q, ids in got.items():
        d = distances(metric, base[ids], queries[q])
        limit = worst[q][k - 1]
        good += min(k, int((d <= limit + abs(limit) * 1e-5 + 1e-6).sum()))
    return good / (k * len(queries))


def at_recall(points, wanted):
    """Speed at a recall, between the two settings around it (log speed over recall). If even the lowest recall is higher, the
    speed there, which is less than at the wanted one; None if no setting reaches it."""
    points = sorted((p["recall"], p["qps"]) for p in points)
    if points and points[0][0] > wanted:
        return max(s for r, s in points if r == points[0][0])
    for (r0, s0), (r1, s1) in zip(points, points[1:]):
        if r0 <= wanted <= r1 and r1 > r0:
            t = (wanted - r0) / (r1 - r0)
            return float(np.exp((1 - t) * np.log(s0) + t * np.log(s1)))
    return None


def measure(args, base, queries, engines, results):
    key = {"data": args.name}
    k = args.k
    spare = base[-args.insert:] if args.insert else base[:0]
    kept = base[:len(base) - len(spare)]
    worst = exact(args.metric, kept, queries, k)
    columns = columns_for(args.filter, base, queries)
    loaded = set()
    for e in engines:
        ready = results.get(**key, engine=e.name, what="build") is not None
        if isinstance(e, Server) and ready and e.has_loaded(columns[0]):
            continue
        results.rows = [r for r in results.rows if not (r["data"] == args.name and r["engine"] == e.name)]
        rows = {c: x[:len(kept)] for c, x in columns[0].items()}
        results.add(**key, engine=e.name, what="load", about=e.about, **e.load(kept, queries, (rows, columns[1])))
        loaded.add(e.name)
    for e in engines:
        if e.name in loaded:
            if isinstance(e, Server):
                for workers in args.workers:
                    results.add(**key, engine=e.name, what=f"build, {workers} workers", **e.build(workers=workers))
                if args.little_memory:
                    results.add(**key, engine=e.name, what="build, little memory", **e.build(work_mem=args.little_memory))
            results.add(**key, engine=e.name, what="build", **e.graph, rows=len(kept),
                        dims=base.shape[1], **e.build())
    for ef in args.ef:
        todo = [e for e in engines if not results.get(**key, engine=e.name, what="search", ef=ef)]
        found = {e.name: recall(args.metric, kept, queries, worst, e.search(ef), k) for e in todo}
        best = {e.name: 0.0 for e in todo}
        for _ in range(args.rounds):   # in turns; the best of each, as noise only takes away
            for e in todo:
                best[e.name] = max(best[e.name], e.speed(ef))
        for e in todo:
            more = e.work(ef) if isinstance(e, Server) else {}
            results.add(**key, engine=e.name, what="search", ef=ef, recall=found[e.name], qps=best[e.name], **more)
    for depth in args.recall_at:
        limit = exact(args.metric, kept, queries, depth)
        for e in engines:
            if not results.get(**key, engine=e.name, what="recall", k=depth):
                with e.iterating():
                    row = {"recall": recall(args.metric, kept, queries, limit, e.search(40, k=depth), depth)}
                results.add(**key, engine=e.name, what="recall", k=depth, ef=40, **row)
    servers = [e for e in engines if isinstance(e, Server)]
    # One client at each setting, on any CPU and all on one; more of them at one setting.
    clients = [(what, n, ef) for what in (["client", "one cpu"] if args.one_cpu else ["client"]) for n in args.clients
               for ef in (args.ef if n == 1 else [40] if what == "client" else [])]
    for what, n, ef in clients if args.client_seconds else []:
        todo = [e for e in servers if not results.get(**key, engine=e.name, what=what, ef=ef, clients=n)]
        runs = {e.name: [] for e in todo}
        for _ in range(args.rounds):
            for e in todo:
                runs[e.name].append(e.client(e.query_sql(), ef, args.client_seconds, n, what == "one cpu"))
        for e in todo:
            results.add(**key, engine=e.name, what=what, ef=ef, clients=n, **max(runs[e.name], key=lambda r: r["qps"]))
    for what in ("primary key", "few rows", *(("primary key, one cpu", "few rows, one cpu") if args.one_cpu else ())):
        for e in servers:
            if args.client_seconds and not results.get(**key, engine=e.name, what=what):
                if "few" in what:
                    e.few_rows()
                sql = e.query_sql("few") if "few" in what else "SELECT id FROM items WHERE id = :i"
                runs = [e.client(sql, args.ef[0], args.client_seconds, 1, "one cpu" in what) for _ in range(args.rounds)]
                results.add(**key, engine=e.name, what=what, clients=1, **max(runs, key=lambda r: r["qps"]))
    if args.filter:
        measure_filters(args, kept, queries, columns[0], servers, results)
    if args.memory:
        measure_memory(args, servers, results)
    for e in servers:
        if args.threshold and not results.get(**key, engine=e.name, what="threshold"):
            c = e.usual_distance(max(1, k // 2))
            with e.iterating():
                speeds = {where: max(e.speed(40, [(where, "true")]) for _ in range(args.rounds))
                          for where in ("true", f"v {e.operator} q.v < {c}")}
            results.add(**key, engine=e.name, what="threshold", ef=40, qps=list(speeds.values())[1], qps_without=speeds["true"])
    for e in servers:
        if len(spare) and not results.get(**key, engine=e.name, what="insert"):
            results.add(**key, engine=e.name, what="insert", rows=len(spare), **e.insert(spare, columns[0], len(kept)))
    for e in servers:
        if args.vacuum and not results.get(**key, engine=e.name, what="update"):
            results.add(**key, engine=e.name, what="update", **e.update(0.01))
    for e in servers:
        if args.vacuum and not results.get(**key, engine=e.name, what="vacuum"):
            results.add(**key, engine=e.name, what="vacuum", **e.vacuum(args.vacuum))
            e.c.execute("DROP INDEX items_v")   # it is not what was built any more


def measure_filters(args, base, queries, columns, servers, results):
    """Each workload at rising efforts, until the recall is FILTER_RECALL, and as an exact sort. Exact answers are those of the
    first server."""
    key = {"data": args.name}
    with contextlib.ExitStack() as stack:
        for e in servers:
            stack.enter_context(e.b_trees(columns))
        for w in workloads(args.filter):
            ways = [(e, way) for e in servers if not (w.partial and e.has_filters()) for way in e.kind.iterate]
            right = {}

            def exact(e, n):
                with e.free_planner():
                    return e.search(args.ef[0], w.conditions, n, exact=True)

            for ef in args.ef:
                todo = [(e, way) for e, way in ways
                        if not results.get(**key, engine=e.name, what="filter", workload=w.name, way=way, ef=ef)]
                if todo and not right:
                    for e, _ in ways:
                        e.index_for(w)
                    right = exact(servers[0], min(200, len(queries)))
                rows = [filter_row(args, base, queries, right, e, way, w.conditions, ef) for e, way in todo]
                for _ in range(args.rounds):
                    for (e, way), row in zip(todo, rows):
                        if row["queries"] > FEW:
                            with e.iterating(way):
                                row["qps"] = max(row["qps"], e.speed(ef, w.conditions, row["queries"]))
                for (e, way), row in zip(todo, rows):
                    results.add(**key, engine=e.name, what="filter", workload=w.name, way=way, **row)
                # More effort does not help one that is too slow already.
                ways = [(e, way) for e, way in ways
                        for row in [results.get(**key, engine=e.name, what="filter", workload=w.name, way=way, ef=ef)]
                        if row["recall"] < FILTER_RECALL and row["queries"] > FEW]
            for e in servers:
                sorts = not (e.has_filters() or w.partial)
                if sorts and not results.get(**key, engine=e.name, what="filter, sorted", workload=w.name):
                    n, _ = affordable(args.filter_seconds, len(queries), lambda n: exact(e, n))
                    with e.free_planner():
                        qps = max(e.speed(args.ef[0], w.conditions, n, exact=True) for _ in range(args.rounds))
                    results.add(**key, engine=e.name, what="filter, sorted", workload=w.name, queries=n, qps=qps)
    for e in servers:
        e.index_for(Workload("", ALL))


FEW = 5


def affordable(seconds, most, run):
    """How many queries take about that long, from FEW to `most`, and how many a second run() makes of the first ones."""
    few = min(FEW, most)
    for _ in range(2):   # the first time may find cold caches
        start = time.time()
        run(few)
    qps = few / (time.time() - start)
    return int(np.clip(seconds * qps, few, most)), qps


def filter_row(args, base, queries, right, e, way, conditions, ef):
    """A measurement whose speed is only estimated. The field `queries` is how many of them the speed is to be measured with."""
    with e.iterating(way):
        n, qps = affordable(args.filter_seconds, len(queries), lambda n: e.search(ef, conditions, n))
        right = {q: ids for q, ids in right.items() if q < n}
        found = filtered_recall(args.metric, base, queries, right, e.search(ef, conditions, max(right, default=0) + 1))
        return {"ef": ef, "queries": n, "recall": found, "qps": qps if n <= FEW else 0,
                **e.work(ef, conditions, min(-(-n // FEW), 50)), "takes_index": e.takes_index(ef, conditions)}


def filtered_recall(metric, base, queries, right, got):
    """How much of `right`, the ids of the nearest rows, is in `got`. Ties are equally right."""
    found = wanted = 0
    for q, ids in right.items():
        limit = distances(metric, base[ids], queries[q]).max()
        good = distances(metric, base[got.get(q, [])], queries[q]) <= limit + abs(limit) * 1e-5 + 1e-6
        found, wanted = found + min(len(ids), int(good.sum())), wanted + len(ids)
    return found / max(wanted, 1)


# States of memory: what they are called, and the settings of the server. A tenth of the index is what `{}` is.
MEMORY = {
    "huge pages off": ("without huge pages", {"huge_pages": "off"}),
    "huge pages": ("with huge pages", {"huge_pages": "on"}),
    "small buffers": ("shared_buffers a tenth of the index", {"shared_buffers": "{}"}),
    "cold": ("from disk", {}),
}


def measure_memory(args, servers, results):
    """The search lines again, in other states of memory. Restarts the servers."""
    key = {"data": args.name}
    tenth = servers[0].value("SELECT pg_relation_size('items_v') / 10 / current_setting('block_size')::integer")
    for what, (title, settings) in MEMORY.items():
        if all(results.get(**key, engine=e.name, what=what, ef=ef) for e in servers for ef in args.ef):
            continue
        settings = {k: v.format(tenth) for k, v in settings.items()}
        if not all([e.restart(**settings) for e in servers]):
            print(f"  {title}: no server with {settings} starts here")
            continue
        for e in servers:
            e.connect()
            e.speed(args.ef[-1])
        for ef in args.ef:
            best = {e.name: 0.0 for e in servers}
            for _ in range(args.rounds):
                for e in servers:
                    if what == "cold":
                        e.restart()
                        e.connect()
                        e.explain(ef, "", *ALL[0])   # so that the catalogs are not cold
                        e.evict()
                    best[e.name] = max(best[e.name], e.speed(ef, n=args.cold_queries if what == "cold" else None))
            for e in servers:
                results.add(**key, engine=e.name, what=what, ef=ef, qps=best[e.name])
    for e in servers:
        e.restart()
    for e in servers:
        e.connect()


def summary(args, results, engines):
    """Ratios of the first engine to the others."""
    rows = [r for r in results.rows if r["data"] == args.name]

    def points(engine, what):
        search = {r["ef"]: r["recall"] for r in rows if r["engine"] == engine and r["what"] == "search"}
        return [{"recall": search[r["ef"]], "qps": r["qps"]} for r in rows
                if r["engine"] == engine and r["what"] == what and r["ef"] in search and r.get("clients", 1) == 1]

    def one(engine, what, field):
        return next((r[field] for r in rows if r["engine"] == engine and r["what"] == what and field in r), None)

    lines = []
    first = engines[0].name
    for wanted in (0.95, 0.97, 0.99):
        for what, title in (("search", "inside the server"), ("client", "through pgbench"),
                            ("one cpu", "through pgbench, on one CPU"),
                            *((what, f"inside the server, {title}") for what, (title, _) in MEMORY.items())):
            lines.append((f"queries/s at recall {wanted}, {title}", [at_recall(points(e.name, what), wanted) for e in engines]))
    lines.append(("primary key look-ups/s through pgbench", [one(e.name, "primary key", "qps") for e in engines]))
    lines.append((f"queries/s of {2 * args.k} rows, through pgbench", [one(e.name, "few rows", "qps") for e in engines]))
    lines.append(("primary key look-ups/s, on one CPU", [one(e.name, "primary key, one cpu", "qps") for e in engines]))
    lines.append((f"queries/s of {2 * args.k} rows, on one CPU", [one(e.name, "few rows, one cpu", "qps") for e in engines]))
    for n in args.clients[1:]:
        lines.append((f"queries/s at ef_search 40, {n} clients", [next((r["qps"] for r in rows if r["engine"] == e.name and r["what"] == "client" and
                                                                        r["ef"] == 40 and r["clients"] == n), None) for e in engines]))
    for depth in args.recall_at:
        lines.append((f"recall of the nearest {depth}, ef_search 40", [next((r["recall"] for r in rows if r["engine"] == e.name and r["what"] == "recall"
                                                                             and r["k"] == depth), None) for e in engines]))
    for what, field, title in (("build", "seconds", "build, s"), ("build", "peak_bytes", "memory of the build, bytes"), ("build", "bytes", "index, bytes"), ("build", "wal_bytes", "WAL of the build, bytes"),
                               *((f"build, {n} workers", "seconds", f"build with {n} workers, s") for n in args.workers),
                               ("build, little memory", "seconds", f"build with maintenance_work_mem {args.little_memory}, s"),
                               ("threshold", "qps", "queries/s with a threshold, ef_search 40"), ("threshold", "qps_without", "... without it"),
                               ("insert", "rows_per_s", "COPY into the index, rows/s"),
                               ("insert", "wal_bytes_per_row", "WAL a row of it, bytes"),
                               ("insert", "wal_bytes_per_row_after_checkpoint", "... with page images after a checkpoint, bytes"),
                               ("update", "rows_per_s", "UPDATE of another column, rows/s"),
                               ("vacuum", "seconds", "VACUUM, s")):
        lines.append((title, [one(e.name, what, field) for e in engines]))
    for ef in args.ef:
        lines.append((f"recall at ef_search {ef}", [next((r["recall"] for r in rows if r["engine"] == e.name and r["what"] == "search" and r["ef"] == ef), None) for e in engines]))
        for field in ("buffers", "visits"):
            lines.append((f"{field} a query at ef_search {ef}",
                          [next((r.get(field) for r in rows if r["engine"] == e.name and r["what"] == "search" and r["ef"] == ef), None)
                           for e in engines]))
    table = [["", *[e.name for e in engines], *[f"{first} / {e.name}" for e in engines[1:]]]]
    for title, values in lines:
        if all(v is None for v in values):
            continue
        show = lambda v: "-" if v is None else f"{v:,.4f}" if v < 10 else f"{v:,.0f}"
        ratios = ["-" if values[0] is None or not v else f"{values[0] / v:.2f}" for v in values[1:]]
        table.append([title, *[show(v) for v in values], *ratios])
    return table


def filter_summary(args, results, engines):
    """Speed at FILTER_RECALL, of the best way to iterate; or else that of the highest recall, and this recall."""
    rows = [r for r in results.rows if r["data"] == args.name]
    servers = [e for e in engines if isinstance(e, Server)]
    sorting = [e for e in servers if not e.has_filters()]

    def found(engine, what, workload):
        return [r for r in rows if (r["engine"], r["what"], r.get("workload")) == (engine, what, workload)]

    def cell(e, workload):
        points = found(e.name, "filter", workload)
        if not points:
            return "-"
        rate, way = max((at_recall([p for p in points if p["way"] == way], FILTER_RECALL) or 0, way) for way in e.kind.iterate)
        if rate:
            row = min((p for p in points if p["way"] == way and p["recall"] >= FILTER_RECALL), key=lambda p: p["ef"])
        else:
            row = max(points, key=lambda p: (p["recall"], p["qps"]))
        work = f"{row['visits']:,.0f} visits" if "visits" in row else f"{row['buffers']:,.0f} buffers"
        notes = ("" if rate else f" at {row['recall']:.3f}") + ("" if row["takes_index"] == 1 else " *")
        return f"{rate or row['qps']:,.0f}{notes}, {work}"

    def sort(e, workload):
        return next((f"{r['qps']:,.0f}" for r in found(e.name, "filter, sorted", workload)), "-")

    return [[f"WHERE; queries/s at recall {FILTER_RECALL}",
             *[e.name for e in servers], *[f"{e.name}, sorted" for e in sorting]],
            *[[w.name, *[cell(e, w.name) for e in servers], *[sort(e, w.name) for e in sorting]]
              for w in workloads(args.filter)],
            ["* with the index, but the planner would sort", *[""] * len(servers + sorting)]]


def curve(rows, engines, what):
    """Recall over queries a second (log), as SVG."""
    colors = ["#1668a8", "#d1495b", "#2e8b57", "#e09f3e", "#6a4c93", "#555"]
    search = {(r["engine"], r["ef"]): r["recall"] for r in rows if r["what"] == "search"}
    series = {e: sorted((search[e, r["ef"]], r["qps"]) for r in rows
                        if r["what"] == what and r["engine"] == e and (e, r["ef"]) in search and r.get("clients", 1) == 1)
              for e in engines}
    points = [p for s in series.values() for p in s]
    if not points:
        return ""
    low, high = min(p[1] for p in points) / 1.2, max(p[1] for p in points) * 1.2
    # Recall as -log10(1 - recall): 0.9, 0.99 and 0.999 are equally far apart.
    depth = lambda r: -np.log10(max(1 - r, 1e-4))
    left, right = min(depth(p[0]) for p in points) - 0.05, max(depth(p[0]) for p in points) + 0.05
    x = lambda r: 60 + 560 * (depth(r) - left) / (right - left)
    y = lambda q: 330 - 300 * (np.log(q) - np.log(low)) / (np.log(high) - np.log(low))
    out = ['<svg viewBox="0 0 760 380" xmlns="http://www.w3.org/2000/svg" font-family="sans-serif" font-size="12">']
    for r in (0.5, 0.7, 0.8, 0.9, 0.95, 0.97, 0.98, 0.99, 0.995, 0.999):
        if left <= depth(r) <= right:
            out.append(f'<line x1="{x(r):.1f}" y1="30" x2="{x(r):.1f}" y2="330" stroke="#ddd"/><text x="{x(r):.1f}" y="346" text-anchor="middle">{r}</text>')
    for exponent in range(0, 7):
        for step in (1, 2, 5):
            q = step * 10 ** exponent
            if low <= q <= high:
                out.append(f'<line x1="60" y1="{y(q):.1f}" x2="620" y2="{y(q):.1f}" stroke="#ddd"/><text x="54" y="{y(q) + 4:.1f}" text-anchor="end">{q:,}</text>')
    for n, (engine, s) in enumerate(series.items()):
        if s:
            color = colors[n % len(colors)]
            out.append(f'<polyline fill="none" stroke="{color}" stroke-width="2" points="' + " ".join(f"{x(r):.1f},{y(q):.1f}" for r, q in s) + '"/>')
            out += [f'<circle cx="{x(r):.1f}" cy="{y(q):.1f}" r="3" fill="{color}"/>' for r, q in s]
            out.append(f'<text x="632" y="{50 + 18 * n}" fill="{color}">{html.escape(engine)}</text>')
    out.append(f'<text x="340" y="370" text-anchor="middle">recall</text><text x="60" y="20">queries per second</text></svg>')
    return "\n".join(out)


def bars(rows, engines, what, field, scale, unit):
    """One bar an engine, as SVG."""
    values = [(e, next((r[field] * scale for r in rows if r["engine"] == e and r["what"] == what and field in r), None)) for e in engines]
    values = [(e, v) for e, v in values if v is not None]
    if not values:
        return ""
    most = max(v for _, v in values)
    out = [f'<svg viewBox="0 0 760 {30 + 28 * len(values)}" xmlns="http://www.w3.org/2000/svg" font-family="sans-serif" font-size="12">']
    for n, (engine, v) in enumerate(values):
        y = 12 + 28 * n
        out.append(f'<text x="110" y="{y + 14}" text-anchor="end">{html.escape(engine)}</text><rect x="120" y="{y}" width="{max(1, 480 * v / most):.1f}" '
                   f'height="20" fill="#1668a8"/><text x="{128 + 480 * v / most:.1f}" y="{y + 14}">{v:,.1f} {unit}</text>')
    return "\n".join(out) + "</svg>"


def pictures(name, rows, engines):
    """File name, title, SVG."""
    for what, title in (("search", "Queries a second inside the server, one statement"), ("client", "Queries a second through pgbench, one client"),
                        ("one cpu", "Queries a second through pgbench, client and server on one CPU")):
        yield f"{name}-{what.replace(' ', '-')}.svg", title, curve(rows, engines, what)
    yield f"{name}-build.svg", "Build", bars(rows, engines, "build", "seconds", 1, "s")
    yield f"{name}-size.svg", "Size of the index", bars(rows, engines, "build", "bytes", 1e-6, "MB")


def report(path, results, tables):
    parts = ["<!doctype html><meta charset=utf-8><title>Vector indexes</title><style>body{font-family:sans-serif;max-width:60em;margin:2em auto}"
             "td,th{padding:.2em .8em;text-align:right;border-bottom:1px solid #ddd}td:first-child{text-align:left}table{border-collapse:collapse}</style>"]
    for name, table in tables.items():
        rows = [r for r in results.rows if r["data"] == name]
        engines = list(dict.fromkeys(r["engine"] for r in rows))
        parts.append(f"<h1>{html.escape(name)}</h1><p>" + "; ".join(html.escape(f"{r['engine']}: {r['about']}") for r in rows if r["what"] == "load"))
        for file, title, picture in pictures(name, rows, engines):
            if picture:
                parts.append(f"<h2>{title}</h2>{picture}")
        parts.append("<table>" + "".join("<tr>" + "".join(f"<{'th' if n == 0 else 'td'}>{html.escape(c)}</{'th' if n == 0 else 'td'}>" for c in row) + "</tr>"
                                         for n, row in enumerate(table)) + "</table>")
    with open(path, "w") as f:
        f.write("\n".join(parts))


def growth(sizes, costs):
    """The exponent e of cost ~ rows^e."""
    return float(np.polyfit(np.log(sizes), np.log(costs), 1)[0])


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--engine", action="append", default=[], metavar="NAME=DSN", help="a server; the first one is quiver, with which the others are compared")
    p.add_argument("--in-process", default="", help="libraries: hnswlib,faiss,usearch")
    p.add_argument("--base", help="vectors: .npy, .fvecs, .bvecs, FILE.hdf5:train")
    p.add_argument("--queries")
    p.add_argument("--dsn", default="", help="connection string of the database for table:QUERY")
    p.add_argument("--scale", type=lambda s: [int(x) for x in s.split(",")], default=[], metavar="ROWS,...",
                   help="measure each of these numbers of rows; prints how the cost of a query at recall 0.99 grows")
    p.add_argument("--name", help="name of the data set in the results")
    p.add_argument("--rows", type=int, help="use only this number of rows")
    p.add_argument("--metric", choices=OPERATOR, default="cosine")
    p.add_argument("-k", type=int, default=10)
    p.add_argument("-m", type=int, default=16)
    p.add_argument("--ef-construction", type=int, default=64)
    p.add_argument("--options", type=lambda s: dict(map(str.strip, o.split("=")) for o in s.split(",")), default={}, metavar="NAME=VALUE,...",
                   help="index options of quiver, in addition to -m and --ef-construction or instead of them")
    p.add_argument("--ef", type=lambda s: [int(x) for x in s.split(",") if x], default=[10, 20, 40, 60, 80, 120, 200, 400])
    p.add_argument("--filter", type=lambda s: [float(x) for x in s.split(",")], nargs="?", const=[0.1, 1, 10, 50], default=[],
                   metavar="PERCENT,...", help="also searches with conditions that this part of the rows satisfies; "
                   "adds the engine quiver_filters, whose index has filter columns")
    p.add_argument("--filter-seconds", type=float, default=3,
                   help="how long each of these runs may take, about; they have at least five queries")
    p.add_argument("--memory", action="store_true", help="also searches with small shared buffers, with nothing cached, "
                   "and with and without huge pages; restarts the servers, which must be local")
    p.add_argument("--cold-queries", type=int, default=50, metavar="N", help="how many queries a run with nothing cached has")
    p.add_argument("--threshold", action="store_true", help="also queries WHERE distance < c, where c is the usual distance of the row of rank k / 2, and the same without it")
    p.add_argument("--rounds", type=int, default=3)
    p.add_argument("--recall-at", type=lambda s: [int(x) for x in s.split(",") if x], default=[1, 100], metavar="K,...")
    p.add_argument("--clients", type=lambda s: [int(x) for x in s.split(",")], default=[1, 2], metavar="N,...", help="numbers of pgbench clients; the first must be 1")
    p.add_argument("--one-cpu", action="store_true", help="repeat the pgbench runs with client and server on one CPU (needs root and a local server)")
    p.add_argument("--client-seconds", type=int, default=5, help="duration of each pgbench run; 0: no pgbench runs")
    p.add_argument("--insert", type=int, default=1000, help="rows for COPY into the finished index")
    p.add_argument("--vacuum", type=float, default=0.1, help="fraction of the rows to delete before VACUUM; 0: no VACUUM")
    p.add_argument("--maintenance-work-mem", default="2GB")
    p.add_argument("--workers", type=lambda s: [int(x) for x in s.split(",")], default=[], metavar="N,...", help="also build with these numbers of parallel workers")
    p.add_argument("--little-memory", metavar="SIZE", help="also build with this maintenance_work_mem")
    p.add_argument("--pgbench", default="pgbench")
    p.add_argument("--out", default="results/ann", help="folder of results.jsonl and report.html")
    p.add_argument("--svg", metavar="FOLDER", help="also write each picture to a file in this folder")
    args = p.parse_args()
    if args.filter and args.engine and not any(e.startswith("quiver_filters=") for e in args.engine):
        args.engine.insert(1, args.engine[0].replace("quiver", "quiver_filters", 1))
    if args.base:
        base, queries = read_vectors(args.base, args.rows, args.dsn), read_vectors(args.queries, dsn=args.dsn)
        args.name = args.name or re.sub(r"\W+", "-", os.path.basename(args.base).split(".")[0]).strip("-")
    else:
        base, queries = demo()
        args.name = args.name or "debian-packages"
    if args.metric == "cosine":
        base = base / np.maximum(np.linalg.norm(base, axis=1, keepdims=True), 1e-30)
        queries = queries / np.maximum(np.linalg.norm(queries, axis=1, keepdims=True), 1e-30)
    os.makedirs(args.out, exist_ok=True)
    results = Results(os.path.join(args.out, "results.jsonl"))
    tables, name, costs = {}, args.name, {}
    for rows in args.scale or [len(base)]:
        if args.scale:
            args.name = f"{name}-{rows}"
        engines = [Server(*e.split("=", 1), args) for e in args.engine] + [Library(n, args) for n in args.in_process.split(",") if n]
        if not engines:
            sys.exit("No engine: give --engine quiver=postgresql://...")
        print(f"{args.name}: {rows:,} x {base.shape[1]}, {len(queries):,} queries, {args.metric}; " + "; ".join(f"{e.name}: {e.about}" for e in engines))
        measure(args, base[:rows], queries, engines, results)
        tables[args.name] = summary(args, results, engines)
        if args.filter:
            tables[f"{args.name}: queries with a WHERE"] = filter_summary(args, results, engines)
        for e in engines:
            found = [r for r in results.rows if r["data"] == args.name and r["engine"] == e.name and r["what"] == "search"]
            qps = at_recall(found, 0.99)
            if qps:
                costs.setdefault(e.name, []).append((rows, 1 / qps))
        for table in [t for name, t in tables.items() if name.split(":")[0] == args.name]:
            widths = [max(len(r[i]) for r in table) for i in range(len(table[0]))]
            print()
            for row in table:
                print("  ".join(c.ljust(w) if i == 0 else c.rjust(w) for i, (c, w) in enumerate(zip(row, widths))))
            print()
    if len(args.scale) > 1:
        tables[f"{name}: microseconds a query at recall 0.99 inside the server"] = table = [
            ["engine", *[f"{n:,} rows" for n in args.scale], "grows with rows ^"],
            *[[e, *[next((f"{c * 1e6:.0f}" for m, c in points if m == n), "-") for n in args.scale],
               f"{growth(*zip(*points)):.2f}" if len(points) > 1 else "-"] for e, points in costs.items()]]
        for row in table:
            print("  ".join(c.rjust(16) for c in row))
    report(os.path.join(args.out, "report.html"), results, tables)
    if args.svg:
        os.makedirs(args.svg, exist_ok=True)
        for data in tables:
            rows = [r for r in results.rows if r["data"] == data]
            for file, title, picture in pictures(data, rows, list(dict.fromkeys(r["engine"] for r in rows))):
                if picture:
                    with open(os.path.join(args.svg, file), "w") as f:
                        f.write(picture + "\n")
    print(f"\n{os.path.join(args.out, 'report.html')}")


if __name__ == "__main__":
    main()
