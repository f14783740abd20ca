/* quiver--0.3.0.sql */

-- complain if script is sourced in psql rather than by CREATE EXTENSION
\echo Use "CREATE EXTENSION quiver" to load this file. \quit

-- The SQL interface is that of pgvector 0.8: same names, signatures, operators and casts. All functions are
-- IMMUTABLE, STRICT and PARALLEL SAFE. A distance costs about as much as four simple operators.
--
-- What pgvector does not have is in sections whose heading says so. packaging/vector-scripts makes the scripts
-- of extension "vector" from this file, and needs these headings.

-- (A database has one of the two extensions.)
DO $$ BEGIN
    IF EXISTS (SELECT FROM pg_catalog.pg_extension WHERE extname = 'vector') THEN
        RAISE duplicate_object USING MESSAGE = 'cannot create extension "quiver" in a database that has extension "vector"',
            DETAIL = 'Both define the same types, functions and access methods.',
            HINT = 'If "vector" is pgvector, see the page "Migrating from pgvector" of quiver''s manual.';
    END IF;
END $$;


-- vector: the type

CREATE TYPE vector;

CREATE FUNCTION vector_in(cstring, oid, integer) RETURNS vector
    AS 'MODULE_PATHNAME'
    LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
CREATE FUNCTION vector_out(vector) RETURNS cstring
    AS 'MODULE_PATHNAME'
    LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
CREATE FUNCTION vector_typmod_in(cstring[]) RETURNS integer
    AS 'MODULE_PATHNAME'
    LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
CREATE FUNCTION vector_recv(internal, oid, integer) RETURNS vector
    AS 'MODULE_PATHNAME'
    LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
CREATE FUNCTION vector_send(vector) RETURNS bytea
    AS 'MODULE_PATHNAME'
    LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;

CREATE TYPE vector (
    INPUT = vector_in,
    OUTPUT = vector_out,
    TYPMOD_IN = vector_typmod_in,
    RECEIVE = vector_recv,
    SEND = vector_send,
    STORAGE = external
);
COMMENT ON TYPE vector IS 'up to 16,000 32-bit floats, written [1,2,3]; vector(n) has n dimensions';

-- halfvec: the type

CREATE TYPE halfvec;

CREATE FUNCTION halfvec_in(cstring, oid, integer) RETURNS halfvec
    AS 'MODULE_PATHNAME'
    LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
CREATE FUNCTION halfvec_out(halfvec) RETURNS cstring
    AS 'MODULE_PATHNAME'
    LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
CREATE FUNCTION halfvec_typmod_in(cstring[]) RETURNS integer
    AS 'MODULE_PATHNAME'
    LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
CREATE FUNCTION halfvec_recv(internal, oid, integer) RETURNS halfvec
    AS 'MODULE_PATHNAME'
    LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
CREATE FUNCTION halfvec_send(halfvec) RETURNS bytea
    AS 'MODULE_PATHNAME'
    LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;

CREATE TYPE halfvec (
    INPUT = halfvec_in,
    OUTPUT = halfvec_out,
    TYPMOD_IN = halfvec_typmod_in,
    RECEIVE = halfvec_recv,
    SEND = halfvec_send,
    STORAGE = external
);
COMMENT ON TYPE halfvec IS 'up to 16,000 16-bit floats, written [1,2,3]; halfvec(n) has n dimensions';

-- sparsevec: the type

CREATE TYPE sparsevec;

CREATE FUNCTION sparsevec_in(cstring, oid, integer) RETURNS sparsevec
    AS 'MODULE_PATHNAME'
    LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
CREATE FUNCTION sparsevec_out(sparsevec) RETURNS cstring
    AS 'MODULE_PATHNAME'
    LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
CREATE FUNCTION sparsevec_typmod_in(cstring[]) RETURNS integer
    AS 'MODULE_PATHNAME'
    LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
CREATE FUNCTION sparsevec_recv(internal, oid, integer) RETURNS sparsevec
    AS 'MODULE_PATHNAME'
    LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
CREATE FUNCTION sparsevec_send(sparsevec) RETURNS bytea
    AS 'MODULE_PATHNAME'
    LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;

CREATE TYPE sparsevec (
    INPUT = sparsevec_in,
    OUTPUT = sparsevec_out,
    TYPMOD_IN = sparsevec_typmod_in,
    RECEIVE = sparsevec_recv,
    SEND = sparsevec_send,
    STORAGE = external
);
COMMENT ON TYPE sparsevec IS 'up to 16,000 non-zero 32-bit floats among up to 1,000,000,000 dimensions, written {1:1.5,3:2}/5; sparsevec(n) has n dimensions';

-- vector: functions

CREATE FUNCTION l2_distance(vector, vector) RETURNS float8
    AS 'MODULE_PATHNAME'
    LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 4;
COMMENT ON FUNCTION l2_distance(vector, vector) IS
    'Euclidean distance';
CREATE FUNCTION inner_product(vector, vector) RETURNS float8
    AS 'MODULE_PATHNAME'
    LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 4;
COMMENT ON FUNCTION inner_product(vector, vector) IS
    'inner product';
CREATE FUNCTION cosine_distance(vector, vector) RETURNS float8
    AS 'MODULE_PATHNAME'
    LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 4;
COMMENT ON FUNCTION cosine_distance(vector, vector) IS
    'cosine distance: 1 - cosine of the angle, 0 to 2; NaN for a zero vector';
CREATE FUNCTION l1_distance(vector, vector) RETURNS float8
    AS 'MODULE_PATHNAME'
    LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 4;
COMMENT ON FUNCTION l1_distance(vector, vector) IS
    'taxicab distance';
CREATE FUNCTION vector_l2_squared_distance(vector, vector) RETURNS float8
    AS 'MODULE_PATHNAME'
    LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 4;
COMMENT ON FUNCTION vector_l2_squared_distance(vector, vector) IS
    'squared Euclidean distance';
CREATE FUNCTION vector_negative_inner_product(vector, vector) RETURNS float8
    AS 'MODULE_PATHNAME'
    LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 4;
COMMENT ON FUNCTION vector_negative_inner_product(vector, vector) IS
    'inner product times -1, so that ascending order puts the largest first';
CREATE FUNCTION vector_spherical_distance(vector, vector) RETURNS float8
    AS 'MODULE_PATHNAME'
    LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 4;
COMMENT ON FUNCTION vector_spherical_distance(vector, vector) IS
    'angle between two unit vectors, divided by pi';
CREATE FUNCTION vector_dims(vector) RETURNS integer
    AS 'MODULE_PATHNAME'
    LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION vector_dims(vector) IS
    'number of dimensions';
CREATE FUNCTION vector_norm(vector) RETURNS float8
    AS 'MODULE_PATHNAME'
    LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 2;
COMMENT ON FUNCTION vector_norm(vector) IS
    'Euclidean norm';
CREATE FUNCTION l2_normalize(vector) RETURNS vector
    AS 'MODULE_PATHNAME'
    LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 4;
COMMENT ON FUNCTION l2_normalize(vector) IS
    'the vector divided by its Euclidean norm; the zero vector stays zero';
CREATE FUNCTION binary_quantize(vector) RETURNS bit
    AS 'MODULE_PATHNAME'
    LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 4;
COMMENT ON FUNCTION binary_quantize(vector) IS
    'one bit per dimension: 1 where the element is greater than zero';
CREATE FUNCTION subvector(vector, integer, integer) RETURNS vector
    AS 'MODULE_PATHNAME'
    LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 2;
COMMENT ON FUNCTION subvector(vector, integer, integer) IS
    'subvector(v, start, count): count elements of v, beginning with element number start; the first element has number 1';
CREATE FUNCTION vector_add(vector, vector) RETURNS vector
    AS 'MODULE_PATHNAME'
    LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 2;
CREATE FUNCTION vector_sub(vector, vector) RETURNS vector
    AS 'MODULE_PATHNAME'
    LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 2;
CREATE FUNCTION vector_mul(vector, vector) RETURNS vector
    AS 'MODULE_PATHNAME'
    LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 2;
CREATE FUNCTION vector_concat(vector, vector) RETURNS vector
    AS 'MODULE_PATHNAME'
    LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 2;
CREATE FUNCTION vector_lt(vector, vector) RETURNS boolean
    AS 'MODULE_PATHNAME'
    LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
CREATE FUNCTION vector_le(vector, vector) RETURNS boolean
    AS 'MODULE_PATHNAME'
    LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
CREATE FUNCTION vector_eq(vector, vector) RETURNS boolean
    AS 'MODULE_PATHNAME'
    LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
CREATE FUNCTION vector_ne(vector, vector) RETURNS boolean
    AS 'MODULE_PATHNAME'
    LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
CREATE FUNCTION vector_ge(vector, vector) RETURNS boolean
    AS 'MODULE_PATHNAME'
    LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
CREATE FUNCTION vector_gt(vector, vector) RETURNS boolean
    AS 'MODULE_PATHNAME'
    LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
CREATE FUNCTION vector_cmp(vector, vector) RETURNS integer
    AS 'MODULE_PATHNAME'
    LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;

-- vector: aggregates

CREATE FUNCTION vector_accum(double precision[], vector) RETURNS double precision[]
    AS 'MODULE_PATHNAME'
    LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 4;
CREATE FUNCTION vector_combine(double precision[], double precision[]) RETURNS double precision[]
    AS 'MODULE_PATHNAME'
    LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 4;
CREATE FUNCTION vector_avg(double precision[]) RETURNS vector
    AS 'MODULE_PATHNAME'
    LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 4;

CREATE AGGREGATE avg(vector) (
    SFUNC = vector_accum,
    STYPE = double precision[],
    FINALFUNC = vector_avg,
    COMBINEFUNC = vector_combine,
    INITCOND = '{0}',
    PARALLEL = SAFE
);
COMMENT ON AGGREGATE avg(vector) IS 'the element-wise mean';

CREATE AGGREGATE sum(vector) (
    SFUNC = vector_add,
    STYPE = vector,
    COMBINEFUNC = vector_add,
    PARALLEL = SAFE
);
COMMENT ON AGGREGATE sum(vector) IS 'the element-wise sum';

-- vector: casts from and to arrays, and length coercion

CREATE FUNCTION vector(vector, integer, boolean) RETURNS vector
    AS 'MODULE_PATHNAME'
    LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
CREATE CAST (vector AS vector) WITH FUNCTION vector(vector, integer, boolean) AS IMPLICIT;
CREATE FUNCTION array_to_vector(integer[], integer, boolean) RETURNS vector
    AS 'MODULE_PATHNAME'
    LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
CREATE CAST (integer[] AS vector) WITH FUNCTION array_to_vector(integer[], integer, boolean) AS ASSIGNMENT;
CREATE FUNCTION array_to_vector(real[], integer, boolean) RETURNS vector
    AS 'MODULE_PATHNAME'
    LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
CREATE CAST (real[] AS vector) WITH FUNCTION array_to_vector(real[], integer, boolean) AS ASSIGNMENT;
CREATE FUNCTION array_to_vector(double precision[], integer, boolean) RETURNS vector
    AS 'MODULE_PATHNAME'
    LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
CREATE CAST (double precision[] AS vector) WITH FUNCTION array_to_vector(double precision[], integer, boolean) AS ASSIGNMENT;
CREATE FUNCTION array_to_vector(numeric[], integer, boolean) RETURNS vector
    AS 'MODULE_PATHNAME'
    LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
CREATE CAST (numeric[] AS vector) WITH FUNCTION array_to_vector(numeric[], integer, boolean) AS ASSIGNMENT;
CREATE FUNCTION vector_to_float4(vector, integer, boolean) RETURNS real[]
    AS 'MODULE_PATHNAME'
    LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
CREATE CAST (vector AS real[]) WITH FUNCTION vector_to_float4(vector, integer, boolean) AS IMPLICIT;

-- vector: operators

CREATE OPERATOR <-> (LEFTARG = vector, RIGHTARG = vector, FUNCTION = l2_distance, COMMUTATOR = <->);
COMMENT ON OPERATOR <-> (vector, vector) IS 'Euclidean distance';
CREATE OPERATOR <#> (LEFTARG = vector, RIGHTARG = vector, FUNCTION = vector_negative_inner_product, COMMUTATOR = <#>);
COMMENT ON OPERATOR <#> (vector, vector) IS 'negative inner product';
CREATE OPERATOR <=> (LEFTARG = vector, RIGHTARG = vector, FUNCTION = cosine_distance, COMMUTATOR = <=>);
COMMENT ON OPERATOR <=> (vector, vector) IS 'cosine distance';
CREATE OPERATOR <+> (LEFTARG = vector, RIGHTARG = vector, FUNCTION = l1_distance, COMMUTATOR = <+>);
COMMENT ON OPERATOR <+> (vector, vector) IS 'taxicab distance';
CREATE OPERATOR + (LEFTARG = vector, RIGHTARG = vector, FUNCTION = vector_add, COMMUTATOR = +);
COMMENT ON OPERATOR + (vector, vector) IS 'element-wise sum';
CREATE OPERATOR - (LEFTARG = vector, RIGHTARG = vector, FUNCTION = vector_sub);
COMMENT ON OPERATOR - (vector, vector) IS 'element-wise difference';
CREATE OPERATOR * (LEFTARG = vector, RIGHTARG = vector, FUNCTION = vector_mul, COMMUTATOR = *);
COMMENT ON OPERATOR * (vector, vector) IS 'element-wise product';
CREATE OPERATOR || (LEFTARG = vector, RIGHTARG = vector, FUNCTION = vector_concat);
COMMENT ON OPERATOR || (vector, vector) IS 'concatenation';

CREATE OPERATOR < (LEFTARG = vector, RIGHTARG = vector, FUNCTION = vector_lt,
    COMMUTATOR = >, NEGATOR = >=, RESTRICT = scalarltsel, JOIN = scalarltjoinsel);
CREATE OPERATOR <= (LEFTARG = vector, RIGHTARG = vector, FUNCTION = vector_le,
    COMMUTATOR = >=, NEGATOR = >, RESTRICT = scalarlesel, JOIN = scalarlejoinsel);
CREATE OPERATOR = (LEFTARG = vector, RIGHTARG = vector, FUNCTION = vector_eq,
    COMMUTATOR = =, NEGATOR = <>, RESTRICT = eqsel, JOIN = eqjoinsel);
CREATE OPERATOR <> (LEFTARG = vector, RIGHTARG = vector, FUNCTION = vector_ne,
    COMMUTATOR = <>, NEGATOR = =, RESTRICT = neqsel, JOIN = neqjoinsel);
CREATE OPERATOR >= (LEFTARG = vector, RIGHTARG = vector, FUNCTION = vector_ge,
    COMMUTATOR = <=, NEGATOR = <, RESTRICT = scalargesel, JOIN = scalargejoinsel);
CREATE OPERATOR > (LEFTARG = vector, RIGHTARG = vector, FUNCTION = vector_gt,
    COMMUTATOR = <, NEGATOR = <=, RESTRICT = scalargtsel, JOIN = scalargtjoinsel);

