-- ivfflat: pages that come and go, what the inspection functions tell, recall
SET enable_seqscan = off;
SET jit = off;
-- VACUUM keeps the rows that another transaction may see, so wait until there is none.
CREATE PROCEDURE alone() LANGUAGE plpgsql AS $$
BEGIN
    FOR i IN 1 .. 1500 LOOP
        PERFORM pg_stat_clear_snapshot();
        EXIT WHEN NOT EXISTS (SELECT FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND (backend_xmin IS NOT NULL OR backend_xid IS NOT NULL));
        PERFORM pg_sleep(0.02);
    END LOOP;
END $$;
CREATE FUNCTION waves(start integer, n integer, OUT id integer, OUT v vector) RETURNS SETOF record LANGUAGE sql IMMUTABLE AS
    'SELECT i, (SELECT array_agg(sin(i * j * 0.37) + 5 ORDER BY j) FROM generate_series(1, 128) j)::vector FROM generate_series(start, start + n - 1) i';
-- What must always hold: all lists have all rows, each row is found by its own vector, ivfflat_check finds nothing.
CREATE FUNCTION verify(tab regclass, OUT rows bigint, OUT reached bigint, OUT missed bigint, OUT problems bigint)
    LANGUAGE plpgsql SET enable_seqscan = off SET ivfflat.probes = 32768 AS $$
