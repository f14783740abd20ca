/* quiver--0.1.0--0.2.0.sql */

-- complain if script is sourced in psql rather than by ALTER EXTENSION
\echo Use "ALTER EXTENSION quiver UPDATE TO '0.2.0'" to load this file. \quit

CREATE FUNCTION binary_inner_product(bit, vector) RETURNS float8
    AS 'MODULE_PATHNAME'
    LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 4;
COMMENT ON FUNCTION binary_inner_product(bit, vector) IS
    'inner product of a vector and the 1s and -1s that bits stand for: asymmetric distance to what binary_quantize made';
CREATE FUNCTION binary_negative_inner_product(bit, vector) RETURNS float8
    AS 'MODULE_PATHNAME'
    LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 4;
COMMENT ON FUNCTION binary_negative_inner_product(bit, vector) IS
    'binary_inner_product times -1, so that ascending order puts the largest first';
CREATE OPERATOR <#> (LEFTARG = bit, RIGHTARG = vector, FUNCTION = binary_negative_inner_product);
COMMENT ON OPERATOR <#> (bit, vector) IS 'negative inner product of a vector and the 1s and -1s that bits stand for';

-- quantizers: learnt from vectors; codes; queries of codes

CREATE TYPE quantizer;
CREATE TYPE quantized;
CREATE TYPE quantized_query;

CREATE FUNCTION quantizer_in(cstring) RETURNS quantizer
    AS 'MODULE_PATHNAME'
    LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
CREATE FUNCTION quantizer_out(quantizer) RETURNS cstring
    AS 'MODULE_PATHNAME'
    LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
CREATE FUNCTION quantizer_recv(internal) RETURNS quantizer
    AS 'MODULE_PATHNAME'
    LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
CREATE FUNCTION quantizer_send(quantizer) RETURNS bytea
    AS 'MODULE_PATHNAME'
    LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
CREATE FUNCTION quantized_in(cstring) RETURNS quantized
    AS 'MODULE_PATHNAME'
    LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
CREATE FUNCTION quantized_out(quantized) RETURNS cstring
    AS 'MODULE_PATHNAME'
    LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
CREATE FUNCTION quantized_recv(internal) RETURNS quantized
    AS 'MODULE_PATHNAME'
    LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
CREATE FUNCTION quantized_send(quantized) RETURNS bytea
    AS 'MODULE_PATHNAME'
    LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
CREATE FUNCTION quantized_query_in(cstring) RETURNS quantized_query
    AS 'MODULE_PATHNAME'
    LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
CREATE FUNCTION quantized_query_out(quantized_query) RETURNS cstring
    AS 'MODULE_PATHNAME'
    LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;

CREATE TYPE quantizer (
    INPUT = quantizer_in,
    OUTPUT = quantizer_out,
    RECEIVE = quantizer_recv,
    SEND = quantizer_send,
    STORAGE = external
);
COMMENT ON TYPE quantizer IS 'what pq_train or sq_train learnt; turns vectors into codes';
CREATE TYPE quantized (
    INPUT = quantized_in,
    OUTPUT = quantized_out,
    RECEIVE = quantized_recv,
    SEND = quantized_send,
    STORAGE = main
);
COMMENT ON TYPE quantized IS 'code of a vector: 4 bytes that name its quantizer, then a byte for each subvector (4 bits: for two of them) or dimension (scalar)';
CREATE TYPE quantized_query (
    INPUT = quantized_query_in,
    OUTPUT = quantized_query_out,
    STORAGE = external
);
COMMENT ON TYPE quantized_query IS 'a query made ready to be compared with codes: tables of distances to each centroid';

CREATE FUNCTION pq_train_accum(internal, vector, integer) RETURNS internal
    AS 'MODULE_PATHNAME'
    LANGUAGE C IMMUTABLE PARALLEL SAFE;
CREATE FUNCTION pq_train_accum(internal, vector, integer, integer) RETURNS internal
    AS 'MODULE_PATHNAME'
    LANGUAGE C IMMUTABLE PARALLEL SAFE;