CREATE OPERATOR CLASS vector_ops DEFAULT FOR TYPE vector USING btree AS
    OPERATOR 1 <,
    OPERATOR 2 <=,
    OPERATOR 3 =,
    OPERATOR 4 >=,
    OPERATOR 5 >,
    FUNCTION 1 vector_cmp(vector, vector);

-- halfvec: functions

CREATE FUNCTION l2_distance(halfvec, halfvec) RETURNS float8
    AS 'MODULE_PATHNAME', 'halfvec_l2_distance'
    LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 4;
COMMENT ON FUNCTION l2_distance(halfvec, halfvec) IS
    'Euclidean distance';
CREATE FUNCTION inner_product(halfvec, halfvec) RETURNS float8
    AS 'MODULE_PATHNAME', 'halfvec_inner_product'
    LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 4;
COMMENT ON FUNCTION inner_product(halfvec, halfvec) IS
    'inner product';
CREATE FUNCTION cosine_distance(halfvec, halfvec) RETURNS float8
    AS 'MODULE_PATHNAME', 'halfvec_cosine_distance'
    LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 4;
COMMENT ON FUNCTION cosine_distance(halfvec, halfvec) IS
    'cosine distance: 1 - cosine of the angle, 0 to 2; NaN for a zero vector';
CREATE FUNCTION l1_distance(halfvec, halfvec) RETURNS float8
    AS 'MODULE_PATHNAME', 'halfvec_l1_distance'
    LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 4;
COMMENT ON FUNCTION l1_distance(halfvec, halfvec) IS
    'taxicab distance';
CREATE FUNCTION halfvec_l2_squared_distance(halfvec, halfvec) RETURNS float8
    AS 'MODULE_PATHNAME'
    LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 4;
COMMENT ON FUNCTION halfvec_l2_squared_distance(halfvec, halfvec) IS
    'squared Euclidean distance';
CREATE FUNCTION halfvec_negative_inner_product(halfvec, halfvec) RETURNS float8
    AS 'MODULE_PATHNAME'
    LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 4;
COMMENT ON FUNCTION halfvec_negative_inner_product(halfvec, halfvec) IS
    'inner product times -1, so that ascending order puts the largest first';
CREATE FUNCTION halfvec_spherical_distance(halfvec, halfvec) RETURNS float8
    AS 'MODULE_PATHNAME'
    LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 4;
COMMENT ON FUNCTION halfvec_spherical_distance(halfvec, halfvec) IS
    'angle between two unit vectors, divided by pi';
CREATE FUNCTION vector_dims(halfvec) RETURNS integer
    AS 'MODULE_PATHNAME', 'halfvec_dims'
    LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION vector_dims(halfvec) IS
    'number of dimensions';
CREATE FUNCTION l2_norm(halfvec) RETURNS float8
    AS 'MODULE_PATHNAME', 'halfvec_norm'
    LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 2;
COMMENT ON FUNCTION l2_norm(halfvec) IS
    'Euclidean norm';
CREATE FUNCTION l2_normalize(halfvec) RETURNS halfvec
    AS 'MODULE_PATHNAME', 'halfvec_l2_normalize'
    LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 4;
COMMENT ON FUNCTION l2_normalize(halfvec) IS
    'the vector divided by its Euclidean norm; the zero vector stays zero';
CREATE FUNCTION binary_quantize(halfvec) RETURNS bit
    AS 'MODULE_PATHNAME', 'halfvec_binary_quantize'
    LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 4;
COMMENT ON FUNCTION binary_quantize(halfvec) IS
    'one bit per dimension: 1 where the element is greater than zero';
CREATE FUNCTION subvector(halfvec, integer, integer) RETURNS halfvec
    AS 'MODULE_PATHNAME', 'halfvec_subvector'
    LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 2;
COMMENT ON FUNCTION subvector(halfvec, integer, integer) IS
    'subvector(v, start, count): count elements of v, beginning with element number start; the first element has number 1';
CREATE FUNCTION halfvec_add(halfvec, halfvec) RETURNS halfvec
    AS 'MODULE_PATHNAME'
    LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 2;
CREATE FUNCTION halfvec_sub(halfvec, halfvec) RETURNS halfvec
    AS 'MODULE_PATHNAME'
    LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 2;
CREATE FUNCTION halfvec_mul(halfvec, halfvec) RETURNS halfvec
    AS 'MODULE_PATHNAME'
    LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 2;
CREATE FUNCTION halfvec_concat(halfvec, halfvec) RETURNS halfvec
    AS 'MODULE_PATHNAME'
    LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 2;
CREATE FUNCTION halfvec_lt(halfvec, halfvec) RETURNS boolean
    AS 'MODULE_PATHNAME'
    LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
CREATE FUNCTION halfvec_le(halfvec, halfvec) RETURNS boolean
    AS 'MODULE_PATHNAME'
    LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
CREATE FUNCTION halfvec_eq(halfvec, halfvec) RETURNS boolean
    AS 'MODULE_PATHNAME'
    LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
CREATE FUNCTION halfvec_ne(halfvec, halfvec) RETURNS boolean
    AS 'MODULE_PATHNAME'
    LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
CREATE FUNCTION halfvec_ge(halfvec, halfvec) RETURNS boolean
    AS 'MODULE_PATHNAME'
    LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
CREATE FUNCTION halfvec_gt(halfvec, halfvec) RETURNS boolean
    AS 'MODULE_PATHNAME'
    LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
CREATE FUNCTION halfvec_cmp(halfvec, halfvec) RETURNS integer
    AS 'MODULE_PATHNAME'
    LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;

-- halfvec: aggregates

CREATE FUNCTION halfvec_accum(double precision[], halfvec) RETURNS double precision[]
    AS 'MODULE_PATHNAME'
    LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 4;
CREATE FUNCTION halfvec_combine(double precision[], double precision[]) RETURNS double precision[]
    AS 'MODULE_PATHNAME', 'vector_combine'
    LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 4;
CREATE FUNCTION halfvec_avg(double precision[]) RETURNS halfvec
    AS 'MODULE_PATHNAME'
    LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 4;

CREATE AGGREGATE avg(halfvec) (
    SFUNC = halfvec_accum,
    STYPE = double precision[],
    FINALFUNC = halfvec_avg,
    COMBINEFUNC = halfvec_combine,
    INITCOND = '{0}',
    PARALLEL = SAFE
);
COMMENT ON AGGREGATE avg(halfvec) IS 'the element-wise mean';

CREATE AGGREGATE sum(halfvec) (
    SFUNC = halfvec_add,
    STYPE = halfvec,
    COMBINEFUNC = halfvec_add,
    PARALLEL = SAFE
);
COMMENT ON AGGREGATE sum(halfvec) IS 'the element-wise sum';

-- halfvec: casts from and to arrays, and length coercion

CREATE FUNCTION halfvec(halfvec, integer, boolean) RETURNS halfvec
    AS 'MODULE_PATHNAME'
    LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
CREATE CAST (halfvec AS halfvec) WITH FUNCTION halfvec(halfvec, integer, boolean) AS IMPLICIT;
CREATE FUNCTION array_to_halfvec(integer[], integer, boolean) RETURNS halfvec
    AS 'MODULE_PATHNAME'
    LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
CREATE CAST (integer[] AS halfvec) WITH FUNCTION array_to_halfvec(integer[], integer, boolean) AS ASSIGNMENT;
CREATE FUNCTION array_to_halfvec(real[], integer, boolean) RETURNS halfvec
    AS 'MODULE_PATHNAME'
    LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
CREATE CAST (real[] AS halfvec) WITH FUNCTION array_to_halfvec(real[], integer, boolean) AS ASSIGNMENT;
CREATE FUNCTION array_to_halfvec(double precision[], integer, boolean) RETURNS halfvec
    AS 'MODULE_PATHNAME'
    LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
CREATE CAST (double precision[] AS halfvec) WITH FUNCTION array_to_halfvec(double precision[], integer, boolean) AS ASSIGNMENT;
CREATE FUNCTION array_to_halfvec(numeric[], integer, boolean) RETURNS halfvec
    AS 'MODULE_PATHNAME'
    LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
CREATE CAST (numeric[] AS halfvec) WITH FUNCTION array_to_halfvec(numeric[], integer, boolean) AS ASSIGNMENT;
CREATE FUNCTION halfvec_to_float4(halfvec, integer, boolean) RETURNS real[]
    AS 'MODULE_PATHNAME'
    LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
CREATE CAST (halfvec AS real[]) WITH FUNCTION halfvec_to_float4(halfvec, integer, boolean) AS ASSIGNMENT;

-- halfvec: operators

CREATE OPERATOR <-> (LEFTARG = halfvec, RIGHTARG = halfvec, FUNCTION = l2_distance, COMMUTATOR = <->);
COMMENT ON OPERATOR <-> (halfvec, halfvec) IS 'Euclidean distance';
CREATE OPERATOR <#> (LEFTARG = halfvec, RIGHTARG = halfvec, FUNCTION = halfvec_negative_inner_product, COMMUTATOR = <#>);
COMMENT ON OPERATOR <#> (halfvec, halfvec) IS 'negative inner product';
CREATE OPERATOR <=> (LEFTARG = halfvec, RIGHTARG = halfvec, FUNCTION = cosine_distance, COMMUTATOR = <=>);
COMMENT ON OPERATOR <=> (halfvec, halfvec) IS 'cosine distance';
CREATE OPERATOR <+> (LEFTARG = halfvec, RIGHTARG = halfvec, FUNCTION = l1_distance, COMMUTATOR = <+>);
COMMENT ON OPERATOR <+> (halfvec, halfvec) IS 'taxicab distance';
CREATE OPERATOR + (LEFTARG = halfvec, RIGHTARG = halfvec, FUNCTION = halfvec_add, COMMUTATOR = +);
COMMENT ON OPERATOR + (halfvec, halfvec) IS 'element-wise sum';
CREATE OPERATOR - (LEFTARG = halfvec, RIGHTARG = halfvec, FUNCTION = halfvec_sub);
COMMENT ON OPERATOR - (halfvec, halfvec) IS 'element-wise difference';
CREATE OPERATOR * (LEFTARG = halfvec, RIGHTARG = halfvec, FUNCTION = halfvec_mul, COMMUTATOR = *);
COMMENT ON OPERATOR * (halfvec, halfvec) IS 'element-wise product';
CREATE OPERATOR || (LEFTARG = halfvec, RIGHTARG = halfvec, FUNCTION = halfvec_concat);
COMMENT ON OPERATOR || (halfvec, halfvec) IS 'concatenation';

CREATE OPERATOR < (LEFTARG = halfvec, RIGHTARG = halfvec, FUNCTION = halfvec_lt,
    COMMUTATOR = >, NEGATOR = >=, RESTRICT = scalarltsel, JOIN = scalarltjoinsel);
CREATE OPERATOR <= (LEFTARG = halfvec, RIGHTARG = halfvec, FUNCTION = halfvec_le,
    COMMUTATOR = >=, NEGATOR = >, RESTRICT = scalarlesel, JOIN = scalarlejoinsel);
CREATE OPERATOR = (LEFTARG = halfvec, RIGHTARG = halfvec, FUNCTION = halfvec_eq,
    COMMUTATOR = =, NEGATOR = <>, RESTRICT = eqsel, JOIN = eqjoinsel);
CREATE OPERATOR <> (LEFTARG = halfvec, RIGHTARG = halfvec, FUNCTION = halfvec_ne,
    COMMUTATOR = <>, NEGATOR = =, RESTRICT = neqsel, JOIN = neqjoinsel);
CREATE OPERATOR >= (LEFTARG = halfvec, RIGHTARG = halfvec, FUNCTION = halfvec_ge,
    COMMUTATOR = <=, NEGATOR = <, RESTRICT = scalargesel, JOIN = scalargejoinsel);
CREATE OPERATOR > (LEFTARG = halfvec, RIGHTARG = halfvec, FUNCTION = halfvec_gt,
    COMMUTATOR = <, NEGATOR = <=, RESTRICT = scalargtsel, JOIN = scalargtjoinsel);

CREATE OPERATOR CLASS halfvec_ops DEFAULT FOR TYPE halfvec USING btree AS
    OPERATOR 1 <,
    OPERATOR 2 <=,
    OPERATOR 3 =,
    OPERATOR 4 >=,
    OPERATOR 5 >,
    FUNCTION 1 halfvec_cmp(halfvec, halfvec);

-- sparsevec: functions

CREATE FUNCTION l2_distance(sparsevec, sparsevec) RETURNS float8
    AS 'MODULE_PATHNAME', 'sparsevec_l2_distance'
    LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 4;
COMMENT ON FUNCTION l2_distance(sparsevec, sparsevec) IS
    'Euclidean distance';
CREATE FUNCTION inner_product(sparsevec, sparsevec) RETURNS float8
    AS 'MODULE_PATHNAME', 'sparsevec_inner_product'
    LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 4;
COMMENT ON FUNCTION inner_product(sparsevec, sparsevec) IS
    'inner product';
CREATE FUNCTION cosine_distance(sparsevec, sparsevec) RETURNS float8
    AS 'MODULE_PATHNAME', 'sparsevec_cosine_distance'
    LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 4;
COMMENT ON FUNCTION cosine_distance(sparsevec, sparsevec) IS
    'cosine distance: 1 - cosine of the angle, 0 to 2; NaN for a zero vector';
CREATE FUNCTION l1_distance(sparsevec, sparsevec) RETURNS float8
    AS 'MODULE_PATHNAME', 'sparsevec_l1_distance'
    LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 4;
COMMENT ON FUNCTION l1_distance(sparsevec, sparsevec) IS
    'taxicab distance';
CREATE FUNCTION sparsevec_l2_squared_distance(sparsevec, sparsevec) RETURNS float8
    AS 'MODULE_PATHNAME'
    LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 4;
COMMENT ON FUNCTION sparsevec_l2_squared_distance(sparsevec, sparsevec) IS
    'squared Euclidean distance';
CREATE FUNCTION sparsevec_negative_inner_product(sparsevec, sparsevec) RETURNS float8
    AS 'MODULE_PATHNAME'
    LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 4;
COMMENT ON FUNCTION sparsevec_negative_inner_product(sparsevec, sparsevec) IS
    'inner product times -1, so that ascending order puts the largest first';
CREATE FUNCTION l2_norm(sparsevec) RETURNS float8
    AS 'MODULE_PATHNAME', 'sparsevec_l2_norm'
    LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 2;
COMMENT ON FUNCTION l2_norm(sparsevec) IS
    'Euclidean norm';
CREATE FUNCTION l2_normalize(sparsevec) RETURNS sparsevec
    AS 'MODULE_PATHNAME', 'sparsevec_l2_normalize'
    LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 4;
COMMENT ON FUNCTION l2_normalize(sparsevec) IS
    'the vector divided by its Euclidean norm; the zero vector stays zero';
