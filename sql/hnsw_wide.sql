-- Wide vectors, whose rows are TOASTed: nodes keep 12 or 16 bits a dimension, so that most rows are put in
-- exact order without a look at the table.
CREATE FUNCTION wide_vector(i integer, n integer) RETURNS vector LANGUAGE sql IMMUTABLE AS
    'SELECT array_agg(sin(i * j * 0.017) + 0.3 * sin(i * 7.1 + j * j))::vector FROM generate_series(1, n) j';
CREATE TABLE w (id serial, v vector(768), h halfvec(1536), x vector(3072));
INSERT INTO w (v, h, x) SELECT wide_vector(i, 768), wide_vector(i, 1536)::halfvec, wide_vector(i, 3072) FROM generate_series(1, 400) i;
CREATE INDEX w_l2 ON w USING hnsw (v vector_l2_ops);
CREATE INDEX w_ip ON w USING hnsw (v vector_ip_ops) WITH (vector_bits = 16);
CREATE INDEX w_8 ON w USING hnsw ((v::halfvec(768)) halfvec_l2_ops) WITH (vector_bits = 8);
CREATE INDEX w_12 ON w USING hnsw (((v + v)::vector(768)) vector_l2_ops) WITH (vector_bits = 12);
CREATE INDEX w_full ON w USING hnsw (((v * v)::vector(768)) vector_cosine_ops) WITH (vector_bits = 32);
CREATE INDEX w_h ON w USING hnsw (h halfvec_cosine_ops);
CREATE INDEX w_x ON w USING hnsw (x vector_cosine_ops);
SELECT i, vector_bits, sketch_bits, slots_per_page FROM unnest('{w_l2,w_ip,w_8,w_12,w_full,w_h,w_x}'::regclass[]) i, hnsw_meta(i) ORDER BY i;
SELECT i, max(recall) FROM unnest('{w_l2,w_ip,w_8,w_12,w_full,w_h,w_x}'::regclass[]) i, hnsw_recall(i, 10, 30) GROUP BY i ORDER BY i;

-- The order is exact, through all rows.
SET enable_seqscan = off;
SET hnsw.ef_search = 100;
CREATE FUNCTION in_order(query text) RETURNS TABLE (rows bigint, ordered boolean) LANGUAGE plpgsql AS $$
BEGIN
    RETURN QUERY EXECUTE 'SELECT count(*), bool_and(d >= before) FROM
        (SELECT d, lag(d, 1, ''-inf'') OVER (ORDER BY n) AS before FROM (SELECT d, row_number() OVER () AS n FROM (' || query || ') a) b) c';
END $$;
SELECT * FROM in_order('SELECT v <-> wide_vector(1000, 768) AS d FROM w ORDER BY v <-> wide_vector(1000, 768) LIMIT 50');
SELECT * FROM in_order('SELECT v <#> wide_vector(1000, 768) AS d FROM w ORDER BY v <#> wide_vector(1000, 768) LIMIT 50');
SELECT * FROM in_order('SELECT (v + v)::vector(768) <-> wide_vector(1000, 768) AS d FROM w ORDER BY (v + v)::vector(768) <-> wide_vector(1000, 768) LIMIT 50');
SELECT * FROM in_order('SELECT (v * v)::vector(768) <=> wide_vector(1000, 768) AS d FROM w ORDER BY (v * v)::vector(768) <=> wide_vector(1000, 768) LIMIT 50');
SELECT * FROM in_order('SELECT h <=> wide_vector(1000, 1536)::halfvec AS d FROM w ORDER BY h <=> wide_vector(1000, 1536)::halfvec LIMIT 50');
SELECT * FROM in_order('SELECT x <=> wide_vector(1000, 3072) AS d FROM w ORDER BY x <=> wide_vector(1000, 3072) LIMIT 50');
-- The same rows as by exact search.
SELECT array_agg(id) = (SELECT array_agg(id) FROM (SELECT id FROM w ORDER BY (v <-> wide_vector(77, 768)) + 0 LIMIT 10) y)
FROM (SELECT id FROM w ORDER BY v <-> wide_vector(77, 768) LIMIT 10) z;

-- Equal rows, deleted rows, new rows
INSERT INTO w (v, h, x) SELECT v, h, x FROM w WHERE id <= 40;
DELETE FROM w WHERE id % 3 = 0;
SELECT * FROM in_order('SELECT v <-> wide_vector(50, 768) AS d FROM w ORDER BY v <-> wide_vector(50, 768) LIMIT 60');
VACUUM w;
UPDATE w SET v = wide_vector(id + 5000, 768) WHERE id % 5 = 1;
SELECT * FROM in_order('SELECT v <-> wide_vector(51, 768) AS d FROM w ORDER BY v <-> wide_vector(51, 768) LIMIT 60');
SELECT c.relname, k.* FROM pg_class c JOIN pg_am a ON a.oid = c.relam AND a.amname = 'hnsw', LATERAL hnsw_check(c.oid, true) k;

-- As wide as it gets
CREATE TABLE widest (id serial, v vector(16000), h halfvec(6000));
INSERT INTO widest (v, h) SELECT wide_vector(i, 16000), wide_vector(i, 6000)::halfvec FROM generate_series(1, 60) i;
CREATE INDEX widest_v ON widest USING hnsw (v vector_l2_ops);
CREATE INDEX widest_l1 ON widest USING hnsw (h halfvec_l1_ops);
CREATE INDEX widest_h ON widest USING hnsw (h halfvec_ip_ops);
SELECT i, max(recall) FROM unnest('{widest_v,widest_l1,widest_h}'::regclass[]) i, hnsw_recall(i, 10, 30) GROUP BY i ORDER BY i;
-- What the dimensions make of a node
CREATE FUNCTION layout_of(n integer) RETURNS TABLE (dims integer, vector_bits integer, neighbours integer, sketch_bits integer, slots_per_page integer, fill numeric)
LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('CREATE TEMP TABLE l (v vector(%s)); CREATE INDEX l_v ON l USING hnsw (v vector_l2_ops)', n);
    RETURN QUERY SELECT m.dims, m.vector_bits, m.max_neighbours, m.sketch_bits, m.slots_per_page, round(s.page_fill::numeric, 2) FROM hnsw_meta('l_v') m, hnsw_stats('l_v') s;
    DROP TABLE l;
END $$;
SELECT l.* FROM unnest('{64,96,128,256,384,512,768,1024,1536,2000,3072,4096,6000,8000,12000,16000}'::integer[]) n, layout_of(n) l;
DROP FUNCTION layout_of;

\set VERBOSITY default
CREATE INDEX ON w USING hnsw (v vector_l2_ops) WITH (vector_bits = 17);
CREATE INDEX ON w USING hnsw (v vector_l2_ops) WITH (vector_bits = 33);
CREATE INDEX ON w USING hnsw (v vector_l1_ops) WITH (vector_bits = 16);
CREATE INDEX ON widest USING hnsw (v vector_l2_ops) WITH (vector_bits = 8);
CREATE INDEX ON widest USING hnsw (v vector_l1_ops);
CREATE INDEX ON widest USING hnsw (v vector_l2_ops) WITH (m = 100);
SELECT c.relname, k.* FROM pg_class c JOIN pg_am a ON a.oid = c.relam AND a.amname = 'hnsw', LATERAL hnsw_check(c.oid, true) k;
DROP TABLE w, widest;
DROP FUNCTION in_order, wide_vector;
