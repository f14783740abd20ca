-- hnsw_recall: recall by ef_search, beside exact search.
CREATE TABLE r (id serial, v vector(16), b bit(64), s sparsevec(50), wanted boolean);
INSERT INTO r (v, b, s, wanted) SELECT
    (SELECT array_agg(sin(i * j * 0.731)) FROM generate_series(1, 16) j)::vector,
    (SELECT string_agg((sin(i * j) > 0)::integer::text, '') FROM generate_series(1, 64) j)::bit(64),
    (SELECT array_agg(greatest(sin(i * j), 0)) FROM generate_series(1, 50) j)::vector::sparsevec,
    i % 3 = 0
FROM generate_series(1, 3000) i;
CREATE INDEX r_l2 ON r USING hnsw (v vector_l2_ops);
CREATE INDEX r_ip ON r USING hnsw (v vector_ip_ops);
CREATE INDEX r_b ON r USING hnsw (b bit_hamming_ops) WITH (m = 8);
CREATE INDEX r_s ON r USING hnsw (s sparsevec_cosine_ops);
CREATE INDEX r_part ON r USING hnsw (v vector_cosine_ops) WHERE wanted;
CREATE INDEX r_expr ON r USING hnsw ((v::halfvec(16)) halfvec_l2_ops);

-- Rising, to all; and no setting is changed.
SELECT min(ef_search), bool_and(recall >= before) AS rising, max(recall) >= 0.99 AS good, bool_and(ms > 0 AND visited > 0) AS measured
FROM (SELECT *, coalesce(lag(recall) OVER (ORDER BY ef_search), 0) - 0.005 AS before FROM hnsw_recall('r_l2')) x;
SHOW hnsw.ef_search;
SELECT i, max(recall) >= 0.97 AS good FROM unnest('{r_ip,r_b,r_s,r_part,r_expr}'::regclass[]) i, hnsw_recall(i, 5, 40) GROUP BY i ORDER BY i;
-- Queries of one's own; what has no direction is left out.
SELECT max(recall) >= 0.99 AS good FROM hnsw_recall('r_l2', (SELECT array_agg(v) FROM r WHERE id <= 20), k => 20);
SELECT max(recall) >= 0.99 AS good FROM hnsw_recall('r_part', ARRAY['[0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0]', (SELECT v FROM r LIMIT 1), NULL]::vector[]);
SELECT * FROM hnsw_recall('r_l2', '{}'::vector[]);
-- A poor index: what queries find is what it says. (Bits are a small code: ties count.)
CREATE TABLE r3 AS SELECT id, (SELECT array_agg(sin(id * 78.233 + j * id * id * 12.9898)) FROM generate_series(1, 16) j)::vector(16) AS v FROM r;
CREATE INDEX r3_v ON r3 USING hnsw (v vector_l2_ops) WITH (m = 2, ef_construction = 4);
SET enable_seqscan = off;
SET hnsw.ef_search = 10;
CREATE TABLE found AS SELECT q.id AS query, x.d FROM r3 q, LATERAL (SELECT r3.v <-> q.v AS d FROM r3 ORDER BY r3.v <-> q.v LIMIT 7) x WHERE q.id <= 400;
SET enable_indexscan = off;
SET enable_seqscan = on;
CREATE TABLE exact AS SELECT q.id AS query, max(x.d) AS d FROM r3 q, LATERAL (SELECT r3.v <-> q.v AS d FROM r3 ORDER BY r3.v <-> q.v LIMIT 7) x WHERE q.id <= 400 GROUP BY q.id;
RESET enable_indexscan;
RESET enable_seqscan;
RESET hnsw.ef_search;
SELECT count(*) / 2800.0 = (SELECT recall FROM hnsw_recall('r3_v', (SELECT array_agg(v) FROM r3 WHERE id <= 400), 7) WHERE ef_search = 10) AS same,
    count(*) / 2800.0 < 1 AS poor
FROM found JOIN exact USING (query) WHERE found.d <= exact.d;

CREATE TABLE r2 (v vector(3));
CREATE INDEX r2_v ON r2 USING hnsw (v vector_l2_ops);
SELECT * FROM hnsw_recall('r2_v');
INSERT INTO r2 VALUES ('[1,2,3]');
SELECT ef_search, recall FROM hnsw_recall('r2_v');
INSERT INTO r2 SELECT ARRAY[i, 0, 0]::vector FROM generate_series(1, 30) i;
SELECT ef_search, recall FROM hnsw_recall('r2_v', 10, 10000);
SELECT ef_search, recall FROM hnsw_recall('r2_v', '{"[0,0,0]"}'::vector[], 1000);
DELETE FROM r2 WHERE v <-> '[0,0,0]' > 5;
SELECT ef_search, recall FROM hnsw_recall('r2_v');
-- 500 equal rows are one node: as near as each other
INSERT INTO r2 SELECT '[9,9,9]' FROM generate_series(1, 500);
SELECT max(recall) FROM hnsw_recall('r2_v');

\set VERBOSITY default
SELECT * FROM hnsw_recall('r_l2', 0);
SELECT * FROM hnsw_recall('r_l2', 10, 0);
SELECT * FROM hnsw_recall('r');
SELECT * FROM hnsw_recall('r_l2', '{1,2}'::int[]);
SELECT * FROM hnsw_recall('r_l2', '{"[1,2]"}'::vector[]);
CREATE ROLE regress_r;
SET ROLE regress_r;
SELECT * FROM hnsw_recall('r_l2');
RESET ROLE;
DROP ROLE regress_r;
-- The verifier has the last word.
SELECT c.relname, k.* FROM pg_class c JOIN pg_am a ON a.oid = c.relam AND a.amname = 'hnsw',
    LATERAL hnsw_check(c.oid, true) k WHERE c.relkind = 'i';
DROP TABLE r, r2, r3, found, exact;