CREATE FUNCTION sparsevec_lt(sparsevec, sparsevec) RETURNS boolean
    AS 'MODULE_PATHNAME'
    LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
CREATE FUNCTION sparsevec_le(sparsevec, sparsevec) RETURNS boolean
    AS 'MODULE_PATHNAME'
    LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
CREATE FUNCTION sparsevec_eq(sparsevec, sparsevec) RETURNS boolean
    AS 'MODULE_PATHNAME'
    LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
CREATE FUNCTION sparsevec_ne(sparsevec, sparsevec) RETURNS boolean
    AS 'MODULE_PATHNAME'
    LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
CREATE FUNCTION sparsevec_ge(sparsevec, sparsevec) RETURNS boolean
    AS 'MODULE_PATHNAME'
    LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
CREATE FUNCTION sparsevec_gt(sparsevec, sparsevec) RETURNS boolean
    AS 'MODULE_PATHNAME'
    LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
CREATE FUNCTION sparsevec_cmp(sparsevec, sparsevec) RETURNS integer
    AS 'MODULE_PATHNAME'
    LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;

-- sparsevec: casts from and to arrays, and length coercion

CREATE FUNCTION sparsevec(sparsevec, integer, boolean) RETURNS sparsevec
    AS 'MODULE_PATHNAME'
    LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
CREATE CAST (sparsevec AS sparsevec) WITH FUNCTION sparsevec(sparsevec, integer, boolean) AS IMPLICIT;
CREATE FUNCTION array_to_sparsevec(integer[], integer, boolean) RETURNS sparsevec
    AS 'MODULE_PATHNAME'
    LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
CREATE CAST (integer[] AS sparsevec) WITH FUNCTION array_to_sparsevec(integer[], integer, boolean) AS ASSIGNMENT;
CREATE FUNCTION array_to_sparsevec(real[], integer, boolean) RETURNS sparsevec
    AS 'MODULE_PATHNAME'
    LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
CREATE CAST (real[] AS sparsevec) WITH FUNCTION array_to_sparsevec(real[], integer, boolean) AS ASSIGNMENT;
CREATE FUNCTION array_to_sparsevec(double precision[], integer, boolean) RETURNS sparsevec
    AS 'MODULE_PATHNAME'
    LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
CREATE CAST (double precision[] AS sparsevec) WITH FUNCTION array_to_sparsevec(double precision[], integer, boolean) AS ASSIGNMENT;
CREATE FUNCTION array_to_sparsevec(numeric[], integer, boolean) RETURNS sparsevec
    AS 'MODULE_PATHNAME'
    LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
CREATE CAST (numeric[] AS sparsevec) WITH FUNCTION array_to_sparsevec(numeric[], integer, boolean) AS ASSIGNMENT;

-- sparsevec: operators

CREATE OPERATOR <-> (LEFTARG = sparsevec, RIGHTARG = sparsevec, FUNCTION = l2_distance, COMMUTATOR = <->);
COMMENT ON OPERATOR <-> (sparsevec, sparsevec) IS 'Euclidean distance';
CREATE OPERATOR <#> (LEFTARG = sparsevec, RIGHTARG = sparsevec, FUNCTION = sparsevec_negative_inner_product, COMMUTATOR = <#>);
COMMENT ON OPERATOR <#> (sparsevec, sparsevec) IS 'negative inner product';
CREATE OPERATOR <=> (LEFTARG = sparsevec, RIGHTARG = sparsevec, FUNCTION = cosine_distance, COMMUTATOR = <=>);
COMMENT ON OPERATOR <=> (sparsevec, sparsevec) IS 'cosine distance';
CREATE OPERATOR <+> (LEFTARG = sparsevec, RIGHTARG = sparsevec, FUNCTION = l1_distance, COMMUTATOR = <+>);
COMMENT ON OPERATOR <+> (sparsevec, sparsevec) IS 'taxicab distance';

CREATE OPERATOR < (LEFTARG = sparsevec, RIGHTARG = sparsevec, FUNCTION = sparsevec_lt,
    COMMUTATOR = >, NEGATOR = >=, RESTRICT = scalarltsel, JOIN = scalarltjoinsel);
CREATE OPERATOR <= (LEFTARG = sparsevec, RIGHTARG = sparsevec, FUNCTION = sparsevec_le,
    COMMUTATOR = >=, NEGATOR = >, RESTRICT = scalarlesel, JOIN = scalarlejoinsel);
CREATE OPERATOR = (LEFTARG = sparsevec, RIGHTARG = sparsevec, FUNCTION = sparsevec_eq,
    COMMUTATOR = =, NEGATOR = <>, RESTRICT = eqsel, JOIN = eqjoinsel);
CREATE OPERATOR <> (LEFTARG = sparsevec, RIGHTARG = sparsevec, FUNCTION = sparsevec_ne,
    COMMUTATOR = <>, NEGATOR = =, RESTRICT = neqsel, JOIN = neqjoinsel);
CREATE OPERATOR >= (LEFTARG = sparsevec, RIGHTARG = sparsevec, FUNCTION = sparsevec_ge,
    COMMUTATOR = <=, NEGATOR = <, RESTRICT = scalargesel, JOIN = scalargejoinsel);
CREATE OPERATOR > (LEFTARG = sparsevec, RIGHTARG = sparsevec, FUNCTION = sparsevec_gt,
    COMMUTATOR = <, NEGATOR = <=, RESTRICT = scalargtsel, JOIN = scalargtjoinsel);

CREATE OPERATOR CLASS sparsevec_ops DEFAULT FOR TYPE sparsevec USING btree AS
    OPERATOR 1 <,
    OPERATOR 2 <=,
    OPERATOR 3 =,
    OPERATOR 4 >=,
    OPERATOR 5 >,
    FUNCTION 1 sparsevec_cmp(sparsevec, sparsevec);

-- casts between the types: implicit where only precision is lost, as in pgvector

CREATE FUNCTION vector_to_halfvec(vector, integer, boolean) RETURNS halfvec
    AS 'MODULE_PATHNAME'
    LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
CREATE CAST (vector AS halfvec) WITH FUNCTION vector_to_halfvec(vector, integer, boolean) AS IMPLICIT;
CREATE FUNCTION halfvec_to_vector(halfvec, integer, boolean) RETURNS vector
    AS 'MODULE_PATHNAME'
    LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
CREATE CAST (halfvec AS vector) WITH FUNCTION halfvec_to_vector(halfvec, integer, boolean) AS ASSIGNMENT;
CREATE FUNCTION vector_to_sparsevec(vector, integer, boolean) RETURNS sparsevec
    AS 'MODULE_PATHNAME'
    LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
CREATE CAST (vector AS sparsevec) WITH FUNCTION vector_to_sparsevec(vector, integer, boolean) AS IMPLICIT;
CREATE FUNCTION sparsevec_to_vector(sparsevec, integer, boolean) RETURNS vector
    AS 'MODULE_PATHNAME'
    LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
CREATE CAST (sparsevec AS vector) WITH FUNCTION sparsevec_to_vector(sparsevec, integer, boolean) AS ASSIGNMENT;
CREATE FUNCTION halfvec_to_sparsevec(halfvec, integer, boolean) RETURNS sparsevec
    AS 'MODULE_PATHNAME'
    LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
CREATE CAST (halfvec AS sparsevec) WITH FUNCTION halfvec_to_sparsevec(halfvec, integer, boolean) AS IMPLICIT;
CREATE FUNCTION sparsevec_to_halfvec(sparsevec, integer, boolean) RETURNS halfvec
    AS 'MODULE_PATHNAME'
    LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
CREATE CAST (sparsevec AS halfvec) WITH FUNCTION sparsevec_to_halfvec(sparsevec, integer, boolean) AS ASSIGNMENT;

-- bit: distances for PostgreSQL's type

CREATE FUNCTION hamming_distance(bit, bit) RETURNS float8
    AS 'MODULE_PATHNAME'
    LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 2;
COMMENT ON FUNCTION hamming_distance(bit, bit) IS
    'number of bits that differ';
CREATE FUNCTION jaccard_distance(bit, bit) RETURNS float8
    AS 'MODULE_PATHNAME'
    LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 2;
COMMENT ON FUNCTION jaccard_distance(bit, bit) IS
    '1 - (number of bits set in both / number of bits set in either); 1 if no bit is set in both';
CREATE OPERATOR <~> (LEFTARG = bit, RIGHTARG = bit, FUNCTION = hamming_distance, COMMUTATOR = <~>);
COMMENT ON OPERATOR <~> (bit, bit) IS 'Hamming distance';
CREATE OPERATOR <%> (LEFTARG = bit, RIGHTARG = bit, FUNCTION = jaccard_distance, COMMUTATOR = <%>);
COMMENT ON OPERATOR <%> (bit, bit) IS 'Jaccard distance';

-- bit: inner product with a vector (not in pgvector)

CREATE FUNCTION binary_inner_product(bit, vector) RETURNS float8
    AS 'MODULE_PATHNAME'
    LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 4;
COMMENT ON FUNCTION binary_inner_product(bit, vector) IS
    'inner product of a vector and a bit string whose bits stand for 1 and -1; compares a vector with the result of binary_quantize';
CREATE FUNCTION binary_negative_inner_product(bit, vector) RETURNS float8
    AS 'MODULE_PATHNAME'
    LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 4;
COMMENT ON FUNCTION binary_negative_inner_product(bit, vector) IS
    'binary_inner_product times -1, so that ascending order puts the largest first';
CREATE OPERATOR <#> (LEFTARG = bit, RIGHTARG = vector, FUNCTION = binary_negative_inner_product);
COMMENT ON OPERATOR <#> (bit, vector) IS 'negative inner product of a vector and a bit string whose bits stand for 1 and -1';

-- what a distance costs, for the planner (not in pgvector)

CREATE FUNCTION vector_distance_cost(internal) RETURNS internal
    AS 'MODULE_PATHNAME'
    LANGUAGE C STRICT;
COMMENT ON FUNCTION vector_distance_cost(internal) IS
    'tells the planner the cost of a distance, which depends on where the vectors are stored';
CREATE FUNCTION halfvec_distance_cost(internal) RETURNS internal
    AS 'MODULE_PATHNAME'
    LANGUAGE C STRICT;
COMMENT ON FUNCTION halfvec_distance_cost(internal) IS
    'tells the planner the cost of a distance, which depends on where the vectors are stored';
ALTER FUNCTION l2_distance(vector, vector) SUPPORT vector_distance_cost;
ALTER FUNCTION inner_product(vector, vector) SUPPORT vector_distance_cost;
ALTER FUNCTION cosine_distance(vector, vector) SUPPORT vector_distance_cost;
ALTER FUNCTION l1_distance(vector, vector) SUPPORT vector_distance_cost;
ALTER FUNCTION vector_l2_squared_distance(vector, vector) SUPPORT vector_distance_cost;
ALTER FUNCTION vector_negative_inner_product(vector, vector) SUPPORT vector_distance_cost;
ALTER FUNCTION vector_spherical_distance(vector, vector) SUPPORT vector_distance_cost;
ALTER FUNCTION l2_distance(halfvec, halfvec) SUPPORT halfvec_distance_cost;
ALTER FUNCTION inner_product(halfvec, halfvec) SUPPORT halfvec_distance_cost;
ALTER FUNCTION cosine_distance(halfvec, halfvec) SUPPORT halfvec_distance_cost;
ALTER FUNCTION l1_distance(halfvec, halfvec) SUPPORT halfvec_distance_cost;
ALTER FUNCTION halfvec_l2_squared_distance(halfvec, halfvec) SUPPORT halfvec_distance_cost;
ALTER FUNCTION halfvec_negative_inner_product(halfvec, halfvec) SUPPORT halfvec_distance_cost;
ALTER FUNCTION halfvec_spherical_distance(halfvec, halfvec) SUPPORT halfvec_distance_cost;

-- quantizers, codes, and queries on codes (not in pgvector)

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
COMMENT ON TYPE quantizer IS 'result of pq_train, sq_train or sq_quantizer; converts vectors to codes';
CREATE TYPE quantized (
    INPUT = quantized_in,
    OUTPUT = quantized_out,
    RECEIVE = quantized_recv,
    SEND = quantized_send,
    STORAGE = main
);
COMMENT ON TYPE quantized IS 'code of a vector: 4 bytes that identify its quantizer, then one byte per dimension (scalar; 12 bytes more without training), or one byte (8 bits) or half a byte (4 bits) per subvector (product)';
CREATE TYPE quantized_query (
    INPUT = quantized_query_in,
    OUTPUT = quantized_query_out,
    STORAGE = external
);
COMMENT ON TYPE quantized_query IS 'query prepared for comparison with codes: tables of distances to the centroids (product), or the scaled query vector (scalar)';

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
    'pq_train(v, subvectors): trains a product quantizer with 8 bits per subvector, by k-means over a sample of at most 65,536 rows (doi 10.1109/TPAMI.2010.57)';
CREATE AGGREGATE pq_train(vector, integer, integer) (
    SFUNC = pq_train_accum,
    STYPE = internal,
    FINALFUNC = quantizer_train_final
);
COMMENT ON AGGREGATE pq_train(vector, integer, integer) IS
    'pq_train(v, subvectors, bits): trains a product quantizer with 8 or 4 bits per subvector';
CREATE AGGREGATE pq_train(vector, integer, integer, boolean) (
    SFUNC = pq_train_accum,
    STYPE = internal,
    FINALFUNC = quantizer_train_final
);
COMMENT ON AGGREGATE pq_train(vector, integer, integer, boolean) IS
    'pq_train(v, subvectors, bits, rotate): the same; if rotate is true, also learns a rotation that reduces the error of the codes (optimized product quantization, doi 10.1109/TPAMI.2013.240) and takes dimensions^2 more floats';
CREATE AGGREGATE sq_train(vector) (
    SFUNC = sq_train_accum,
    STYPE = internal,
    FINALFUNC = quantizer_train_final
);
COMMENT ON AGGREGATE sq_train(vector) IS
    'trains a scalar quantizer: one byte per dimension, which divides the range between the smallest and the largest value of the dimension';

CREATE FUNCTION sq_quantizer(dims integer) RETURNS quantizer
    AS 'MODULE_PATHNAME'
    LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION sq_quantizer(integer) IS
    'sq_quantizer(dims): a scalar quantizer that needs no training; each code contains the offset, the scale and the squared norm of its own vector, which take 12 bytes in addition to one byte per dimension';

CREATE FUNCTION quantize(quantizer, vector) RETURNS quantized
    AS 'MODULE_PATHNAME'
    LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 100;
COMMENT ON FUNCTION quantize(quantizer, vector) IS
    'converts a vector to a code';
CREATE FUNCTION dequantize(quantizer, quantized) RETURNS vector
    AS 'MODULE_PATHNAME'
    LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 10;
