-- Asks every question and prints the three nearest packages with the time that the query took in
-- the server.
SET client_min_messages = warning;
ANALYZE;

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

CREATE TEMP TABLE exact AS SELECT row_number() OVER () AS n, * FROM ask();

\pset footer off
\echo
SELECT question, answers[1] AS "nearest package", left(descriptions[1], 44) AS description,
       answers[2] || ', ' || answers[3] AS "then", ms
FROM exact ORDER BY n;
SELECT count(*) AS questions, round(avg(ms), 2) AS "mean ms", max(ms) AS "worst ms" FROM exact;