CREATE FUNCTION pq_train_accum(internal, vector, integer, integer, boolean) RETURNS internal
    AS 'MODULE_PATHNAME'
    LANGUAGE C IMMUTABLE PARALLEL SAFE;
CREATE FUNCTION sq_train_accum(internal, vector) RETURNS internal
    AS 'MODULE_PATHNAME'
    LANGUAGE C IMMUTABLE PARALLEL SAFE;
CREATE FUNCTION quantizer_train_final(internal) RETURNS quantizer
    AS 'MODULE_PATHNAME'
    LANGUAGE C IMMUTABLE PARALLEL SAFE;
CREATE AGGREGATE pq_train(vector, integer) (
    SFUNC = pq_train_accum,
    STYPE = internal,
    FINALFUNC = quantizer_train_final
);
COMMENT ON AGGREGATE pq_train(vector, integer) IS
    'pq_train(v, subvectors): a product quantizer of one byte a subvector, k-means over a sample of at most 65,536 rows (doi 10.1109/TPAMI.2010.57)';
CREATE AGGREGATE pq_train(vector, integer, integer) (
    SFUNC = pq_train_accum,
    STYPE = internal,
    FINALFUNC = quantizer_train_final
);
COMMENT ON AGGREGATE pq_train(vector, integer, integer) IS
    'pq_train(v, subvectors, bits): a product quantizer of 8 or 4 bits a subvector';
CREATE AGGREGATE pq_train(vector, integer, integer, boolean) (
    SFUNC = pq_train_accum,
    STYPE = internal,
    FINALFUNC = quantizer_train_final
);
COMMENT ON AGGREGATE pq_train(vector, integer, integer, boolean) IS
    'pq_train(v, subvectors, bits, rotate): the same, after a rotation that lets the code lose less (optimized product quantization, doi 10.1109/TPAMI.2013.240); dimensions^2 floats more';
CREATE AGGREGATE sq_train(vector) (
    SFUNC = sq_train_accum,
    STYPE = internal,
    FINALFUNC = quantizer_train_final
);
COMMENT ON AGGREGATE sq_train(vector) IS
    'a scalar quantizer: one byte a dimension, between the least and the greatest value of that dimension';

CREATE FUNCTION sq_quantizer(dims integer) RETURNS quantizer
    AS 'MODULE_PATHNAME'
    LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION sq_quantizer(integer) IS
    'a scalar quantizer that needs no training: each code has the offset and the scale of its vector, 12 bytes and one a dimension';

CREATE FUNCTION quantize(quantizer, vector) RETURNS quantized
    AS 'MODULE_PATHNAME'
    LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 100;
COMMENT ON FUNCTION quantize(quantizer, vector) IS
    'the code of a vector';
CREATE FUNCTION dequantize(quantizer, quantized) RETURNS vector
    AS 'MODULE_PATHNAME'
    LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 10;
COMMENT ON FUNCTION dequantize(quantizer, quantized) IS
    'the vector that a code stands for';
CREATE FUNCTION quantized_query(quantizer, vector) RETURNS quantized_query
    AS 'MODULE_PATHNAME'
    LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 100;
COMMENT ON FUNCTION quantized_query(quantizer, vector) IS
    'makes a query ready for many codes; in a subquery of its own, it is made once';
CREATE FUNCTION quantized_query_from_code(quantizer, quantized) RETURNS quantized_query
    AS 'MODULE_PATHNAME'
    LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 100;
COMMENT ON FUNCTION quantized_query_from_code(quantizer, quantized) IS
    'makes a code ready to be compared with many codes (symmetric distance)';
CREATE FUNCTION quantizer_info(quantizer, OUT fingerprint text, OUT kind text, OUT dims integer,
    OUT subvectors integer, OUT bits integer, OUT code_bytes integer, OUT bytes integer)
    AS 'MODULE_PATHNAME'
    LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION quantizer_info(quantizer) IS
    'what a quantizer is: product (rotated or not) or scalar (trained or per vector), dimensions, subvectors, bits of each, bytes of a code, its own bytes';
CREATE FUNCTION l2_distance(quantized, quantized_query) RETURNS float8
    AS 'MODULE_PATHNAME', 'quantized_l2_distance'
    LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 2;
