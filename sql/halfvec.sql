-- halfvec: input, output, functions, operators, aggregates
\pset null (null)

-- input and output
SELECT '[1,2,3]'::halfvec;
SELECT '[-1,-2,-3]'::halfvec;
SELECT '[1.,2.,3.]'::halfvec;
SELECT ' [ 1,  2 ,    3  ] '::halfvec;
SELECT '[1.23456]'::halfvec;
SELECT '[+1,.5,5e-1,1e+2]'::halfvec;
SELECT '[0x10,-0X1p3]'::halfvec;
SELECT '[-0]'::halfvec;
SELECT '[hello,1]'::halfvec;
SELECT '[NaN,1]'::halfvec;
SELECT '[Infinity,1]'::halfvec;
SELECT '[-Infinity,1]'::halfvec;
SELECT '[1.5e38,-1.5e38]'::halfvec;
SELECT '[1.5e-38,-1.5e-38]'::halfvec;
SELECT '[4e38,1]'::halfvec;
SELECT '[-4e38,1]'::halfvec;
SELECT '[1e-46,1]'::halfvec;
SELECT '[-1e-46,1]'::halfvec;
SELECT '[1e-45]'::halfvec;
SELECT '[65504,-65504]'::halfvec;
SELECT '[65519]'::halfvec;
SELECT '[65520,1]'::halfvec;
SELECT '[1e-8,1]'::halfvec;
SELECT '[6e-8]'::halfvec;
SELECT '[1,2,3'::halfvec;
SELECT '[1,2,3]9'::halfvec;
SELECT '1,2,3'::halfvec;
SELECT ''::halfvec;
SELECT '['::halfvec;
SELECT '[ '::halfvec;
SELECT '[,'::halfvec;
SELECT '[]'::halfvec;
SELECT '[ ]'::halfvec;
SELECT '[,]'::halfvec;
SELECT '[1,]'::halfvec;
SELECT '[1a]'::halfvec;
SELECT '[1,,3]'::halfvec;
SELECT '[1, ,3]'::halfvec;
SELECT '[1 2]'::halfvec;
SELECT '{1,2}'::halfvec;
SELECT '[1]]'::halfvec;
SELECT '[--1]'::halfvec;
SELECT '[+-1]'::halfvec;
SELECT '[1e]'::halfvec;
SELECT '[1e400]'::halfvec;
SELECT '[nan]'::halfvec;
SELECT '[inf]'::halfvec;
SELECT '[1;2]'::halfvec;
SELECT '[1,2,3]'::halfvec(3);
SELECT '[1,2,3]'::halfvec(2);
SELECT '[1,2,3]'::halfvec(3, 2);
SELECT '[1,2,3]'::halfvec('a');
SELECT '[1,2,3]'::halfvec(0);
SELECT '[1,2,3]'::halfvec(-1);
SELECT '[1,2,3]'::halfvec(16001);
SELECT '[1,2,3]'::halfvec(16000);
SELECT unnest('{"[1,2,3]","[4,5,6]"}'::halfvec[]);
SELECT '{"[1,2,3]"}'::halfvec(2)[];
SELECT vector_dims(('[' || repeat('1,', 15999) || '1]')::halfvec);
SELECT vector_dims(('[' || repeat('1,', 16000) || '1]')::halfvec);
SELECT length(('[' || repeat('-1.2345678e-30,', 15999) || '1]')::halfvec::text) > 0;

-- arithmetic
SELECT '[1,2,3]'::halfvec + '[4,5,6]';
SELECT '[65519]'::halfvec + '[65519]';
SELECT '[1,2]'::halfvec + '[3]';
SELECT '[1,2,3]'::halfvec - '[4,5,6]';
SELECT '[-65519]'::halfvec - '[65519]';
SELECT '[1,2]'::halfvec - '[3]';
SELECT '[1,2,3]'::halfvec * '[4,5,6]';
SELECT '[1,2]'::halfvec * '[3]';
SELECT '[65519]'::halfvec * '[65519]';
SELECT '[1e-7]'::halfvec * '[1e-7]';
SELECT '[0]'::halfvec * '[1e-5]';
SELECT '[1,2,3]'::halfvec || '[4,5]';
SELECT vector_dims(('[' || repeat('0,', 8999) || '0]')::halfvec || ('[' || repeat('0,', 6999) || '0]')::halfvec);
SELECT ('[' || repeat('0,', 15999) || '0]')::halfvec || '[1]';

