-- ivfflat: halfvec, bit, many dimensions, domains
SET enable_seqscan = off;
SET jit = off;
CREATE VIEW problems AS SELECT c.relname, k.* FROM pg_class c JOIN pg_am a ON a.oid = c.relam AND a.amname = 'ivfflat',
    LATERAL ivfflat_check(c.oid, true) k WHERE c.relkind = 'i' ORDER BY 1, 2, 3;
CREATE TABLE t (id integer, h halfvec(3), b bit(64));
INSERT INTO t SELECT i, ARRAY[i, i % 7, i % 11]::halfvec, i::bit(64) FROM generate_series(1, 1000) i;
INSERT INTO t VALUES (0, NULL, NULL);
SET ivfflat.probes = 20;
CREATE INDEX h_l2 ON t USING ivfflat (h halfvec_l2_ops) WITH (lists = 20);
SELECT id, h <-> '[500,3,5]' AS d FROM t ORDER BY h <-> '[500,3,5]', id LIMIT 3;
SELECT count(*), count(DISTINCT id) FROM (SELECT id FROM t ORDER BY h <-> '[500,3,5]') x;
SELECT count(*) FROM (SELECT id FROM t ORDER BY h <-> (SELECT NULL::halfvec)) x;
INSERT INTO t (id, h) VALUES (2000, '[500,3,5.5]');
SELECT id FROM t ORDER BY h <-> '[500,3,5.5]' LIMIT 1;
DELETE FROM t WHERE id = 2000;
SELECT * FROM problems;
DROP INDEX h_l2;
CREATE INDEX h_ip ON t USING ivfflat (h halfvec_ip_ops) WITH (lists = 20);
SELECT id, h <#> '[1,0,0]' AS d FROM t ORDER BY h <#> '[1,0,0]' LIMIT 2;
SELECT * FROM problems;
DROP INDEX h_ip;
CREATE INDEX h_cosine ON t USING ivfflat (h halfvec_cosine_ops) WITH (lists = 20);
SELECT round((h <=> '[1,1,1]')::numeric, 5) AS d FROM t ORDER BY h <=> '[1,1,1]' LIMIT 1;
INSERT INTO t (id, h) VALUES (3000, '[0,0,0]');   -- has no direction: not in the index
SELECT count(*) FROM (SELECT id FROM t ORDER BY h <=> '[1,1,1]') x WHERE id = 3000;
SELECT * FROM problems;
DROP INDEX h_cosine;
-- bits
CREATE INDEX b_hamming ON t USING ivfflat (b bit_hamming_ops) WITH (lists = 20);
SELECT id, b <~> 513::bit(64) AS d FROM t ORDER BY b <~> 513::bit(64), id LIMIT 3;
SELECT count(*), count(DISTINCT id) FROM (SELECT id FROM t ORDER BY b <~> 513::bit(64)) x;
SELECT count(*) FROM (SELECT d, lag(d) OVER () AS before FROM (SELECT b <~> 513::bit(64) AS d FROM t ORDER BY b <~> 513::bit(64)) x) y WHERE d < before;
SELECT count(*) FROM (SELECT id FROM t ORDER BY b <~> (SELECT NULL::bit(64))) x;
SELECT id FROM t ORDER BY b <~> B'101' LIMIT 1;
SELECT metric, vector_bits, sketch_bits FROM ivfflat_meta('b_hamming');
INSERT INTO t (id, b) VALUES (2000, ~ 0::bit(64));
SELECT id FROM t ORDER BY b <~> (~ 1::bit(64)) LIMIT 1;
DELETE FROM t WHERE id % 3 = 0;
VACUUM t;
SELECT count(*), count(DISTINCT id) FROM (SELECT id FROM t ORDER BY b <~> 513::bit(64)) x;
SELECT * FROM problems;
DROP TABLE t;
-- As many dimensions as the types have, or ivfflat: built and inserted.
CREATE FUNCTION wave(i integer, n integer) RETURNS real[] LANGUAGE sql IMMUTABLE AS
    $$ SELECT array_agg(sin(i * 7.3 + j * (i % 10 + 1)) ORDER BY j)::real[] FROM generate_series(1, n) j $$;
CREATE TABLE wide (id integer, v vector(2000), h halfvec(8000), w vector(8000), b bit(64000));
ALTER TABLE wide ALTER v SET STORAGE EXTERNAL, ALTER h SET STORAGE EXTERNAL, ALTER w SET STORAGE EXTERNAL;
INSERT INTO wide SELECT i, wave(i, 2000)::vector, wave(i, 8000)::halfvec, wave(i, 8000)::vector, repeat(i::bit(16)::text, 4000)::bit(64000)
    FROM generate_series(1, 30) i;