COMMENT ON FUNCTION l2_distance(quantized, quantized_query) IS
    'Euclidean distance between a query and the vector that a code stands for';
CREATE FUNCTION inner_product(quantized, quantized_query) RETURNS float8
    AS 'MODULE_PATHNAME', 'quantized_inner_product'
    LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 2;
COMMENT ON FUNCTION inner_product(quantized, quantized_query) IS
    'inner product between a query and the vector that a code stands for';
CREATE FUNCTION cosine_distance(quantized, quantized_query) RETURNS float8
    AS 'MODULE_PATHNAME', 'quantized_cosine_distance'
    LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 2;
COMMENT ON FUNCTION cosine_distance(quantized, quantized_query) IS
    'cosine distance between a query and the vector that a code stands for';
CREATE FUNCTION quantized_negative_inner_product(quantized, quantized_query) RETURNS float8
    AS 'MODULE_PATHNAME'
    LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 2;
COMMENT ON FUNCTION quantized_negative_inner_product(quantized, quantized_query) IS
    'inner product times -1, so that ascending order puts the largest first';
CREATE OPERATOR <-> (LEFTARG = quantized, RIGHTARG = quantized_query, FUNCTION = l2_distance);
COMMENT ON OPERATOR <-> (quantized, quantized_query) IS 'Euclidean distance between a query and the vector that a code stands for';
CREATE OPERATOR <#> (LEFTARG = quantized, RIGHTARG = quantized_query, FUNCTION = quantized_negative_inner_product);
COMMENT ON OPERATOR <#> (quantized, quantized_query) IS 'negative inner product between a query and the vector that a code stands for';
CREATE OPERATOR <=> (LEFTARG = quantized, RIGHTARG = quantized_query, FUNCTION = cosine_distance);
COMMENT ON OPERATOR <=> (quantized, quantized_query) IS 'cosine distance between a query and the vector that a code stands for';

CREATE FUNCTION quantized_lt(quantized, quantized) RETURNS boolean
    AS 'MODULE_PATHNAME'
    LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
CREATE FUNCTION quantized_le(quantized, quantized) RETURNS boolean
    AS 'MODULE_PATHNAME'
    LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
CREATE FUNCTION quantized_eq(quantized, quantized) RETURNS boolean
    AS 'MODULE_PATHNAME'
    LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
CREATE FUNCTION quantized_ne(quantized, quantized) RETURNS boolean
    AS 'MODULE_PATHNAME'
    LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
CREATE FUNCTION quantized_ge(quantized, quantized) RETURNS boolean
    AS 'MODULE_PATHNAME'
    LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
CREATE FUNCTION quantized_gt(quantized, quantized) RETURNS boolean
    AS 'MODULE_PATHNAME'
    LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
CREATE FUNCTION quantized_cmp(quantized, quantized) RETURNS integer
    AS 'MODULE_PATHNAME'
    LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
CREATE OPERATOR < (LEFTARG = quantized, RIGHTARG = quantized, FUNCTION = quantized_lt,
    COMMUTATOR = >, NEGATOR = >=, RESTRICT = scalarltsel, JOIN = scalarltjoinsel);
CREATE OPERATOR <= (LEFTARG = quantized, RIGHTARG = quantized, FUNCTION = quantized_le,
    COMMUTATOR = >=, NEGATOR = >, RESTRICT = scalarlesel, JOIN = scalarlejoinsel);
CREATE OPERATOR = (LEFTARG = quantized, RIGHTARG = quantized, FUNCTION = quantized_eq,
    COMMUTATOR = =, NEGATOR = <>, RESTRICT = eqsel, JOIN = eqjoinsel);
CREATE OPERATOR <> (LEFTARG = quantized, RIGHTARG = quantized, FUNCTION = quantized_ne,
    COMMUTATOR = <>, NEGATOR = =, RESTRICT = neqsel, JOIN = neqjoinsel);
CREATE OPERATOR >= (LEFTARG = quantized, RIGHTARG = quantized, FUNCTION = quantized_ge,
    COMMUTATOR = <=, NEGATOR = <, RESTRICT = scalargesel, JOIN = scalargejoinsel);
