# Reads of the index raise usage counts, as reads of any page do: buffers that searches use often
# have high usage counts, and stay when other tables need buffers.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use FindBin;
use lib "$FindBin::RealBin/..";
use IndexTest qw(restart problems lost_rows pages_of);

my $node = PostgreSQL::Test::Cluster->new('node');
$node->init;
$node->append_conf('postgresql.conf', "autovacuum = off\njit = off\nshared_buffers = 64MB\nmax_parallel_workers_per_gather = 0\n");
$node->start;
# PostgreSQL's packages include it. If it is missing, this test fails.
is($node->psql('postgres', 'CREATE EXTENSION pg_buffercache'), 0, 'pg_buffercache is installed');
$node->safe_psql('postgres', q{
	CREATE EXTENSION quiver;
	CREATE TABLE items (id integer PRIMARY KEY, v vector(48));
	INSERT INTO items SELECT i, (SELECT array_agg(sin(i * j + j * j)::real ORDER BY j) FROM generate_series(1, 48) j)::vector FROM generate_series(1, 6000) i;
	CREATE INDEX items_v ON items USING hnsw (v vector_l2_ops) WITH (m = 12, ef_construction = 32);
	CREATE TABLE other (i integer PRIMARY KEY, t text);
	ALTER TABLE other ALTER t SET STORAGE PLAIN;
	INSERT INTO other SELECT i, repeat('x', 1000) FROM generate_series(1, 40000) i;
	VACUUM ANALYZE;
	CHECKPOINT;});
my $pages = pages_of($node, 'items_v');
# Searches for $n rows from the $from-th on, in one session.
my $searches = q{
	CREATE FUNCTION searches(a integer, n integer) RETURNS bigint LANGUAGE plpgsql SET enable_seqscan = off AS $$
	DECLARE found bigint := 0; x integer;
	BEGIN
		FOR i IN a .. a + n - 1 LOOP
			SELECT id INTO x FROM items ORDER BY v <-> (SELECT q.v FROM items q WHERE q.id = 1 + i * 7 % 6000) LIMIT 1;
			found := found + (x = 1 + i * 7 % 6000)::integer;
		END LOOP;
		RETURN found;
	END $$;
	-- n pages of another table, each once
	CREATE FUNCTION elsewhere(a integer, n integer) RETURNS bigint LANGUAGE sql SET enable_seqscan = off SET enable_bitmapscan = off AS
		'SELECT count(t) FROM other WHERE i % 7 = 0 AND i BETWEEN a * 7 AND (a + n) * 7';};
$node->safe_psql('postgres', $searches);
my $counts = q{SELECT count(*), count(*) FILTER (WHERE usagecount > 1), coalesce(max(usagecount) FILTER (WHERE relblocknumber = 0), 0),
	count(*) FILTER (WHERE usagecount >= 4) FROM pg_buffercache
	WHERE relfilenode = pg_relation_filenode('items_v') AND relforknumber = 0 AND reldatabase = (SELECT oid FROM pg_database WHERE datname = 'postgres')};

restart($node);   # nothing is cached
is($node->safe_psql('postgres', 'SELECT searches(0, 1000) >= 990'), 't', '1,000 searches find their rows');
my ($cached, $used, $meta, $often) = split /\|/, $node->safe_psql('postgres', $counts);
note("of $pages pages $cached are cached after 1,000 searches, $used with a usage count above 1, $often of 4 or more");
cmp_ok($cached, '>', $pages / 4, 'searches have read much of the index');
cmp_ok($used, '>', $cached / 2, 'most pages of the index have usage counts above 1');
cmp_ok($often, '>', $cached / 4, 'many pages of the index have usage counts of 4 or more');

# Under pressure: between searches, each page of another table is read once. Pages that every search
# needs stay cached: of the 50 pages that a search accesses, it reads few.
$node->append_conf('postgresql.conf', 'shared_buffers = ' . int($pages * 1.5) * 8 . "kB\n");
restart($node);
my ($accesses, $reads) = split /\|/, (split /\n/, $node->safe_psql('postgres', q{
	SELECT searches(0, 1000) > 0;
	DO 'BEGIN PERFORM pg_stat_force_next_flush(); END';
	SELECT idx_blks_read AS r, idx_blks_read + idx_blks_hit AS a FROM pg_statio_user_indexes WHERE indexrelname = 'items_v' \gset
	SELECT sum(elsewhere(i * 250, 250)), sum(searches(i * 40, 40)) FROM generate_series(0, 20) i;
	DO 'BEGIN PERFORM pg_stat_force_next_flush(); END';
	SELECT idx_blks_read + idx_blks_hit - :a, idx_blks_read - :r FROM pg_statio_user_indexes WHERE indexrelname = 'items_v';}))[-1];
note("under pressure: $reads pages read for 840 searches, $accesses accesses");
# (Near nodes are on the same pages. So the searches of a round need other pages than those before them.)
cmp_ok($reads, '<', 840 * 4, 'under pressure, a search reads few pages again');
is(problems($node), '', 'the verifier finds nothing');
done_testing();
