-- Scans with filters: how many nodes they visit at most, and how many rows they return under each setting
SET enable_seqscan = off;
SET jit = off;
CREATE FUNCTION wave(i integer) RETURNS vector LANGUAGE sql IMMUTABLE AS
    $$ SELECT array_agg(hashint8(i::bigint * 1000 + j) / 2147483648.0 ORDER BY j)::vector(12) FROM generate_series(1, 12) j $$;
-- Of 8,000 rows, 50 % and 1 % have the value 1 in these columns, one has, all have.
CREATE TABLE f (id integer, v vector(12), half integer, percent integer, one integer, same integer);
INSERT INTO f SELECT i, wave(i), i % 2, (i % 100 = 7)::integer, (i = 4321)::integer, 1 FROM generate_series(1, 8000) i;
CREATE INDEX f_v ON f USING hnsw (v vector_l2_ops, half, percent, one, same);
ANALYZE f;

-- Runs a query, and returns how many rows it has, whether each matches, whether they are in order, and whether the scan's
-- visits are within a bound. The bound is of a part that depends on the slots of the index, and of one that does not.
CREATE FUNCTION try(condition text, lim integer, slots_share float8, more integer, table_name text DEFAULT 'f')
RETURNS TABLE (rows bigint, match boolean, sorted boolean, within boolean) LANGUAGE plpgsql AS $$
DECLARE
    n bigint;
    slots float8;