CREATE OPERATOR > (LEFTARG = quantized, RIGHTARG = quantized, FUNCTION = quantized_gt,
    COMMUTATOR = <, NEGATOR = <=, RESTRICT = scalargtsel, JOIN = scalargtjoinsel);

CREATE OPERATOR CLASS quantized_ops DEFAULT FOR TYPE quantized USING btree AS
    OPERATOR 1 <,
    OPERATOR 2 <=,
    OPERATOR 3 =,
    OPERATOR 4 >=,
    OPERATOR 5 >,
    FUNCTION 1 quantized_cmp(quantized, quantized);

-- The nearest of many codes
CREATE FUNCTION l2_nearest_accum(internal, bigint, quantized, quantized_query, integer) RETURNS internal
    AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE PARALLEL SAFE;
CREATE FUNCTION l2_nearest_tid_accum(internal, tid, quantized, quantized_query, integer) RETURNS internal
    AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE PARALLEL SAFE;
CREATE FUNCTION ip_nearest_accum(internal, bigint, quantized, quantized_query, integer) RETURNS internal
    AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE PARALLEL SAFE;
CREATE FUNCTION ip_nearest_tid_accum(internal, tid, quantized, quantized_query, integer) RETURNS internal
    AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE PARALLEL SAFE;
CREATE FUNCTION cosine_nearest_accum(internal, bigint, quantized, quantized_query, integer) RETURNS internal
    AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE PARALLEL SAFE;
CREATE FUNCTION cosine_nearest_tid_accum(internal, tid, quantized, quantized_query, integer) RETURNS internal
    AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE PARALLEL SAFE;
CREATE FUNCTION nearest_final(internal) RETURNS bigint[]
    AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE PARALLEL SAFE;
CREATE FUNCTION nearest_tid_final(internal) RETURNS tid[]
    AS 'MODULE_PATHNAME', 'nearest_final' LANGUAGE C IMMUTABLE PARALLEL SAFE;
CREATE FUNCTION nearest_combine(internal, internal) RETURNS internal
    AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE PARALLEL SAFE;
CREATE FUNCTION nearest_serialize(internal) RETURNS bytea
    AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
CREATE FUNCTION nearest_deserialize(bytea, internal) RETURNS internal
    AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
CREATE AGGREGATE l2_nearest(bigint, quantized, quantized_query, integer) (
    SFUNC = l2_nearest_accum,
    STYPE = internal,
    FINALFUNC = nearest_final,
    COMBINEFUNC = nearest_combine,
    SERIALFUNC = nearest_serialize,
    DESERIALFUNC = nearest_deserialize,
    PARALLEL = SAFE
);
COMMENT ON AGGREGATE l2_nearest(bigint, quantized, quantized_query, integer) IS
    'l2_nearest(id, code, query, k): the ids of the k codes that are nearest to the query by Euclidean distance, nearest first';
CREATE AGGREGATE l2_nearest(tid, quantized, quantized_query, integer) (
    SFUNC = l2_nearest_tid_accum,
    STYPE = internal,
    FINALFUNC = nearest_tid_final,
    COMBINEFUNC = nearest_combine,
    SERIALFUNC = nearest_serialize,
    DESERIALFUNC = nearest_deserialize,
    PARALLEL = SAFE
);
COMMENT ON AGGREGATE l2_nearest(tid, quantized, quantized_query, integer) IS
    'l2_nearest(ctid, code, query, k): the places of the k codes that are nearest to the query by Euclidean distance, nearest first';
CREATE AGGREGATE ip_nearest(bigint, quantized, quantized_query, integer) (
    SFUNC = ip_nearest_accum,
    STYPE = internal,
    FINALFUNC = nearest_final,
    COMBINEFUNC = nearest_combine,
    SERIALFUNC = nearest_serialize,
    DESERIALFUNC = nearest_deserialize,
    PARALLEL = SAFE
);
COMMENT ON AGGREGATE ip_nearest(bigint, quantized, quantized_query, integer) IS
    'ip_nearest(id, code, query, k): the ids of the k codes that are nearest to the query by negative inner product, nearest first';
