-- Small codes: nodes keep 4, 2 or 1 bits of a dimension by product quantization, and rows are put in order by their
-- exact distances.
CREATE FUNCTION some_vector(i integer, n integer) RETURNS vector LANGUAGE sql IMMUTABLE AS
    'SELECT array_agg(sin(i % 40 * j * 0.17) + 0.5 * sin(i * 7.1 + j * j))::vector FROM generate_series(1, n) j';
CREATE TABLE c (id integer PRIMARY KEY, v vector(200), h halfvec(200), kind integer);
INSERT INTO c SELECT i, some_vector(i, 200), some_vector(i, 200)::halfvec, i % 7 FROM generate_series(1, 3000) i;
CREATE INDEX c_2 ON c USING hnsw (v vector_l2_ops) WITH (vector_bits = 2);
CREATE INDEX c_4 ON c USING hnsw (v vector_ip_ops) WITH (vector_bits = 4);
CREATE INDEX c_1 ON c USING hnsw (h halfvec_cosine_ops) WITH (vector_bits = 1, sketch_fold = 1);
CREATE INDEX c_x ON c USING hnsw ((subvector(v, 1, 100)::vector(100)) vector_l2_ops) WITH (vector_bits = 2) WHERE kind = 3;
SELECT i, vector_bits, sketch_bits, slot_bytes, slots_per_page FROM unnest('{c_2,c_4,c_1,c_x}'::regclass[]) i, hnsw_meta(i) ORDER BY i;
SELECT i, rows, round(row_bytes) BETWEEN 100 AND 2000 AS row, round(vector_bytes) AS vector, round(link_bytes) AS link, round(sketch_bytes / 40) * 40 AS sketch,
    row_bytes > vector_bytes + link_bytes + sketch_bytes AS more
FROM unnest('{c_2,c_4,c_1,c_x}'::regclass[]) i, hnsw_stats(i) ORDER BY i;
SELECT i, max(recall) > 0.99 AS good FROM unnest('{c_2,c_4,c_1,c_x}'::regclass[]) i, hnsw_recall(i, 10, 30) GROUP BY i ORDER BY i;

