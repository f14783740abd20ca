-- Details in which pgvector's users meet the same: errors and their SQLSTATEs, catalog entries, settings.
\set SHOW_CONTEXT never
\set VERBOSITY sqlstate
-- Numbers too small for a float: zero in dense vectors; not in sparse ones, which store no zeros.
SELECT '[1e-46,-1e-400,1]'::vector, '[1e-46,1]'::halfvec;
SELECT '{1:1e-46,2:1}/2'::sparsevec;
SELECT '{2:1,1:-1e-400}/2'::sparsevec;
SELECT '{1:0x1p-200}/2'::sparsevec;
SELECT '{1:0,2:1e-45,3:-0.0,4:0e-99,5:0x0}/5'::sparsevec;
-- Elements that are written out count, zeros among them.
SELECT ('{' || string_agg(i || ':' || (i > 1)::integer, ',') || '}/20000')::sparsevec <> '{}/20000' FROM generate_series(1, 16000) i;
SELECT ('{' || string_agg(i || ':' || (i > 1)::integer, ',') || '}/20000')::sparsevec FROM generate_series(1, 16001) i;
-- An array's length comes before its elements.
SELECT '{1e39}'::numeric[]::vector(2);
SELECT '{1e-46}'::numeric[]::sparsevec(2);
