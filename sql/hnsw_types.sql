-- hnsw: L1, bit and sparsevec operator classes
SET enable_seqscan = off;
CREATE VIEW problems AS SELECT c.relname, k.* FROM pg_class c JOIN pg_am a ON a.oid = c.relam AND a.amname = 'hnsw',
    LATERAL hnsw_check(c.oid, true) k WHERE c.relkind = 'i' ORDER BY 1, 2, 3;
CREATE TABLE t (id integer, v vector(3), h halfvec(3), b bit(64), s sparsevec(1000));
INSERT INTO t SELECT i, ARRAY[i, i % 7, i % 11]::vector, ARRAY[i, i % 7, i % 11]::halfvec, i::bit(64),
    format('{%s:%s,%s:%s,1000:1}/1000', 1 + i % 500, i, 501 + i % 499, i % 13 + 1)::sparsevec
    FROM generate_series(1, 1000) i;
INSERT INTO t VALUES (0, NULL, NULL, NULL, NULL);
-- taxicab
CREATE INDEX l1 ON t USING hnsw (v vector_l1_ops);
EXPLAIN (COSTS OFF) SELECT id FROM t ORDER BY v <+> '[500,3,5]' LIMIT 3;
SELECT id, v <+> '[500,3,5]' AS d FROM t ORDER BY v <+> '[500,3,5]', id LIMIT 3;
SELECT * FROM problems;
DROP INDEX l1;
CREATE INDEX l1 ON t USING hnsw (h halfvec_l1_ops);
SELECT id, h <+> '[500,3,5]' AS d FROM t ORDER BY h <+> '[500,3,5]', id LIMIT 3;
SELECT count(*) FROM (SELECT * FROM t ORDER BY h <+> (SELECT NULL::halfvec) LIMIT 7) s;
SELECT * FROM problems;
DROP INDEX l1;
-- bits
CREATE INDEX hamming ON t USING hnsw (b bit_hamming_ops);
EXPLAIN (COSTS OFF) SELECT id FROM t ORDER BY b <~> 513::bit(64) LIMIT 3;
SELECT id, b <~> 513::bit(64) AS d FROM t ORDER BY b <~> 513::bit(64), id LIMIT 3;
SELECT count(*) > 990 FROM (SELECT id FROM t ORDER BY b <~> 513::bit(64) LIMIT 2000) s;
SELECT id FROM t ORDER BY b <~> B'101' LIMIT 1;
SELECT count(*) FROM (SELECT * FROM t ORDER BY b <~> (SELECT NULL::bit(64)) LIMIT 7) s;
SELECT * FROM problems;
DROP INDEX hamming;
CREATE INDEX jaccard ON t USING hnsw (b bit_jaccard_ops);
SELECT id, b <%> 513::bit(64) AS d FROM t ORDER BY b <%> 513::bit(64), id LIMIT 3;
SELECT * FROM problems;
DROP INDEX jaccard;
-- wide bits are read instead of kept; the widest there are
CREATE TABLE wide (id integer, b bit(2048));
INSERT INTO wide SELECT i, (repeat(i::bit(16)::text, 128))::bit(2048) FROM generate_series(1, 500) i;
CREATE INDEX wide_b ON wide USING hnsw (b bit_hamming_ops);
SELECT sketch_bits, slots_per_page FROM hnsw_meta('wide_b');
SELECT id FROM wide ORDER BY b <~> repeat(77::bit(16)::text, 128)::bit(2048) LIMIT 1;
SELECT * FROM problems;
DROP TABLE wide;
CREATE TABLE wide (id integer, b bit(64000));
INSERT INTO wide SELECT i, repeat(i::bit(16)::text, 4000)::bit(64000) FROM generate_series(1, 100) i;
CREATE INDEX wide_b ON wide USING hnsw (b bit_hamming_ops);
SELECT id FROM wide ORDER BY b <~> repeat(77::bit(16)::text, 4000)::bit(64000) LIMIT 1;
SELECT * FROM problems;
DROP TABLE wide;
-- sparse
CREATE INDEX sparse ON t USING hnsw (s sparsevec_l2_ops);
EXPLAIN (COSTS OFF) SELECT id FROM t ORDER BY s <-> '{10:10,511:11,1000:1}/1000' LIMIT 3;
SELECT id, s <-> '{10:10,511:11,1000:1}/1000' AS d FROM t ORDER BY s <-> '{10:10,511:11,1000:1}/1000', id LIMIT 3;
SELECT id FROM t ORDER BY s <-> '{1:1}/3' LIMIT 1;
SELECT * FROM problems;
DROP INDEX sparse;
CREATE TABLE ip (id integer, s sparsevec(10));
INSERT INTO ip SELECT i, format('{1:%s,4:%s,9:%s}/10', i, i % 7 + 1, i % 11 + 1)::sparsevec FROM generate_series(1, 1000) i;
CREATE INDEX sparse ON ip USING hnsw (s sparsevec_ip_ops);
SELECT id, s <#> '{1:1}/10' AS d FROM ip ORDER BY s <#> '{1:1}/10' LIMIT 2;
SELECT * FROM problems;
DROP TABLE ip;
CREATE INDEX sparse ON t USING hnsw (s sparsevec_cosine_ops);
SELECT id, round((s <=> '{10:10,511:11,1000:1}/1000')::numeric, 6) AS d FROM t ORDER BY s <=> '{10:10,511:11,1000:1}/1000' LIMIT 1;
INSERT INTO t (id, s) VALUES (3000, '{}/1000');   -- has no direction: not in the index
SELECT count(*) FROM (SELECT id FROM t ORDER BY s <=> '{1:1}/1000' LIMIT 2000) x WHERE id = 3000;
SELECT count(*) FROM (SELECT id FROM t ORDER BY s <=> '{}/1000' LIMIT 5) x;
SELECT * FROM problems;
DROP INDEX sparse;
CREATE INDEX sparse ON t USING hnsw (s sparsevec_l1_ops);
SELECT id, s <+> '{10:10,511:11,1000:1}/1000' AS d FROM t ORDER BY s <+> '{10:10,511:11,1000:1}/1000', id LIMIT 2;
SELECT * FROM problems;
DROP TABLE t;
-- sparse vectors that take several slots: built, inserted, deleted, reused. They have nothing in common, which
-- strands some searches; that all rows are there is for hnsw_check to say.
CREATE TABLE long (id integer, s sparsevec(100000));
CREATE FUNCTION long_vector(i integer, n integer) RETURNS sparsevec LANGUAGE sql AS
    $$SELECT ('{' || string_agg(format('%s:%s', j, 1 + (i * 7919 + j * 31) % 101), ',' ORDER BY j) || '}/100000')::sparsevec
      FROM generate_series(1 + i, i + n) j$$;
