-- rrf_score: reciprocal rank fusion of a vector search and a full-text search.
SELECT r, rrf_score(r), rrf_score(r, 0), rrf_score(r, k => 9) FROM (VALUES (1::bigint), (2), (40), (NULL)) v(r);
SELECT rrf_score(1, NULL), rrf_score(9223372036854775807) < 1e-18 AS small;
\set SHOW_CONTEXT never
SELECT rrf_score(-60);
SELECT provolatile, proparallel, proisstrict FROM pg_proc WHERE proname = 'rrf_score';

CREATE TABLE documents (id integer PRIMARY KEY, body text, words tsvector GENERATED ALWAYS AS (to_tsvector('english', body)) STORED, embedding vector(3));
INSERT INTO documents (id, body, embedding) VALUES (1, 'ripe apples', '[1,2,3]'), (2, 'apple tree', '[1,2,9]'), (3, 'pears', '[1,2,3.5]'), (4, 'nails', '[9,9,9]');
CREATE INDEX ON documents USING hnsw (embedding vector_l2_ops);
CREATE INDEX ON documents USING gin (words);
WITH near AS (
    SELECT id, row_number() OVER (ORDER BY distance) AS rank
    FROM (SELECT id, embedding <-> '[1,2,3.3]' AS distance FROM documents ORDER BY distance LIMIT 3) x
), matching AS (
    SELECT id, row_number() OVER (ORDER BY score DESC, id) AS rank
    FROM (SELECT id, ts_rank_cd(words, query) AS score FROM documents, websearch_to_tsquery('english', 'apples') query
        WHERE words @@ query ORDER BY score DESC, id LIMIT 3) x
)
SELECT id, near.rank AS near, matching.rank AS matching, round((rrf_score(near.rank) + rrf_score(matching.rank))::numeric, 6) AS score
FROM near FULL JOIN matching USING (id) ORDER BY score DESC, id;
DROP TABLE documents;
