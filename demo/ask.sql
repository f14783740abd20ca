-- Asks every question and prints the three nearest packages with the time that the query took in
-- the server.
SET client_min_messages = warning;
ANALYZE;
DROP INDEX IF EXISTS packages_embedding;

CREATE OR REPLACE FUNCTION ask(OUT question text, OUT answers text[], OUT descriptions text[],
                               OUT ids integer[], OUT ms numeric)
RETURNS SETOF record LANGUAGE plpgsql AS $$
DECLARE
    q       record;
    started timestamptz;
BEGIN
    FOR q IN SELECT * FROM questions ORDER BY id LOOP
        started := clock_timestamp();
        SELECT array_agg(p.name), array_agg(p.description), array_agg(p.id)
        INTO answers, descriptions, ids
        FROM (SELECT * FROM packages ORDER BY embedding <=> q.embedding LIMIT 10) p;
        ms := round(extract(epoch FROM clock_timestamp() - started)::numeric * 1000, 2);
        question := q.question;
        RETURN NEXT;
    END LOOP;
END $$;

\pset footer off
-- Without an index: every row is compared, so the answers are exact.
CREATE TEMP TABLE exact AS SELECT row_number() OVER () AS n, * FROM ask();

\echo
\echo 'CREATE INDEX ON packages USING hnsw (embedding vector_cosine_ops)'
\timing on
CREATE INDEX packages_embedding ON packages USING hnsw (embedding vector_cosine_ops);
\timing off
\echo
\echo 'EXPLAIN (ANALYZE, COSTS OFF, BUFFERS) of one question:'
SELECT embedding AS q FROM questions WHERE id = 1 \gset
\pset tuples_only on
EXPLAIN (ANALYZE, COSTS OFF, BUFFERS, TIMING OFF)
SELECT name FROM packages ORDER BY embedding <=> (SELECT embedding FROM questions WHERE id = 1) LIMIT 10;
\pset tuples_only off

-- The first round warms the cache, the second is shown.
SELECT count(*) AS warm FROM ask() \gset
CREATE TEMP TABLE indexed AS SELECT row_number() OVER () AS n, * FROM ask();

\echo
SELECT i.question, i.answers[1] AS "nearest package", left(i.descriptions[1], 44) AS description,
       i.answers[2] || ', ' || i.answers[3] AS "then", e.ms AS "exact ms", i.ms AS "index ms"
FROM indexed i JOIN exact e USING (n) ORDER BY n;
SELECT count(*) AS questions, round(avg(e.ms), 2) AS "exact, mean ms", round(avg(i.ms), 2) AS "index, mean ms",
       round(avg((SELECT count(*) FROM unnest(i.ids) x WHERE x = ANY (e.ids)) / 10.0), 3) AS "recall of the ten nearest",
       pg_size_pretty(pg_relation_size('packages_embedding')) AS "index size"
FROM indexed i JOIN exact e USING (n);
