"""pgvector's Python client against quiver, unchanged: text and binary, all types, COPY from NumPy."""

import importlib.util
import os
import sys
import types
import unittest

import numpy as np
import psycopg
from pgvector import Bit, HalfVector, SparseVector
from pgvector.psycopg import register_vector


class Client(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.conn = psycopg.connect(dbname="client", autocommit=True)
        cls.conn.execute("CREATE EXTENSION quiver")
        register_vector(cls.conn)

    @classmethod
    def tearDownClass(cls):
        cls.conn.close()

    def test_round_trips(self):
        vector = np.array([1.5, -2, 3], dtype=np.float32)
        half = HalfVector([1.5, -2, 3])
        sparse = SparseVector({0: 1.5, 4: -2}, 6)
        for binary in (False, True):
            for placeholder in ("%t", "%b"):
                with self.subTest(result_binary=binary, parameter=placeholder):
                    row = self.conn.execute(
                        f"SELECT {placeholder}::vector, {placeholder}::halfvec, {placeholder}::sparsevec",
                        (vector, half, sparse),
                        binary=binary,
                    ).fetchone()
                    np.testing.assert_array_equal(np.asarray(getattr(row[0], "to_list", lambda: row[0])()), vector)
                    self.assertEqual(row[1].to_list(), half.to_list())
                    self.assertEqual(row[2].to_list(), sparse.to_list())

    def test_documented_sql(self):
        c = self.conn
        c.execute("CREATE TABLE items (id bigserial PRIMARY KEY, embedding vector(3))")
        c.execute("INSERT INTO items (embedding) VALUES ('[1,2,3]'), ('[4,5,6]')")
        c.execute("INSERT INTO items (id, embedding) VALUES (1, '[1,2,4]') ON CONFLICT (id) DO UPDATE SET embedding = EXCLUDED.embedding")
        query = np.array([3, 1, 2])
        for operator, want in (("<->", [1, 2]), ("<#>", [2, 1]), ("<=>", [2, 1]), ("<+>", [1, 2])):
            rows = c.execute(f"SELECT id FROM items ORDER BY embedding {operator} %s LIMIT 5", (query,)).fetchall()
            self.assertEqual([r[0] for r in rows], want, operator)
        self.assertEqual(len(c.execute("SELECT * FROM items WHERE embedding <-> '[3,1,2]' < 5").fetchall()), 1)
        average = c.execute("SELECT avg(embedding) FROM items").fetchone()[0]
        np.testing.assert_array_equal(np.asarray(getattr(average, "to_list", lambda: average)()), [2.5, 3.5, 5])
        c.execute("UPDATE items SET embedding = '[1,2,3]' WHERE id = 1")
        c.execute("DELETE FROM items WHERE id = 1")
        c.execute("DROP TABLE items")

    def test_copy_from_numpy(self):
        rows = np.random.default_rng(0).random((1000, 128), dtype=np.float32)
        self.conn.execute("CREATE TABLE loaded (v vector(128))")
        with self.conn.cursor().copy("COPY loaded FROM STDIN WITH (FORMAT BINARY)") as copy:
            copy.set_types(["vector"])
            for row in rows:
                copy.write_row([row])
        nearest = self.conn.execute("SELECT v FROM loaded ORDER BY v <-> %s LIMIT 1", (rows[17],)).fetchone()[0]
        np.testing.assert_array_equal(np.asarray(getattr(nearest, "to_list", lambda: nearest)(), dtype=np.float32), rows[17])
        self.conn.execute("DROP TABLE loaded")

    def test_bit(self):
        got = self.conn.execute("SELECT %s <~> B'101'", (Bit([True, False, False]),)).fetchone()[0]
        self.assertEqual(got, 1)

    def test_errors_have_pgvectors_sqlstates(self):
        for sql, state in (
            ("SELECT '[1,2]'::vector <-> '[1]'", "22000"),
            ("SELECT '[NaN]'::vector", "22000"),
            ("SELECT '[1'::vector", "22P02"),
            ("SELECT '[4e38]'::vector", "22003"),
            ("SELECT ('[' || repeat('1,', 16000) || '1]')::vector", "54000"),
            ("SELECT '[1]'::vector(0)", "22023"),
        ):
            with self.assertRaises(psycopg.Error) as caught:
                self.conn.execute(sql)
            self.assertEqual(caught.exception.sqlstate, state, sql)

    def test_ann_benchmarks_module(self):
        # A stand-in for the framework: packages of these names with an empty base class.
        for name in ("ann", "ann.base", "ann.base.module", "ann.quiver"):
            sys.modules[name] = types.ModuleType(name)
            sys.modules[name].__path__ = []
        sys.modules["ann.base.module"].BaseANN = object
        path = os.path.join(os.path.dirname(__file__), "..", "..", "bench", "ann-benchmarks", "module.py")
        spec = importlib.util.spec_from_file_location("ann.quiver.module", path)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        os.environ["PGDATABASE"] = "client"
        rows = np.random.default_rng(1).standard_normal((500, 20)).astype(np.float32)
        for metric in ("euclidean", "angular"):
            a = module.Quiver(metric, {"M": 16, "efConstruction": 64})
            a.fit(rows)
            a.set_query_arguments(200)
            q = rows[7] * 1.01
            d = ((rows - q) ** 2).sum(1) if metric == "euclidean" else -(rows @ q) / np.linalg.norm(rows, axis=1)
            self.assertEqual(a.query(q, 10), np.argsort(d)[:10].tolist())
            self.assertGreater(a.get_memory_usage(), 0)
            self.assertEqual(str(a), "Quiver(m=16, ef_construction=64, ef_search=200)")
            a._conn.close()


if __name__ == "__main__":
    unittest.main()
