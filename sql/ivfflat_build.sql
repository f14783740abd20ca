-- Builds of ivfflat indexes: with and without parallel workers, with little memory, of few and of equal rows.
SET client_min_messages = warning;
SET min_parallel_table_scan_size = 0;
CREATE TABLE t (id integer, v vector(16), b bit(64), tenant integer);
INSERT INTO t SELECT i, (SELECT array_agg(hashint8(i::bigint * 100 + j)::real / 1e8) FROM generate_series(1, 16) j)::vector(16),
	(hashint8(i)::bit(32) || hashint8(-i)::bit(32))::bit(64), i % 10 FROM generate_series(1, 4000) i;
INSERT INTO t VALUES (0, NULL, NULL, 0);
-- Does an index find each row, and all rows?
CREATE FUNCTION missing(of text, operator text) RETURNS TABLE (own bigint, rows bigint) LANGUAGE plpgsql AS $$
BEGIN
	SET LOCAL enable_seqscan = off;
	SET LOCAL enable_sort = off;
	SET LOCAL ivfflat.probes = 32768;
	RETURN QUERY EXECUTE format('SELECT (SELECT count(*) FROM generate_series(1, 4000, 40) i WHERE NOT EXISTS (SELECT FROM
		(SELECT id FROM t ORDER BY %1$I %2$s (SELECT %1$I FROM t WHERE id = i) LIMIT 3) x WHERE id = i)),
		4000 - (SELECT count(*) FROM (SELECT id FROM t ORDER BY %1$I %2$s (SELECT %1$I FROM t WHERE id = 1)) x)', of, operator);
END $$;
CREATE FUNCTION build(settings text, of text, operator text, class text, options text DEFAULT '')
RETURNS TABLE (own bigint, rows bigint) LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE settings;
	EXECUTE format('CREATE INDEX i ON t USING ivfflat (%s %s%s', of, class, options);
	RETURN QUERY SELECT * FROM missing(of, operator);
	DROP INDEX i;
	RESET max_parallel_maintenance_workers;
	RESET maintenance_work_mem;
END $$;
SELECT * FROM build('SET max_parallel_maintenance_workers = 0', 'v', '<->', 'vector_l2_ops', ')');
SELECT * FROM build('SET max_parallel_maintenance_workers = 2', 'v', '<->', 'vector_l2_ops', ')');
SELECT * FROM build('SET max_parallel_maintenance_workers = 2', 'v', '<=>', 'vector_cosine_ops', ') WITH (lists = 7)');
SELECT * FROM build('SET max_parallel_maintenance_workers = 2', 'v', '<#>', 'vector_ip_ops', ', tenant) WITH (lists = 300)');
SELECT * FROM build('SET max_parallel_maintenance_workers = 2', 'b', '<~>', 'bit_hamming_ops', ') WITH (lists = 40)');
-- The memory is too small for the sample and the numbers of the rows' lists.
SELECT * FROM build('SET maintenance_work_mem = ''1MB''; SET max_parallel_maintenance_workers = 0', 'v', '<->', 'vector_l2_ops', ') WITH (lists = 1000)');
SELECT * FROM build('SET maintenance_work_mem = ''1MB''; SET max_parallel_maintenance_workers = 2', 'v', '<->', 'vector_l2_ops', ') WITH (lists = 1000)');
-- Codes that do not begin with a scalar code.
SELECT * FROM build('SET max_parallel_maintenance_workers = 2', 'v', '<->', 'vector_l2_ops', ') WITH (vector_bits = 4)');
SELECT * FROM build('SET max_parallel_maintenance_workers = 2', 'v', '<->', 'vector_l2_ops', ') WITH (vector_bits = 16)');
SELECT * FROM build('SET max_parallel_maintenance_workers = 2', 'v', '<->', 'vector_l2_ops', ') WITH (vector_bits = 32)');
-- A single list, and an index on an expression.
SELECT * FROM build('SET max_parallel_maintenance_workers = 2', 'v', '<->', 'vector_l2_ops', ') WITH (lists = 1)');
-- Equal rows cannot be divided; there is a list for each vector at most.
SET client_min_messages = notice;
CREATE TABLE equal AS SELECT i AS id, '[1,2,3]'::vector(3) AS v FROM generate_series(1, 3000) i;
CREATE INDEX ON equal USING ivfflat (v vector_l2_ops) WITH (lists = 100);
CREATE TABLE few (v vector(3));
CREATE INDEX few_i ON few USING ivfflat (v vector_l2_ops) WITH (lists = 5);
INSERT INTO few VALUES ('[1,1,1]'), ('[2,2,2]'), ('[3,3,3]');
REINDEX INDEX few_i;
SET enable_seqscan = off;
SET ivfflat.probes = 32768;
SELECT count(*) FROM (SELECT FROM equal ORDER BY v <-> '[1,2,4]') x;
SELECT * FROM few ORDER BY v <-> '[3,3,3]';
RESET enable_seqscan;
RESET ivfflat.probes;
-- An unlogged table.
CREATE UNLOGGED TABLE unlogged AS SELECT * FROM t;
CREATE INDEX ON unlogged USING ivfflat (v vector_l2_ops) WITH (lists = 20);
DROP TABLE t, equal, few, unlogged;
DROP FUNCTION build, missing;
