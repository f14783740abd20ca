-- hnsw_advise: options tried on a sample.
\set SHOW_CONTEXT never
CREATE TABLE adv (id serial, v vector, h halfvec(24), b bit(64), other text);
INSERT INTO adv (v, h, b) SELECT x, x::halfvec(24), binary_quantize(x || x || subvector(x, 1, 16))::bit(64) FROM (SELECT
    (SELECT array_agg(sin(i * j * 0.731)) FROM generate_series(1, 24) j)::vector AS x FROM generate_series(1, 1000) i) s;
ANALYZE adv;
SELECT options, index_bytes > 100000 AS size, build_ms > 0 AS built, recall BETWEEN 0.5 AND 1 AS recall, ef_search > 0 AS ef, ms > 0 AS ms, ddl
    FROM hnsw_advise('adv', 'v', 'vector_cosine_ops', sample => 500);
SELECT options, ddl FROM hnsw_advise('adv', 'b', sample => 300);
SELECT count(*), count(DISTINCT index_bytes) > 3 AS sizes, bool_and(recall > 0.8) AS good FROM hnsw_advise('adv', 'h', wanted => 0.9, k => 5);
-- Nothing stays.
SELECT count(*) FROM pg_class WHERE relname LIKE 'quiver_advise%';
SELECT * FROM hnsw_advise('adv', 'none');
SELECT * FROM hnsw_advise('adv', 'v', 'bit_hamming_ops');
SELECT * FROM hnsw_advise('adv', 'other');
SELECT * FROM hnsw_advise('adv', 'v', sample => 10);
SELECT * FROM hnsw_advise('adv', 'v', sample => NULL);
SELECT * FROM hnsw_advise('adv', 'v', k => 0);
-- An operator class by its name, as CREATE INDEX takes it, in our schema if it says none.
SELECT ddl FROM hnsw_advise('adv', 'v', 'Public.vector_ip_ops', sample => 200) LIMIT 1;
SELECT * FROM hnsw_advise('adv', 'v', 'elsewhere.vector_ip_ops');
SELECT * FROM hnsw_advise('adv', 'v', 'vector_ip_op');
SELECT * FROM hnsw_advise('adv', 'v', 'public.');
CREATE SCHEMA elsewhere;
CREATE OPERATOR CLASS elsewhere."My ops" FOR TYPE vector USING hnsw AS OPERATOR 1 <-> FOR ORDER BY float_ops,
    FUNCTION 1 vector_l2_squared_distance(vector, vector), FUNCTION 3 hnsw_vector_l2_support(internal);
SELECT ddl FROM hnsw_advise('adv', 'v', 'elsewhere."My ops"', sample => 200) LIMIT 1;
DROP SCHEMA elsewhere CASCADE;
-- A domain is indexed as its base type.
CREATE DOMAIN embedding AS vector(24);
CREATE TABLE domains AS SELECT v::embedding, (v::vector(24))::sparsevec AS s FROM adv;
SELECT ddl FROM hnsw_advise('domains', 'v', 'vector_cosine_ops', sample => 200) LIMIT 1;
SELECT options, recall > 0.8 AS good, ddl FROM hnsw_advise('domains', 's', sample => 200);
DROP TABLE domains;
DROP DOMAIN embedding;
-- Whatever a packager calls the extension.
BEGIN;
UPDATE pg_extension SET extname = 'another' WHERE extname = 'quiver';
SELECT ddl FROM hnsw_advise('adv', 'h', sample => 200) LIMIT 1;
ROLLBACK;
CREATE TABLE few AS SELECT v FROM adv LIMIT 5;
SELECT * FROM hnsw_advise('few', 'v');
-- What filter columns cost: at 24 dimensions they take more pages, and at 384 only flat pages.
ALTER TABLE adv ADD tenant integer, ADD "filter on" boolean, ADD v384 vector(384), ADD doc jsonb;
UPDATE adv SET tenant = id % 10, "filter on" = id % 3 = 0, v384 = (SELECT array_agg(sin(id * j)) FROM generate_series(1, 384) j)
    WHERE id <= 200;
SELECT options, filter_bytes, round(filter_percent::numeric) AS percent, ddl FROM hnsw_advise('adv', 'h', sample => 200, filter_columns => '{tenant,filter on}') LIMIT 2;
SELECT filter_bytes, round(filter_percent::numeric, 1) AS percent, ddl FROM hnsw_advise('adv', 'v384', 'vector_cosine_ops', sample => 200, filter_columns => '{tenant}') LIMIT 1;
SELECT filter_bytes, filter_percent FROM hnsw_advise('adv', 'h', sample => 200, filter_columns => NULL) LIMIT 1;
SELECT * FROM hnsw_advise('adv', 'h', filter_columns => '{tenant,none}');
SELECT * FROM hnsw_advise('adv', 'h', filter_columns => '{doc}');
-- A hostile name is a name.
CREATE SCHEMA "x; y";
CREATE TABLE "x; y"."t'"" DROP" AS SELECT v AS "v'""; SELECT" FROM adv;
SELECT ddl FROM hnsw_advise('"x; y"."t''"" DROP"', 'v''"; SELECT', sample => 200) LIMIT 1;
ALTER TABLE "x; y"."t'"" DROP" ADD "n'""); SELECT" integer;
SELECT ddl FROM hnsw_advise('"x; y"."t''"" DROP"', 'v''"; SELECT', sample => 200, filter_columns => ARRAY['n''"); SELECT']) LIMIT 1;
-- With the rights of whoever asks.
CREATE ROLE advised;
SET ROLE advised;
SELECT * FROM hnsw_advise('adv', 'v');
RESET ROLE;
DROP SCHEMA "x; y" CASCADE;
DROP TABLE adv, few;
DROP ROLE advised;