CREATE AGGREGATE ip_nearest(tid, quantized, quantized_query, integer) (
    SFUNC = ip_nearest_tid_accum,
    STYPE = internal,
    FINALFUNC = nearest_tid_final,
    COMBINEFUNC = nearest_combine,
    SERIALFUNC = nearest_serialize,
    DESERIALFUNC = nearest_deserialize,
    PARALLEL = SAFE
);
COMMENT ON AGGREGATE ip_nearest(tid, quantized, quantized_query, integer) IS
    'ip_nearest(ctid, code, query, k): the places of the k codes that are nearest to the query by negative inner product, nearest first';
CREATE AGGREGATE cosine_nearest(bigint, quantized, quantized_query, integer) (
    SFUNC = cosine_nearest_accum,
    STYPE = internal,
    FINALFUNC = nearest_final,
    COMBINEFUNC = nearest_combine,
    SERIALFUNC = nearest_serialize,
    DESERIALFUNC = nearest_deserialize,
    PARALLEL = SAFE
);
COMMENT ON AGGREGATE cosine_nearest(bigint, quantized, quantized_query, integer) IS
    'cosine_nearest(id, code, query, k): the ids of the k codes that are nearest to the query by cosine distance, nearest first';
CREATE AGGREGATE cosine_nearest(tid, quantized, quantized_query, integer) (
    SFUNC = cosine_nearest_tid_accum,
    STYPE = internal,
    FINALFUNC = nearest_tid_final,
    COMBINEFUNC = nearest_combine,
    SERIALFUNC = nearest_serialize,
    DESERIALFUNC = nearest_deserialize,
    PARALLEL = SAFE
);
COMMENT ON AGGREGATE cosine_nearest(tid, quantized, quantized_query, integer) IS
    'cosine_nearest(ctid, code, query, k): the places of the k codes that are nearest to the query by cosine distance, nearest first';

-- hnsw: inspection

DROP FUNCTION hnsw_meta(regclass);
CREATE FUNCTION hnsw_meta(index regclass, OUT version integer, OUT metric text, OUT dims integer,
    OUT m integer, OUT ef_construction integer, OUT max_neighbours integer, OUT sketch_bits integer,
    OUT vector_bits integer, OUT slot_bytes integer, OUT slots_per_page integer, OUT entry bigint, OUT entry_level integer)
    AS 'MODULE_PATHNAME' LANGUAGE C VOLATILE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION hnsw_meta(regclass) IS
    'what an hnsw index was built as, and the slot where searches start; for its owner';
DROP FUNCTION hnsw_stats(regclass);
CREATE FUNCTION hnsw_stats(index regclass, OUT pages bigint, OUT nodes bigint, OUT upper_slots bigint,
    OUT rows bigint, OUT deleted_slots bigint, OUT free_slots bigint, OUT overflow_slots bigint, OUT mean_neighbours float8,
    OUT min_neighbours integer, OUT max_neighbours integer, OUT full_nodes float8, OUT layers integer,
    OUT page_fill float8, OUT row_bytes float8, OUT vector_bytes float8, OUT link_bytes float8, OUT sketch_bytes float8)
    AS 'MODULE_PATHNAME' LANGUAGE C VOLATILE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION hnsw_stats(regclass) IS
    'counts the slots of an hnsw index by reading all of it; full_nodes and page_fill are shares; row_bytes: of the index for each row, of which the vectors, the neighbours'' numbers and their sketches take so many; for its owner';

CREATE FUNCTION hnsw_recall(index regclass, k integer DEFAULT 10, sample integer DEFAULT 100, OUT ef_search integer,
    OUT recall float8, OUT ms float8, OUT visited float8)
    RETURNS SETOF record
    AS 'MODULE_PATHNAME' LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE;
COMMENT ON FUNCTION hnsw_recall(regclass, integer, integer) IS
    'the share of the k nearest rows (ties count) that the index finds, for rising ef_search, with sampled rows as queries (each without itself), beside exact search over the table; mean milliseconds and nodes visited of a query; for its owner';