INSERT INTO long SELECT i, long_vector(i, i % 400 + 1) FROM generate_series(1, 300) i;
CREATE INDEX long_s ON long USING hnsw (s sparsevec_l2_ops);
INSERT INTO long SELECT i, long_vector(i, i % 400 + 1) FROM generate_series(301, 500) i;
INSERT INTO long VALUES (1001, long_vector(1001, 1000));
SELECT nodes, overflow_slots > 500 AS overflow FROM hnsw_stats('long_s');
SELECT count(*) > 350 FROM long l, LATERAL (SELECT id FROM long ORDER BY long.s <-> l.s LIMIT 1) n WHERE n.id = l.id;
DELETE FROM long WHERE id % 2 = 0;
VACUUM long;
SELECT nodes, free_slots > 400 AS free FROM hnsw_stats('long_s');
SELECT count(*) > 100 FROM long l, LATERAL (SELECT id FROM long ORDER BY long.s <-> l.s LIMIT 1) n WHERE n.id = l.id;
INSERT INTO long VALUES (2000, long_vector(5, 1001));
SELECT count(*) FROM (SELECT id FROM long ORDER BY s <-> (SELECT long_vector(5, 1001)) LIMIT 1) x;
SELECT * FROM problems;
DROP TABLE long;
DROP FUNCTION long_vector;
-- what can't be indexed
CREATE TABLE bad (s sparsevec, b bit(64001), v vector(3));
CREATE INDEX ON bad USING hnsw (s sparsevec_l2_ops);
CREATE INDEX ON bad USING hnsw (b bit_hamming_ops);
CREATE INDEX ON bad USING hnsw (v vector_l1_ops) WITH (sketch_fold = 1);
DROP TABLE bad;
CREATE TABLE varying (b varbit(64));
CREATE INDEX ON varying USING hnsw (b bit_hamming_ops);
CREATE INDEX ON varying USING hnsw ((b::bit(64)) bit_hamming_ops);
DROP TABLE varying;
-- An operator class as pgvector makes it, without support function 3: functions 1 and 2 tell the metric.
CREATE OPERATOR CLASS like_pgvectors FOR TYPE halfvec USING hnsw AS OPERATOR 1 <=> FOR ORDER BY float_ops,
    FUNCTION 1 halfvec_negative_inner_product(halfvec, halfvec), FUNCTION 2 l2_norm(halfvec);
CREATE OPERATOR CLASS unknown FOR TYPE halfvec USING hnsw AS OPERATOR 1 <-> FOR ORDER BY float_ops, FUNCTION 1 l2_distance(halfvec, halfvec);
CREATE OPERATOR CLASS told FOR TYPE halfvec USING hnsw AS OPERATOR 1 <-> FOR ORDER BY float_ops, FUNCTION 1 l2_distance(halfvec, halfvec),
    FUNCTION 3 hnsw_halfvec_l2_support(internal);
CREATE TABLE classes (h halfvec(3));
INSERT INTO classes SELECT ARRAY[i, i % 7, i % 11]::halfvec FROM generate_series(1, 300) i;
CREATE INDEX classes_h ON classes USING hnsw (h like_pgvectors);
SELECT metric FROM hnsw_meta('classes_h');
SELECT * FROM hnsw_check('classes_h', true);
CREATE INDEX classes_told ON classes USING hnsw (h told);
SELECT metric FROM hnsw_meta('classes_told');
CREATE INDEX ON classes USING hnsw (h unknown);
SELECT opcname, amvalidate(oid) FROM pg_opclass WHERE opcname IN ('like_pgvectors', 'unknown') ORDER BY 1;
DROP TABLE classes;
DROP OPERATOR FAMILY like_pgvectors USING hnsw;
DROP OPERATOR FAMILY unknown USING hnsw;
DROP OPERATOR FAMILY told USING hnsw;
DROP VIEW problems;
SELECT count(*), bool_and(amvalidate(opc.oid)) FROM pg_opclass opc JOIN pg_am am ON am.oid = opcmethod WHERE amname = 'hnsw';