CREATE INDEX wide_v ON wide USING ivfflat (v vector_l2_ops) WITH (lists = 4);
CREATE INDEX wide_h ON wide USING ivfflat (h halfvec_cosine_ops) WITH (lists = 4);
CREATE INDEX wide_w ON wide USING ivfflat (w vector_ip_ops) WITH (lists = 4);
CREATE INDEX wide_b ON wide USING ivfflat (b bit_hamming_ops) WITH (lists = 4);
INSERT INTO wide SELECT i, wave(i, 2000)::vector, wave(i, 8000)::halfvec, wave(i, 8000)::vector, repeat(i::bit(16)::text, 4000)::bit(64000)
    FROM generate_series(31, 40) i;
SELECT i, m.metric, m.dims, m.vector_bits, m.sketch_bits FROM unnest('{wide_v,wide_h,wide_w,wide_b}'::regclass[]) i, ivfflat_meta(i) m ORDER BY i::text;
SELECT id FROM wide ORDER BY v <-> wave(23, 2000)::vector LIMIT 1;
SELECT id FROM wide ORDER BY v <-> wave(37, 2000)::vector LIMIT 1;
SELECT id FROM wide ORDER BY h <=> wave(23, 8000)::halfvec LIMIT 1;
SELECT id FROM wide ORDER BY h <=> wave(37, 8000)::halfvec LIMIT 1;
SELECT count(*) FROM (SELECT id FROM wide ORDER BY w <#> wave(23, 8000)::vector) x;
SELECT id FROM wide ORDER BY b <~> repeat(23::bit(16)::text, 4000)::bit(64000) LIMIT 1;
SELECT id FROM wide ORDER BY b <~> repeat(37::bit(16)::text, 4000)::bit(64000) LIMIT 1;
DELETE FROM wide WHERE id % 2 = 0;
VACUUM wide;
SELECT count(*) FROM (SELECT id FROM wide ORDER BY v <-> wave(23, 2000)::vector) x;
SELECT count(*) FROM (SELECT id FROM wide ORDER BY b <~> repeat(23::bit(16)::text, 4000)::bit(64000)) x;
SELECT * FROM problems;
DROP TABLE wide;
-- more and fewer bits
CREATE TABLE bits (id integer, v vector(64));
INSERT INTO bits SELECT i, wave(i, 64)::vector FROM generate_series(1, 1500) i;
CREATE INDEX bits_4 ON bits USING ivfflat (v vector_l2_ops) WITH (lists = 10, vector_bits = 4);
SELECT vector_bits FROM ivfflat_meta('bits_4');
SELECT id FROM bits ORDER BY v <-> wave(333, 64)::vector LIMIT 1;
SELECT * FROM problems;
DROP INDEX bits_4;
CREATE INDEX bits_12 ON bits USING ivfflat (v vector_cosine_ops) WITH (lists = 10, vector_bits = 12);
SELECT id FROM bits ORDER BY v <=> wave(333, 64)::vector LIMIT 1;
SELECT * FROM problems;
DROP INDEX bits_12;
CREATE INDEX bits_32 ON bits USING ivfflat (v vector_ip_ops) WITH (lists = 10, vector_bits = 32);
SELECT count(*) FROM (SELECT id FROM bits ORDER BY v <#> wave(333, 64)::vector) x;
SELECT * FROM problems;
DROP TABLE bits;
-- A domain has the dimensions of its base type.
CREATE DOMAIN embedding AS vector(3) CHECK (vector_norm(VALUE) > 0);
CREATE DOMAIN small_embedding AS embedding;
CREATE DOMAIN code AS bit(8);
CREATE TABLE domains (id serial, e embedding, s small_embedding, c code);
INSERT INTO domains (e, s, c) SELECT v, v, binary_quantize(v || v || '[1,0]')::bit(8)
    FROM (SELECT ARRAY[i, i % 7 - 3, i % 5 - 2]::vector AS v FROM generate_series(1, 200) i) x;
CREATE INDEX domains_e ON domains USING ivfflat (e vector_l2_ops);
CREATE INDEX domains_s ON domains USING ivfflat (s vector_cosine_ops);
CREATE INDEX domains_c ON domains USING ivfflat (c bit_hamming_ops);
SELECT id FROM domains ORDER BY e <-> '[100,-1,-2]' LIMIT 3;
INSERT INTO domains (e, s) VALUES ('[500,1,1]', '[1,500,1]');
UPDATE domains SET e = '[600,1,1]' WHERE id = 7;
SELECT id FROM domains ORDER BY e <-> '[600,1,1]' LIMIT 2;
SELECT id FROM domains ORDER BY s <=> '[0,1,0]' LIMIT 1;
SELECT max(recall) FROM ivfflat_recall('domains_e', (SELECT array_agg(e) FROM domains WHERE id < 20), k => 3);
REINDEX TABLE domains;
SELECT * FROM problems;
DROP TABLE domains;
DROP DOMAIN small_embedding, embedding, code;
-- what can't be indexed
CREATE TABLE bad (h halfvec, b bit(64001));
CREATE INDEX ON bad USING ivfflat (h halfvec_l2_ops);
CREATE INDEX ON bad USING ivfflat (b bit_hamming_ops);
CREATE INDEX ON bad USING ivfflat (b bit_jaccard_ops);
DROP TABLE bad;
DROP VIEW problems;
DROP FUNCTION wave;