SET enable_seqscan = off;
-- The same rows as by exact search, and in that order.
CREATE FUNCTION same(query text, exact text) RETURNS TABLE (rows bigint, same bigint) LANGUAGE plpgsql AS $$
BEGIN
    RETURN QUERY EXECUTE format('SELECT count(*), count(*) FILTER (WHERE a.d = b.d) FROM
        (SELECT d, row_number() OVER () AS n FROM (%s) x) a JOIN (SELECT d, row_number() OVER () AS n FROM (%s) y) b USING (n)', query, exact);
END $$;
SELECT * FROM same('SELECT v <-> some_vector(77777, 200) AS d FROM c ORDER BY v <-> some_vector(77777, 200) LIMIT 15',
    'SELECT v <-> some_vector(77777, 200) AS d FROM c ORDER BY (v <-> some_vector(77777, 200)) + 0 LIMIT 15');
SELECT * FROM same('SELECT v <#> some_vector(77777, 200) AS d FROM c ORDER BY v <#> some_vector(77777, 200) LIMIT 15',
    'SELECT v <#> some_vector(77777, 200) AS d FROM c ORDER BY (v <#> some_vector(77777, 200)) + 0 LIMIT 15');
SELECT * FROM same('SELECT h <=> some_vector(77777, 200)::halfvec AS d FROM c ORDER BY h <=> some_vector(77777, 200)::halfvec LIMIT 15',
    'SELECT h <=> some_vector(77777, 200)::halfvec AS d FROM c ORDER BY (h <=> some_vector(77777, 200)::halfvec) + 0 LIMIT 15');
-- An expression and a predicate
EXPLAIN (COSTS OFF) SELECT id FROM c WHERE kind = 3 ORDER BY subvector(v, 1, 100)::vector(100) <-> array_fill(1, ARRAY[100])::vector LIMIT 15;
SELECT * FROM same('SELECT subvector(v, 1, 100)::vector(100) <-> some_vector(77777, 100) AS d FROM c WHERE kind = 3 ORDER BY subvector(v, 1, 100)::vector(100) <-> some_vector(77777, 100) LIMIT 15',
    'SELECT subvector(v, 1, 100)::vector(100) <-> some_vector(77777, 100) AS d FROM c WHERE kind = 3 ORDER BY (subvector(v, 1, 100)::vector(100) <-> some_vector(77777, 100)) + 0 LIMIT 15');
-- Far more rows than ef_search: in order, none twice
SELECT count(*) > 1000 AS many, count(*) = count(DISTINCT id) AS once, bool_and(d >= before) AS ordered FROM
    (SELECT id, d, lag(d, 1, '-inf') OVER (ORDER BY n) AS before FROM (SELECT *, row_number() OVER () AS n FROM
        (SELECT id, v <-> some_vector(5, 200) AS d FROM c ORDER BY v <-> some_vector(5, 200) LIMIT 2000) a) b) x;
SET hnsw.iterative_scan = off;
SELECT count(*) BETWEEN 40 AND 60 AS ef FROM (SELECT id FROM c ORDER BY v <-> some_vector(5, 200) LIMIT 2000) a;
SET hnsw.iterative_scan = relaxed_order;
SELECT count(*) > 2900 AS nearly_all FROM (SELECT id FROM c ORDER BY v <-> some_vector(5, 200)) a;
RESET hnsw.iterative_scan;
SELECT count(*) FROM (SELECT id FROM c WHERE kind = 5 ORDER BY v <-> some_vector(5, 200) LIMIT 20) a;
SELECT count(*) FROM (SELECT id FROM c ORDER BY v <-> NULL LIMIT 5) a;

-- Equal rows, new versions (in the row's chain and not), deleted rows, an open cursor
INSERT INTO c SELECT 10000 + id, v, h, kind FROM c WHERE id <= 30;
UPDATE c SET kind = kind + 10 WHERE id % 10 = 1;
DELETE FROM c WHERE id % 3 = 0;
BEGIN;
DECLARE cur CURSOR FOR SELECT id FROM c ORDER BY v <-> (SELECT v FROM c WHERE id = 50) LIMIT 40;
FETCH 2 FROM cur;
DELETE FROM c WHERE id = 50;
FETCH 1 FROM cur;
SELECT count(*) FROM (SELECT id FROM c ORDER BY v <-> some_vector(50, 200) LIMIT 1) x WHERE id = 50;
ROLLBACK;
SELECT * FROM same('SELECT v <-> some_vector(50, 200) AS d FROM c ORDER BY v <-> some_vector(50, 200) LIMIT 15',
    'SELECT v <-> some_vector(50, 200) AS d FROM c ORDER BY (v <-> some_vector(50, 200)) + 0 LIMIT 15');
VACUUM c;
INSERT INTO c SELECT 20000 + i, some_vector(i + 20000, 200), some_vector(i + 20000, 200)::halfvec, 3 FROM generate_series(1, 500) i;
SELECT * FROM same('SELECT v <-> some_vector(20051, 200) AS d FROM c ORDER BY v <-> some_vector(20051, 200) LIMIT 15',
    'SELECT v <-> some_vector(20051, 200) AS d FROM c ORDER BY (v <-> some_vector(20051, 200)) + 0 LIMIT 15');
-- A rescan for each row
SELECT count(*), count(*) FILTER (WHERE q.id = n.id OR n.d = 0) FROM (SELECT id, v FROM c ORDER BY id LIMIT 50) q,
    LATERAL (SELECT id, c.v <-> q.v AS d FROM c ORDER BY c.v <-> q.v LIMIT 1) n;
SELECT r.relname, k.* FROM pg_class r JOIN pg_am a ON a.oid = r.relam AND a.amname = 'hnsw', LATERAL hnsw_check(r.oid, true) k;

-- Made before there are rows, from any kind of table; REINDEX trains the codebook from them.
CREATE UNLOGGED TABLE e (id integer, v vector(64));
CREATE INDEX e_v ON e USING hnsw (v vector_cosine_ops) WITH (vector_bits = 2);
SELECT count(*) FROM (SELECT id FROM e ORDER BY v <=> some_vector(1, 64) LIMIT 5) a;
INSERT INTO e SELECT i, some_vector(i, 64) FROM generate_series(1, 1500) i;
INSERT INTO e VALUES (0, array_fill(0, ARRAY[64])::vector), (-1, NULL);
SELECT max(recall) > 0.95 AS good FROM hnsw_recall('e_v', 10, 30);
SELECT * FROM hnsw_check('e_v', true);
REINDEX INDEX e_v;
SELECT max(recall) > 0.95 AS good FROM hnsw_recall('e_v', 10, 30);
SELECT * FROM hnsw_check('e_v', true);
CREATE TEMP TABLE t AS SELECT * FROM e WHERE v IS NOT NULL AND id > 0;
ALTER TABLE t ALTER v TYPE vector(64);
SET maintenance_work_mem = '1MB';
SET client_min_messages = warning;
CREATE INDEX t_v ON t USING hnsw (v vector_l2_ops) WITH (vector_bits = 2, m = 8);
RESET client_min_messages;
RESET maintenance_work_mem;
SELECT max(recall) > 0.95 AS good FROM hnsw_recall('t_v', 10, 30);
SELECT * FROM hnsw_check('t_v', true);

-- Rows far from the origin: codes are of how they lie around their mean.
CREATE TABLE far (id integer, v vector(64));
INSERT INTO far SELECT i, (SELECT array_agg(10 + random()) FROM generate_series(1, 63 + sign(i)::integer))::vector FROM generate_series(1, 3000) i;
CREATE INDEX far_l2 ON far USING hnsw (v vector_l2_ops) WITH (vector_bits = 2);
CREATE INDEX far_cosine ON far USING hnsw (v vector_cosine_ops) WITH (vector_bits = 2);
SELECT i, max(recall) > 0.85 AS good FROM unnest('{far_l2,far_cosine}'::regclass[]) i, hnsw_recall(i, 10, 50) WHERE ef_search <= 40 GROUP BY i ORDER BY i;
INSERT INTO far SELECT i, (SELECT array_agg(10 + random()) FROM generate_series(1, 63 + sign(i)::integer))::vector FROM generate_series(3001, 3500) i;
DELETE FROM far WHERE id % 10 = 1;
VACUUM far;
SELECT i, max(recall) > 0.85 AS good FROM unnest('{far_l2,far_cosine}'::regclass[]) i, hnsw_recall(i, 10, 50) WHERE ef_search <= 40 GROUP BY i ORDER BY i;
SELECT k.* FROM unnest('{far_l2,far_cosine}'::regclass[]) i, LATERAL hnsw_check(i, true) k;

\set VERBOSITY default
CREATE INDEX ON c USING hnsw (v vector_l2_ops) WITH (vector_bits = 3);
CREATE INDEX ON c USING hnsw (v vector_l1_ops) WITH (vector_bits = 2);
DROP TABLE c, e, t, far;
DROP FUNCTION same, some_vector;
