-- ivfflat_advise: numbers of lists tried on a sample. What it begins with is tested in hnsw_advise.
\set SHOW_CONTEXT never
SET client_min_messages = warning;
CREATE TABLE adv (id integer, v vector, h halfvec(16), b bit(64), tenant integer);
-- Random numbers, the same on each server: 100 places with rows around them.
CREATE FUNCTION uniform(integer, integer) RETURNS float8 LANGUAGE sql IMMUTABLE AS $$ SELECT ('x' || left(md5($1 || '/' || $2), 7))::bit(28)::integer / 2.0 ^ 28 $$;
INSERT INTO adv SELECT i, v, v::halfvec(16), binary_quantize(v || v || v || v)::bit(64), i % 10 FROM (SELECT i,
    (SELECT array_agg(uniform(-(i % 100), j) + 0.7 * uniform(i, j) - 0.8 ORDER BY j) FROM generate_series(1, 16) j)::vector AS v FROM generate_series(1, 6000) i OFFSET 0) x;
ALTER TABLE adv ALTER v TYPE vector(16);
ANALYZE adv;
SELECT options, lists, index_bytes > 100000 AS size, recall BETWEEN 0.1 AND 1 AS recall, array_length(probes, 1) AS probes, rows_percent[3] BETWEEN 0.1 AND 100 AS percent, filter_percent, ddl
    FROM ivfflat_advise('adv', 'v', sample => 7000);

-- Advice from half of the rows, compared with the indexes that it proposes.
CREATE FUNCTION compare(type text, OUT options text, OUT lists boolean, OUT size boolean, OUT recall boolean, OUT enough boolean, OUT not_too_many boolean)
    RETURNS SETOF record LANGUAGE plpgsql AS $$
DECLARE
    a record;
    m record;
BEGIN
    FOR a IN SELECT * FROM ivfflat_advise('adv', type, sample => 3000, wanted => '{0.9}') LOOP
        options := a.options;
        EXECUTE regexp_replace(a.ddl, 'INDEX', 'INDEX built');
        SELECT INTO m * FROM ivfflat_meta('built');
        lists := a.lists BETWEEN 0.97 * m.lists AND 1.03 * m.lists;
        size := a.index_bytes BETWEEN 0.85 * pg_relation_size('built') AND 1.15 * pg_relation_size('built');
        -- Twice as many probes reach the recall, and a third of them does not.
        SELECT INTO recall, enough, not_too_many abs(a.recall - max(r.recall) FILTER (WHERE r.probes = 1)) < 0.25,
            bool_or(r.recall >= 0.9 AND r.probes <= 2 * a.probes[1]), coalesce(bool_and(r.recall < 0.9) FILTER (WHERE r.probes < a.probes[1] / 3.0), true)
            FROM ivfflat_recall('built') r;
        DROP INDEX built;
        RETURN NEXT;
    END LOOP;
END $$;
SELECT * FROM compare('v');
SELECT * FROM compare('h');
SELECT * FROM compare('b');
-- A sample of all rows: only the queries are estimates.
CREATE INDEX whole ON adv USING ivfflat (v vector_l2_ops);
SELECT a.lists = m.lists AS lists, abs(a.index_bytes - pg_relation_size('whole')) < 50000 AS size FROM ivfflat_advise('adv', 'v', sample => 7000) a, ivfflat_meta('whole') m LIMIT 1;
DROP INDEX whole;
-- Each wanted recall has its probes and its share of the rows; more recall takes more of both.
SELECT options, probes[1] AS none, probes[2] <= probes[3] AND probes[3] <= probes[4] AS probes, rows_percent[2] <= rows_percent[3] AND rows_percent[3] <= rows_percent[4] AS percent,
    array_length(rows_percent, 1) FROM ivfflat_advise('adv', 'v', sample => 1000, wanted => '{0,0.5,0.8,0.99}');
SELECT DISTINCT recall > 0 AS recall, probes, rows_percent FROM ivfflat_advise('adv', 'v', sample => 1000, wanted => '{}');
-- other k: more neighbours are in more lists
SELECT a.options, a.rows_percent[1] < b.rows_percent[1] AS less FROM ivfflat_advise('adv', 'v', sample => 3000, k => 1) a JOIN ivfflat_advise('adv', 'v', sample => 3000, k => 200) b USING (options) ORDER BY a.options COLLATE "C";
-- A sample with fewer than two rows per list tells nothing of the recall.
SELECT options, lists > 50 AS many, index_bytes > 100000 AS size, recall IS NULL AS recall, probes IS NULL AS probes, rows_percent IS NULL AS percent
    FROM ivfflat_advise('adv', 'v', 'vector_cosine_ops', sample => 100);
-- what filter columns cost
SELECT options, round(filter_percent) AS percent, ddl FROM ivfflat_advise('adv', 'b', sample => 500, filter_columns => '{tenant}');
-- Rows that nobody has counted are counted, those without a vector not.
CREATE TABLE uncounted WITH (autovacuum_enabled = off) AS SELECT CASE WHEN id % 2 = 0 THEN v END AS v FROM adv;
SELECT options, lists FROM ivfflat_advise('uncounted', 'v', sample => 200);
SELECT options, lists FROM ivfflat_advise('uncounted', 'v');
-- Nothing stays.
SELECT count(*) FROM pg_class WHERE relname LIKE 'quiver_advise%';
-- errors
SELECT * FROM ivfflat_advise('adv', 'none');
SELECT * FROM ivfflat_advise('adv', 'v', 'bit_hamming_ops');
SELECT * FROM ivfflat_advise('adv', 'v', 'vector_l1_ops');
SELECT * FROM ivfflat_advise('adv', 'id');
SELECT * FROM ivfflat_advise('adv', 'v', sample => 99);
SELECT * FROM ivfflat_advise('adv', 'v', wanted => '{0.9,1.1}');
SELECT * FROM ivfflat_advise('adv', 'v', wanted => '{0.9,NULL}');
SELECT * FROM ivfflat_advise('adv', 'v', wanted => NULL);
SELECT * FROM ivfflat_advise('adv', 'v', k => 0);
SELECT * FROM ivfflat_advise('adv', 'v', k => NULL);
SELECT * FROM ivfflat_advise('adv', 'v', filter_columns => '{none}');
-- with any names, and with the rights of whoever asks
CREATE SCHEMA "x; y";
CREATE TABLE "x; y"."t'"" DROP" AS SELECT v AS "v'""; SELECT", tenant AS "n'""); SELECT" FROM adv LIMIT 500;
SELECT ddl FROM ivfflat_advise('"x; y"."t''"" DROP"', 'v''"; SELECT', filter_columns => ARRAY['n''"); SELECT']) LIMIT 1;
DROP SCHEMA "x; y" CASCADE;
CREATE ROLE advised;
SET ROLE advised;
SELECT * FROM ivfflat_advise('adv', 'v');
RESET ROLE;
DROP ROLE advised;
DROP FUNCTION compare, uniform;
DROP TABLE adv, uncounted;
