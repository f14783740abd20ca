-- Functions that return other columns than in 0.1.0.
DROP FUNCTION hnsw_meta(regclass);
DROP FUNCTION hnsw_stats(regclass);
DROP FUNCTION hnsw_last_scan();
