-- ivfflat: filter columns, thresholds
SET enable_seqscan = off;
SET jit = off;
CREATE FUNCTION wave(i integer) RETURNS vector LANGUAGE sql IMMUTABLE AS
    $$ SELECT array_agg(hashint8(i::bigint * 1000 + j) / 2147483648.0 ORDER BY j)::vector(12) FROM generate_series(1, 12) j $$;
-- Of 4,000 rows, 50 % and 1 % have the value 1 in these columns, one has.
CREATE TYPE colour AS ENUM ('red', 'green', 'blue');
CREATE TABLE f (id integer, v vector(12), half integer, percent integer, one integer, name text, col colour, day date, tags text[]);
INSERT INTO f SELECT i, wave(i), i % 2, (i % 100 = 7)::integer, (i = 2321)::integer, 'name ' || i % 50,
    (enum_range(NULL::colour))[i % 3 + 1], date '2026-01-01' + i % 365, ARRAY['t' || i % 10, 'u' || i % 70] FROM generate_series(1, 4000) i;
INSERT INTO f (id, v) SELECT i, wave(i) FROM generate_series(4001, 4020) i;
CREATE INDEX f_v ON f USING ivfflat (v vector_l2_ops, half, percent, one, name, col, day, tags) WITH (lists = 30);
VACUUM ANALYZE f;
-- How many rows a query has, whether they are those of a sequential scan, whether the scan of the index has them in order,
-- and whether few of them were compared.
CREATE FUNCTION try(condition text, lim integer DEFAULT 10, most integer DEFAULT 1000000,
    OUT rows integer, OUT same boolean, OUT sorted boolean, OUT few boolean) LANGUAGE plpgsql AS $$
