-- VACUUM divides the rows again when the table has grown.
SET client_min_messages = warning;
CREATE FUNCTION vec(i integer) RETURNS vector LANGUAGE sql IMMUTABLE AS
    'SELECT array_agg(sin(i * j * 0.37 + j * j))::vector FROM generate_series(1, 24) j';
-- How many of the nearest ten rows does the index find, on average of 40 queries, and in how many lists?
CREATE FUNCTION found(query text, OUT recall float8, OUT lists bigint) LANGUAGE plpgsql AS $$
DECLARE exact integer[]; hits integer := 0;
BEGIN
    lists := 0;
    FOR n IN 1..40 LOOP
        SET enable_indexscan = off;
        EXECUTE format(query, 'vec(' || n || ' * 1000 + 500)') INTO exact;
        RESET enable_indexscan;
        SET enable_seqscan = off;
        SET enable_sort = off;
        DECLARE got integer[];
        BEGIN
            EXECUTE format(query, 'vec(' || n || ' * 1000 + 500)') INTO got;
            hits := hits + (SELECT count(*) FROM unnest(got) g WHERE g = ANY (exact));
        END;
        lists := lists + (SELECT s.lists FROM ivfflat_last_scan() s);
        RESET enable_seqscan;
        RESET enable_sort;
    END LOOP;
    recall := hits / 400.0;
    lists := lists / 40;
END $$;
CREATE TABLE grow (id integer PRIMARY KEY, v vector(24)) WITH (autovacuum_enabled = off);
CREATE INDEX grow_v ON grow USING ivfflat (v vector_l2_ops);
SELECT lists, chosen FROM (SELECT lists, lists_chosen AS chosen FROM ivfflat_meta('grow_v')) x;
INSERT INTO grow SELECT i, vec(i) FROM generate_series(1, 6000) i;
SELECT rows, lists FROM ivfflat_stats('grow_v');
VACUUM grow;
SELECT rows, lists BETWEEN 60 AND 100 AS lists, max_rows < 1500 AS lengths FROM ivfflat_stats('grow_v');
SELECT m.lists = s.lists AS noted FROM ivfflat_meta('grow_v') m, ivfflat_stats('grow_v') s;
SELECT * FROM ivfflat_check('grow_v', true);
SET ivfflat.probes = 20;
SELECT recall > 0.6 AS recall, f.lists < 25 AS some_lists FROM found('SELECT array_agg(id) FROM (SELECT id FROM grow ORDER BY v <-> %s LIMIT 10) x') f;
SET ivfflat.probes = 100;
SELECT recall, f.lists = s.lists AS all_lists FROM found('SELECT array_agg(id) FROM (SELECT id FROM grow ORDER BY v <-> %s LIMIT 10) x') f, ivfflat_stats('grow_v') s;
RESET ivfflat.probes;
-- the number of lists for a recall was learnt
SET ivfflat.recall = 0.9;
SELECT recall > 0.75 AS recall, f.lists < s.lists AS not_all FROM found('SELECT array_agg(id) FROM (SELECT id FROM grow ORDER BY v <-> %s LIMIT 10) x') f, ivfflat_stats('grow_v') s;
RESET ivfflat.recall;
-- all rows, for a query that is NULL
SET enable_seqscan = off;
SELECT count(*), count(DISTINCT id) FROM (SELECT id FROM grow ORDER BY v <-> NULL) x;
RESET enable_seqscan;
-- not again without growth
CREATE TEMPORARY TABLE before AS SELECT lists FROM ivfflat_meta('grow_v');
DELETE FROM grow WHERE id % 10 = 0;
VACUUM grow;
INSERT INTO grow SELECT i, vec(i) FROM generate_series(10, 6000, 10) i;
VACUUM grow;
SELECT before.lists = m.lists AS same FROM before, ivfflat_meta('grow_v') m;
SELECT * FROM ivfflat_check('grow_v', true);

-- with the option lists, until there are as many
CREATE TABLE few (id integer, v halfvec(24), c integer) WITH (autovacuum_enabled = off);
CREATE INDEX few_v ON few USING ivfflat (v halfvec_cosine_ops, c) WITH (lists = 10);
INSERT INTO few SELECT i, vec(i), i % 3 FROM generate_series(1, 3000) i;
VACUUM few;
SELECT rows, lists FROM ivfflat_stats('few_v');
INSERT INTO few SELECT i, vec(i), i % 3 FROM generate_series(3001, 9000) i;
VACUUM few;
SELECT rows, lists FROM ivfflat_stats('few_v');
SELECT * FROM ivfflat_check('few_v', true);
SET enable_seqscan = off;
SELECT count(*), min(c), max(c) FROM (SELECT c FROM few WHERE c = 2 ORDER BY v <=> NULL) x;
SET ivfflat.probes = 10;
SELECT count(*), bool_and(c = 2) AS matching FROM (SELECT c FROM few WHERE c = 2 ORDER BY v <=> vec(7)::halfvec LIMIT 5000) x;
RESET ivfflat.probes;
RESET enable_seqscan;

-- bit strings
CREATE TABLE bits (id integer, b bit(64)) WITH (autovacuum_enabled = off);
CREATE INDEX bits_b ON bits USING ivfflat (b bit_hamming_ops);
INSERT INTO bits SELECT i, binary_quantize((SELECT array_agg(sin(i * j * 0.37 + j * j))::vector FROM generate_series(1, 64) j)) FROM generate_series(1, 20000) i;
VACUUM bits;
SELECT rows, lists > 20 AS lists FROM ivfflat_stats('bits_b');
SELECT * FROM ivfflat_check('bits_b', true);

-- equal rows cannot be divided
CREATE TABLE equal (v vector(3)) WITH (autovacuum_enabled = off);
CREATE INDEX equal_v ON equal USING ivfflat (v vector_l2_ops);
INSERT INTO equal SELECT '[1,2,3]' FROM generate_series(1, 5000);
VACUUM equal;
SELECT rows, lists FROM ivfflat_stats('equal_v');
SELECT * FROM ivfflat_check('equal_v', true);

-- unlogged and temporary tables
CREATE UNLOGGED TABLE unlogged (v vector(24)) WITH (autovacuum_enabled = off);
CREATE INDEX unlogged_v ON unlogged USING ivfflat (v vector_ip_ops);
INSERT INTO unlogged SELECT v FROM grow;
VACUUM unlogged;
SELECT rows, lists BETWEEN 60 AND 100 AS lists FROM ivfflat_stats('unlogged_v');
SELECT * FROM ivfflat_check('unlogged_v', true);
CREATE TEMPORARY TABLE temporary (v vector(24));
CREATE INDEX temporary_v ON temporary USING ivfflat (v vector_ip_ops);
INSERT INTO temporary SELECT v FROM grow;
VACUUM temporary;
SELECT rows, lists BETWEEN 60 AND 100 AS lists FROM ivfflat_stats('temporary_v');
SELECT * FROM ivfflat_check('temporary_v', true);

DROP TABLE grow, few, bits, equal, unlogged, temporary, before;
DROP FUNCTION found, vec;
