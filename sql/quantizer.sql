-- Product, scalar and binary quantization by SQL functions.
CREATE TABLE q_items (id int PRIMARY KEY, v vector(32));
-- 20 places, and rows around each
INSERT INTO q_items SELECT i, (SELECT array_agg(10 * sin((i % 20) * j * 1.7) + sin(i * j * 0.37)) FROM generate_series(1, 32) j)::vector
FROM generate_series(1, 2000) i;

CREATE TABLE q_quantizers (name text PRIMARY KEY, q quantizer);
INSERT INTO q_quantizers SELECT 'pq8', pq_train(v, 8) FROM q_items;
INSERT INTO q_quantizers SELECT 'pq4', pq_train(v, 16, 4) FROM q_items;
INSERT INTO q_quantizers SELECT 'odd', pq_train(v, 5, 4) FROM q_items;
INSERT INTO q_quantizers SELECT 'sq', sq_train(v) FROM q_items;
INSERT INTO q_quantizers VALUES ('own', sq_quantizer(32));
INSERT INTO q_quantizers SELECT 'opq', pq_train(v, 5, 4, true) FROM q_items;
SELECT name, kind, dims, subvectors, bits, code_bytes, bytes FROM q_quantizers, quantizer_info(q) ORDER BY name;

-- How far a code's vector is from the row, beside the rows' spread; and the code's size as stored.
CREATE TABLE q_codes AS SELECT name, id, quantize(q, v) AS code FROM q_quantizers, q_items;
-- (Training depends a little on the order in which an instruction set adds numbers.)
SELECT name, error, bytes, abs(found - error) < 0.01 AS found FROM (VALUES ('odd', 0.25), ('opq', 0.125), ('own', 0), ('pq4', 0.13), ('pq8', 0.04), ('sq', 0)) e (name, error) JOIN (
    SELECT name, avg(v <-> dequantize(q, code)) / (SELECT avg(a.v <-> (SELECT avg(v) FROM q_items)) FROM q_items a) AS found, min(pg_column_size(code)) AS bytes
    FROM q_codes JOIN q_quantizers USING (name) JOIN q_items USING (id) GROUP BY name) f USING (name) ORDER BY name;

