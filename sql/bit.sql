-- bit: Hamming and Jaccard distance of core's type

SELECT hamming_distance('111', '111');
SELECT hamming_distance('111', '110');
SELECT hamming_distance('111', '100');
SELECT hamming_distance('111', '000');
SELECT hamming_distance('10101010101010101010', '01010101010101010101');
SELECT hamming_distance('', '');
SELECT hamming_distance('111', '00');
SELECT B'111' <~> B'010';
SELECT hamming_distance('11111111101'::bit(11), '01111111001'::bit(11));
SELECT jaccard_distance('1111', '1111');
SELECT jaccard_distance('1111', '1110');
SELECT jaccard_distance('1111', '1100');
SELECT jaccard_distance('1111', '1000');
SELECT jaccard_distance('1111', '0000');
SELECT jaccard_distance('1100', '1000');
SELECT jaccard_distance('10101010101010101010', '01010101010101010101');
SELECT jaccard_distance('', '');
SELECT jaccard_distance('1111', '000');
SELECT B'1100' <%> B'1000';
SELECT hamming_distance(repeat('1', 100000)::varbit::bit(100000), repeat('0', 100000)::varbit::bit(100000));
SELECT pg_typeof(binary_quantize('[1]'::vector));
SELECT i, v <~> '101' FROM unnest(ARRAY[B'100', B'110', B'010']) WITH ORDINALITY u(v, i) ORDER BY v <~> '101', i;
