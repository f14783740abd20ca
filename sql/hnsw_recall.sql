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

-- With a filter, of the rows that fulfil it, by this index and no other one: filter columns, other columns, both, a partial
-- index, an expression, other types.
CREATE INDEX r_filters ON r USING hnsw (v vector_l2_ops, wanted, id);
CREATE INDEX r_expr_filters ON r USING hnsw ((v::halfvec(16)) halfvec_cosine_ops, wanted);
ANALYZE r;
SELECT i, f, min(recall) > 0.5 AS good, max(recall) >= 0.99 AS best, bool_and(visited > 0) AS visited
FROM unnest('{r_l2,r_filters,r_part,r_expr_filters,r_b,r_s}'::regclass[]) i, unnest('{wanted,wanted AND id < 1000,"id IN (1, 5, 9, 30) -- these"}'::text[]) f,
    hnsw_recall(i, 10, 20, f) GROUP BY i, f ORDER BY i, f COLLATE "C";
SELECT max(recall) >= 0.99 AS good FROM hnsw_recall('r_filters', (SELECT array_agg(v) FROM r WHERE id <= 20), filter => 'NOT wanted');
SELECT count(*) FROM hnsw_recall('r_filters', filter => 'false');
SELECT count(*) FROM hnsw_recall('r_filters', filter => 'id < 0');
SELECT count(*) > 0 AS as_without FROM hnsw_recall('r_filters', filter => NULL);
-- It finds what queries find.
SET hnsw.ef_search = 10;
SET enable_seqscan = off;
CREATE TABLE found_f AS SELECT x.* FROM r q, LATERAL (SELECT q.id AS query, r.v <-> q.v AS d FROM r WHERE id % 7 = 0 ORDER BY r.v <-> q.v LIMIT 7) x WHERE q.id <= 50;
RESET enable_seqscan;
RESET hnsw.ef_search;
CREATE TABLE exact_f AS SELECT q.id AS query, max(x.d) AS d FROM r q, LATERAL (SELECT (r.v <-> q.v) + 0 AS d FROM r WHERE id % 7 = 0 ORDER BY d LIMIT 7) x WHERE q.id <= 50 GROUP BY q.id;
SELECT round(count(*) / 350.0, 2) = round(max(recall)::numeric, 2) AS same FROM found_f JOIN exact_f USING (query),
    (SELECT recall FROM hnsw_recall('r_l2', (SELECT array_agg(v) FROM r WHERE id <= 50), 7, 'id % 7 = 0') WHERE ef_search = 10) x WHERE found_f.d <= exact_f.d + 1e-6;
DROP TABLE found_f, exact_f;
-- It is one condition; it does not write; settings and plans are as before.
SELECT count(*) FROM hnsw_recall('r_filters', filter => 'true); DROP TABLE r; SELECT (1');
SELECT count(*) FROM hnsw_recall('r_filters', filter => 'id <');
SELECT count(*) FROM hnsw_recall('r_filters', filter => '');
SELECT count(*) FROM hnsw_recall('r_filters', filter => 'nothing = 1');
SELECT count(*) FROM hnsw_recall('r_filters', filter => 'id');
SELECT count(*) FROM hnsw_recall('r_filters', filter => 'id / 0 = 1');
SHOW enable_seqscan;
SHOW plan_cache_mode;
EXPLAIN (COSTS OFF) SELECT id FROM r ORDER BY b <~> repeat('1', 64)::bit(64) LIMIT 1;
-- It runs as the table's owner, with the caller's search_path.
CREATE ROLE regress_recall_owner;
CREATE SCHEMA of_caller;
GRANT USAGE ON SCHEMA of_caller TO regress_recall_owner;
CREATE FUNCTION of_caller.noted(boolean) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    IF current_user <> 'regress_recall_owner' THEN
        RAISE EXCEPTION 'runs as %', current_user;
    END IF;
    RETURN $1;
END $$;
ALTER TABLE r OWNER TO regress_recall_owner;
SET search_path = of_caller, public;
SELECT max(recall) >= 0.99 AS good FROM hnsw_recall('r_filters', 5, 10, 'noted(wanted)');
SHOW search_path;
RESET search_path;
CREATE TABLE secret AS SELECT 1 AS id;
SELECT count(*) FROM hnsw_recall('r_filters', filter => 'id IN (SELECT id FROM secret)');
SET ROLE regress_recall_owner;
SELECT max(recall) >= 0.99 AS good FROM hnsw_recall('r_filters', 5, 10, 'of_caller.noted(wanted)');
RESET ROLE;
-- Row-level security is for other roles than the owner, unless it is forced.
ALTER TABLE r ENABLE ROW LEVEL SECURITY;
ALTER TABLE r FORCE ROW LEVEL SECURITY;
SELECT count(*) FROM hnsw_recall('r_filters', 5, 10, 'wanted');
ALTER TABLE r NO FORCE ROW LEVEL SECURITY;
SELECT count(*) > 0 AS rows FROM hnsw_recall('r_filters', 5, 10, 'wanted');
ALTER TABLE r DISABLE ROW LEVEL SECURITY;
ALTER TABLE r OWNER TO CURRENT_USER;
DROP FUNCTION of_caller.noted;
DROP SCHEMA of_caller;
DROP TABLE secret;
DROP ROLE regress_recall_owner;

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