-- Distances between a query and codes are those to the decoded vectors (a scalar code is multiplied with 16-bit integers).
SELECT name, max(abs((code <-> query) - (dequantize(q, code) <-> w))) < 1e-3 AS l2,
    max(abs((code <#> query) - (dequantize(q, code) <#> w))) < 1e-1 AS ip,
    max(abs((code <=> query) - (dequantize(q, code) <=> w))) < 1e-4 AS cosine,
    bool_and(inner_product(code, query) = -(code <#> query)) AS same,
    bool_and(l2_distance(code, query) = (code <-> query) AND cosine_distance(code, query) = (code <=> query)) AS functions
FROM q_codes JOIN (SELECT name, q, quantized_query(q, v) AS query, v AS w FROM q_quantizers, q_items WHERE id = 77) x USING (name)
GROUP BY name ORDER BY name;
-- Symmetric: the query is a code. The distance from a code to itself is 0.
SELECT name, code <-> quantized_query_from_code(q, code) < 1e-3 AS itself,
    abs((code <-> quantized_query_from_code(q, code2)) - (dequantize(q, code) <-> dequantize(q, code2))) < 1e-3 AS symmetric
FROM q_codes JOIN (SELECT name, code AS code2 FROM q_codes WHERE id = 5) y USING (name) JOIN q_quantizers USING (name) WHERE id = 5 ORDER BY name;
SELECT bool_and(abs((a.code <-> quantized_query_from_code(q, b.code)) - (dequantize(q, a.code) <-> dequantize(q, b.code))) < 1e-3)
FROM q_codes a JOIN q_codes b USING (name) JOIN q_quantizers USING (name) WHERE a.id = 9 AND b.id = 1234;

-- Search: the nearest by codes, then exact among them.
SELECT name, count(*) AS of_10 FROM q_quantizers z, LATERAL (
    SELECT id FROM (SELECT id FROM q_codes c WHERE c.name = z.name
        ORDER BY code <-> (SELECT quantized_query(z.q, v) FROM q_items WHERE id = 77) LIMIT 100) near
    JOIN q_items USING (id) ORDER BY v <-> (SELECT v FROM q_items WHERE id = 77), id LIMIT 10) s
WHERE id IN (SELECT id FROM q_items ORDER BY v <-> (SELECT v FROM q_items WHERE id = 77), id LIMIT 10)
GROUP BY name ORDER BY name;

-- Aggregates: the nearest of many codes. The distances are those that ORDER BY finds, by ids and by ctid.
CREATE FUNCTION nearest_agree(k integer) RETURNS TABLE (name text, l2 boolean, ip boolean, cosine boolean) LANGUAGE plpgsql AS $$
DECLARE
    z record;
    f text;
    d text;
    agree boolean[];
    one boolean;
BEGIN
    FOR z IN SELECT q.name FROM q_quantizers q ORDER BY 1 LOOP
        agree := '{}';
        FOREACH f IN ARRAY '{l2,ip,cosine}'::text[] LOOP
            d := CASE f WHEN 'l2' THEN '<->' WHEN 'ip' THEN '<#>' ELSE '<=>' END;
            EXECUTE format($q$
                WITH query AS MATERIALIZED (SELECT quantized_query(q, v) AS qq FROM q_quantizers, q_items WHERE name = %1$L AND id = 77),
                ids AS (SELECT unnest(n) AS id FROM (SELECT %2$s_nearest(id::bigint, code, (SELECT qq FROM query), %4$s) AS n FROM q_codes WHERE name = %1$L) x),
                tids AS (SELECT unnest(n) AS id FROM (SELECT %2$s_nearest(ctid, code, (SELECT qq FROM query), %4$s) AS n FROM q_codes WHERE name = %1$L) x),
                a AS (SELECT row_number() OVER () AS i, code %3$s (SELECT qq FROM query) AS d FROM ids JOIN q_codes USING (id) WHERE name = %1$L ORDER BY 2),
                b AS (SELECT row_number() OVER () AS i, code %3$s (SELECT qq FROM query) AS d FROM tids JOIN q_codes c ON c.ctid = tids.id ORDER BY 2),
                c AS (SELECT row_number() OVER () AS i, d FROM (SELECT code %3$s (SELECT qq FROM query) AS d FROM q_codes WHERE name = %1$L ORDER BY 1 LIMIT %4$s) x)
                SELECT count(*) = least(%4$s, 2000) AND bool_and(abs(a.d - c.d) <= 1e-5 * abs(c.d) + 1e-5 AND abs(b.d - c.d) <= 1e-5 * abs(c.d) + 1e-5)
                FROM (SELECT row_number() OVER (ORDER BY d) AS i, d FROM a) a JOIN (SELECT row_number() OVER (ORDER BY d) AS i, d FROM b) b USING (i)
                JOIN (SELECT row_number() OVER (ORDER BY d) AS i, d FROM c) c USING (i)$q$, z.name, f, d, k) INTO one;
            agree := agree || one;
        END LOOP;
        name := z.name; l2 := agree[1]; ip := agree[2]; cosine := agree[3];
        RETURN NEXT;
    END LOOP;
END $$;
SELECT * FROM nearest_agree(1);
SELECT * FROM nearest_agree(100);
SELECT bool_and(l2 AND ip AND cosine) FROM nearest_agree(3000);
-- Nearest first; of equal distances the least id.
SELECT l2_nearest(i, code, (SELECT quantized_query(q, v) FROM q_quantizers, q_items WHERE name = 'pq4' AND id = 5), 3)
FROM generate_series(1, 1000) i, q_codes WHERE name = 'pq4' AND id = 5;
-- In parallel, and as a window
SET max_parallel_workers_per_gather = 2;
SET min_parallel_table_scan_size = 0;
SET parallel_setup_cost = 0;
SET parallel_tuple_cost = 0;
DO $$ DECLARE line text; BEGIN
    FOR line IN EXECUTE 'EXPLAIN (COSTS OFF) SELECT l2_nearest(id::bigint, code, (SELECT NULL::quantized_query), 20) FROM q_codes' LOOP
        IF line LIKE '%Partial Aggregate%' THEN RAISE NOTICE 'in parallel'; END IF;
    END LOOP;
END $$;
CREATE TABLE q_found AS SELECT l2_nearest(id::bigint, code, (SELECT quantized_query(q, v) FROM q_quantizers, q_items WHERE name = 'pq4' AND id = 5), 20) AS ids FROM q_codes WHERE name = 'pq4';
RESET max_parallel_workers_per_gather;
RESET min_parallel_table_scan_size;
RESET parallel_setup_cost;
RESET parallel_tuple_cost;
SELECT ids = l2_nearest(id::bigint, code, (SELECT quantized_query(q, v) FROM q_quantizers, q_items WHERE name = 'pq4' AND id = 5), 20) AS same FROM q_codes, q_found WHERE name = 'pq4' GROUP BY ids;
SELECT count(*), bool_and(a.found = (SELECT l2_nearest(b.id::bigint, b.code, (SELECT quantized_query(q, v) FROM q_quantizers, q_items WHERE name = 'pq4' AND id = 5), 2)
    FROM q_codes b WHERE b.name = 'pq4' AND b.id <= a.id)) AS same
FROM (SELECT id, l2_nearest(id::bigint, code, (SELECT quantized_query(q, v) FROM q_quantizers, q_items WHERE name = 'pq4' AND id = 5), 2) OVER (ORDER BY id) AS found
    FROM q_codes WHERE name = 'pq4' AND id <= 300) a;
-- None, nulls, groups
SELECT l2_nearest(id::bigint, code, (SELECT quantized_query(q, v) FROM q_quantizers, q_items WHERE name = 'pq4' AND id = 5), 2) FROM q_codes WHERE false;
SELECT array_agg(i ORDER BY i) FROM unnest((SELECT l2_nearest(CASE WHEN id > 4 THEN id END::bigint, CASE WHEN id > 5 THEN code END, (SELECT quantized_query(q, v) FROM q_quantizers, q_items WHERE name = 'pq4' AND id = 5), 3) FROM q_codes WHERE name = 'pq4' AND id < 8)) i;
SELECT l2_nearest(id::bigint, code, NULL, 2), l2_nearest(id::bigint, code, quantized_query(q, v), NULL) FROM q_codes JOIN q_quantizers USING (name) JOIN q_items USING (id);
SELECT name, ip_nearest(id::bigint, code, quantized_query(q, '[1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31,32]'), 1) IS NOT NULL AS found
FROM q_codes JOIN q_quantizers USING (name) GROUP BY name ORDER BY name;
\set VERBOSITY terse
SELECT l2_nearest(id::bigint, code, quantized_query(q, v), 2) FROM q_codes JOIN q_quantizers USING (name) JOIN q_items USING (id) WHERE name = 'pq4';
SELECT l2_nearest(id::bigint, code, (SELECT quantized_query(q, v) FROM q_quantizers, q_items WHERE name = 'pq4' AND id = 5), id % 3 + 1) FROM q_codes WHERE name = 'pq4';
SELECT l2_nearest(id::bigint, code, (SELECT quantized_query(q, v) FROM q_quantizers, q_items WHERE name = 'pq4' AND id = 5), 0) FROM q_codes WHERE name = 'pq4';
SELECT l2_nearest(id::bigint, code, (SELECT quantized_query(q, v) FROM q_quantizers, q_items WHERE name = 'pq4' AND id = 5), 1000001) FROM q_codes WHERE name = 'pq4';
DO $$ BEGIN
    PERFORM l2_nearest(id::bigint, code, (SELECT quantized_query(q, v) FROM q_quantizers, q_items WHERE name = 'pq4' AND id = 5), 2) FROM q_codes WHERE name = 'sq';
EXCEPTION WHEN invalid_parameter_value THEN RAISE NOTICE '%', regexp_replace(sqlerrm, '[0-9a-f]{8}', 'X', 'g'); END $$;
\set VERBOSITY default
DROP TABLE q_found;
DROP FUNCTION nearest_agree;

-- Training again gives the same; text and binary forms come back as they were.
SELECT pq_train(v, 8)::text = (SELECT q::text FROM q_quantizers WHERE name = 'pq8') AS same FROM q_items;
SELECT bool_and(q::text::quantizer::text = q::text) FROM q_quantizers;
SELECT bool_and(code::text::quantized = code) FROM q_codes;
CREATE TEMP TABLE q_copy (LIKE q_codes);
CREATE TEMP TABLE q_copy2 (LIKE q_quantizers);
\copy q_codes TO 'results/quantizer.bin' (FORMAT binary)
\copy q_copy FROM 'results/quantizer.bin' (FORMAT binary)
\copy q_quantizers TO 'results/quantizer.bin' (FORMAT binary)
\copy q_copy2 FROM 'results/quantizer.bin' (FORMAT binary)
SELECT count(*) FROM q_copy JOIN q_codes USING (name, id, code);
SELECT count(*) FROM q_copy2 a JOIN q_quantizers b USING (name) WHERE a.q::text = b.q::text;

-- Equality and order, so that codes can be grouped, sorted and indexed.
CREATE INDEX ON q_codes (code);
SELECT count(*) = count(DISTINCT code) AS all_differ FROM q_codes WHERE name = 'sq';
SELECT code < code AS lt, code <= code AS le, code = code AS eq, code <> code AS ne, code >= code AS ge, code > code AS gt FROM q_codes LIMIT 1;

-- NULL is left out; nothing to learn from is NULL. Few rows, one row, equal rows.
SELECT pq_train(v, 8) IS NULL AS nothing FROM q_items WHERE id < 0;
SELECT pq_train(NULL::vector, 8) IS NULL AS nothing FROM q_items;
SELECT dequantize(q, quantize(q, '[1,2,3]')) FROM (SELECT pq_train(v, 2) AS q FROM (VALUES ('[1,2,3]'::vector), (NULL), ('[4,5,6]')) x(v)) y;
SELECT dequantize(q, quantize(q, '[1,2,3]')) FROM (SELECT sq_train('[1,2,3]'::vector) AS q) y;
SELECT dequantize(q, quantize(q, '[-1,9,3]')) FROM (SELECT sq_train(v) AS q FROM (VALUES ('[0,0,3]'::vector), ('[255,5.1,3]')) x(v)) y;
-- Without training: an offset and a scale in each code
SELECT v, dequantize(q, quantize(q, v)), round((quantize(q, v) <-> quantized_query(q, '[1,2,3]'))::numeric, 4) AS l2
FROM (SELECT sq_quantizer(3) AS q) x, (VALUES ('[1,2,3]'::vector), ('[0,0,0]'), ('[-7,-7,-7]'), ('[0,255,5.1]'), ('[1e-30,0,2e-30]')) y(v);
-- The zero vector has no direction: as for vectors.
SELECT quantize(q, '[0,0]') <=> quantized_query(q, '[1,1]') AS zero, '[0,0]'::vector <=> '[1,1]' AS zero_vector
FROM (SELECT pq_train(v, 1) AS q FROM (VALUES ('[0,0]'::vector), ('[1,1]')) x(v)) y;
-- As wide as a vector can be
SELECT pg_column_size(quantize(q, v)) FROM (SELECT sq_train(v) AS q, (array_agg(v))[1] AS v FROM (SELECT array_agg(i)::vector AS v FROM generate_series(1, 16000) i) x) y;
SELECT pg_column_size(quantize(q, v)) FROM (SELECT pq_train(v, 16000, 4) AS q, (array_agg(v))[1] AS v FROM (SELECT array_agg(i)::vector AS v FROM generate_series(1, 16000) i) x) y;

-- Binary, asymmetric: floats against bits.
SELECT binary_inner_product(B'101', '[1,2,4]'), B'101' <#> '[1,2,4]'::vector;
SELECT bool_and(abs(binary_inner_product(binary_quantize(a.v), b.v)
    - (SELECT sum(CASE WHEN x > 0 THEN y ELSE -y END) FROM unnest(a.v::real[], b.v::real[]) u(x, y))) < 1e-3)
FROM q_items a, q_items b WHERE a.id <= 20 AND b.id BETWEEN 100 AND 110;

-- Errors
\set VERBOSITY default
\set SHOW_CONTEXT never
SELECT binary_inner_product(B'1010', '[1,2,4]');
SELECT sq_quantizer(0);
SELECT sq_quantizer(16001);
SELECT quantize(sq_quantizer(2), '[3e38,-3e38]');
SELECT quantize(sq_quantizer(2), '[1,2,3]');
SELECT dequantize(q, overlay(code::text PLACING '7fc00000' FROM 11 FOR 8)::quantized) FROM (SELECT q, quantize(q, '[1,2]') AS code FROM (SELECT sq_quantizer(2) AS q) x) y;
SELECT pq_train(v, 0) FROM q_items;
SELECT pq_train(v, 33) FROM q_items;
SELECT pq_train(v, 8, 5) FROM q_items;
SELECT pq_train(v, NULL) FROM q_items;
SELECT pq_train(v, 5, 8, NULL) FROM q_items;
SELECT pq_train(array_fill(i, '{4097}')::vector, 5, 8, true) FROM generate_series(1, 3) i;
SELECT pq_train(v, 1) FROM (VALUES ('[1,2]'::vector), ('[1,2,3]')) x(v);
SELECT quantize(q, '[1,2,3]') FROM q_quantizers WHERE name = 'pq8';
SELECT quantized_query(q, '[1,2,3]') FROM q_quantizers WHERE name = 'pq8';
\set VERBOSITY terse
-- (fingerprints depend on the last digit of sums, so they are not shown)
DO $$ BEGIN
    PERFORM code <-> quantized_query(q, v) FROM q_codes c, q_quantizers z, q_items i WHERE c.name = 'sq' AND z.name = 'pq8' LIMIT 1;
EXCEPTION WHEN invalid_parameter_value THEN RAISE NOTICE '%', regexp_replace(sqlerrm, '[0-9a-f]{8}', 'X', 'g'); END $$;
DO $$ BEGIN
    PERFORM dequantize(q, code) FROM q_codes c, q_quantizers z WHERE c.name = 'sq' AND z.name = 'pq8' LIMIT 1;
EXCEPTION WHEN invalid_parameter_value THEN RAISE NOTICE '%', regexp_replace(sqlerrm, '[0-9a-f]{8}', 'X', 'g'); END $$;
DO $$ BEGIN   -- a code that was cut short
    PERFORM left(code::text, -2)::quantized <-> quantized_query(q, v) FROM q_codes c, q_quantizers z, q_items i WHERE c.name = 'pq8' AND z.name = 'pq8' LIMIT 1;
EXCEPTION WHEN data_corrupted THEN RAISE NOTICE '%', sqlerrm; END $$;
\set VERBOSITY default
SELECT ''::quantized;
SELECT '\x'::quantized;
SELECT '\x01020304'::quantized;
SELECT '\x0102030g'::quantized;
SELECT ''::quantizer;
SELECT '\x00'::quantizer;
SELECT 'pq'::quantized_query;
SELECT '\x000000000201080000100001'::quantizer;
SELECT '\x000000000103080000100010'::quantizer;
SELECT '\x000000000104080000100010'::quantizer;
SELECT '\x000000000101050000100010'::quantizer;
SELECT '\x000000000101080000100020'::quantizer;
SELECT '\x000000000101080000000000'::quantizer;
SELECT '\x000000000101080000100010'::quantizer;
SELECT '\x0000000001020800000100013f8000003f800000'::quantizer;
SELECT '\x0000000001020800000100017fc000003f800000'::quantizer;
DROP TABLE q_items, q_quantizers, q_codes;
