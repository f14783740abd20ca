-- Details in which pgvector's users meet the same: errors and their SQLSTATEs, catalog entries, settings.
\set SHOW_CONTEXT never
\set VERBOSITY sqlstate
-- Numbers too small for a float: zero in dense vectors; not in sparse ones, which store no zeros.
SELECT '[1e-46,-1e-400,1]'::vector, '[1e-46,1]'::halfvec;
SELECT '{1:1e-46,2:1}/2'::sparsevec;
SELECT '{2:1,1:-1e-400}/2'::sparsevec;
SELECT '{1:0x1p-200}/2'::sparsevec;
SELECT '{1:0,2:1e-45,3:-0.0,4:0e-99,5:0x0}/5'::sparsevec;
-- Elements that are written out count, zeros among them.
SELECT ('{' || string_agg(i || ':' || (i > 1)::integer, ',') || '}/20000')::sparsevec <> '{}/20000' FROM generate_series(1, 16000) i;
SELECT ('{' || string_agg(i || ':' || (i > 1)::integer, ',') || '}/20000')::sparsevec FROM generate_series(1, 16001) i;
-- An array's length comes before its elements.
SELECT '{1e39}'::numeric[]::vector(2);
SELECT '{1e-46}'::numeric[]::sparsevec(2);

-- The binary formats
CREATE TABLE bin (v vector, h halfvec, s sparsevec);
\copy bin (s) FROM PROGRAM 'printf "PGCOPY\n\377\r\n\0\0\0\0\0\0\0\0\0\0\1\0\0\0\24\0\0\0\1\0\0\0\2\0\0\0\0\0\0\0\0\0\0\0\1\377\377"' (FORMAT binary)
\copy bin (s) FROM PROGRAM 'printf "PGCOPY\n\377\r\n\0\0\0\0\0\0\0\0\0\0\1\0\0\0\24\0\0\0\5\0\0\0\1\0\0\0\0\0\0\0\4\77\200\0\0\377\377"' (FORMAT binary)
\copy bin (v) FROM PROGRAM 'printf "PGCOPY\n\377\r\n\0\0\0\0\0\0\0\0\0\0\1\0\0\0\10\377\377\0\0\77\200\0\0\377\377"' (FORMAT binary)
\copy bin (h) FROM PROGRAM 'printf "PGCOPY\n\377\r\n\0\0\0\0\0\0\0\0\0\0\1\0\0\0\6\0\1\377\377\74\0\377\377"' (FORMAT binary)
\copy bin (h) FROM PROGRAM 'printf "PGCOPY\n\377\r\n\0\0\0\0\0\0\0\0\0\0\1\0\0\0\6\0\1\0\0\74\0\377\377"' (FORMAT binary)
SELECT * FROM bin;
DROP TABLE bin;
\set VERBOSITY default

-- States of avg() made by hand: what has no sums yet is of any length, whatever its count.
SELECT vector_accum('{5}', '[1,2]'), halfvec_accum('{5}', '[1,2]'), vector_accum('{0,1,2}', '[1,2]'), vector_accum('{NaN}', '[1]');
SELECT vector_accum('{0,1,2,3}', '[1,2]');
SELECT halfvec_accum('{0,1}', '[1,2]');
SELECT vector_accum('{1,1.7e308}', '[3e38]');
SELECT vector_combine('{0,1,2}', '{1,3,4}'), vector_combine('{2}', '{1,3,4}'), vector_combine('{1,3,4}', '{2}'), halfvec_combine('{1}', '{2}');
SELECT vector_combine('{0,1,2}', '{1,3}');
SELECT vector_combine('{1e308,1}', '{1e308,2}'), vector_combine('{0}', '{1,Infinity}');
SELECT vector_combine('{1,1e308}', '{1,1e308}');
SELECT vector_combine(array_fill(0::float8, ARRAY[16002]), '{0}');
\set VERBOSITY sqlstate
SELECT vector_accum('{}', '[1]');
SELECT halfvec_accum('{{1,2}}', '[1]');
SELECT vector_avg('{1,NULL}');
SELECT halfvec_avg('{}');
SELECT halfvec_combine('{0}', '{NULL}');
\set VERBOSITY default
-- In an aggregate the state is changed in place, and only there.
CREATE AGGREGATE sum_from_one(vector) (SFUNC = vector_accum, STYPE = float8[], INITCOND = '{0,1,1}');
SELECT g, sum_from_one(v), avg(v) FROM (VALUES (1, '[1,2]'::vector), (1, '[3,4]'), (2, '[5,6]')) t(g, v) GROUP BY g ORDER BY g;
SELECT sum_from_one(v) OVER (ORDER BY v), avg(v) OVER (ORDER BY v) FROM (VALUES ('[1,2]'::vector), ('[3,4]'), ('[5,6]')) t(v);
DROP AGGREGATE sum_from_one(vector);

