-- casts: arrays, and from type to type

-- vector
SELECT (ARRAY[1,2,3])::vector;
SELECT (ARRAY[1.0,2.0,3.0])::vector;
SELECT (ARRAY[1,2,3]::float4[])::vector;
SELECT (ARRAY[1,2,3]::float8[])::vector;
SELECT (ARRAY[1,2,3]::numeric[])::vector;
SELECT (ARRAY[1.5,0,-2.25]::numeric[])::vector;
SELECT (ARRAY[0.1,0.2]::float8[])::vector;
SELECT ('{NULL}'::real[])::vector;
SELECT ('{NaN}'::real[])::vector;
SELECT ('{Infinity}'::real[])::vector;
SELECT ('{-Infinity}'::real[])::vector;
SELECT ('{}'::real[])::vector;
SELECT ('{{1}}'::real[])::vector;
SELECT ('{1e39}'::float8[])::vector;
SELECT ('{1e39}'::numeric[])::vector;
SELECT ('{1e-50}'::float8[])::vector;
SELECT ('{65520}'::real[])::vector;
SELECT ('{1e-10}'::real[])::vector;
SELECT ('[0:1]={1,2}'::real[])::vector;
SELECT (ARRAY[2147483647,-2147483648])::vector;
SELECT (ARRAY[1,2,3])::vector(3);
SELECT (ARRAY[1,2,3])::vector(2);
SELECT ARRAY[1,2]::text[]::vector;
SELECT ARRAY[1,2]::smallint[]::vector;
SELECT l2_norm(array_agg(1)::vector::sparsevec) FROM generate_series(1, 16000);
SELECT l2_norm(array_agg(1)::vector::sparsevec) FROM generate_series(1, 16001);

-- halfvec
SELECT (ARRAY[1,2,3])::halfvec;
SELECT (ARRAY[1.0,2.0,3.0])::halfvec;
SELECT (ARRAY[1,2,3]::float4[])::halfvec;
SELECT (ARRAY[1,2,3]::float8[])::halfvec;
SELECT (ARRAY[1,2,3]::numeric[])::halfvec;
SELECT (ARRAY[1.5,0,-2.25]::numeric[])::halfvec;
SELECT (ARRAY[0.1,0.2]::float8[])::halfvec;
SELECT ('{NULL}'::real[])::halfvec;
SELECT ('{NaN}'::real[])::halfvec;
SELECT ('{Infinity}'::real[])::halfvec;
SELECT ('{-Infinity}'::real[])::halfvec;
SELECT ('{}'::real[])::halfvec;
SELECT ('{{1}}'::real[])::halfvec;
SELECT ('{1e39}'::float8[])::halfvec;
SELECT ('{1e39}'::numeric[])::halfvec;
SELECT ('{1e-50}'::float8[])::halfvec;
SELECT ('{65520}'::real[])::halfvec;
SELECT ('{1e-10}'::real[])::halfvec;
SELECT ('[0:1]={1,2}'::real[])::halfvec;
SELECT (ARRAY[2147483647,-2147483648])::halfvec;
SELECT (ARRAY[1,2,3])::halfvec(3);
SELECT (ARRAY[1,2,3])::halfvec(2);
SELECT ARRAY[1,2]::text[]::halfvec;
SELECT ARRAY[1,2]::smallint[]::halfvec;
SELECT l2_norm(array_agg(1)::halfvec::sparsevec) FROM generate_series(1, 16000);
SELECT l2_norm(array_agg(1)::halfvec::sparsevec) FROM generate_series(1, 16001);