COMMENT ON FUNCTION dequantize(quantizer, quantized) IS
    'converts a code back to the vector that it approximates';
CREATE FUNCTION quantized_query(quantizer, vector) RETURNS quantized_query
    AS 'MODULE_PATHNAME'
    LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 100;
COMMENT ON FUNCTION quantized_query(quantizer, vector) IS
    'prepares a query for comparison with many codes; call it in a scalar subquery, so that it is computed once';
CREATE FUNCTION quantized_query_from_code(quantizer, quantized) RETURNS quantized_query
    AS 'MODULE_PATHNAME'
    LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 100;
COMMENT ON FUNCTION quantized_query_from_code(quantizer, quantized) IS
    'prepares a code for comparison with many codes (symmetric distance)';
CREATE FUNCTION quantizer_info(quantizer, OUT fingerprint text, OUT kind text, OUT dims integer,
    OUT subvectors integer, OUT bits integer, OUT code_bytes integer, OUT bytes integer)
    AS 'MODULE_PATHNAME'
    LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION quantizer_info(quantizer) IS
    'describes a quantizer: kind (product or scalar, rotated, trained or per vector), dimensions, subvectors, bits per subvector, size of a code and of the quantizer in bytes';
CREATE FUNCTION l2_distance(quantized, quantized_query) RETURNS float8
    AS 'MODULE_PATHNAME', 'quantized_l2_distance'
    LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 2;
COMMENT ON FUNCTION l2_distance(quantized, quantized_query) IS
    'Euclidean distance between a query and the vector that a code approximates';
CREATE FUNCTION inner_product(quantized, quantized_query) RETURNS float8
    AS 'MODULE_PATHNAME', 'quantized_inner_product'
    LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 2;
COMMENT ON FUNCTION inner_product(quantized, quantized_query) IS
    'inner product between a query and the vector that a code approximates';
CREATE FUNCTION cosine_distance(quantized, quantized_query) RETURNS float8
    AS 'MODULE_PATHNAME', 'quantized_cosine_distance'
    LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 2;
COMMENT ON FUNCTION cosine_distance(quantized, quantized_query) IS
    'cosine distance between a query and the vector that a code approximates';
CREATE FUNCTION quantized_negative_inner_product(quantized, quantized_query) RETURNS float8
    AS 'MODULE_PATHNAME'
    LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 2;
COMMENT ON FUNCTION quantized_negative_inner_product(quantized, quantized_query) IS
    'inner product times -1, so that ascending order puts the largest first';
CREATE OPERATOR <-> (LEFTARG = quantized, RIGHTARG = quantized_query, FUNCTION = l2_distance);
COMMENT ON OPERATOR <-> (quantized, quantized_query) IS 'Euclidean distance between a query and the vector that a code approximates';
CREATE OPERATOR <#> (LEFTARG = quantized, RIGHTARG = quantized_query, FUNCTION = quantized_negative_inner_product);
COMMENT ON OPERATOR <#> (quantized, quantized_query) IS 'negative inner product between a query and the vector that a code approximates';
CREATE OPERATOR <=> (LEFTARG = quantized, RIGHTARG = quantized_query, FUNCTION = cosine_distance);
COMMENT ON OPERATOR <=> (quantized, quantized_query) IS 'cosine distance between a query and the vector that a code approximates';

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

-- aggregates that find the nearest of many codes (not in pgvector)
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
    'l2_nearest(id, code, query, k): the ids of the k codes nearest to the query by Euclidean distance, nearest first';
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
    'l2_nearest(ctid, code, query, k): the ctids of the k codes nearest to the query by Euclidean distance, nearest first';
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
    'ip_nearest(id, code, query, k): the ids of the k codes nearest to the query by negative inner product, nearest first';
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
    'ip_nearest(ctid, code, query, k): the ctids of the k codes nearest to the query by negative inner product, nearest first';
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
    'cosine_nearest(id, code, query, k): the ids of the k codes nearest to the query by cosine distance, nearest first';
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
    'cosine_nearest(ctid, code, query, k): the ctids of the k codes nearest to the query by cosine distance, nearest first';

-- hnsw: the access method and its operator classes

CREATE FUNCTION hnswhandler(internal) RETURNS index_am_handler
    AS 'MODULE_PATHNAME' LANGUAGE C;
CREATE ACCESS METHOD hnsw TYPE INDEX HANDLER hnswhandler;
COMMENT ON ACCESS METHOD hnsw IS
    'approximate nearest neighbour search: an HNSW graph (arXiv 1603.09320) whose nodes store a compressed vector and 1-bit sketches of all neighbours (arXiv 2405.12497, 2411.12229). Columns after the vector are filter columns: nodes also store codes of their values, so that a search knows which neighbours can match the conditions on them';

CREATE FUNCTION hnsw_vector_l2_support(internal) RETURNS internal
    AS 'MODULE_PATHNAME' LANGUAGE C;
CREATE OPERATOR CLASS vector_l2_ops FOR TYPE vector USING hnsw AS
    OPERATOR 1 <-> (vector, vector) FOR ORDER BY float_ops,
    FUNCTION 1 vector_l2_squared_distance(vector, vector),
    FUNCTION 3 hnsw_vector_l2_support(internal);
CREATE FUNCTION hnsw_vector_ip_support(internal) RETURNS internal
    AS 'MODULE_PATHNAME' LANGUAGE C;
CREATE OPERATOR CLASS vector_ip_ops FOR TYPE vector USING hnsw AS
    OPERATOR 1 <#> (vector, vector) FOR ORDER BY float_ops,
    FUNCTION 1 vector_negative_inner_product(vector, vector),
    FUNCTION 3 hnsw_vector_ip_support(internal);
CREATE FUNCTION hnsw_vector_cosine_support(internal) RETURNS internal
    AS 'MODULE_PATHNAME' LANGUAGE C;
CREATE OPERATOR CLASS vector_cosine_ops FOR TYPE vector USING hnsw AS
    OPERATOR 1 <=> (vector, vector) FOR ORDER BY float_ops,
    FUNCTION 1 vector_negative_inner_product(vector, vector),
    FUNCTION 2 vector_norm(vector),
    FUNCTION 3 hnsw_vector_cosine_support(internal);
CREATE FUNCTION hnsw_vector_l1_support(internal) RETURNS internal
    AS 'MODULE_PATHNAME' LANGUAGE C;
CREATE OPERATOR CLASS vector_l1_ops FOR TYPE vector USING hnsw AS
    OPERATOR 1 <+> (vector, vector) FOR ORDER BY float_ops,
    FUNCTION 1 l1_distance(vector, vector),
    FUNCTION 3 hnsw_vector_l1_support(internal);
CREATE FUNCTION hnsw_halfvec_l2_support(internal) RETURNS internal
    AS 'MODULE_PATHNAME' LANGUAGE C;
CREATE OPERATOR CLASS halfvec_l2_ops FOR TYPE halfvec USING hnsw AS
    OPERATOR 1 <-> (halfvec, halfvec) FOR ORDER BY float_ops,
    FUNCTION 1 halfvec_l2_squared_distance(halfvec, halfvec),
    FUNCTION 3 hnsw_halfvec_l2_support(internal);
CREATE FUNCTION hnsw_halfvec_ip_support(internal) RETURNS internal
    AS 'MODULE_PATHNAME' LANGUAGE C;
CREATE OPERATOR CLASS halfvec_ip_ops FOR TYPE halfvec USING hnsw AS
    OPERATOR 1 <#> (halfvec, halfvec) FOR ORDER BY float_ops,
    FUNCTION 1 halfvec_negative_inner_product(halfvec, halfvec),
    FUNCTION 3 hnsw_halfvec_ip_support(internal);
CREATE FUNCTION hnsw_halfvec_cosine_support(internal) RETURNS internal
    AS 'MODULE_PATHNAME' LANGUAGE C;
CREATE OPERATOR CLASS halfvec_cosine_ops FOR TYPE halfvec USING hnsw AS
    OPERATOR 1 <=> (halfvec, halfvec) FOR ORDER BY float_ops,
    FUNCTION 1 halfvec_negative_inner_product(halfvec, halfvec),
    FUNCTION 2 l2_norm(halfvec),
    FUNCTION 3 hnsw_halfvec_cosine_support(internal);

CREATE FUNCTION hnsw_halfvec_l1_support(internal) RETURNS internal
    AS 'MODULE_PATHNAME' LANGUAGE C;
CREATE OPERATOR CLASS halfvec_l1_ops FOR TYPE halfvec USING hnsw AS
    OPERATOR 1 <+> (halfvec, halfvec) FOR ORDER BY float_ops,
    FUNCTION 1 l1_distance(halfvec, halfvec),
    FUNCTION 3 hnsw_halfvec_l1_support(internal);
CREATE FUNCTION hnsw_bit_hamming_support(internal) RETURNS internal
    AS 'MODULE_PATHNAME' LANGUAGE C;
CREATE OPERATOR CLASS bit_hamming_ops FOR TYPE bit USING hnsw AS
    OPERATOR 1 <~> (bit, bit) FOR ORDER BY float_ops,
    FUNCTION 1 hamming_distance(bit, bit),
    FUNCTION 3 hnsw_bit_hamming_support(internal);
CREATE FUNCTION hnsw_bit_jaccard_support(internal) RETURNS internal
    AS 'MODULE_PATHNAME' LANGUAGE C;
CREATE OPERATOR CLASS bit_jaccard_ops FOR TYPE bit USING hnsw AS
    OPERATOR 1 <%> (bit, bit) FOR ORDER BY float_ops,
    FUNCTION 1 jaccard_distance(bit, bit),
    FUNCTION 3 hnsw_bit_jaccard_support(internal);
CREATE FUNCTION hnsw_sparsevec_l2_support(internal) RETURNS internal
    AS 'MODULE_PATHNAME' LANGUAGE C;
CREATE OPERATOR CLASS sparsevec_l2_ops FOR TYPE sparsevec USING hnsw AS
    OPERATOR 1 <-> (sparsevec, sparsevec) FOR ORDER BY float_ops,
    FUNCTION 1 sparsevec_l2_squared_distance(sparsevec, sparsevec),
    FUNCTION 3 hnsw_sparsevec_l2_support(internal);
CREATE FUNCTION hnsw_sparsevec_ip_support(internal) RETURNS internal
    AS 'MODULE_PATHNAME' LANGUAGE C;
CREATE OPERATOR CLASS sparsevec_ip_ops FOR TYPE sparsevec USING hnsw AS
    OPERATOR 1 <#> (sparsevec, sparsevec) FOR ORDER BY float_ops,
    FUNCTION 1 sparsevec_negative_inner_product(sparsevec, sparsevec),
    FUNCTION 3 hnsw_sparsevec_ip_support(internal);
CREATE FUNCTION hnsw_sparsevec_cosine_support(internal) RETURNS internal
    AS 'MODULE_PATHNAME' LANGUAGE C;
CREATE OPERATOR CLASS sparsevec_cosine_ops FOR TYPE sparsevec USING hnsw AS
    OPERATOR 1 <=> (sparsevec, sparsevec) FOR ORDER BY float_ops,
    FUNCTION 1 sparsevec_negative_inner_product(sparsevec, sparsevec),
    FUNCTION 2 l2_norm(sparsevec),
    FUNCTION 3 hnsw_sparsevec_cosine_support(internal);
CREATE FUNCTION hnsw_sparsevec_l1_support(internal) RETURNS internal
    AS 'MODULE_PATHNAME' LANGUAGE C;
CREATE OPERATOR CLASS sparsevec_l1_ops FOR TYPE sparsevec USING hnsw AS
    OPERATOR 1 <+> (sparsevec, sparsevec) FOR ORDER BY float_ops,
    FUNCTION 1 l1_distance(sparsevec, sparsevec),
    FUNCTION 3 hnsw_sparsevec_l1_support(internal);

-- hnsw: operator classes of filter columns (not in pgvector)

CREATE OPERATOR CLASS int2_filter_ops DEFAULT FOR TYPE smallint USING hnsw AS
    OPERATOR 1 <,
    OPERATOR 2 <=,
    OPERATOR 3 =,
    OPERATOR 4 >=,
    OPERATOR 5 >,
    OPERATOR 1 < (smallint, integer),
    OPERATOR 2 <= (smallint, integer),
    OPERATOR 3 = (smallint, integer),
    OPERATOR 4 >= (smallint, integer),
    OPERATOR 5 > (smallint, integer),
    OPERATOR 1 < (smallint, bigint),
    OPERATOR 2 <= (smallint, bigint),
    OPERATOR 3 = (smallint, bigint),
    OPERATOR 4 >= (smallint, bigint),
    OPERATOR 5 > (smallint, bigint);
CREATE OPERATOR CLASS int4_filter_ops DEFAULT FOR TYPE integer USING hnsw AS
    OPERATOR 1 <,
    OPERATOR 2 <=,
    OPERATOR 3 =,
    OPERATOR 4 >=,
    OPERATOR 5 >,
    OPERATOR 1 < (integer, smallint),
    OPERATOR 2 <= (integer, smallint),
    OPERATOR 3 = (integer, smallint),
    OPERATOR 4 >= (integer, smallint),
    OPERATOR 5 > (integer, smallint),
    OPERATOR 1 < (integer, bigint),
    OPERATOR 2 <= (integer, bigint),
    OPERATOR 3 = (integer, bigint),
    OPERATOR 4 >= (integer, bigint),
    OPERATOR 5 > (integer, bigint);
CREATE OPERATOR CLASS int8_filter_ops DEFAULT FOR TYPE bigint USING hnsw AS
    OPERATOR 1 <,
    OPERATOR 2 <=,
    OPERATOR 3 =,
    OPERATOR 4 >=,
    OPERATOR 5 >,
    OPERATOR 1 < (bigint, smallint),
    OPERATOR 2 <= (bigint, smallint),
    OPERATOR 3 = (bigint, smallint),
    OPERATOR 4 >= (bigint, smallint),
    OPERATOR 5 > (bigint, smallint),
    OPERATOR 1 < (bigint, integer),
    OPERATOR 2 <= (bigint, integer),
    OPERATOR 3 = (bigint, integer),
    OPERATOR 4 >= (bigint, integer),
    OPERATOR 5 > (bigint, integer);
CREATE OPERATOR CLASS float4_filter_ops DEFAULT FOR TYPE real USING hnsw AS
    OPERATOR 1 <,
    OPERATOR 2 <=,
    OPERATOR 3 =,
    OPERATOR 4 >=,
    OPERATOR 5 >,
    OPERATOR 1 < (real, float8),
    OPERATOR 2 <= (real, float8),
    OPERATOR 3 = (real, float8),
    OPERATOR 4 >= (real, float8),
    OPERATOR 5 > (real, float8);
CREATE OPERATOR CLASS float8_filter_ops DEFAULT FOR TYPE float8 USING hnsw AS
    OPERATOR 1 <,
    OPERATOR 2 <=,
    OPERATOR 3 =,
    OPERATOR 4 >=,
    OPERATOR 5 >,
    OPERATOR 1 < (float8, real),
    OPERATOR 2 <= (float8, real),
    OPERATOR 3 = (float8, real),
    OPERATOR 4 >= (float8, real),
    OPERATOR 5 > (float8, real);
