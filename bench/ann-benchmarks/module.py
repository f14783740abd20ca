"""quiver in ann-benchmarks: see README.md beside it."""
import os
import subprocess

import numpy as np
import psycopg

from ..base.module import BaseANN

OPERATOR = {"angular": ("<=>", "vector_cosine_ops"), "euclidean": ("<->", "vector_l2_ops")}


class Quiver(BaseANN):
    """An hnsw index of the extension, one query at a time through one connection."""

    def __init__(self, metric, param):
        self._operator, self._opclass = OPERATOR[metric]
        self._options = {"m": param["M"], "ef_construction": param["efConstruction"], **param.get("options", {})}
        self._ef_search = None

    def fit(self, X):
        if "PGHOST" not in os.environ:   # in the container
            subprocess.run("service postgresql start", shell=True, check=True)
        self._conn = psycopg.connect(user=os.environ.get("PGUSER", "ann"), dbname=os.environ.get("PGDATABASE", "ann"), autocommit=True)
        execute = self._conn.execute
        execute("CREATE EXTENSION IF NOT EXISTS quiver")
        execute("DROP TABLE IF EXISTS ann_items")
        execute(f"CREATE TABLE ann_items (id integer, embedding vector({X.shape[1]}))")
        execute("ALTER TABLE ann_items ALTER COLUMN embedding SET STORAGE PLAIN")
        with self._conn.cursor().copy("COPY ann_items FROM STDIN WITH (FORMAT BINARY)") as copy:
            copy.set_types(["int4", "bytea"])   # the binary format of vector: dimensions, 0, floats
            head = np.array([X.shape[1], 0], ">i2").tobytes()
            for i, x in enumerate(np.asarray(X, ">f4")):
                copy.write_row((i, head + x.tobytes()))
        options = ", ".join(f"{name} = {value}" for name, value in self._options.items())
        execute(f"CREATE INDEX ann_items_embedding ON ann_items USING hnsw (embedding {self._opclass}) WITH ({options})")
        execute("VACUUM ANALYZE ann_items")
        execute("SET enable_seqscan = off")
        self._query = f"SELECT id FROM ann_items ORDER BY embedding {self._operator} %s::vector LIMIT %s"

    def set_query_arguments(self, ef_search):
        self._ef_search = ef_search
        self._conn.execute(f"SET hnsw.ef_search = {ef_search}")

    def query(self, v, n):
        vector = "[" + ",".join(map(repr, np.asarray(v, float).tolist())) + "]"
        rows = self._conn.execute(self._query, (vector, n), prepare=True)
        return [id for id, in rows]

    def get_memory_usage(self):
        """Size of the index, in kB."""
        if not hasattr(self, "_conn"):
            return 0
        return self._conn.execute("SELECT pg_relation_size('ann_items_embedding')").fetchone()[0] / 1024

    def __str__(self):
        return f"Quiver({', '.join(f'{k}={v}' for k, v in self._options.items())}, ef_search={self._ef_search})"