CREATE FUNCTION hnsw_recall(index regclass, queries anyarray, k integer DEFAULT 10, OUT ef_search integer,
    OUT recall float8, OUT ms float8, OUT visited float8)
    RETURNS SETOF record
    AS 'MODULE_PATHNAME', 'hnsw_recall_of_queries' LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE;
COMMENT ON FUNCTION hnsw_recall(regclass, anyarray, integer) IS
    'the same for queries of your own, such as array_agg(embedding) over a table of questions';

CREATE FUNCTION hnsw_advise(rel regclass, col name, opclass text DEFAULT NULL, wanted float8 DEFAULT 0.95, k integer DEFAULT 10,
    sample integer DEFAULT 10000, OUT options text, OUT index_bytes bigint, OUT build_ms float8, OUT recall float8,
    OUT ef_search integer, OUT ms float8, OUT ddl text)
    RETURNS SETOF record LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp SET client_min_messages = warning
AS $$
DECLARE
    -- The schema of the extension, whatever a packager calls it: its access method has but one name.
    ours name := (SELECT n.nspname FROM pg_am a JOIN pg_proc p ON p.oid = a.amhandler JOIN pg_namespace n ON n.oid = p.pronamespace
        WHERE a.amname = 'hnsw');
    element oid;
    kind name;
    dims integer;
    parts text[];
    class text;
    of_class oid;
    found bigint;
    total float8;
    start timestamptz;
    candidates text[];
    layout text;
    seen text[] := '{}';