-- comparison
SELECT '[1,2,3]'::halfvec < '[1,2,3]', '[1,2,3]'::halfvec <= '[1,2,3]', '[1,2,3]'::halfvec = '[1,2,3]', '[1,2,3]'::halfvec <> '[1,2,3]', '[1,2,3]'::halfvec >= '[1,2,3]', '[1,2,3]'::halfvec > '[1,2,3]', halfvec_cmp('[1,2,3]', '[1,2,3]');
SELECT '[1,2,3]'::halfvec < '[1,2]', '[1,2,3]'::halfvec <= '[1,2]', '[1,2,3]'::halfvec = '[1,2]', '[1,2,3]'::halfvec <> '[1,2]', '[1,2,3]'::halfvec >= '[1,2]', '[1,2,3]'::halfvec > '[1,2]', halfvec_cmp('[1,2,3]', '[1,2]');
SELECT '[1,2]'::halfvec < '[2,3,4]', '[1,2]'::halfvec <= '[2,3,4]', '[1,2]'::halfvec = '[2,3,4]', '[1,2]'::halfvec <> '[2,3,4]', '[1,2]'::halfvec >= '[2,3,4]', '[1,2]'::halfvec > '[2,3,4]', halfvec_cmp('[1,2]', '[2,3,4]');
SELECT '[2,3]'::halfvec < '[1,9,9]', '[2,3]'::halfvec <= '[1,9,9]', '[2,3]'::halfvec = '[1,9,9]', '[2,3]'::halfvec <> '[1,9,9]', '[2,3]'::halfvec >= '[1,9,9]', '[2,3]'::halfvec > '[1,9,9]', halfvec_cmp('[2,3]', '[1,9,9]');
SELECT '[0]'::halfvec < '[-0]', '[0]'::halfvec <= '[-0]', '[0]'::halfvec = '[-0]', '[0]'::halfvec <> '[-0]', '[0]'::halfvec >= '[-0]', '[0]'::halfvec > '[-0]', halfvec_cmp('[0]', '[-0]');

-- functions
SELECT vector_dims('[1,2,3]'::halfvec);
SELECT round(l2_norm('[1,1]'::halfvec)::numeric, 5);
SELECT l2_norm('[3,4]'::halfvec);
SELECT l2_norm('[0,1]'::halfvec);
SELECT l2_norm('[0,0]'::halfvec);
SELECT l2_norm('[2]'::halfvec);
SELECT l2_distance('[0,0]'::halfvec, '[3,4]');
SELECT l2_distance('[0,0]'::halfvec, '[0,1]');
SELECT l2_distance('[1,2]'::halfvec, '[3]');
SELECT l2_distance('[1,1,1,1,1,1,1,1,1]'::halfvec, '[1,1,1,1,1,1,1,4,5]');
SELECT '[0,0]'::halfvec <-> '[3,4]';
SELECT inner_product('[1,2]'::halfvec, '[3,4]');
SELECT inner_product('[1,2]'::halfvec, '[3]');
SELECT inner_product('[65504]'::halfvec, '[65504]');
SELECT inner_product('[1,1,1,1,1,1,1,1,1]'::halfvec, '[1,2,3,4,5,6,7,8,9]');
SELECT '[1,2]'::halfvec <#> '[3,4]';
SELECT cosine_distance('[1,2]'::halfvec, '[2,4]');
SELECT cosine_distance('[1,2]'::halfvec, '[0,0]');
SELECT cosine_distance('[1,1]'::halfvec, '[1,1]');
SELECT cosine_distance('[1,0]'::halfvec, '[0,2]');
SELECT cosine_distance('[1,1]'::halfvec, '[-1,-1]');
SELECT cosine_distance('[1,2]'::halfvec, '[3]');
SELECT cosine_distance('[1,1]'::halfvec, '[1.1,1.1]');
SELECT cosine_distance('[1,1]'::halfvec, '[-1.1,-1.1]');
SELECT cosine_distance('[1,2,3,4,5,6,7,8,9]'::halfvec, '[1,2,3,4,5,6,7,8,9]');
SELECT '[1,2]'::halfvec <=> '[2,4]';
SELECT l1_distance('[0,0]'::halfvec, '[3,4]');
SELECT l1_distance('[1,2]'::halfvec, '[3]');
SELECT l1_distance('[1,2,3,4,5,6,7,8,9]'::halfvec, '[1,2,3,4,5,6,7,8,-9]');
SELECT '[0,0]'::halfvec <+> '[3,4]';
SELECT halfvec_spherical_distance('[1,0]'::halfvec, '[0,1]');
SELECT halfvec_l2_squared_distance('[0,0]'::halfvec, '[3,4]');
SELECT halfvec_negative_inner_product('[1,2]'::halfvec, '[3,4]');
SELECT l2_normalize('[3,4]'::halfvec);
SELECT l2_normalize('[3,0]'::halfvec);
SELECT l2_normalize('[0,0.1]'::halfvec);
SELECT l2_normalize('[0,0]'::halfvec);
SELECT l2_normalize('[65519]'::halfvec);
SELECT binary_quantize('[1,0,-1]'::halfvec);
SELECT binary_quantize('[0,0.1,-0.2,-0.3,0.4,0.5,0.6,-0.7,0.8,-0.9,1]'::halfvec);
SELECT subvector('[1,2,3,4,5]'::halfvec, 1, 3);
SELECT subvector('[1,2,3,4,5]'::halfvec, 3, 2);
SELECT subvector('[1,2,3,4,5]'::halfvec, -1, 3);
SELECT subvector('[1,2,3,4,5]'::halfvec, 3, 9);
SELECT subvector('[1,2,3,4,5]'::halfvec, 1, 0);
SELECT subvector('[1,2,3,4,5]'::halfvec, 3, -1);
SELECT subvector('[1,2,3,4,5]'::halfvec, -1, 2);
SELECT subvector('[1,2,3,4,5]'::halfvec, 6, 2);
SELECT subvector('[1,2,3,4,5]'::halfvec, 2147483647, 10);
SELECT subvector('[1,2,3,4,5]'::halfvec, 3, 2147483647);
SELECT subvector('[1,2,3,4,5]'::halfvec, -2147483644, 2147483647);
SELECT subvector('[1,2,3,4,5]'::halfvec, -2147483648, -2147483648);