CREATE OPERATOR CLASS numeric_filter_ops DEFAULT FOR TYPE numeric USING hnsw AS
    OPERATOR 1 <,
    OPERATOR 2 <=,
    OPERATOR 3 =,
    OPERATOR 4 >=,
    OPERATOR 5 >;
CREATE OPERATOR CLASS bool_filter_ops DEFAULT FOR TYPE boolean USING hnsw AS
    OPERATOR 1 <,
    OPERATOR 2 <=,
    OPERATOR 3 =,
    OPERATOR 4 >=,
    OPERATOR 5 >;
CREATE OPERATOR CLASS date_filter_ops DEFAULT FOR TYPE date USING hnsw AS
    OPERATOR 1 <,
    OPERATOR 2 <=,
    OPERATOR 3 =,
    OPERATOR 4 >=,
    OPERATOR 5 >,
    OPERATOR 1 < (date, timestamp),
    OPERATOR 2 <= (date, timestamp),
    OPERATOR 3 = (date, timestamp),
    OPERATOR 4 >= (date, timestamp),
    OPERATOR 5 > (date, timestamp);
CREATE OPERATOR CLASS timestamp_filter_ops DEFAULT FOR TYPE timestamp USING hnsw AS
    OPERATOR 1 <,
    OPERATOR 2 <=,
    OPERATOR 3 =,
    OPERATOR 4 >=,
    OPERATOR 5 >,
    OPERATOR 1 < (timestamp, date),
    OPERATOR 2 <= (timestamp, date),
    OPERATOR 3 = (timestamp, date),
    OPERATOR 4 >= (timestamp, date),
    OPERATOR 5 > (timestamp, date);
CREATE OPERATOR CLASS timestamptz_filter_ops DEFAULT FOR TYPE timestamptz USING hnsw AS
    OPERATOR 1 <,
    OPERATOR 2 <=,
    OPERATOR 3 =,
    OPERATOR 4 >=,
    OPERATOR 5 >,
    OPERATOR 1 < (timestamptz, date),
    OPERATOR 2 <= (timestamptz, date),
    OPERATOR 3 = (timestamptz, date),
    OPERATOR 4 >= (timestamptz, date),
    OPERATOR 5 > (timestamptz, date),
    OPERATOR 1 < (timestamptz, timestamp),
    OPERATOR 2 <= (timestamptz, timestamp),
    OPERATOR 3 = (timestamptz, timestamp),
    OPERATOR 4 >= (timestamptz, timestamp),
    OPERATOR 5 > (timestamptz, timestamp);
CREATE OPERATOR CLASS uuid_filter_ops DEFAULT FOR TYPE uuid USING hnsw AS
    OPERATOR 1 <,
    OPERATOR 2 <=,
    OPERATOR 3 =,
    OPERATOR 4 >=,
    OPERATOR 5 >;
CREATE OPERATOR CLASS enum_filter_ops DEFAULT FOR TYPE anyenum USING hnsw AS
    OPERATOR 1 <,
    OPERATOR 2 <=,
    OPERATOR 3 =,
    OPERATOR 4 >=,
    OPERATOR 5 >;
CREATE OPERATOR CLASS text_filter_ops DEFAULT FOR TYPE text USING hnsw AS
    OPERATOR 1 <,
    OPERATOR 2 <=,
    OPERATOR 3 =,
    OPERATOR 4 >=,
    OPERATOR 5 >;
CREATE OPERATOR CLASS bpchar_filter_ops DEFAULT FOR TYPE bpchar USING hnsw AS
    OPERATOR 1 <,
    OPERATOR 2 <=,
    OPERATOR 3 =,
    OPERATOR 4 >=,
    OPERATOR 5 >;
CREATE OPERATOR CLASS array_filter_ops DEFAULT FOR TYPE anyarray USING hnsw AS
    OPERATOR 6 &&,
    OPERATOR 7 @>,
    OPERATOR 8 <@;

-- ivfflat: the access method and its operator classes

CREATE FUNCTION ivfflathandler(internal) RETURNS index_am_handler
    AS 'MODULE_PATHNAME' LANGUAGE C;
CREATE ACCESS METHOD ivfflat TYPE INDEX HANDLER ivfflathandler;
COMMENT ON ACCESS METHOD ivfflat IS
    'approximate nearest neighbour search: inverted lists (doi 10.1109/TPAMI.2010.57) of compressed vectors with 1-bit sketches (arXiv 2405.12497); quick to build and to write';

CREATE FUNCTION ivfflat_halfvec_support(internal) RETURNS internal
    AS 'MODULE_PATHNAME' LANGUAGE C;
CREATE FUNCTION ivfflat_bit_support(internal) RETURNS internal
    AS 'MODULE_PATHNAME' LANGUAGE C;
CREATE OPERATOR CLASS vector_l2_ops DEFAULT FOR TYPE vector USING ivfflat AS
    OPERATOR 1 <-> (vector, vector) FOR ORDER BY float_ops,
    FUNCTION 1 vector_l2_squared_distance(vector, vector),
    FUNCTION 3 l2_distance(vector, vector);
CREATE OPERATOR CLASS vector_ip_ops FOR TYPE vector USING ivfflat AS
    OPERATOR 1 <#> (vector, vector) FOR ORDER BY float_ops,
    FUNCTION 1 vector_negative_inner_product(vector, vector),
    FUNCTION 3 vector_spherical_distance(vector, vector),
    FUNCTION 4 vector_norm(vector);
CREATE OPERATOR CLASS vector_cosine_ops FOR TYPE vector USING ivfflat AS
    OPERATOR 1 <=> (vector, vector) FOR ORDER BY float_ops,
    FUNCTION 1 vector_negative_inner_product(vector, vector),
    FUNCTION 2 vector_norm(vector),
    FUNCTION 3 vector_spherical_distance(vector, vector),
    FUNCTION 4 vector_norm(vector);
CREATE OPERATOR CLASS halfvec_l2_ops FOR TYPE halfvec USING ivfflat AS
    OPERATOR 1 <-> (halfvec, halfvec) FOR ORDER BY float_ops,
    FUNCTION 1 halfvec_l2_squared_distance(halfvec, halfvec),
    FUNCTION 3 l2_distance(halfvec, halfvec),
    FUNCTION 5 ivfflat_halfvec_support(internal);
CREATE OPERATOR CLASS halfvec_ip_ops FOR TYPE halfvec USING ivfflat AS
    OPERATOR 1 <#> (halfvec, halfvec) FOR ORDER BY float_ops,
    FUNCTION 1 halfvec_negative_inner_product(halfvec, halfvec),
    FUNCTION 3 halfvec_spherical_distance(halfvec, halfvec),
    FUNCTION 4 l2_norm(halfvec),
    FUNCTION 5 ivfflat_halfvec_support(internal);
CREATE OPERATOR CLASS halfvec_cosine_ops FOR TYPE halfvec USING ivfflat AS
    OPERATOR 1 <=> (halfvec, halfvec) FOR ORDER BY float_ops,
    FUNCTION 1 halfvec_negative_inner_product(halfvec, halfvec),
    FUNCTION 2 l2_norm(halfvec),
    FUNCTION 3 halfvec_spherical_distance(halfvec, halfvec),
    FUNCTION 4 l2_norm(halfvec),
    FUNCTION 5 ivfflat_halfvec_support(internal);
CREATE OPERATOR CLASS bit_hamming_ops FOR TYPE bit USING ivfflat AS
    OPERATOR 1 <~> (bit, bit) FOR ORDER BY float_ops,
    FUNCTION 1 hamming_distance(bit, bit),
    FUNCTION 3 hamming_distance(bit, bit),
    FUNCTION 5 ivfflat_bit_support(internal);

-- ivfflat: operator classes of filter columns (not in pgvector)

CREATE OPERATOR CLASS int2_filter_ops DEFAULT FOR TYPE smallint USING ivfflat AS
    OPERATOR 1 <,
    OPERATOR 2 <=,
    OPERATOR 3 =,
    OPERATOR 4 >=,
    OPERATOR 5 >,
    OPERATOR 1 < (smallint, integer),
    OPERATOR 2 <= (smallint, integer),
    OPERATOR 3 = (smallint, integer),
    OPERATOR 4 >= (smallint, integer),
    OPERATOR 5 > (smallint, integer),
    OPERATOR 1 < (smallint, bigint),
    OPERATOR 2 <= (smallint, bigint),
    OPERATOR 3 = (smallint, bigint),
    OPERATOR 4 >= (smallint, bigint),
    OPERATOR 5 > (smallint, bigint);
CREATE OPERATOR CLASS int4_filter_ops DEFAULT FOR TYPE integer USING ivfflat AS
    OPERATOR 1 <,
    OPERATOR 2 <=,
    OPERATOR 3 =,
    OPERATOR 4 >=,
    OPERATOR 5 >,
    OPERATOR 1 < (integer, smallint),
    OPERATOR 2 <= (integer, smallint),
    OPERATOR 3 = (integer, smallint),
    OPERATOR 4 >= (integer, smallint),
    OPERATOR 5 > (integer, smallint),
    OPERATOR 1 < (integer, bigint),
    OPERATOR 2 <= (integer, bigint),
    OPERATOR 3 = (integer, bigint),
    OPERATOR 4 >= (integer, bigint),
    OPERATOR 5 > (integer, bigint);
CREATE OPERATOR CLASS int8_filter_ops DEFAULT FOR TYPE bigint USING ivfflat AS
    OPERATOR 1 <,
    OPERATOR 2 <=,
    OPERATOR 3 =,
    OPERATOR 4 >=,
    OPERATOR 5 >,
    OPERATOR 1 < (bigint, smallint),
    OPERATOR 2 <= (bigint, smallint),
    OPERATOR 3 = (bigint, smallint),
    OPERATOR 4 >= (bigint, smallint),
    OPERATOR 5 > (bigint, smallint),
    OPERATOR 1 < (bigint, integer),
    OPERATOR 2 <= (bigint, integer),
    OPERATOR 3 = (bigint, integer),
    OPERATOR 4 >= (bigint, integer),
    OPERATOR 5 > (bigint, integer);
CREATE OPERATOR CLASS float4_filter_ops DEFAULT FOR TYPE real USING ivfflat AS
    OPERATOR 1 <,
    OPERATOR 2 <=,
    OPERATOR 3 =,
    OPERATOR 4 >=,
    OPERATOR 5 >,
    OPERATOR 1 < (real, float8),
    OPERATOR 2 <= (real, float8),
    OPERATOR 3 = (real, float8),
    OPERATOR 4 >= (real, float8),
    OPERATOR 5 > (real, float8);
CREATE OPERATOR CLASS float8_filter_ops DEFAULT FOR TYPE float8 USING ivfflat AS
    OPERATOR 1 <,
    OPERATOR 2 <=,
    OPERATOR 3 =,
    OPERATOR 4 >=,
    OPERATOR 5 >,
    OPERATOR 1 < (float8, real),
    OPERATOR 2 <= (float8, real),
    OPERATOR 3 = (float8, real),
    OPERATOR 4 >= (float8, real),
    OPERATOR 5 > (float8, real);
CREATE OPERATOR CLASS numeric_filter_ops DEFAULT FOR TYPE numeric USING ivfflat AS
    OPERATOR 1 <,
    OPERATOR 2 <=,
    OPERATOR 3 =,
    OPERATOR 4 >=,
    OPERATOR 5 >;
CREATE OPERATOR CLASS bool_filter_ops DEFAULT FOR TYPE boolean USING ivfflat AS
    OPERATOR 1 <,
    OPERATOR 2 <=,
    OPERATOR 3 =,
    OPERATOR 4 >=,
    OPERATOR 5 >;
CREATE OPERATOR CLASS date_filter_ops DEFAULT FOR TYPE date USING ivfflat AS
    OPERATOR 1 <,
    OPERATOR 2 <=,
    OPERATOR 3 =,
    OPERATOR 4 >=,
    OPERATOR 5 >,
    OPERATOR 1 < (date, timestamp),
    OPERATOR 2 <= (date, timestamp),
    OPERATOR 3 = (date, timestamp),
    OPERATOR 4 >= (date, timestamp),
    OPERATOR 5 > (date, timestamp);
CREATE OPERATOR CLASS timestamp_filter_ops DEFAULT FOR TYPE timestamp USING ivfflat AS
    OPERATOR 1 <,
    OPERATOR 2 <=,
    OPERATOR 3 =,
    OPERATOR 4 >=,
    OPERATOR 5 >,
    OPERATOR 1 < (timestamp, date),
    OPERATOR 2 <= (timestamp, date),
    OPERATOR 3 = (timestamp, date),
    OPERATOR 4 >= (timestamp, date),
    OPERATOR 5 > (timestamp, date);
CREATE OPERATOR CLASS timestamptz_filter_ops DEFAULT FOR TYPE timestamptz USING ivfflat AS
    OPERATOR 1 <,
    OPERATOR 2 <=,
    OPERATOR 3 =,
    OPERATOR 4 >=,
    OPERATOR 5 >,
    OPERATOR 1 < (timestamptz, date),
    OPERATOR 2 <= (timestamptz, date),
    OPERATOR 3 = (timestamptz, date),
    OPERATOR 4 >= (timestamptz, date),
    OPERATOR 5 > (timestamptz, date),
    OPERATOR 1 < (timestamptz, timestamp),
    OPERATOR 2 <= (timestamptz, timestamp),
    OPERATOR 3 = (timestamptz, timestamp),
    OPERATOR 4 >= (timestamptz, timestamp),
    OPERATOR 5 > (timestamptz, timestamp);
CREATE OPERATOR CLASS uuid_filter_ops DEFAULT FOR TYPE uuid USING ivfflat AS
    OPERATOR 1 <,
    OPERATOR 2 <=,
    OPERATOR 3 =,
    OPERATOR 4 >=,
    OPERATOR 5 >;
CREATE OPERATOR CLASS enum_filter_ops DEFAULT FOR TYPE anyenum USING ivfflat AS
    OPERATOR 1 <,
    OPERATOR 2 <=,
    OPERATOR 3 =,
    OPERATOR 4 >=,
    OPERATOR 5 >;
CREATE OPERATOR CLASS text_filter_ops DEFAULT FOR TYPE text USING ivfflat AS
    OPERATOR 1 <,
    OPERATOR 2 <=,
    OPERATOR 3 =,
    OPERATOR 4 >=,
    OPERATOR 5 >;
CREATE OPERATOR CLASS bpchar_filter_ops DEFAULT FOR TYPE bpchar USING ivfflat AS
    OPERATOR 1 <,
    OPERATOR 2 <=,
    OPERATOR 3 =,
    OPERATOR 4 >=,
    OPERATOR 5 >;
