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

-- The binary formats
CREATE TABLE bin (v vector, h halfvec, s sparsevec);
\copy bin (s) FROM PROGRAM 'printf "PGCOPY\n\377\r\n\0\0\0\0\0\0\0\0\0\0\1\0\0\0\24\0\0\0\1\0\0\0\2\0\0\0\0\0\0\0\0\0\0\0\1\377\377"' (FORMAT binary)
\copy bin (s) FROM PROGRAM 'printf "PGCOPY\n\377\r\n\0\0\0\0\0\0\0\0\0\0\1\0\0\0\24\0\0\0\5\0\0\0\1\0\0\0\0\0\0\0\4\77\200\0\0\377\377"' (FORMAT binary)
\copy bin (v) FROM PROGRAM 'printf "PGCOPY\n\377\r\n\0\0\0\0\0\0\0\0\0\0\1\0\0\0\10\377\377\0\0\77\200\0\0\377\377"' (FORMAT binary)
\copy bin (h) FROM PROGRAM 'printf "PGCOPY\n\377\r\n\0\0\0\0\0\0\0\0\0\0\1\0\0\0\6\0\1\377\377\74\0\377\377"' (FORMAT binary)
\copy bin (h) FROM PROGRAM 'printf "PGCOPY\n\377\r\n\0\0\0\0\0\0\0\0\0\0\1\0\0\0\6\0\1\0\0\74\0\377\377"' (FORMAT binary)
SELECT * FROM bin;
DROP TABLE bin;
\set VERBOSITY default