DECLARE
    query text := format('SELECT array_agg(id ORDER BY d, id), array_agg(d) = array_agg(d ORDER BY d)
        FROM (SELECT id, v <-> wave(0) AS d FROM f WHERE %s ORDER BY v <-> wave(0) LIMIT %s) x', condition, lim);
    got integer[];
    wanted integer[];
BEGIN
    EXECUTE query INTO got, sorted;
    SELECT compared <= most INTO few FROM ivfflat_last_scan();
    SET LOCAL enable_indexscan = off;
    SET LOCAL enable_seqscan = on;
    EXECUTE query INTO wanted;
    SET LOCAL enable_indexscan = on;
    SET LOCAL enable_seqscan = off;
    rows := coalesce(array_length(got, 1), 0);
    same := got IS NOT DISTINCT FROM wanted;
END $$;
SET ivfflat.probes = 30;
EXPLAIN (COSTS OFF) SELECT id FROM f WHERE half = 1 AND one = 0 ORDER BY v <-> '[1,0,0,0,0,0,0,0,0,0,0,0]' LIMIT 10;
SELECT * FROM try('true', 5000);
SELECT * FROM try('half = 1', 5000);
-- (Rows that do not match are not compared, unless they have the same code.)
SELECT * FROM try('percent = 1', 5000, 100);
SELECT * FROM try('one = 1', 10, 20);
SELECT * FROM try('one = 77', 10, 20);
SELECT * FROM try('half = 1 AND percent = 1', 5000, 100);
SELECT * FROM try('half = 0 AND percent = 1', 5000, 100);
SELECT * FROM try($$name = 'name 7'$$, 5000);
SELECT * FROM try($$name IN ('name 7', 'name 8', 'nobody')$$, 5000);
SELECT * FROM try($$col = 'green' AND half = 1$$, 5000);
SELECT * FROM try($$day < '2026-01-10'$$, 5000);
SELECT * FROM try($$day BETWEEN '2026-03-01' AND '2026-03-05'$$, 5000);
SELECT * FROM try($$tags && '{t3,u69}'$$, 5000);
SELECT * FROM try($$tags @> '{t3,u13}'$$, 5000);
SELECT * FROM try('half IS NULL', 5000);
SELECT * FROM try('half IS NOT NULL AND percent = 1', 5000);
-- rows that come and go
INSERT INTO f SELECT i, wave(i), 7, 1, 0, 'new' FROM generate_series(5001, 5200) i;
SELECT * FROM try('half = 7', 5000);
UPDATE f SET half = 8 WHERE id = 5100;
SELECT * FROM try('half = 7', 5000);
SELECT * FROM try('half = 8', 5000);
DELETE FROM f WHERE half = 7 AND id % 2 = 0;
VACUUM f;
SELECT * FROM try('half = 7', 5000);
SELECT * FROM ivfflat_check('f_v', true);
-- Few probes find what they have; more lists follow if the scan goes on.
SET ivfflat.probes = 1;
SELECT count(*) < 30 AS some FROM (SELECT id FROM f WHERE percent = 1 ORDER BY v <-> wave(0) LIMIT 100) x;
SET ivfflat.iterative_scan = relaxed_order;
SELECT count(*), bool_and(percent = 1) FROM (SELECT * FROM f WHERE percent = 1 ORDER BY v <-> wave(0) LIMIT 200) x;
SELECT count(*), bool_and(id % 20 = 3) FROM (SELECT * FROM f WHERE id % 20 = 3 ORDER BY v <-> wave(0) LIMIT 200) x;
RESET ivfflat.iterative_scan;

-- thresholds
SET ivfflat.probes = 30;
SELECT rows > 3 AS some, same, sorted FROM try('v <-> wave(0) < 1.5', 1000);
SELECT rows > 0 AS some, same, sorted FROM try('v <-> wave(0) < 1.7 AND half = 1', 1000);
SELECT * FROM try('v <-> wave(0) < 0.1', 1000);
SELECT rows > 1000 AS many, same, sorted FROM try('v <-> wave(0) <= 100', 10000);
DROP TABLE f;
DROP TYPE colour;
CREATE TABLE t (id integer PRIMARY KEY, v vector(3), h halfvec(3), b bit(16));
INSERT INTO t SELECT i, ARRAY[i, i % 7, i % 11]::vector, ARRAY[i, i % 7, i % 11]::halfvec, i::bit(16) FROM generate_series(1, 2000) i;
CREATE INDEX t_ip ON t USING ivfflat (v vector_ip_ops) WITH (lists = 30);
CREATE INDEX t_cosine ON t USING ivfflat (v vector_cosine_ops) WITH (lists = 30);
CREATE INDEX t_h ON t USING ivfflat (h halfvec_l2_ops) WITH (lists = 30);
CREATE INDEX t_b ON t USING ivfflat (b bit_hamming_ops) WITH (lists = 30);
EXPLAIN (COSTS OFF) SELECT id FROM t WHERE v <#> '[1,3,5]' <= -2050 ORDER BY v <#> '[1,3,5]' LIMIT 50;
SELECT count(*) FROM (SELECT id FROM t WHERE v <#> '[1,3,5]' <= -2050 ORDER BY v <#> '[1,3,5]' LIMIT 50) x;
SELECT count(*) FROM t WHERE v <#> '[1,3,5]' <= -2050;
SELECT count(*) FROM (SELECT id FROM t WHERE v <=> '[100,3,5]' < 0.0002 ORDER BY v <=> '[100,3,5]' LIMIT 2000) x;
SELECT count(*) FROM t WHERE v <=> '[100,3,5]' < 0.0002;
SELECT count(*) FROM (SELECT id FROM t WHERE h <-> '[100,3,5]' < 4.5 ORDER BY h <-> '[100,3,5]' LIMIT 2000) x;
SELECT count(*) FROM t WHERE h <-> '[100,3,5]' < 4.5;
SELECT count(*) FROM (SELECT id FROM t WHERE b <~> 513::bit(16) < 3 ORDER BY b <~> 513::bit(16) LIMIT 2000) x;
SELECT count(*) FROM t WHERE b <~> 513::bit(16) < 3;
DROP TABLE t;
-- Without LIMIT, the query wants all rows within the threshold. Only a scan that iterates returns them.
RESET enable_seqscan;
CREATE TABLE t (id integer, v vector(3));
INSERT INTO t SELECT i, ARRAY[i % 101, i % 103, i % 107]::vector FROM generate_series(1, 10000) i;
CREATE INDEX t_v ON t USING ivfflat (v vector_l2_ops) WITH (lists = 100);
ANALYZE t;
SET ivfflat.probes = 1;
EXPLAIN (COSTS OFF) SELECT id FROM t WHERE v <-> '[50,50,50]' < 40 ORDER BY v <-> '[50,50,50]';
SELECT count(*) FROM (SELECT id FROM t WHERE v <-> '[50,50,50]' < 40 ORDER BY v <-> '[50,50,50]' OFFSET 0) x;
SET ivfflat.iterative_scan = relaxed_order;
EXPLAIN (COSTS OFF) SELECT id FROM t WHERE v <-> '[50,50,50]' < 40 ORDER BY v <-> '[50,50,50]';
SELECT count(*) FROM (SELECT id FROM t WHERE v <-> '[50,50,50]' < 40 ORDER BY v <-> '[50,50,50]' OFFSET 0) x;
DROP TABLE t;
DROP FUNCTION try, wave;