BEGIN
    EXECUTE format('SELECT count(*) FROM %s', tab) INTO rows;
    EXECUTE format('SELECT count(DISTINCT id) FROM (SELECT id FROM %s ORDER BY v <-> (SELECT v FROM %1$s LIMIT 1)) s', tab) INTO reached;
    EXECUTE format('SELECT count(*) FROM %s a WHERE id %% 4 = 0 AND (SELECT b.v <-> a.v FROM %1$s b ORDER BY b.v <-> a.v LIMIT 1)
        IS DISTINCT FROM (a.v <-> a.v)', tab) INTO missed;
    SELECT count(*) INTO problems FROM pg_index i, LATERAL ivfflat_check(i.indexrelid, true) k WHERE i.indrelid = tab;
END $$;
CREATE TABLE t (id integer, v vector(128));
ALTER TABLE t SET (autovacuum_enabled = off);
INSERT INTO t SELECT * FROM waves(1, 2000);
CREATE INDEX t_v ON t USING ivfflat (v vector_l2_ops) WITH (lists = 4);
SELECT pages > list_pages + code_pages + root_pages AS more, list_pages >= 4 AS list_pages, code_pages > list_pages AS code_pages, root_pages,
    free_pages, rows, lists, min_rows > 0 AS min_rows, mean_rows, max_rows BETWEEN 500 AND 2000 AS max_rows, free_places > 0 AS free_places,
    page_fill BETWEEN 0.3 AND 1 AS page_fill, row_bytes BETWEEN 170 AND 400 AS row_bytes
FROM ivfflat_stats('t_v');
SELECT rows_per_page BETWEEN 20 AND 300 AS rows_per_page, row_bytes BETWEEN 160 AND 250 AS row_bytes, lists_per_probe FROM ivfflat_meta('t_v');
SELECT * FROM verify('t');
-- deleted and refilled: the pages are used again
CREATE TABLE size AS SELECT pages, list_pages, code_pages FROM ivfflat_stats('t_v');
DELETE FROM t WHERE id > 200;
CALL alone();
VACUUM t;
SELECT rows, s.list_pages < size.list_pages AS fewer, s.code_pages < size.code_pages AS fewer_codes, free_pages > 10 AS free, s.pages = size.pages AS same_size
FROM ivfflat_stats('t_v') s, size;
SELECT * FROM verify('t');
INSERT INTO t SELECT * FROM waves(201, 1800);
SELECT rows, s.pages <= size.pages * 1.1 AS same_size FROM ivfflat_stats('t_v') s, size;
SELECT * FROM verify('t');
-- updates of all rows, and a vacuum
UPDATE t SET v = v;
UPDATE t SET v = v + v WHERE id % 2 = 0;
CALL alone();
VACUUM t;
SELECT * FROM verify('t');
-- everything
DELETE FROM t;
CALL alone();
VACUUM t;
SELECT list_pages, code_pages BETWEEN 4 AND 64 AS code_pages, rows, min_rows, mean_rows, max_rows, page_fill, row_bytes FROM ivfflat_stats('t_v');
SELECT * FROM verify('t');
INSERT INTO t SELECT * FROM waves(1, 500);
SELECT * FROM verify('t');
-- rolled back
BEGIN;
INSERT INTO t SELECT * FROM waves(501, 500);
SELECT count(*) FROM (SELECT id FROM t ORDER BY v <-> (SELECT v FROM waves(700, 1)) LIMIT 5) x;
ROLLBACK;
SELECT * FROM verify('t');
SELECT count(*) AS of_dead_rows FROM ivfflat_check('t_v', true);
BEGIN;
TRUNCATE t;
INSERT INTO t SELECT * FROM waves(1, 50);
ROLLBACK;
SELECT * FROM verify('t');
CALL alone();
VACUUM t;
SELECT rows FROM ivfflat_stats('t_v');
-- A cursor sees its rows, whatever happens to others.
BEGIN;
DECLARE c CURSOR FOR SELECT id FROM t ORDER BY v <-> (SELECT v FROM waves(1, 1));
FETCH 1 FROM c;
DELETE FROM t;
INSERT INTO t SELECT * FROM waves(2001, 600);
MOVE ALL FROM c;
COMMIT;
SELECT * FROM verify('t');

-- recall by probes
TRUNCATE t;
INSERT INTO t SELECT * FROM waves(1, 1500);
CREATE INDEX chosen ON t USING ivfflat (v vector_cosine_ops);
REINDEX INDEX t_v;
SELECT min(probes), bool_and(recall >= before) AS rising, max(recall) >= 0.99 AS good, bool_and(ms > 0 AND estimated > 0) AS measured
FROM (SELECT *, coalesce(lag(recall) OVER (ORDER BY probes), 0) - 0.005 AS before FROM ivfflat_recall('t_v')) x;
SELECT max(probes) <= 128 AS hundredths, max(recall) >= 0.99 AS good FROM ivfflat_recall('chosen', 5, 40);
SHOW ivfflat.probes;
-- An index that chooses how many lists are searched finds as many as it says, about. ivfflat_recall counts probes all the same.
SET ivfflat.recall = 0.9;
SELECT lists BETWEEN 1 AND 60 AS some FROM (SELECT count(*) FROM (SELECT id FROM t ORDER BY v <=> (SELECT v FROM t LIMIT 1) LIMIT 10) x) y, ivfflat_last_scan();
SELECT min(probes), max(recall) >= 0.99 AS good FROM ivfflat_recall('chosen', 5, 40);
SHOW ivfflat.recall;
SET ivfflat.recall = 1;
SELECT l.lists = m.lists AS all FROM (SELECT count(*) FROM (SELECT id FROM t ORDER BY v <=> (SELECT v FROM t LIMIT 1) LIMIT 10) x) y, ivfflat_last_scan() l, ivfflat_meta('chosen') m;
SET ivfflat.recall = 1.1;
RESET ivfflat.recall;
SELECT max(recall) >= 0.99 AS good FROM ivfflat_recall('t_v', (SELECT array_agg(v) FROM t WHERE id <= 20), k => 20);
SELECT * FROM ivfflat_recall('t_v', '{}'::vector[]);
SELECT * FROM ivfflat_recall('t_v', 0);
SELECT * FROM ivfflat_recall('t_v', '{1,2}'::int[]);
CREATE TABLE r (v vector(3));
CREATE INDEX r_v ON r USING ivfflat (v vector_l2_ops);
SELECT * FROM ivfflat_recall('r_v');
INSERT INTO r SELECT '[1,2,3]' FROM generate_series(1, 100);
SELECT probes, recall FROM ivfflat_recall('r_v');

-- Who may call them
CREATE ROLE regress_ivfflat;
SET ROLE regress_ivfflat;
SELECT * FROM ivfflat_meta('t_v');
SELECT * FROM ivfflat_stats('t_v');
SELECT * FROM ivfflat_recall('t_v');
SELECT * FROM ivfflat_check('t_v');
SELECT rows >= 0 FROM ivfflat_last_scan();
RESET ROLE;
GRANT EXECUTE ON FUNCTION ivfflat_check(regclass, boolean) TO regress_ivfflat;
SET ROLE regress_ivfflat;
SELECT * FROM ivfflat_check('t_v');
RESET ROLE;
REVOKE EXECUTE ON FUNCTION ivfflat_check(regclass, boolean) FROM regress_ivfflat;
DROP ROLE regress_ivfflat;
-- Rows that the table has, but not the index, and the other way round
CREATE TABLE c (id integer, v vector(3));
INSERT INTO c SELECT i, ARRAY[i, 1, 2]::vector FROM generate_series(1, 20) i;
CREATE INDEX c_v ON c USING ivfflat (v vector_l2_ops) WITH (lists = 2);
UPDATE pg_index SET indisready = false WHERE indexrelid = 'c_v'::regclass;
INSERT INTO c VALUES (21, '[21,1,2]');
UPDATE pg_index SET indisready = true WHERE indexrelid = 'c_v'::regclass;
SELECT * FROM ivfflat_check('c_v');
SELECT place, problem FROM ivfflat_check('c_v', true);
REINDEX INDEX c_v;
SELECT * FROM ivfflat_check('c_v', true);
DROP TABLE t, r, c, size;
DROP FUNCTION waves, verify;
DROP PROCEDURE alone;