-- sparsevec
SELECT (ARRAY[1,2,3])::sparsevec;
SELECT (ARRAY[1.0,2.0,3.0])::sparsevec;
SELECT (ARRAY[1,2,3]::float4[])::sparsevec;
SELECT (ARRAY[1,2,3]::float8[])::sparsevec;
SELECT (ARRAY[1,2,3]::numeric[])::sparsevec;
SELECT (ARRAY[1.5,0,-2.25]::numeric[])::sparsevec;
SELECT (ARRAY[0.1,0.2]::float8[])::sparsevec;
SELECT ('{NULL}'::real[])::sparsevec;
SELECT ('{NaN}'::real[])::sparsevec;
SELECT ('{Infinity}'::real[])::sparsevec;
SELECT ('{-Infinity}'::real[])::sparsevec;
SELECT ('{}'::real[])::sparsevec;
SELECT ('{{1}}'::real[])::sparsevec;
SELECT ('{1e39}'::float8[])::sparsevec;
SELECT ('{1e39}'::numeric[])::sparsevec;
SELECT ('{1e-50}'::float8[])::sparsevec;
SELECT ('{65520}'::real[])::sparsevec;
SELECT ('{1e-10}'::real[])::sparsevec;
SELECT ('[0:1]={1,2}'::real[])::sparsevec;
SELECT (ARRAY[2147483647,-2147483648])::sparsevec;
SELECT (ARRAY[1,2,3])::sparsevec(3);
SELECT (ARRAY[1,2,3])::sparsevec(2);
SELECT ARRAY[1,2]::text[]::sparsevec;
SELECT ARRAY[1,2]::smallint[]::sparsevec;
SELECT l2_norm(array_agg(1)::sparsevec::sparsevec) FROM generate_series(1, 16000);
SELECT l2_norm(array_agg(1)::sparsevec::sparsevec) FROM generate_series(1, 16001);

-- to arrays
SELECT '[1,2,3]'::vector::real[];
SELECT '[1,2,3]'::halfvec::real[];
SELECT '[1,2,3]'::vector::double precision[];
SELECT '{1:1}/3'::sparsevec::real[];
SELECT '[1,2,3]'::vector = ARRAY[1,2,3]::real[]::vector;

-- between the types
SELECT '[0,1.5,0,3.5,0]'::vector::halfvec;
SELECT '[0,1.5,0,3.5,0]'::vector::halfvec(5);
SELECT '[0,1.5,0,3.5,0]'::vector::halfvec(4);
SELECT '[0,1.5,0,3.5,0]'::vector::sparsevec;
SELECT '[0,1.5,0,3.5,0]'::vector::sparsevec(5);
SELECT '[0,1.5,0,3.5,0]'::vector::sparsevec(4);
SELECT '[0,1.5,0,3.5,0]'::halfvec::vector;
SELECT '[0,1.5,0,3.5,0]'::halfvec::vector(5);
SELECT '[0,1.5,0,3.5,0]'::halfvec::vector(4);
SELECT '[0,1.5,0,3.5,0]'::halfvec::sparsevec;
SELECT '[0,1.5,0,3.5,0]'::halfvec::sparsevec(5);
SELECT '[0,1.5,0,3.5,0]'::halfvec::sparsevec(4);
SELECT '{2:1.5,4:3.5}/5'::sparsevec::vector;
SELECT '{2:1.5,4:3.5}/5'::sparsevec::vector(5);
SELECT '{2:1.5,4:3.5}/5'::sparsevec::vector(4);
SELECT '{2:1.5,4:3.5}/5'::sparsevec::halfvec;
SELECT '{2:1.5,4:3.5}/5'::sparsevec::halfvec(5);
SELECT '{2:1.5,4:3.5}/5'::sparsevec::halfvec(4);
SELECT '[65520]'::vector::halfvec;
SELECT '[1e-8]'::vector::halfvec;
SELECT '[0.1]'::vector::halfvec;
SELECT '{}/16001'::sparsevec::vector;
SELECT '{}/16001'::sparsevec::halfvec;
SELECT '{1:65520}/1'::sparsevec::halfvec;
SELECT '{1:1e-10}/1'::sparsevec::halfvec;
SELECT vector_dims('{}/16000'::sparsevec::vector);

-- assignment, and what implicit casts allow
CREATE TABLE t (v vector(3), h halfvec(3), s sparsevec(3));
INSERT INTO t VALUES ('[1,2,3]'::vector, '[1,2,3]'::vector, '[1,2,3]'::vector);
INSERT INTO t VALUES (ARRAY[4,5,6], ARRAY[4,5,6]::real[], ARRAY[4,5,6]::numeric[]);
INSERT INTO t VALUES ('[7,8,9]'::halfvec, '[7,8,9]'::halfvec, '[7,8,9]'::halfvec);
INSERT INTO t VALUES ('{1:1}/3'::sparsevec, '{1:1}/3'::sparsevec, '{1:1}/3'::sparsevec);
SELECT * FROM t;
SELECT v <-> h::vector, h <-> v, s <-> v, v <=> '[1,2,3]' FROM t LIMIT 1;
DROP TABLE t;