-- aggregates
SELECT avg(v) FROM unnest(ARRAY['[1,2,3]'::halfvec, '[3,5,7]'::halfvec]::halfvec[]) v;
SELECT avg(v) FROM unnest(ARRAY['[1,2,3]'::halfvec, '[3,5,7]'::halfvec, NULL]::halfvec[]) v;
SELECT avg(v) FROM unnest(ARRAY[]::halfvec[]) v;
SELECT avg(v) FROM unnest(ARRAY['[1,2]'::halfvec, '[3]'::halfvec]::halfvec[]) v;
SELECT avg(v) FROM unnest(ARRAY['[65519]'::halfvec, '[65519]'::halfvec]::halfvec[]) v;
SELECT sum(v) FROM unnest(ARRAY['[1,2,3]'::halfvec, '[3,5,7]'::halfvec]::halfvec[]) v;
SELECT sum(v) FROM unnest(ARRAY['[1,2,3]'::halfvec, '[3,5,7]'::halfvec, NULL]::halfvec[]) v;
SELECT sum(v) FROM unnest(ARRAY[]::halfvec[]) v;
SELECT sum(v) FROM unnest(ARRAY['[1,2]'::halfvec, '[3]'::halfvec]::halfvec[]) v;
SELECT sum(v) FROM unnest(ARRAY['[65519]'::halfvec, '[65519]'::halfvec]::halfvec[]) v;
SELECT halfvec_avg(array_agg(n)) FROM generate_series(1, 16002) n;
SELECT halfvec_accum('{0}', '[1,2,3]'::halfvec);
SELECT halfvec_accum('{1,1,1,1}', '[1,2,3]'::halfvec);
SELECT halfvec_accum('{1,2}', '[1,2,3]'::halfvec);
SELECT halfvec_accum('{}', '[1]'::halfvec);
SELECT halfvec_accum('{{1}}', '[1]'::halfvec);
SELECT halfvec_combine('{2,1}', '{3,4}');
SELECT halfvec_combine('{0}', '{3,4}');
SELECT halfvec_combine('{3,4}', '{0}');
SELECT halfvec_combine('{3,4}', '{3,4,5}');
SELECT halfvec_avg('{NULL}');
SELECT halfvec_avg('{1}');

-- tables, order, btree, COPY in both formats
CREATE TABLE t (id integer, v halfvec(3));
INSERT INTO t VALUES (1, '[0,0,0]'), (2, '[1,2,3]'), (3, '[1,1,1]'), (4, NULL);
INSERT INTO t VALUES (5, '[1,2]');
SELECT * FROM t ORDER BY v;
SELECT id, v <-> '[3,3,3]' AS d FROM t ORDER BY v <-> '[3,3,3]';
SELECT id, v <#> '[3,3,3]' AS d FROM t ORDER BY v <#> '[3,3,3]';
SELECT id, v <+> '[3,3,3]' AS d FROM t ORDER BY v <+> '[3,3,3]', id;
SELECT id FROM t WHERE v = '[1,2,3]';
SELECT id FROM t WHERE v <> '[1,2,3]' ORDER BY id;
CREATE UNIQUE INDEX t_v ON t (v);
INSERT INTO t VALUES (6, '[1,1,1]');
SET enable_seqscan = off;
SELECT id FROM t WHERE v > '[1,1,1]';
SELECT id FROM t WHERE v BETWEEN '[0,0,0]' AND '[1,1,1]' ORDER BY v;
RESET enable_seqscan;
SELECT count(DISTINCT v) FROM t;
CREATE TABLE copy (LIKE t);
\copy t TO 'results/halfvec.data' (FORMAT binary)
\copy copy FROM 'results/halfvec.data' (FORMAT binary)
SELECT * FROM copy ORDER BY id;
TRUNCATE copy;
\copy t TO 'results/halfvec.data'
\copy copy FROM 'results/halfvec.data'
SELECT * FROM copy ORDER BY id;
SELECT halfvec_send('[1,-2.5,3]'::halfvec);
DROP TABLE t, copy;