-- Of the wrong dimensions: the query's or the new row's first, then the index's.
SET enable_seqscan = off;
CREATE TABLE dims (v vector(3), h halfvec(3), s sparsevec(3), b bit(3));
INSERT INTO dims VALUES ('[1,2,3]', '[1,2,3]', '{1:1}/3', '101');
CREATE INDEX ON dims USING hnsw (v vector_l2_ops);
CREATE INDEX ON dims USING hnsw (h halfvec_cosine_ops);
CREATE INDEX ON dims USING hnsw (s sparsevec_ip_ops);
CREATE INDEX ON dims USING hnsw (b bit_hamming_ops);
SELECT 1 FROM dims ORDER BY v <-> '[1,2]' LIMIT 1;
SELECT 1 FROM dims ORDER BY h <=> '[1,2]' LIMIT 1;
SELECT 1 FROM dims ORDER BY s <#> '{1:1}/2' LIMIT 1;
SELECT 1 FROM dims ORDER BY b <~> B'10' LIMIT 1;
-- (As after ALTER TYPE to one without dimensions where the server keeps the index; not each minor release does.)
UPDATE pg_attribute SET atttypmod = -1 WHERE attrelid = 'dims'::regclass AND attnum > 0;
INSERT INTO dims (v) VALUES ('[1,2]');
INSERT INTO dims (h) VALUES ('[1,2]');
INSERT INTO dims (s) VALUES ('{1:1}/2');
DROP TABLE dims;

-- A domain has the dimensions of its base type.
CREATE DOMAIN embedding AS vector(3) CHECK (vector_norm(VALUE) > 0);
CREATE DOMAIN small_embedding AS embedding;
CREATE DOMAIN code AS bit(8);
CREATE DOMAIN of_any_length AS vector;
CREATE TABLE domains (id serial, e embedding, s small_embedding, c code, a of_any_length);
INSERT INTO domains (e, s, c, a) SELECT v, v, binary_quantize(v || v || '[1,0]')::bit(8), v
    FROM (SELECT ARRAY[i, i % 7 - 3, i % 5 - 2]::vector AS v FROM generate_series(1, 200) i) x;
CREATE INDEX domains_e ON domains USING hnsw (e vector_l2_ops);
CREATE INDEX domains_s ON domains USING hnsw (s vector_cosine_ops);
CREATE INDEX domains_c ON domains USING hnsw (c bit_hamming_ops);
CREATE INDEX ON domains USING hnsw (a vector_l2_ops);
CREATE INDEX ON domains USING hnsw ((a::embedding) vector_l2_ops);
EXPLAIN (COSTS OFF) SELECT id FROM domains ORDER BY e <-> '[100,-1,-2]' LIMIT 3;
SELECT id FROM domains ORDER BY e <-> '[100,-1,-2]' LIMIT 3;
INSERT INTO domains (e, s) VALUES ('[500,1,1]', '[1,500,1]');
UPDATE domains SET e = '[600,1,1]' WHERE id = 7;
SELECT id FROM domains ORDER BY e <-> '[600,1,1]' LIMIT 2;
SELECT id FROM domains ORDER BY s <=> '[0,1,0]' LIMIT 1;
SELECT max(recall) FROM hnsw_recall('domains_e', (SELECT array_agg(e) FROM domains WHERE id < 20), k => 3);
REINDEX TABLE domains;
SELECT count(*) FROM hnsw_check('domains_e', true);
SELECT count(*) FROM hnsw_check('domains_s', true);
SELECT count(*) FROM hnsw_check('domains_c', true);
DROP TABLE domains;
DROP DOMAIN small_embedding, embedding, code, of_any_length;
RESET enable_seqscan;

-- Comparison operators are the planner's as those of core types are.
WITH own AS (SELECT o.oprleft, o.oprname, c.oprname AS commutator, n.oprname AS negator, o.oprrest, o.oprjoin
    FROM pg_operator o LEFT JOIN pg_operator c ON c.oid = o.oprcom LEFT JOIN pg_operator n ON n.oid = o.oprnegate
    WHERE o.oprleft = o.oprright AND o.oprname IN ('<', '<=', '=', '<>', '>=', '>'))
SELECT t.type, count(*), count(*) FILTER (WHERE (own.oprname, commutator, negator, oprrest, oprjoin) IN
    (SELECT oprname, commutator, negator, oprrest, oprjoin FROM own WHERE oprleft = 'integer'::regtype)) AS as_integer
FROM unnest('{vector,halfvec,sparsevec,quantized}'::regtype[]) t(type) JOIN own ON oprleft = t.type GROUP BY 1 ORDER BY 1;
CREATE TABLE many AS SELECT ARRAY[i % 4, 1]::vector AS v FROM generate_series(1, 1000) i;
ANALYZE many;
CREATE FUNCTION estimate(condition text) RETURNS integer LANGUAGE plpgsql AS $$
DECLARE plan json;
BEGIN
    EXECUTE 'EXPLAIN (FORMAT JSON) SELECT FROM many WHERE ' || condition INTO plan;
    RETURN plan->0->'Plan'->>'Plan Rows';
END $$;
SELECT estimate($$v = '[1,1]'$$) AS equal, estimate($$v <> '[1,1]'$$) AS unequal;
DROP TABLE many;
DROP FUNCTION estimate;

-- Settings of ivfflat
SHOW ivfflat.probes;
SELECT name, setting, min_val, max_val, enumvals, context, extra_desc FROM pg_settings WHERE name LIKE 'ivfflat.%' ORDER BY 1;
SET ivfflat.probes = 10;
SELECT current_setting('ivfflat.probes');
RESET ivfflat.probes;
SET ivfflat.iterative_scan = relaxed_order;
SET ivfflat.iterative_scan = strict_order;
SET ivfflat.probes = 0;