CREATE OPERATOR CLASS array_filter_ops DEFAULT FOR TYPE anyarray USING ivfflat AS
    OPERATOR 6 &&,
    OPERATOR 7 @>,
    OPERATOR 8 <@;

-- thresholds (not in pgvector)

CREATE FUNCTION distance_threshold(vector, float8) RETURNS boolean
    AS 'MODULE_PATHNAME'
    LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION distance_threshold(vector, float8) IS 'always true: implements an operator that only the planner uses';
CREATE OPERATOR <<= (LEFTARG = vector, RIGHTARG = float8, FUNCTION = distance_threshold);
COMMENT ON OPERATOR <<= (vector, float8) IS
    'only for the planner, always true: where a query has a threshold for the distance by which it is ordered, this index condition shows at which distance the scan ends';
CREATE FUNCTION distance_threshold(halfvec, float8) RETURNS boolean
    AS 'MODULE_PATHNAME'
    LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION distance_threshold(halfvec, float8) IS 'always true: implements an operator that only the planner uses';
CREATE OPERATOR <<= (LEFTARG = halfvec, RIGHTARG = float8, FUNCTION = distance_threshold);
COMMENT ON OPERATOR <<= (halfvec, float8) IS
    'only for the planner, always true: where a query has a threshold for the distance by which it is ordered, this index condition shows at which distance the scan ends';
CREATE FUNCTION distance_threshold(sparsevec, float8) RETURNS boolean
    AS 'MODULE_PATHNAME'
    LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION distance_threshold(sparsevec, float8) IS 'always true: implements an operator that only the planner uses';
CREATE OPERATOR <<= (LEFTARG = sparsevec, RIGHTARG = float8, FUNCTION = distance_threshold);
COMMENT ON OPERATOR <<= (sparsevec, float8) IS
    'only for the planner, always true: where a query has a threshold for the distance by which it is ordered, this index condition shows at which distance the scan ends';
CREATE FUNCTION distance_threshold(bit, float8) RETURNS boolean
    AS 'MODULE_PATHNAME'
    LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION distance_threshold(bit, float8) IS 'always true: implements an operator that only the planner uses';
CREATE OPERATOR <<= (LEFTARG = bit, RIGHTARG = float8, FUNCTION = distance_threshold);
COMMENT ON OPERATOR <<= (bit, float8) IS
    'only for the planner, always true: where a query has a threshold for the distance by which it is ordered, this index condition shows at which distance the scan ends';
ALTER OPERATOR FAMILY vector_l2_ops USING hnsw ADD OPERATOR 2 <<= (vector, float8);
ALTER OPERATOR FAMILY vector_ip_ops USING hnsw ADD OPERATOR 2 <<= (vector, float8);
ALTER OPERATOR FAMILY vector_cosine_ops USING hnsw ADD OPERATOR 2 <<= (vector, float8);
ALTER OPERATOR FAMILY vector_l1_ops USING hnsw ADD OPERATOR 2 <<= (vector, float8);
ALTER OPERATOR FAMILY halfvec_l2_ops USING hnsw ADD OPERATOR 2 <<= (halfvec, float8);
ALTER OPERATOR FAMILY halfvec_ip_ops USING hnsw ADD OPERATOR 2 <<= (halfvec, float8);
ALTER OPERATOR FAMILY halfvec_cosine_ops USING hnsw ADD OPERATOR 2 <<= (halfvec, float8);
ALTER OPERATOR FAMILY halfvec_l1_ops USING hnsw ADD OPERATOR 2 <<= (halfvec, float8);
ALTER OPERATOR FAMILY sparsevec_l2_ops USING hnsw ADD OPERATOR 2 <<= (sparsevec, float8);
ALTER OPERATOR FAMILY sparsevec_ip_ops USING hnsw ADD OPERATOR 2 <<= (sparsevec, float8);
ALTER OPERATOR FAMILY sparsevec_cosine_ops USING hnsw ADD OPERATOR 2 <<= (sparsevec, float8);
ALTER OPERATOR FAMILY sparsevec_l1_ops USING hnsw ADD OPERATOR 2 <<= (sparsevec, float8);
ALTER OPERATOR FAMILY bit_hamming_ops USING hnsw ADD OPERATOR 2 <<= (bit, float8);
ALTER OPERATOR FAMILY bit_jaccard_ops USING hnsw ADD OPERATOR 2 <<= (bit, float8);
ALTER OPERATOR FAMILY vector_l2_ops USING ivfflat ADD OPERATOR 2 <<= (vector, float8);
ALTER OPERATOR FAMILY vector_ip_ops USING ivfflat ADD OPERATOR 2 <<= (vector, float8);
ALTER OPERATOR FAMILY vector_cosine_ops USING ivfflat ADD OPERATOR 2 <<= (vector, float8);
ALTER OPERATOR FAMILY halfvec_l2_ops USING ivfflat ADD OPERATOR 2 <<= (halfvec, float8);
ALTER OPERATOR FAMILY halfvec_ip_ops USING ivfflat ADD OPERATOR 2 <<= (halfvec, float8);
ALTER OPERATOR FAMILY halfvec_cosine_ops USING ivfflat ADD OPERATOR 2 <<= (halfvec, float8);
ALTER OPERATOR FAMILY bit_hamming_ops USING ivfflat ADD OPERATOR 2 <<= (bit, float8);

-- comments on comparison operators and operator classes (not in pgvector)

COMMENT ON OPERATOR < (vector, vector) IS 'less than';
COMMENT ON OPERATOR <= (vector, vector) IS 'less than or equal';
COMMENT ON OPERATOR = (vector, vector) IS 'equal';
COMMENT ON OPERATOR <> (vector, vector) IS 'not equal';
COMMENT ON OPERATOR >= (vector, vector) IS 'greater than or equal';
COMMENT ON OPERATOR > (vector, vector) IS 'greater than';
COMMENT ON OPERATOR < (halfvec, halfvec) IS 'less than';
COMMENT ON OPERATOR <= (halfvec, halfvec) IS 'less than or equal';
COMMENT ON OPERATOR = (halfvec, halfvec) IS 'equal';
COMMENT ON OPERATOR <> (halfvec, halfvec) IS 'not equal';
COMMENT ON OPERATOR >= (halfvec, halfvec) IS 'greater than or equal';
COMMENT ON OPERATOR > (halfvec, halfvec) IS 'greater than';
COMMENT ON OPERATOR < (sparsevec, sparsevec) IS 'less than';
COMMENT ON OPERATOR <= (sparsevec, sparsevec) IS 'less than or equal';
COMMENT ON OPERATOR = (sparsevec, sparsevec) IS 'equal';
COMMENT ON OPERATOR <> (sparsevec, sparsevec) IS 'not equal';
COMMENT ON OPERATOR >= (sparsevec, sparsevec) IS 'greater than or equal';
COMMENT ON OPERATOR > (sparsevec, sparsevec) IS 'greater than';
COMMENT ON OPERATOR < (quantized, quantized) IS 'less than';
COMMENT ON OPERATOR <= (quantized, quantized) IS 'less than or equal';
COMMENT ON OPERATOR = (quantized, quantized) IS 'equal';
COMMENT ON OPERATOR <> (quantized, quantized) IS 'not equal';
COMMENT ON OPERATOR >= (quantized, quantized) IS 'greater than or equal';
COMMENT ON OPERATOR > (quantized, quantized) IS 'greater than';
COMMENT ON OPERATOR CLASS vector_ops USING btree IS 'order of vector values: by the first element that differs, then by the number of dimensions';
COMMENT ON OPERATOR CLASS halfvec_ops USING btree IS 'order of halfvec values: by the first element that differs, then by the number of dimensions';
COMMENT ON OPERATOR CLASS sparsevec_ops USING btree IS 'order of sparsevec values: by the first element that differs, then by the number of dimensions';
COMMENT ON OPERATOR CLASS quantized_ops USING btree IS 'order of quantized values: by bytes; for UNIQUE, GROUP BY and ORDER BY';
COMMENT ON OPERATOR CLASS vector_l2_ops USING hnsw IS 'Euclidean distance; up to 16,000 dimensions';
COMMENT ON OPERATOR CLASS vector_ip_ops USING hnsw IS 'negative inner product; up to 16,000 dimensions';
COMMENT ON OPERATOR CLASS vector_cosine_ops USING hnsw IS 'cosine distance; up to 16,000 dimensions';
COMMENT ON OPERATOR CLASS vector_l1_ops USING hnsw IS 'taxicab distance; up to 6,000 dimensions';
COMMENT ON OPERATOR CLASS halfvec_l2_ops USING hnsw IS 'Euclidean distance; up to 16,000 dimensions';
COMMENT ON OPERATOR CLASS halfvec_ip_ops USING hnsw IS 'negative inner product; up to 16,000 dimensions';
COMMENT ON OPERATOR CLASS halfvec_cosine_ops USING hnsw IS 'cosine distance; up to 16,000 dimensions';
COMMENT ON OPERATOR CLASS halfvec_l1_ops USING hnsw IS 'taxicab distance; up to 6,000 dimensions';
COMMENT ON OPERATOR CLASS sparsevec_l2_ops USING hnsw IS 'Euclidean distance; up to 1,000 non-zero elements';
COMMENT ON OPERATOR CLASS sparsevec_ip_ops USING hnsw IS 'negative inner product; up to 1,000 non-zero elements';
COMMENT ON OPERATOR CLASS sparsevec_cosine_ops USING hnsw IS 'cosine distance; up to 1,000 non-zero elements';
COMMENT ON OPERATOR CLASS sparsevec_l1_ops USING hnsw IS 'taxicab distance; up to 1,000 non-zero elements';
COMMENT ON OPERATOR CLASS bit_hamming_ops USING hnsw IS 'Hamming distance; up to 64,000 bits';
COMMENT ON OPERATOR CLASS bit_jaccard_ops USING hnsw IS 'Jaccard distance; up to 64,000 bits';
COMMENT ON OPERATOR CLASS int2_filter_ops USING hnsw IS 'filter column';
COMMENT ON OPERATOR CLASS int4_filter_ops USING hnsw IS 'filter column';
COMMENT ON OPERATOR CLASS int8_filter_ops USING hnsw IS 'filter column';
COMMENT ON OPERATOR CLASS float4_filter_ops USING hnsw IS 'filter column';
COMMENT ON OPERATOR CLASS float8_filter_ops USING hnsw IS 'filter column';
COMMENT ON OPERATOR CLASS numeric_filter_ops USING hnsw IS 'filter column';
COMMENT ON OPERATOR CLASS bool_filter_ops USING hnsw IS 'filter column';
COMMENT ON OPERATOR CLASS date_filter_ops USING hnsw IS 'filter column';
COMMENT ON OPERATOR CLASS timestamp_filter_ops USING hnsw IS 'filter column';
COMMENT ON OPERATOR CLASS timestamptz_filter_ops USING hnsw IS 'filter column';
COMMENT ON OPERATOR CLASS uuid_filter_ops USING hnsw IS 'filter column';
COMMENT ON OPERATOR CLASS enum_filter_ops USING hnsw IS 'filter column; the index helps for = and IN only';
COMMENT ON OPERATOR CLASS text_filter_ops USING hnsw IS 'filter column, also of type varchar; the index helps for = and IN only';
COMMENT ON OPERATOR CLASS bpchar_filter_ops USING hnsw IS 'filter column; the index helps for = and IN only';
COMMENT ON OPERATOR CLASS array_filter_ops USING hnsw IS 'filter column: arrays of any type that has a hash function';
COMMENT ON OPERATOR CLASS vector_l2_ops USING ivfflat IS 'Euclidean distance; up to 8,000 dimensions';
COMMENT ON OPERATOR CLASS vector_ip_ops USING ivfflat IS 'negative inner product; up to 8,000 dimensions';
COMMENT ON OPERATOR CLASS vector_cosine_ops USING ivfflat IS 'cosine distance; up to 8,000 dimensions';
COMMENT ON OPERATOR CLASS halfvec_l2_ops USING ivfflat IS 'Euclidean distance; up to 8,000 dimensions';
COMMENT ON OPERATOR CLASS halfvec_ip_ops USING ivfflat IS 'negative inner product; up to 8,000 dimensions';
COMMENT ON OPERATOR CLASS halfvec_cosine_ops USING ivfflat IS 'cosine distance; up to 8,000 dimensions';
COMMENT ON OPERATOR CLASS bit_hamming_ops USING ivfflat IS 'Hamming distance; up to 64,000 bits';
COMMENT ON OPERATOR CLASS int2_filter_ops USING ivfflat IS 'filter column';
COMMENT ON OPERATOR CLASS int4_filter_ops USING ivfflat IS 'filter column';
COMMENT ON OPERATOR CLASS int8_filter_ops USING ivfflat IS 'filter column';
COMMENT ON OPERATOR CLASS float4_filter_ops USING ivfflat IS 'filter column';
COMMENT ON OPERATOR CLASS float8_filter_ops USING ivfflat IS 'filter column';
COMMENT ON OPERATOR CLASS numeric_filter_ops USING ivfflat IS 'filter column';
COMMENT ON OPERATOR CLASS bool_filter_ops USING ivfflat IS 'filter column';
COMMENT ON OPERATOR CLASS date_filter_ops USING ivfflat IS 'filter column';
COMMENT ON OPERATOR CLASS timestamp_filter_ops USING ivfflat IS 'filter column';
COMMENT ON OPERATOR CLASS timestamptz_filter_ops USING ivfflat IS 'filter column';
COMMENT ON OPERATOR CLASS uuid_filter_ops USING ivfflat IS 'filter column';
COMMENT ON OPERATOR CLASS enum_filter_ops USING ivfflat IS 'filter column; the index helps for = and IN only';
COMMENT ON OPERATOR CLASS text_filter_ops USING ivfflat IS 'filter column, also of type varchar; the index helps for = and IN only';
COMMENT ON OPERATOR CLASS bpchar_filter_ops USING ivfflat IS 'filter column; the index helps for = and IN only';
COMMENT ON OPERATOR CLASS array_filter_ops USING ivfflat IS 'filter column: arrays of any type that has a hash function';

-- hybrid search (not in pgvector)

CREATE FUNCTION rrf_score(rank bigint, k integer DEFAULT 60) RETURNS float8
    AS 'SELECT coalesce(1.0::float8 / (k::float8 + rank::float8), 0.0)'
    LANGUAGE SQL IMMUTABLE PARALLEL SAFE;
COMMENT ON FUNCTION rrf_score(bigint, integer) IS
    'score of a row in reciprocal rank fusion, which merges several ranked lists: 1 / (k + rank), where rank is the row''s place in one list, beginning with 1; 0 for NULL, a row that is not in that list; the sum of a row''s scores in all lists orders the result (Cormack, Clarke and Buettcher 2009, doi 10.1145/1571941.1572114)';

-- moving from pgvector (not in pgvector)

