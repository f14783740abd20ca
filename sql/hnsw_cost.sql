-- Which index the planner chooses. The tests only show choices where the costs are far apart.
SET max_parallel_workers_per_gather = 0;
CREATE FUNCTION plan_of(query text) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
    plan jsonb;
BEGIN
    EXECUTE 'EXPLAIN (FORMAT JSON) ' || query INTO plan;
    RETURN plan;
END $$;
CREATE FUNCTION chosen(query text) RETURNS text LANGUAGE sql AS $$
    SELECT coalesce(string_agg(DISTINCT name #>> '{}', ', '), 'no index') FROM jsonb_path_query(plan_of(query), '$.**."Index Name"') name
$$;
CREATE FUNCTION total_cost(query text) RETURNS float8 LANGUAGE sql AS $$
    SELECT (plan_of(query) #>> '{0,Plan,Total Cost}')::float8
$$;

-- Small tables of short vectors are read from end to end; how small depends on ef_search.
CREATE TABLE narrow (id integer, v vector(3)) WITH (autovacuum_enabled = off);
CREATE INDEX narrow_v ON narrow USING hnsw (v vector_l2_ops);
INSERT INTO narrow SELECT i, ARRAY[i, i % 7, i % 11] FROM generate_series(1, 10) i;
ANALYZE narrow;
SELECT chosen('SELECT id FROM narrow ORDER BY v <-> ''[1,2,3]'' LIMIT 10');
INSERT INTO narrow SELECT i, ARRAY[i, i % 7, i % 11] FROM generate_series(11, 100) i;
ANALYZE narrow;
SELECT chosen('SELECT id FROM narrow ORDER BY v <-> ''[1,2,3]'' LIMIT 10');
INSERT INTO narrow SELECT i, ARRAY[i, i % 7, i % 11] FROM generate_series(101, 2000) i;
ANALYZE narrow;
SELECT chosen('SELECT id FROM narrow ORDER BY v <-> ''[1,2,3]'' LIMIT 10');
SET hnsw.ef_search = 1000;
SELECT chosen('SELECT id FROM narrow ORDER BY v <-> ''[1,2,3]'' LIMIT 10');
RESET hnsw.ef_search;
-- An index that is not in the cache is slower.
SET effective_cache_size = '64kB';
SELECT chosen('SELECT id FROM narrow ORDER BY v <-> ''[1,2,3]'' LIMIT 10');
RESET effective_cache_size;

-- Wide vectors are stored out of line. The index is faster even in a small table.
CREATE TABLE wide (id integer, v vector(1536), h halfvec(1536), short vector(400)) WITH (autovacuum_enabled = off);
INSERT INTO wide SELECT i, v, v::halfvec, subvector(v, 1, 400) FROM
    (SELECT i, (SELECT array_agg(sin(i * j)) FROM generate_series(1, 1536) j)::vector AS v FROM generate_series(1, 100) i) x;
CREATE INDEX wide_v ON wide USING hnsw (v vector_l2_ops);
CREATE INDEX wide_h ON wide USING hnsw (h halfvec_l2_ops);
ANALYZE wide;
SELECT array_fill(1, ARRAY[1536])::vector AS q \gset
SELECT chosen(format('SELECT id FROM wide ORDER BY v <-> %L LIMIT 10', :'q'));
SELECT chosen(format('SELECT id FROM wide ORDER BY h <-> %L LIMIT 10', :'q'));
SET hnsw.ef_search = 400;
SELECT chosen(format('SELECT id FROM wide ORDER BY v <-> %L LIMIT 10', :'q'));
RESET hnsw.ef_search;
-- The reason: the cost of a distance, per row.
SELECT column_name, round(((total_cost(format('SELECT id FROM wide ORDER BY %s', distance)) - total_cost('SELECT id FROM wide ORDER BY id')) / 100)::numeric, 1) AS cost FROM (VALUES
    ('v', format('v <-> %L', :'q')),
    ('v', format('l2_distance(%L, v)', :'q')),
    ('v', format('(v <=> %L) + 1', :'q')),
    ('v, cast', format('v::halfvec(1536) <-> %L', :'q')),
    ('v, both', 'v <-> v'),
    ('v, 3 dimensions of it', 'subvector(v, 1, 3) <-> ''[1,2,3]'''),
    ('h', format('h <-> %L', :'q')),
    ('short', 'short <-> short'),
    ('none', format('%L <-> %L::vector', :'q', :'q'))) x (column_name, distance);
-- Without statistics, a vector of 4 kB is assumed to be out of line.
CREATE TABLE inline (id integer, v vector(1000)) WITH (autovacuum_enabled = off);
ALTER TABLE inline ALTER v SET STORAGE plain;
INSERT INTO inline SELECT i, (SELECT array_agg(sin(i * j)) FROM generate_series(1, 1000) j) FROM generate_series(1, 100) i;
SELECT total_cost('SELECT id FROM inline ORDER BY v <-> v') > 1.5 * total_cost('SELECT id FROM inline ORDER BY id') AS out_of_line;
ANALYZE inline;
SELECT total_cost('SELECT id FROM inline ORDER BY v <-> v') > 1.5 * total_cost('SELECT id FROM inline ORDER BY id') AS out_of_line;

-- A large table. The planner takes the number of pages from the file and multiplies it by reltuples / relpages, the rows per page
-- that ANALYZE counted last. So a larger reltuples makes these 2,000 rows on 500 pages 2,000,000. An index without WHERE has as many
-- rows as its table. The number of its pages cannot be changed in this way: the indexes here are smaller than real ones.
CREATE TABLE big (id integer, r integer, v vector(3), filler text) WITH (autovacuum_enabled = off);
ALTER TABLE big ALTER filler SET STORAGE plain;
INSERT INTO big SELECT i, i, ARRAY[i, i % 7, i % 11], repeat('x', 1900) FROM generate_series(0, 1999) i;
CREATE INDEX big_v ON big USING hnsw (v vector_l2_ops);
CREATE INDEX big_r ON big (r);
ANALYZE big;
UPDATE pg_class SET reltuples = 2000000 WHERE relname = 'big';
CREATE VIEW choices AS SELECT filter, chosen(format('SELECT id FROM big WHERE %s ORDER BY v <-> ''[1,2,3]'' LIMIT 10', filter)) FROM
    (VALUES (1, 'true'), (2, 'r < 1000'), (3, 'r < 4'), (4, 'r < 0')) x (n, filter) ORDER BY n;
SELECT * FROM choices;
-- A scan that ends before it has found the rows does not become cheaper by that.
SET hnsw.max_scan_tuples = 100;
SELECT * FROM choices;
RESET hnsw.max_scan_tuples;
SET hnsw.iterative_scan = off;
SELECT * FROM choices;
SET hnsw.iterative_scan = relaxed_order;
SELECT * FROM choices;
RESET hnsw.iterative_scan;
-- Without the other index.
BEGIN;
DROP INDEX big_r;
SELECT * FROM (VALUES ('r < 20'), ('r < 0')) x (filter), chosen(format('SELECT id FROM big WHERE %s ORDER BY v <-> ''[1,2,3]'' LIMIT 10', filter));
ROLLBACK;
-- All rows, or very many.
SELECT chosen('SELECT id FROM big ORDER BY v <-> ''[1,2,3]''');
SELECT chosen('SELECT id FROM big ORDER BY v <-> ''[1,2,3]'' LIMIT 1000000');
-- With a threshold, the scan ends at it, and returns all rows within it if it iterates.
SELECT chosen('SELECT id FROM big WHERE v <-> ''[1,2,3]'' < 10 ORDER BY v <-> ''[1,2,3]''');
SELECT chosen('SELECT id FROM big WHERE v <-> ''[1,2,3]'' > 10 ORDER BY v <-> ''[1,2,3]''');
SET hnsw.iterative_scan = off;
SELECT chosen('SELECT id FROM big WHERE v <-> ''[1,2,3]'' < 10 ORDER BY v <-> ''[1,2,3]''');
RESET hnsw.iterative_scan;
SELECT chosen('SELECT array(SELECT id FROM big ORDER BY v <-> ''[1,2,3]'')');
SELECT chosen('SELECT rank() OVER (ORDER BY v <-> ''[1,2,3]'') FROM big');
SET enable_seqscan = off;
SELECT chosen('SELECT id FROM big ORDER BY v <-> ''[1,2,3]''');
RESET enable_seqscan;
-- Some rows.
SELECT chosen('SELECT id FROM big ORDER BY v <-> ''[1,2,3]'' LIMIT 1000');
SELECT chosen('SELECT id FROM big ORDER BY v <-> ''[1,2,3]'' LIMIT 10 OFFSET 500');
SELECT chosen('SELECT id FROM (SELECT id FROM big ORDER BY v <-> ''[1,2,3]'') x LIMIT 10');
SELECT chosen('SELECT rank() OVER (ORDER BY v <-> ''[1,2,3]'') FROM big LIMIT 10');
SELECT chosen('SELECT min(v <-> ''[1,2,3]'') FROM big');
SELECT chosen('DECLARE c CURSOR FOR SELECT id FROM big ORDER BY v <-> ''[1,2,3]''');
SELECT chosen('SELECT * FROM (VALUES (''[1,2,3]''::vector)) q (v), LATERAL (SELECT id FROM big ORDER BY big.v <-> q.v LIMIT 10) n');
SELECT chosen('SELECT * FROM (VALUES (1)) q (r), LATERAL (SELECT id FROM big WHERE big.r = q.r ORDER BY v <-> ''[1,2,3]'' LIMIT 10) n');
-- A join: with all rows of the table, and with few of them.
CREATE TABLE other (id integer PRIMARY KEY, r integer) WITH (autovacuum_enabled = off);
INSERT INTO other SELECT i, i FROM generate_series(0, 1999) i;
ANALYZE other;
UPDATE pg_class SET reltuples = 2000000 WHERE relname = 'other';
CREATE INDEX big_id ON big (id);
SELECT chosen('SELECT big.id FROM big JOIN other USING (id) ORDER BY v <-> ''[1,2,3]'' LIMIT 10');
SELECT chosen('SELECT big.id FROM big JOIN other USING (id) WHERE other.id = 7 ORDER BY v <-> ''[1,2,3]'' LIMIT 10');
-- A generic plan does not know the LIMIT.
SET plan_cache_mode = force_generic_plan;
PREPARE nearest(bigint) AS SELECT id FROM big ORDER BY v <-> '[1,2,3]' LIMIT $1;
PREPARE nearest_few(bigint) AS SELECT id FROM big WHERE r < 4 ORDER BY v <-> '[1,2,3]' LIMIT $1;
SELECT chosen('EXECUTE nearest(10)'), chosen('EXECUTE nearest_few(10)');
RESET plan_cache_mode;
-- A partial index has fewer of the rows that do not fulfil the WHERE condition.
CREATE INDEX big_part ON big USING hnsw (v vector_l2_ops) WHERE r < 200;
SELECT chosen('SELECT id FROM big WHERE r < 200 ORDER BY v <-> ''[1,2,3]'' LIMIT 10');
DROP VIEW choices;
DROP TABLE narrow, wide, inline, big, other;
DROP FUNCTION chosen, total_cost, plan_of;
