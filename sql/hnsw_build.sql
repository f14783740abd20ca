-- Builds by several processes, and with little memory, make the same graph as one process in memory, if they make
-- it from leaves. If they make it by inserts, the graph of several processes is another one each time.
CREATE VIEW problems AS SELECT c.relname, k.* FROM pg_class c JOIN pg_am a ON a.oid = c.relam AND a.amname = 'hnsw',
    LATERAL hnsw_check(c.oid, true) k WHERE c.relkind = 'i' ORDER BY 1, 2, 3;
-- What the pages of an index hold, except for the meta page, page headers and page tails.
CREATE FUNCTION graph_of(index regclass) RETURNS text LANGUAGE sql AS $$
    SELECT md5(string_agg(substr(pg_read_binary_file(pg_relation_filepath(index), block * 8192, 8192), 25, 8192 - 40),
                          NULL ORDER BY block))
    FROM generate_series(1, pg_relation_size(index) / 8192 - 1) block
$$;
SET min_parallel_table_scan_size = 0;
CREATE TABLE t (id integer, v vector(16), tag integer);
-- Some rows are NULL, and some equal each other.
INSERT INTO t SELECT i, CASE WHEN i % 50 > 0 THEN
        (SELECT array_agg(sin(i % 2500 * j)) FROM generate_series(1, 16) j)::vector(16) END, i % 10
    FROM generate_series(1, 4000) i;
CREATE TABLE graphs (options text, workers integer, memory text, graph text, UNIQUE (options, workers, memory));
CREATE PROCEDURE build(options text, workers integer, memory text) LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('SET max_parallel_maintenance_workers = %s; SET maintenance_work_mem = %L', workers, memory);
    EXECUTE 'CREATE INDEX i ON t USING hnsw ' || options;
    INSERT INTO graphs VALUES (options, workers, memory, graph_of('i'));
    IF EXISTS (SELECT FROM problems) THEN
        RAISE 'the verifier finds faults';
    END IF;
    DROP INDEX i;
END
$$;
SET client_min_messages = warning;
DO $$
DECLARE
    options text;
    workers integer;
    memory text;
BEGIN
    FOREACH options IN ARRAY ARRAY['(v vector_l2_ops)', '(v vector_cosine_ops) WITH (vector_bits = 12)',
        '(v vector_l2_ops) WITH (vector_bits = 4)', '(v vector_l2_ops) WITH (vector_bits = 32, m = 5)',
        '((l2_normalize(v)::vector(16)) vector_ip_ops)', '(v vector_l2_ops) WHERE tag < 5', '((v::halfvec(16)) halfvec_l2_ops)',
        '(v vector_ip_ops)', '(v vector_l1_ops)', '((v::sparsevec(16)) sparsevec_l2_ops)',
        '((binary_quantize(v)::bit(16)) bit_hamming_ops)'] LOOP
        FOREACH workers IN ARRAY ARRAY[0, 1, 3] LOOP
            FOREACH memory IN ARRAY ARRAY['64MB', '1MB'] LOOP
                CALL build(options, workers, memory);
            END LOOP;
        END LOOP;
    END LOOP;
END
$$;
SELECT options, count(*), count(DISTINCT graph) FILTER (WHERE workers = 0) AS of_one_process,
    CASE WHEN options !~ '^.v vector_ip|l1|sparse|bit_' THEN count(DISTINCT graph) END AS from_leaves
    FROM graphs GROUP BY options ORDER BY options COLLATE "C";
RESET client_min_messages;
RESET maintenance_work_mem;
-- An option of the table that forbids workers, tables that cannot have any, and empty ones.
SET max_parallel_maintenance_workers = 2;
ALTER TABLE t SET (parallel_workers = 0);
CREATE INDEX ON t USING hnsw (v vector_l2_ops);
ALTER TABLE t SET (parallel_workers = 2);
CREATE UNLOGGED TABLE u AS SELECT * FROM t;
CREATE INDEX ON u USING hnsw (v vector_l2_ops);
CREATE TEMP TABLE tmp AS SELECT * FROM t;
CREATE INDEX ON tmp USING hnsw (v vector_l2_ops);
CREATE TABLE none (v vector(16));
CREATE INDEX ON none USING hnsw (v vector_l2_ops);
CREATE INDEX CONCURRENTLY concurrent ON t USING hnsw (v vector_l2_ops);
REINDEX INDEX CONCURRENTLY concurrent;
SELECT indisvalid FROM pg_index WHERE indexrelid = 'concurrent'::regclass;
SELECT count(*) FROM t a, LATERAL (SELECT id, v FROM t b ORDER BY b.v <-> a.v LIMIT 1) n WHERE n.v = a.v AND a.id % 7 = 0;
SELECT * FROM problems;
-- Memory that is used up.
SET maintenance_work_mem = '1MB';
SET client_min_messages = warning;   -- PostgreSQL 13 has no workers, so it has another notice
CREATE INDEX little ON t USING hnsw (v vector_l2_ops);
RESET client_min_messages;
SET max_parallel_maintenance_workers = 0;
CREATE INDEX less ON t USING hnsw (v vector_l2_ops);
-- Wide vectors, and codes that need scratch memory.
CREATE TABLE wide AS SELECT i AS id, (SELECT array_agg(sin(i * j)) FROM generate_series(1, 4000) j)::vector(4000) AS v
    FROM generate_series(1, 500) i;
ALTER TABLE wide ALTER v TYPE vector(4000);
CREATE INDEX wide_v ON wide USING hnsw (v vector_l2_ops) WITH (vector_bits = 2);
SELECT count(*) FROM wide a WHERE id % 10 = 0 AND id = (SELECT id FROM wide b ORDER BY b.v <-> a.v LIMIT 1);
-- The temporary files count.
SET temp_file_limit = '1MB';
\set VERBOSITY sqlstate
CREATE INDEX ON t USING hnsw (v vector_l2_ops);
\set VERBOSITY default
RESET temp_file_limit;
-- An error of a row, in whichever process it comes up.
SET max_parallel_maintenance_workers = 2;
RESET maintenance_work_mem;
CREATE FUNCTION checked(v vector, id integer) RETURNS vector IMMUTABLE PARALLEL SAFE LANGUAGE plpgsql AS $$
BEGIN
    IF id = 3999 THEN
        RAISE 'bad row';
    END IF;
    RETURN v;
END
$$;
\set VERBOSITY terse
CREATE INDEX ON t USING hnsw ((checked(v, id)::vector(16)) vector_l2_ops);
\set VERBOSITY default
SELECT * FROM problems;
DROP TABLE t, u, tmp, none, graphs, wide;
DROP PROCEDURE build;
DROP FUNCTION graph_of, checked;
DROP VIEW problems;
