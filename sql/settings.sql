-- quiver.simd: every level gives the same answers
SET quiver.simd = baseline;
SHOW quiver.simd;
CREATE TABLE t AS
  SELECT i, (SELECT array_agg(sin(i * j)::real ORDER BY j) FROM generate_series(1, 100) j)::vector AS v
  FROM generate_series(1, 50) i;
CREATE TABLE baseline AS SELECT a.i, b.i AS j, a.v <-> b.v AS l2, a.v <#> b.v AS ip, a.v <=> b.v AS cosine,
    a.v <+> b.v AS l1, a.v::halfvec <-> b.v::halfvec AS half,
    binary_quantize(a.v) <~> binary_quantize(b.v) AS bits FROM t a, t b;
RESET quiver.simd;
SELECT count(*) FROM baseline JOIN t a ON a.i = baseline.i JOIN t b ON b.i = baseline.j
WHERE abs((a.v <-> b.v) - l2) > 1e-4 OR abs((a.v <#> b.v) - ip) > 1e-4 OR abs((a.v <=> b.v) - cosine) > 1e-5
   OR abs((a.v <+> b.v) - l1) > 1e-4 OR abs((a.v::halfvec <-> b.v::halfvec) - half) > 1e-4
   OR (binary_quantize(a.v) <~> binary_quantize(b.v)) <> bits;
SET quiver.simd = mmx;
DROP TABLE t, baseline;