BEGIN
    EXECUTE format('SELECT count(*), bool_and(%1$s), array_agg(dist) = array_agg(dist ORDER BY dist) FROM
        (SELECT *, v <-> wave(0) AS dist FROM %2$s WHERE %1$s ORDER BY v <-> wave(0) LIMIT %3$s) x', condition, table_name, lim) INTO rows, match, sorted;
    SELECT visited INTO n FROM hnsw_last_scan();
    SELECT pages * slots_per_page INTO slots FROM hnsw_stats((table_name || '_v')::regclass), hnsw_meta((table_name || '_v')::regclass);
    within := n <= slots * slots_share + more;
    IF NOT within THEN
        RAISE NOTICE '% visits, % slots', n, slots;
    END IF;
    RETURN NEXT;
END $$;

-- A scan reads all flat pages: of their entries, 1,600 codes or 64 sketches count as a visit. Then it visits nodes that match, and ends
-- after 240 visits that find none that is nearer. Where half of the rows match, it begins in the graph, for at most twice that cost.
SET hnsw.iterative_scan = off;
SELECT * FROM try('one = 77', 10, 1 / 1600.0, 1);
SELECT * FROM try('one = 1', 10, 1 / 1600.0, 1 + 1);
SELECT * FROM try('percent = 1', 10, 1 / 1600.0, 2 + 80);
SELECT * FROM try('half = 1', 10, 3 / 1600.0, 3 * 63 + 32 + 300);
SELECT * FROM try('same = 1', 10, 3 / 1600.0, 3 * 125 + 32 + 300);
-- It returns no more rows than ef_search.
SELECT * FROM try('half = 1', 100, 3 / 1600.0, 3 * 63 + 32 + 300);
SET hnsw.ef_search = 200;
SELECT * FROM try('half = 1', 200, 3 / 1600.0, 3 * 63 + 32 + 1500);
RESET hnsw.ef_search;
-- One that iterates visits each node that matches once.
SET hnsw.iterative_scan = relaxed_order;
SELECT * FROM try('one = 77', 10, 1 / 1600.0, 1);
SELECT * FROM try('one = 1', 10, 1 / 1600.0, 1 + 1);
SELECT rows, match, within FROM try('percent = 1', 1000, 1 / 1600.0, 2 + 80);
SELECT rows, match, within FROM try('half = 1', 10000, 1 / 2.0, 1000);
SELECT rows, match, within FROM try('same = 1', 10000, 1, 1000);
SELECT rows, match, within FROM try('half = 1 AND percent = 1 AND one = 0', 10000, 1 / 1600.0, 2 + 80);
SELECT rows, match, within FROM try('half = 0 AND percent = 1', 10000, 1 / 1600.0, 1);
-- strict order: later rows that are too near are dropped
SET hnsw.iterative_scan = strict_order;
SELECT * FROM try('one = 77', 10, 1 / 1600.0, 1);
SELECT * FROM try('one = 1', 10, 1 / 1600.0, 1 + 1);
SELECT * FROM try('half = 1', 10, 3 / 1600.0, 3 * 63 + 32 + 300);
SELECT rows, match, sorted FROM try('half = 1', 100, 1, 0);
SELECT rows > 70 AS most, match, sorted FROM try('percent = 1', 1000, 1, 0);
-- All rows that LIMIT asks for, in strict order, too.
SELECT rows, match, sorted FROM try('half = 1', 1000, 1, 0);
-- max_scan_tuples ends a scan, but not before it has read the flat pages.
SET hnsw.max_scan_tuples = 50;
SELECT within FROM try('one = 77', 10, 0, 50);
SELECT within FROM try('percent = 1', 1000, 0, 50);
SELECT within, rows > 0 AS rows FROM try('half = 1', 10000, 1 / 1600.0, 50 + 63);
SET hnsw.iterative_scan = relaxed_order;
SELECT within FROM try('percent = 1', 1000, 0, 50);
SELECT within, rows > 0 AS rows FROM try('half = 1', 10000, 1 / 1600.0, 50 + 63);
RESET hnsw.max_scan_tuples;
-- NULL is equally far from all rows.
SELECT count(*), min(percent) FROM (SELECT percent FROM f WHERE percent = 1 ORDER BY v <-> NULL LIMIT 1000) x;
SELECT count(*), min(half) FROM (SELECT half FROM f WHERE half = 1 ORDER BY v <-> (SELECT NULL::vector) LIMIT 7) x;
SELECT visited, rows FROM hnsw_last_scan();
SELECT count(*) FROM (SELECT FROM f WHERE one = 77 ORDER BY v <-> (SELECT NULL::vector) LIMIT 7) x;

-- The nearest of the rows that match are found.
RESET hnsw.iterative_scan;
CREATE FUNCTION recall(condition text) RETURNS float8 LANGUAGE plpgsql AS $$
DECLARE good bigint := 0; wanted bigint := 0; found integer[]; best integer[];
BEGIN
    FOR q IN 1 .. 20 LOOP
        EXECUTE format('SELECT array_agg(id) FROM (SELECT id FROM f WHERE %s ORDER BY v <-> wave(-$1) LIMIT 10) x', condition) INTO found USING q;
        EXECUTE format('SELECT array_agg(id) FROM (SELECT id FROM f WHERE %s ORDER BY (v <-> wave(-$1)) + 0 LIMIT 10) x', condition) INTO best USING q;
        good := good + (SELECT count(*) FROM unnest(found) i WHERE i = ANY (best));
        wanted := wanted + array_length(best, 1);
    END LOOP;
    RETURN good::float8 / wanted;
END $$;
SELECT c, recall(c) > 0.9 AS good FROM unnest('{half = 1,percent = 1,one = 1,same = 1,half = 0 AND id < 4000}'::text[]) c;

-- Codes of 8 columns have 2 bits for each: most nodes that a code admits do not match. A scan that iterates still
-- returns what LIMIT asks for.
CREATE TABLE w (id integer, v vector(12), a integer, b integer, c integer, d integer, e text, f text, g date, h integer);
INSERT INTO w SELECT i, wave(i), i % 40, i % 41, i % 43, i % 47, 'e' || i % 50, 'f' || i % 53, '2024-01-01'::date + i % 59, i FROM generate_series(1, 4000) i;
CREATE INDEX w_v ON w USING hnsw (v vector_l2_ops, a, b, c, d, e, f, g, h);
ANALYZE w;
SELECT rows, match, sorted FROM try('a = 7', 10, 0, 10000, 'w');
SELECT rows, match, sorted FROM try('e = ''e9''', 10, 0, 10000, 'w');
SELECT rows, match, sorted FROM try('h BETWEEN 1000 AND 1020', 10, 0, 10000, 'w');
SELECT rows, match, sorted FROM try('h = 1234', 10, 0, 10000, 'w');
SELECT rows, match, sorted FROM try('a = 7 AND b = 7 AND c = 7 AND d = 7', 10, 0, 10000, 'w');
SET hnsw.iterative_scan = relaxed_order;
SELECT rows, match FROM try('a = 7', 1000, 0, 10000, 'w');
SELECT rows, match FROM try('g = ''2024-01-10'' AND f IN (''f1'', ''f2'')', 1000, 0, 10000, 'w');
RESET hnsw.iterative_scan;

-- One vector far away from all others does not make the sketches on flat pages worse. (With the mean as their centre, a search
-- visited each of the 700 nodes that match.)
CREATE TABLE far (id integer, v vector(12), n integer);
INSERT INTO far SELECT i, CASE i WHEN 77 THEN array_fill(1e7::real, ARRAY[12])::vector ELSE wave(i) END, i % 5 FROM generate_series(1, 3500) i;
CREATE INDEX far_v ON far USING hnsw (v vector_l2_ops, n);
ANALYZE far;
SET hnsw.iterative_scan = off;
SELECT * FROM try('n = 3', 10, 1 / 1600.0, 700 / 64 + 250, 'far');
RESET hnsw.iterative_scan;

-- What a scan did: visits and pages, and without sketches, where a search visits what does not match, the nodes that were
-- rejected by their codes. Since PostgreSQL 18, EXPLAIN ANALYZE shows the same, for all loops together.
SELECT count(*) FROM (SELECT FROM f WHERE half = 1 ORDER BY v <-> wave(0) LIMIT 10) x;
SELECT visited > 0 AS visited, pages >= visited AS pages, rows FROM hnsw_last_scan();
CREATE TABLE u (id integer, v vector(12), half integer);
INSERT INTO u SELECT id, v, half FROM f WHERE id <= 1000;
CREATE INDEX u_v ON u USING hnsw (v vector_l1_ops, half);
ANALYZE u;
SELECT count(*) FROM (SELECT FROM u WHERE half = 1 ORDER BY v <+> wave(0) LIMIT 10) x;
SELECT visited > 0 AS visited, rejected > 0 AS rejected FROM hnsw_last_scan();
SELECT count(*) FROM (SELECT FROM u ORDER BY v <+> wave(0) LIMIT 10) x;
SELECT rejected FROM hnsw_last_scan();
CREATE FUNCTION explained(query text, label text) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    plan jsonb;
BEGIN
    EXECUTE 'EXPLAIN (ANALYZE, FORMAT JSON) ' || query INTO plan;
    RETURN jsonb_path_query_first(plan, ('$.**."' || label || '"')::jsonpath);
END $$;
-- The same number as that of hnsw_last_scan(), or none before PostgreSQL 18.
CREATE FUNCTION shows(query text, label text, name text) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    shown bigint := explained(query, label);
    counted bigint;
BEGIN
    EXECUTE format('SELECT %I FROM hnsw_last_scan()', name) INTO counted;
    RETURN shown IS NOT DISTINCT FROM CASE WHEN current_setting('server_version_num')::integer >= 180000 THEN counted END;
END $$;
\set q '''SELECT FROM u WHERE half = 1 ORDER BY v <+> wave(0) LIMIT 10'''
SELECT shows(:q, 'Nodes Visited', 'visited'), shows(:q, 'Index Pages Read', 'pages'), shows(:q, 'Nodes Rejected by Filter Codes', 'rejected');
SELECT coalesce(explained('SELECT FROM generate_series(1, 3) i, LATERAL (SELECT FROM u WHERE half = i / i ORDER BY v <+> wave(0) LIMIT 10) x', 'Nodes Visited')
    = 3 * visited, current_setting('server_version_num')::integer < 180000) AS all_loops FROM hnsw_last_scan();
-- No plan without a scan has them, nor one that has not run.
SELECT explained('SELECT FROM f WHERE id = 3', 'Nodes Visited');
SELECT coalesce(explained('SELECT FROM u WHERE id < 0 AND 1 = (SELECT 2) ORDER BY v <+> wave(0) LIMIT 10', 'Nodes Visited'), 0) AS visited;
DROP TABLE u;
DROP FUNCTION explained, shows;

-- an empty index
CREATE TABLE e (id integer, v vector(12), n integer);
CREATE INDEX e_v ON e USING hnsw (v vector_l2_ops, n);
SET statement_timeout = '5s';
SELECT id FROM e WHERE n = 1 ORDER BY v <-> wave(0) LIMIT 10;
RESET statement_timeout;
DROP TABLE e;
-- hnsw_check reports rows whose filter columns changed without the index, and none that changed with it. (In plpgsql, because
-- a function in SQL would become a part of the index's expression.)
CREATE FUNCTION tenant_of(i integer) RETURNS integer IMMUTABLE LANGUAGE plpgsql AS 'BEGIN RETURN i % 10; END';
CREATE TABLE k (id integer, v vector(12), n integer);
INSERT INTO k SELECT i, wave(i), i % 5 FROM generate_series(1, 300) i;
CREATE INDEX k_v ON k USING hnsw (v vector_l2_ops, (tenant_of(id)), n);
UPDATE k SET n = 7 WHERE id % 50 = 0;
SELECT count(*) FROM hnsw_check('k_v', true);
CREATE OR REPLACE FUNCTION tenant_of(i integer) RETURNS integer IMMUTABLE LANGUAGE plpgsql AS 'BEGIN RETURN CASE WHEN i IN (42, 43) THEN NULL ELSE i % 10 END; END';
SELECT problem ~ '^node does not match the filter columns of row \(\d+,\d+\)$' AS known, count(*) FROM hnsw_check('k_v', true) GROUP BY 1;
SELECT count(*) FROM hnsw_check('k_v');
REINDEX INDEX k_v;
SELECT count(*) FROM hnsw_check('k_v', true);
DROP TABLE f, w, k, far;
DROP FUNCTION try, recall, wave, tenant_of;