CREATE FUNCTION quiver_adopt(OUT index regclass, OUT reason text, OUT statement text)
    RETURNS SETOF record
    AS 'MODULE_PATHNAME' LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE;
COMMENT ON FUNCTION quiver_adopt() IS
    'lists the indexes that this version cannot use, because pgvector or another version of quiver built them, or because their first page is damaged: the reason, and the statement that rebuilds the index. Only indexes that the user owns';

-- hnsw: inspection (not in pgvector)

CREATE FUNCTION hnsw_meta(index regclass, OUT version integer, OUT metric text, OUT dims integer,
    OUT m integer, OUT ef_construction integer, OUT max_neighbours integer, OUT sketch_bits integer,
    OUT vector_bits integer, OUT slot_bytes integer, OUT slots_per_page integer, OUT entry bigint, OUT entry_level integer,
    OUT pages_per_flat_page integer)
    AS 'MODULE_PATHNAME' LANGUAGE C VOLATILE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION hnsw_meta(regclass) IS
    'shows the parameters with which an hnsw index was built, and the slot where searches start. An index with filter columns has a flat page for so many pages of slots. Only for the owner of the index';
CREATE FUNCTION hnsw_stats(index regclass, OUT pages bigint, OUT nodes bigint, OUT upper_slots bigint,
    OUT rows bigint, OUT deleted_slots bigint, OUT free_slots bigint, OUT overflow_slots bigint, OUT mean_neighbours float8,
    OUT min_neighbours integer, OUT max_neighbours integer, OUT full_nodes float8, OUT layers integer,
    OUT page_fill float8, OUT row_bytes float8, OUT vector_bytes float8, OUT link_bytes float8, OUT sketch_bytes float8)
    AS 'MODULE_PATHNAME' LANGUAGE C VOLATILE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION hnsw_stats(regclass) IS
    'reads a whole hnsw index and counts its pages, nodes, rows and slots (the records of fixed size in which nodes are stored). full_nodes and page_fill are fractions. row_bytes is the size of the index per row; vector_bytes, link_bytes and sketch_bytes are the parts of it that hold the vectors, the neighbours'' ids and the neighbours'' sketches. Only for the owner of the index';
CREATE FUNCTION hnsw_page_items(index regclass, page bytea, OUT slot integer, OUT state text,
    OUT level integer, OUT down bigint, OUT norm real, OUT error real, OUT neighbours bigint[],
    OUT tids tid[])
    RETURNS SETOF record
    AS 'MODULE_PATHNAME' LANGUAGE C STRICT PARALLEL SAFE;
COMMENT ON FUNCTION hnsw_page_items(regclass, bytea) IS
    'shows the slots of a raw page of an hnsw index, as pageinspect''s get_raw_page returns it. Only for the owner of the index';
CREATE FUNCTION hnsw_last_scan(OUT visited bigint, OUT estimated bigint, OUT rows bigint, OUT pages bigint, OUT rejected bigint)
    AS 'MODULE_PATHNAME' LANGUAGE C VOLATILE STRICT PARALLEL RESTRICTED;
COMMENT ON FUNCTION hnsw_last_scan() IS
    'describes the last hnsw index scan of this session: the number of nodes that it read (1,600 filter codes or 64 sketches on flat pages count as one), of neighbours whose distances it estimated from their sketches, of rows that it returned to the executor, of pages of the index that it read (one that it read twice counts twice), and of nodes whose filter codes did not match its conditions. Since PostgreSQL 18, EXPLAIN ANALYZE shows the same for each index scan';

CREATE FUNCTION hnsw_check(index regclass, heap_check boolean DEFAULT false, OUT block bigint, OUT slot integer,
    OUT problem text)
    RETURNS SETOF record
    AS 'MODULE_PATHNAME' LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE;
COMMENT ON FUNCTION hnsw_check(regclass, boolean) IS
    'verifies an hnsw index, and returns one row per problem. It checks slots, links and sketches, and that every node can be reached; with heap_check also that the index contains each row of the table exactly once, with its vector and the code of its filter columns. It blocks writers. Only for superusers, and for owners of the index to whom EXECUTE is granted';
-- It blocks writers, so only superusers and roles with EXECUTE may call it, on indexes that they own.
REVOKE ALL ON FUNCTION hnsw_check(regclass, boolean) FROM PUBLIC;

CREATE FUNCTION hnsw_recall(index regclass, k integer DEFAULT 10, sample integer DEFAULT 100, filter text DEFAULT NULL,
    OUT ef_search integer, OUT recall float8, OUT ms float8, OUT visited float8)
    RETURNS SETOF record
    AS 'MODULE_PATHNAME' LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION hnsw_recall(regclass, integer, integer, text) IS
    'measures the recall of an hnsw index: the fraction of the k nearest rows (ties count) that the index finds, compared with an exact search of the table. The queries are sampled rows, each without itself. There is a row for ef_search 10 (which acts as 20 unless hnsw.iterative_scan is off), 20, 40 and so on up to 640, until nothing is missed; ms and visited are the means per query of the time in milliseconds and of the nodes visited. filter is a condition as in WHERE, such as ''tenant = 7'': then the queries are sampled from the rows that fulfil it, and searches and exact answers are of these rows. It runs with the privileges of the owner of the table. Only for the owner of the index';
CREATE FUNCTION hnsw_recall(index regclass, queries anyarray, k integer DEFAULT 10, filter text DEFAULT NULL,
    OUT ef_search integer, OUT recall float8, OUT ms float8, OUT visited float8)
    RETURNS SETOF record
    AS 'MODULE_PATHNAME', 'hnsw_recall_of_queries' LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION hnsw_recall(regclass, anyarray, integer, text) IS
    'measures the recall with your own queries, for example array_agg(embedding) over a table of queries; filter is a condition as in WHERE';

-- What hnsw_advise and ivfflat_advise begin with. Checks their arguments, and makes two temporary tables: quiver_advise_sample
-- with the vectors (v) and filter columns (f1, f2, ...) of random rows, and quiver_advise_empty with the same columns. Returns
-- the operator class and the type's name; how many rows the sample and the table have; and the filter columns as they
-- follow the vector in CREATE INDEX, on the table and on the sample.
CREATE FUNCTION quiver_advise_sample(method name, rel regclass, col name, opclass text, wanted float8[], k integer,
    sample integer, filter_columns name[], OUT class text, OUT kind name, OUT sampled bigint, OUT total float8, OUT filters text, OUT own_filters text)
    RETURNS record LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp SET client_min_messages = warning
AS $$
DECLARE
    -- The schema of the extension, found by its access method: a packager may rename the extension.
    ours name := (SELECT n.nspname FROM pg_am a JOIN pg_proc p ON p.oid = a.amhandler JOIN pg_namespace n ON n.oid = p.pronamespace
        WHERE a.amname = method);
    element oid;
    dims integer;
    parts text[];
    of_class oid;
    filter name;
    place integer := 1;
    selected text := '';
BEGIN
    filters := '';
    own_filters := '';
    IF pg_is_in_recovery() THEN
        RAISE read_only_sql_transaction USING MESSAGE = format('%s_advise() cannot run during recovery', method), HINT = 'It builds indexes. Run it on the primary.';
    END IF;
    SELECT a.atttypid INTO element FROM pg_attribute a WHERE a.attrelid = rel AND a.attname = col AND NOT a.attisdropped;
    IF element IS NULL THEN
        RAISE undefined_column USING MESSAGE = format('column %I of %s does not exist', col, rel);
    END IF;
    WHILE (SELECT t.typtype = 'd' FROM pg_type t WHERE t.oid = element) LOOP   -- an index on a domain uses its base type
        element := (SELECT t.typbasetype FROM pg_type t WHERE t.oid = element);
    END LOOP;
    kind := (SELECT t.typname FROM pg_type t WHERE t.oid = element);
    parts := coalesce(parse_ident(opclass), ARRAY[CASE kind WHEN 'bit' THEN 'bit_hamming_ops' ELSE kind || '_l2_ops' END]);
    SELECT format('%I.%I', n.nspname, c.opcname), c.opcintype INTO class, of_class
        FROM pg_opclass c JOIN pg_namespace n ON n.oid = c.opcnamespace JOIN pg_am a ON a.oid = c.opcmethod
        WHERE a.amname = method AND c.opcname = parts[cardinality(parts)]
            AND n.nspname = CASE cardinality(parts) WHEN 1 THEN ours WHEN 2 THEN parts[1] END;
    IF opclass IS NULL AND of_class IS DISTINCT FROM element THEN
        RAISE undefined_object USING MESSAGE = format('data type %s has no operator class for access method "%s"', format_type(element, NULL), method);
    ELSIF class IS NULL THEN
        RAISE undefined_object USING MESSAGE = format('operator class "%s" does not exist for access method "%s"', array_to_string(parts, '.'), method);
    ELSIF of_class <> element THEN
        RAISE datatype_mismatch USING MESSAGE = format('operator class "%s" does not accept data type %s', array_to_string(parts, '.'), format_type(element, NULL));
    END IF;
    IF (sample >= 100 AND 0 <= ALL (wanted) AND 1 >= ALL (wanted)) IS NOT TRUE THEN
        RAISE invalid_parameter_value USING MESSAGE = 'sample must be at least 100, and wanted must be between 0 and 1';
    ELSIF (k BETWEEN 1 AND 10000) IS NOT TRUE THEN
        RAISE invalid_parameter_value USING MESSAGE = format('k must be between 1 and 10000, not %s', coalesce(k::text, 'null'));
    END IF;

    FOREACH filter IN ARRAY coalesce(filter_columns, '{}') LOOP
        IF NOT EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = rel AND a.attname = filter AND NOT a.attisdropped) THEN
            RAISE undefined_column USING MESSAGE = format('column %I of %s does not exist', filter, rel);
        END IF;
        filters := filters || format(', %I', filter);
        own_filters := own_filters || ', f' || place;
        selected := selected || format(', %I AS f%s', filter, place);
        place := place + 1;
    END LOOP;

    DROP TABLE IF EXISTS pg_temp.quiver_advise_sample, pg_temp.quiver_advise_empty;
    EXECUTE format('CREATE TEMP TABLE quiver_advise_sample AS SELECT %1$I AS v%4$s FROM %2$s WHERE %1$I IS NOT NULL ORDER BY random() LIMIT %3$s',
        col, rel, sample, selected);
    SELECT count(*) INTO sampled FROM pg_temp.quiver_advise_sample;
    IF sampled < 100 THEN
        RAISE invalid_parameter_value USING MESSAGE = format('%s must have at least 100 vectors, not %s', rel, sampled);
    END IF;
    -- An index needs a type with dimensions, even if the column has none.
    IF kind = 'bit' THEN
        SELECT length(v) INTO dims FROM pg_temp.quiver_advise_sample LIMIT 1;
    ELSIF kind = 'sparsevec' THEN
        SELECT split_part(v::text, '/', 2) INTO dims FROM pg_temp.quiver_advise_sample LIMIT 1;
    ELSE
        EXECUTE format('SELECT %I.vector_dims(v) FROM pg_temp.quiver_advise_sample LIMIT 1', ours) INTO dims;
    END IF;
    EXECUTE format('ALTER TABLE pg_temp.quiver_advise_sample ALTER v TYPE %s(%s)', CASE kind WHEN 'bit' THEN 'bit' ELSE format('%I.%I', ours, kind) END, dims);
    CREATE TEMP TABLE quiver_advise_empty (LIKE pg_temp.quiver_advise_sample);
    SELECT reltuples INTO total FROM pg_class WHERE oid = rel;
    IF sampled < sample THEN
        total := sampled;   -- the sample has all of them
    ELSIF total <= 0 THEN   -- nobody has counted them
        EXECUTE format('SELECT count(%I) FROM %s', col, rel) INTO total;
    END IF;
    total := greatest(total, sampled);
END $$;

CREATE FUNCTION hnsw_advise(rel regclass, col name, opclass text DEFAULT NULL, wanted float8 DEFAULT 0.95, k integer DEFAULT 10,
    sample integer DEFAULT 10000, filter_columns name[] DEFAULT '{}', OUT options text, OUT index_bytes bigint,
    OUT build_ms float8, OUT recall float8, OUT ef_search integer, OUT ms float8, OUT filter_bytes integer,
    OUT filter_percent float8, OUT ddl text)
    RETURNS SETOF record LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp SET client_min_messages = warning
AS $$
DECLARE
    ours name := (SELECT n.nspname FROM pg_am a JOIN pg_proc p ON p.oid = a.amhandler JOIN pg_namespace n ON n.oid = p.pronamespace
        WHERE a.amname = 'hnsw');
    s record;   -- of quiver_advise_sample()
    start timestamptz;
    candidates text[];
    layout text;
    seen text[] := '{}';
    without record;