BEGIN
    SELECT a.atttypid INTO element FROM pg_attribute a WHERE a.attrelid = rel AND a.attname = col AND NOT a.attisdropped;
    IF element IS NULL THEN
        RAISE undefined_column USING MESSAGE = format('column %I of %s does not exist', col, rel);
    END IF;
    WHILE (SELECT t.typtype = 'd' FROM pg_type t WHERE t.oid = element) LOOP   -- a domain is indexed as its base type
        element := (SELECT t.typbasetype FROM pg_type t WHERE t.oid = element);
    END LOOP;
    kind := (SELECT t.typname FROM pg_type t WHERE t.oid = element);
    parts := coalesce(parse_ident(opclass), ARRAY[CASE kind WHEN 'bit' THEN 'bit_hamming_ops' ELSE kind || '_l2_ops' END]);
    SELECT format('%I.%I', n.nspname, c.opcname), c.opcintype INTO class, of_class
        FROM pg_opclass c JOIN pg_namespace n ON n.oid = c.opcnamespace JOIN pg_am a ON a.oid = c.opcmethod
        WHERE a.amname = 'hnsw' AND c.opcname = parts[cardinality(parts)]
            AND n.nspname = CASE cardinality(parts) WHEN 1 THEN ours WHEN 2 THEN parts[1] END;
    IF opclass IS NULL AND of_class IS DISTINCT FROM element THEN
        RAISE undefined_object USING MESSAGE = format('data type %s has no operator class for access method "hnsw"', format_type(element, NULL));
    ELSIF class IS NULL THEN
        RAISE undefined_object USING MESSAGE = format('operator class "%s" does not exist for access method "hnsw"', array_to_string(parts, '.'));
    ELSIF of_class <> element THEN
        RAISE datatype_mismatch USING MESSAGE = format('operator class "%s" does not accept data type %s', array_to_string(parts, '.'), format_type(element, NULL));
    END IF;
    IF (sample >= 100 AND wanted BETWEEN 0 AND 1) IS NOT TRUE THEN
        RAISE invalid_parameter_value USING MESSAGE = 'a sample of at least 100 rows and a recall between 0 and 1 are needed';
    END IF;

    DROP TABLE IF EXISTS pg_temp.hnsw_advise_sample;
    EXECUTE format('CREATE TEMP TABLE hnsw_advise_sample AS SELECT %1$I AS v FROM %2$s WHERE %1$I IS NOT NULL ORDER BY random() LIMIT %3$s',
        col, rel, sample);
    SELECT count(*) INTO found FROM pg_temp.hnsw_advise_sample;
    IF found < 100 THEN
        RAISE invalid_parameter_value USING MESSAGE = format('%s has %s vectors, too few to learn from', rel, found);
    END IF;
    -- A column may do without dimensions, an index may not.
    IF kind = 'bit' THEN
        SELECT length(v) INTO dims FROM pg_temp.hnsw_advise_sample LIMIT 1;
    ELSIF kind = 'sparsevec' THEN
        SELECT split_part(v::text, '/', 2) INTO dims FROM pg_temp.hnsw_advise_sample LIMIT 1;
    ELSE
        EXECUTE format('SELECT %I.vector_dims(v) FROM pg_temp.hnsw_advise_sample LIMIT 1', ours) INTO dims;
    END IF;
    EXECUTE format('ALTER TABLE pg_temp.hnsw_advise_sample ALTER v TYPE %s(%s)', CASE kind WHEN 'bit' THEN 'bit' ELSE format('%I.%I', ours, kind) END, dims);
    SELECT CASE WHEN reltuples > 0 THEN reltuples ELSE found END INTO total FROM pg_class WHERE oid = rel;
    total := greatest(total, found);

    candidates := '{"","m = 8","m = 24, ef_construction = 128"}';
    IF kind IN ('vector', 'halfvec') AND class NOT LIKE '%\_l1\_ops' THEN
        candidates := candidates || '{"vector_bits = 32","vector_bits = 16","vector_bits = 12","vector_bits = 8","sketch_fold = 2","sketch_fold = -1","vector_bits = 4","vector_bits = 2","vector_bits = 2, sketch_fold = 6, m = 8"}'::text[];
    END IF;
    FOREACH options IN ARRAY candidates LOOP
        DECLARE
            clause text := CASE options WHEN '' THEN '' ELSE format(' WITH (%s)', options) END;
        BEGIN
            start := clock_timestamp();
            EXECUTE format('CREATE INDEX hnsw_advise_index ON pg_temp.hnsw_advise_sample USING hnsw (v %s)', class) || clause;
            build_ms := extract(epoch FROM clock_timestamp() - start) * 1000 * total / found;
            -- A default by its name
            EXECUTE format('SELECT concat_ws('','', m, ef_construction, max_neighbours, sketch_bits, vector_bits) FROM %I.hnsw_meta(''pg_temp.hnsw_advise_index'')', ours)
                INTO layout;
            IF layout = ANY (seen) THEN
                DROP INDEX pg_temp.hnsw_advise_index;
                CONTINUE;
            END IF;
            seen := seen || layout;
            index_bytes := pg_relation_size('pg_temp.hnsw_advise_index') * total / found;
            EXECUTE format('WITH r AS MATERIALIZED (SELECT * FROM %I.hnsw_recall(''pg_temp.hnsw_advise_index'', $1, 100)),
                    best AS (SELECT * FROM r WHERE recall >= $2 ORDER BY ef_search LIMIT 1)
                SELECT (SELECT r.recall FROM r ORDER BY abs(ef_search - 40) LIMIT 1), best.ef_search, best.ms FROM (SELECT) x LEFT JOIN best ON true', ours)
                INTO recall, ef_search, ms USING k, wanted;
            DROP INDEX pg_temp.hnsw_advise_index;
            ddl := format('CREATE INDEX ON %s USING hnsw (%I %s)', rel, col, class) || clause || ';';
            RETURN NEXT;
        EXCEPTION WHEN program_limit_exceeded OR invalid_parameter_value THEN
            NULL;   -- not with so many dimensions
        END;
    END LOOP;
    DROP TABLE pg_temp.hnsw_advise_sample;
END $$;
COMMENT ON FUNCTION hnsw_advise(regclass, name, text, float8, integer, integer) IS
    'what an hnsw index on the column would be with some options, tried on a random sample: bytes and milliseconds of the build for the whole table, the recall of the k nearest at ef_search 40, the least ef_search tried that reaches the wanted recall on the sample (larger tables need some more) and the milliseconds of a query with it, and the statement that makes it';

-- It locks out writers: for those to whom it is granted, on indexes that they own.
REVOKE ALL ON FUNCTION hnsw_check(regclass, boolean) FROM PUBLIC;