BEGIN
    EXECUTE format('SELECT * FROM %I.quiver_advise_sample(''hnsw'', $1, $2, $3, ARRAY[$4], $5, $6, $7)', ours)
        INTO s USING rel, col, opclass, wanted, k, sample, filter_columns;
    candidates := '{"","m = 8","m = 24, ef_construction = 128"}';
    IF s.kind IN ('vector', 'halfvec') AND s.class NOT LIKE '%\_l1\_ops' THEN
        candidates := candidates || '{"vector_bits = 32","vector_bits = 16","vector_bits = 12","vector_bits = 8","sketch_fold = 2","sketch_fold = -1","vector_bits = 4","vector_bits = 2","vector_bits = 2, sketch_fold = 6, m = 8"}'::text[];
    END IF;
    FOREACH options IN ARRAY candidates LOOP
        DECLARE
            clause text := CASE options WHEN '' THEN '' ELSE format(' WITH (%s)', options) END;
        BEGIN
            start := clock_timestamp();
            EXECUTE format('CREATE INDEX quiver_advise_index ON pg_temp.quiver_advise_sample USING hnsw (v %s%s)', s.class, s.own_filters) || clause;
            build_ms := extract(epoch FROM clock_timestamp() - start) * 1000 * s.total / s.sampled;
            -- Skip options that give the same index as earlier ones.
            EXECUTE format('SELECT concat_ws('','', m, ef_construction, max_neighbours, sketch_bits, vector_bits) FROM %I.hnsw_meta(''pg_temp.quiver_advise_index'')', ours)
                INTO layout;
            IF layout = ANY (seen) THEN
                DROP INDEX pg_temp.quiver_advise_index;
                CONTINUE;
            END IF;
            seen := seen || layout;
            -- What filter columns cost shows in an empty index without them.
            IF s.filters <> '' THEN
                EXECUTE format('CREATE INDEX quiver_advise_without ON pg_temp.quiver_advise_empty USING hnsw (v %s)', s.class) || clause;
                EXECUTE format('SELECT w.slot_bytes - o.slot_bytes AS bytes, 100.0 * o.slots_per_page / w.slots_per_page * (1 + coalesce(1.0 / w.pages_per_flat_page, 0)) - 100 AS percent
                    FROM %1$I.hnsw_meta(''pg_temp.quiver_advise_index'') w, %1$I.hnsw_meta(''pg_temp.quiver_advise_without'') o', ours) INTO without;
                filter_bytes := without.bytes;
                filter_percent := without.percent;
                DROP INDEX pg_temp.quiver_advise_without;
            END IF;
            index_bytes := pg_relation_size('pg_temp.quiver_advise_index') * s.total / s.sampled;
            EXECUTE format('WITH r AS MATERIALIZED (SELECT * FROM %I.hnsw_recall(''pg_temp.quiver_advise_index'', $1, 100)),
                    best AS (SELECT * FROM r WHERE recall >= $2 ORDER BY ef_search LIMIT 1)
                SELECT (SELECT r.recall FROM r ORDER BY abs(ef_search - 40) LIMIT 1), best.ef_search, best.ms FROM (SELECT) x LEFT JOIN best ON true', ours)
                INTO recall, ef_search, ms USING k, wanted;
            DROP INDEX pg_temp.quiver_advise_index;
            ddl := format('CREATE INDEX ON %s USING hnsw (%I %s%s)', rel, col, s.class, s.filters) || clause || ';';
            RETURN NEXT;
        EXCEPTION WHEN program_limit_exceeded OR invalid_parameter_value THEN
            NULL;   -- not possible with this number of dimensions
        END;
    END LOOP;
    DROP TABLE pg_temp.quiver_advise_sample, pg_temp.quiver_advise_empty;
END $$;
COMMENT ON FUNCTION hnsw_advise(regclass, name, text, float8, integer, integer, name[]) IS
    'builds hnsw indexes with several options on a random sample of a column. Each row shows one of them: the estimated size in bytes and build time in milliseconds for the whole table, the recall of the k nearest rows at ef_search 40, the smallest ef_search tried that reaches the wanted recall on the sample (larger tables need a somewhat larger one), the time of a query with it in milliseconds, and the CREATE INDEX statement. With filter_columns, the indexes have these columns after the vector: filter_bytes is how many bytes they add to each node of the index, and filter_percent by how many per cent they make it larger (about 2 where the bytes fit into space of the pages that is unused otherwise)';

-- ivfflat: inspection (not in pgvector)

CREATE FUNCTION ivfflat_meta(index regclass, OUT version integer, OUT metric text, OUT dims integer, OUT lists integer,
    OUT lists_chosen boolean, OUT lists_per_probe integer, OUT vector_bits integer, OUT sketch_bits integer,
    OUT rows_per_page integer, OUT row_bytes float8)
    AS 'MODULE_PATHNAME' LANGUAGE C VOLATILE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION ivfflat_meta(regclass) IS
    'shows the parameters with which an ivfflat index was built. lists_chosen tells whether the index has chosen the number of its lists; then ivfflat.probes counts hundredths of them. lists_per_probe is what ivfflat.probes = 1 means. rows_per_page is how many rows have their sketches on a list page; row_bytes is the size of a row on full pages. Only for the owner of the index';
CREATE FUNCTION ivfflat_stats(index regclass, OUT pages bigint, OUT list_pages bigint, OUT code_pages bigint,
    OUT root_pages bigint, OUT free_pages bigint, OUT rows bigint, OUT lists integer, OUT min_rows bigint,
    OUT mean_rows float8, OUT max_rows bigint, OUT free_places bigint, OUT page_fill float8, OUT row_bytes float8)
    AS 'MODULE_PATHNAME' LANGUAGE C VOLATILE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION ivfflat_stats(regclass) IS
    'reads a whole ivfflat index and counts its pages, rows and places. List pages have the rows'' sketches, code pages their codes, root pages the centroids of the lists. min_rows, mean_rows and max_rows are the lengths of the shortest, the mean and the longest list. free_places is how many more rows the list pages have room for; page_fill is the fraction of their places that have rows. row_bytes is the size of the index per row. Only for the owner of the index';
CREATE FUNCTION ivfflat_last_scan(OUT lists bigint, OUT estimated bigint, OUT compared bigint, OUT rows bigint)
    AS 'MODULE_PATHNAME' LANGUAGE C VOLATILE STRICT PARALLEL RESTRICTED;
COMMENT ON FUNCTION ivfflat_last_scan() IS
    'describes the last ivfflat index scan of this session: the number of lists that it searched, of rows whose distances it estimated from their sketches (a row counts again when the search returns to its list for more rows), of rows that it compared by their codes, and of rows that it returned to the executor';

CREATE FUNCTION ivfflat_check(index regclass, heap_check boolean DEFAULT false, OUT block bigint, OUT place integer,
    OUT problem text)
    RETURNS SETOF record
    AS 'MODULE_PATHNAME' LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE;
COMMENT ON FUNCTION ivfflat_check(regclass, boolean) IS
    'verifies an ivfflat index, and returns one row per problem. It checks the pages of the root and of each list, that sketches match codes, and that no page is lost; with heap_check also that the index contains each row of the table exactly once, with its vector and the code of its filter columns. It blocks writers. Only for superusers, and for owners of the index to whom EXECUTE is granted';
-- It blocks writers, so only superusers and roles with EXECUTE may call it, on indexes that they own.
REVOKE ALL ON FUNCTION ivfflat_check(regclass, boolean) FROM PUBLIC;

CREATE FUNCTION ivfflat_recall(index regclass, k integer DEFAULT 10, sample integer DEFAULT 100, filter text DEFAULT NULL, OUT probes integer,
    OUT recall float8, OUT ms float8, OUT estimated float8)
    RETURNS SETOF record
    AS 'MODULE_PATHNAME' LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION ivfflat_recall(regclass, integer, integer, text) IS
    'measures the recall of an ivfflat index: the fraction of the k nearest rows (ties count) that the index finds, compared with an exact search of the table. The queries are sampled rows, each without itself. There is a row for ivfflat.probes 1, 2, 4 and so on, until nothing is missed or all lists are searched; ms and estimated are the means per query of the time in milliseconds and of the rows whose distances were estimated. filter is a condition as in WHERE: then the queries are sampled from the rows that fulfil it, and searches and exact answers are of these rows. Only for the owner of the index';
CREATE FUNCTION ivfflat_recall(index regclass, queries anyarray, k integer DEFAULT 10, filter text DEFAULT NULL, OUT probes integer,
    OUT recall float8, OUT ms float8, OUT estimated float8)
    RETURNS SETOF record
    AS 'MODULE_PATHNAME', 'ivfflat_recall_of_queries' LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION ivfflat_recall(regclass, anyarray, integer, text) IS
    'measures the recall with your own queries, for example array_agg(embedding) over a table of queries; filter is a condition as in WHERE';

-- How many lists an index of the form of this one chooses for so many rows.
CREATE FUNCTION quiver_lists_for(index regclass, rows float8) RETURNS integer
    AS 'MODULE_PATHNAME', 'ivfflat_lists_for' LANGUAGE C VOLATILE STRICT PARALLEL SAFE;
CREATE FUNCTION ivfflat_advise(rel regclass, col name, opclass text DEFAULT NULL, wanted float8[] DEFAULT '{0.9,0.95,0.99}',
    k integer DEFAULT 10, sample integer DEFAULT 40000, filter_columns name[] DEFAULT '{}', OUT options text, OUT lists integer,
    OUT index_bytes bigint, OUT recall float8, OUT probes integer[], OUT rows_percent float8[], OUT filter_percent float8,
    OUT ddl text)
    RETURNS SETOF record LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp SET client_min_messages = warning
AS $$
DECLARE
    ours name := (SELECT n.nspname FROM pg_am a JOIN pg_proc p ON p.oid = a.amhandler JOIN pg_namespace n ON n.oid = p.pronamespace
        WHERE a.amname = 'ivfflat');
    s record;         -- of quiver_advise_sample()
    make text;        -- makes an index of the sample; its options follow
    of_index text;    -- what ivfflat_meta() and ivfflat_stats() tell of it
    chosen integer;   -- the number of lists that an index of the table chooses
    own_lists integer;   -- and the number of an index of the sample
    own_k integer;
    built record;
    seen text[] := '{}';
BEGIN
    EXECUTE format('SELECT * FROM %I.quiver_advise_sample(''ivfflat'', $1, $2, $3, $4, $5, $6, $7)', ours)
        INTO s USING rel, col, opclass, wanted, k, sample, filter_columns;
    make := format('CREATE INDEX quiver_advise_index ON pg_temp.quiver_advise_sample USING ivfflat (v %s%s)', s.class, s.own_filters);
    of_index := format('%1$I.ivfflat_meta(''pg_temp.quiver_advise_index'') m, %1$I.ivfflat_stats(''pg_temp.quiver_advise_index'') c', ours);

    EXECUTE make || ' WITH (lists = 1)';
    EXECUTE format('SELECT %I.quiver_lists_for(''pg_temp.quiver_advise_index'', $1)', ours) INTO chosen USING s.total;
    DROP INDEX pg_temp.quiver_advise_index;

    -- The numbers are what is usually advised for pgvector: up to a million rows, and for more.
    FOREACH options IN ARRAY ARRAY['', 'vector_bits = 12', 'vector_bits = 8', 'lists = ' || least(ceil(s.total / 1000), 32768),
            'lists = ' || least(ceil(sqrt(s.total)), 32768)] LOOP
        DECLARE
            bits text := coalesce(', ' || substring(options FROM 'vector_bits.*'), '');
            given boolean := options LIKE 'lists%';
            clause text := CASE options WHEN '' THEN '' ELSE format(' WITH (%s)', options) END;
        BEGIN
            lists := CASE WHEN given THEN substring(options FROM '\d+')::float8 ELSE chosen END;
            -- For the size, the lists are as long as those of an index of the table, and fewer.
            own_lists := greatest(round(lists * s.sampled / s.total), 1);
            EXECUTE make || format(' WITH (lists = %s%s)', own_lists, bits);
            EXECUTE 'SELECT concat_ws('','', $1, m.vector_bits) AS layout, m.row_bytes, c.list_pages + c.code_pages AS of_lists, c.pages - c.root_pages AS pages FROM ' || of_index
                INTO built USING lists;
            -- Skip options that give the same index as earlier ones.
            IF built.layout = ANY (seen) THEN
                DROP INDEX pg_temp.quiver_advise_index;
                CONTINUE;
            END IF;
            seen := seen || built.layout;
            -- (A centroid takes as much space as a row.)
            index_bytes := current_setting('block_size')::float8 * (built.of_lists * s.total / s.sampled + built.pages - built.of_lists) + lists * built.row_bytes;
            -- What filter columns cost shows in an empty index without them.
            IF s.filters <> '' THEN
                EXECUTE format('CREATE INDEX quiver_advise_without ON pg_temp.quiver_advise_empty USING ivfflat (v %s) WITH (lists = 1%s)', s.class, bits);
                EXECUTE format('SELECT 100 * $1 / row_bytes - 100 FROM %I.ivfflat_meta(''pg_temp.quiver_advise_without'')', ours)
                    INTO filter_percent USING built.row_bytes;
                DROP INDEX pg_temp.quiver_advise_without;
            END IF;

            -- For the recall, there are as many lists as in an index of the table. (It does not depend on vector_bits.) The nearest k
            -- rows of the table lie as near as fewer rows of the sample do: k times the share of the rows that it has. But if it has few
            -- rows per list, the centroids fit these rows too well. Then all k are searched for, which takes rather too many probes.
            IF options NOT LIKE 'vector_bits%' THEN
                own_k := CASE WHEN s.sampled < 16 * lists THEN k ELSE greatest(round(k * s.sampled / s.total), 1) END;
                recall := NULL;
                probes := NULL;
                rows_percent := NULL;
                IF lists * 2 <= s.sampled THEN
                    IF own_lists <> lists THEN
                        DROP INDEX pg_temp.quiver_advise_index;
                        EXECUTE make || format(' WITH (lists = %s)', lists);
                    END IF;
                    -- ivfflat_recall() tries 1, 2, 4 and so on lists (p). In between, recall is about linear in the logarithm of p,
                    -- and the number of rows in p: p / 2 * (1 + part) lists are wanted, with `part` of the rows that p adds.
                    EXECUTE format('WITH r AS MATERIALIZED (SELECT probes AS p, recall AS r, estimated AS e,
                            lag(recall) OVER w AS r0, lag(estimated) OVER w AS e0
                            FROM %I.ivfflat_recall(''pg_temp.quiver_advise_index'', $1, $6) WINDOW w AS (ORDER BY probes)),
                        best AS (SELECT i, p, e, e0, coalesce(2 ^ ((x.wanted - r0) / (r - r0)) - 1, 1) AS part
                            FROM unnest($2) WITH ORDINALITY AS x(wanted, i)
                            LEFT JOIN LATERAL (SELECT * FROM r WHERE r >= x.wanted ORDER BY p LIMIT 1) y ON true)
                    SELECT coalesce((SELECT coalesce(r0 + (r - r0) * ln(2 * ceil($3) / p) / ln(2::float8), r) FROM r WHERE p >= ceil($3) ORDER BY p LIMIT 1),
                            (SELECT max(r) FROM r)),
                        (SELECT array_agg(floor((least(ceil(p / 2.0 * (1 + part)), $4) - 1) / $3) + 1 ORDER BY i) FROM best),
                        (SELECT array_agg(round((100 * coalesce(e0 + (e - e0) * part, e) / $5)::numeric, 2) ORDER BY i) FROM best)', ours)
                        INTO recall, probes, rows_percent
                        USING own_k, wanted, CASE WHEN given THEN 1.0 ELSE lists / 100.0 END, lists, s.sampled, least(100 * k / own_k, 500);
                END IF;
            END IF;
            DROP INDEX pg_temp.quiver_advise_index;
            ddl := format('CREATE INDEX ON %s USING ivfflat (%I %s%s)', rel, col, s.class, s.filters) || clause || ';';
            RETURN NEXT;
        EXCEPTION WHEN program_limit_exceeded OR invalid_parameter_value THEN
            NULL;   -- not possible with this number of dimensions
        END;
    END LOOP;
    DROP TABLE pg_temp.quiver_advise_sample, pg_temp.quiver_advise_empty;
END $$;
COMMENT ON FUNCTION ivfflat_advise(regclass, name, text, float8[], integer, integer, name[]) IS
    'builds ivfflat indexes on a random sample of a column: without options, and with other numbers of lists or bits. Each row shows one of them: the number of lists and the estimated size in bytes of an index of the whole table; the recall of the k nearest rows with ivfflat.probes = 1, the default; for each wanted recall the ivfflat.probes that reaches it (null if none does), and the percentage of the rows whose distances such a search estimates; and the CREATE INDEX statement. These are estimates. If the sample has fewer than 16 rows per list, probes and rows_percent are rather too large; if it has fewer than two, they and recall are null. With filter_columns, the indexes have these columns after the vector, and filter_percent is by how many per cent they make the lists larger. ivfflat_recall measures the recall of an index that is built';
