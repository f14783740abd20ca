# Inserts, updates, deletes, vacuum and searches at once: no errors, no lost rows, bounded memory.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use FindBin;
use lib "$FindBin::RealBin/..";
use IndexTest qw(problems differs);

my $node = PostgreSQL::Test::Cluster->new('node');
$node->init;
$node->append_conf('postgresql.conf', "autovacuum_naptime = 1\nmax_connections = 60\n");
$node->start;
$node->safe_psql('postgres', q{
	CREATE EXTENSION quiver;
	CREATE TABLE items (id serial PRIMARY KEY, v vector(16), n integer DEFAULT 0, w vector(16) GENERATED ALWAYS AS (v) STORED);
	CREATE INDEX ON items USING hnsw (v vector_l2_ops);
	CREATE INDEX ON items USING ivfflat (w vector_l2_ops);
	CREATE FUNCTION random_vector() RETURNS vector LANGUAGE sql VOLATILE AS
		'SELECT array_agg(random())::vector(16) FROM generate_series(1, 16)'});
# 32 clients begin with empty indexes.
$node->pgbench('--no-vacuum --client=32 --jobs=2 --transactions=40', 0, [qr{processed: 1280/1280}], [qr{\A(?:.*skipping vacuum.*\n?)*\z}],
	'inserts, updates, deletes and searches', {
		'001_write@5' => 'INSERT INTO items (v) VALUES (random_vector());',
		'002_update@1' => '\set i random(1, 200)
UPDATE items SET n = n + 1 WHERE id = :i;',
		'003_move@1' => '\set i random(1, 200)
UPDATE items SET v = random_vector() WHERE id = :i;',
		'004_delete@1' => '\set i random(1, 400)
DELETE FROM items WHERE id = :i;',
		'005_search@3' => 'SET enable_seqscan = off;
SELECT count(*) FROM (SELECT id FROM items ORDER BY v <-> (SELECT random_vector()) LIMIT 10) s;
SELECT count(*) FROM (SELECT id FROM items ORDER BY w <-> (SELECT random_vector()) LIMIT 10) s;',
		'006_vacuum@1' => 'VACUUM (INDEX_CLEANUP ON, SKIP_LOCKED) items;'
	});
is($node->safe_psql('postgres', q{
	SET enable_seqscan = off; SET hnsw.ef_search = 1000;
	SELECT count(*) FROM items a WHERE (SELECT b.v <-> a.v FROM items b ORDER BY b.v <-> a.v LIMIT 1) IS DISTINCT FROM 0}),
	'0', 'every row is found');
is($node->safe_psql('postgres', 'SELECT rows >= (SELECT count(*) FROM items) FROM hnsw_stats(\'items_v_idx\')'), 't',
	'every row is in the index');
# No transaction runs any more that could link to deleted nodes.
$node->safe_psql('postgres', 'VACUUM (INDEX_CLEANUP ON) items');
is(problems($node), '', 'the verifier finds nothing');
is(differs($node, 'items', column => 'w'), '', 'every row is found by the ivfflat index');

# Rescans do not leak memory: after 20,000 they use as much as after 1,000. (PostgreSQL 13 cannot
# tell.)
if ($node->safe_psql('postgres', "SELECT to_regclass('pg_backend_memory_contexts') IS NOT NULL") eq 't')
{
	my $growth = $node->safe_psql('postgres', q{
		SET enable_seqscan = off; SET enable_memoize = off;
		CREATE FUNCTION memory() RETURNS bigint LANGUAGE sql AS
			'SELECT sum(used_bytes)::bigint FROM pg_backend_memory_contexts';
		CREATE FUNCTION rescan(n integer) RETURNS bigint LANGUAGE plpgsql AS $$
		DECLARE before bigint; after bigint; i integer; s bigint := 0; r record;
		BEGIN
			FOR r IN SELECT g, (SELECT id FROM items ORDER BY v <-> ARRAY(SELECT (g % 97) / 97.0 FROM generate_series(1, 16))::vector LIMIT 1) AS id
				FROM generate_series(1, n) g LOOP
				IF r.g = 1000 THEN before := memory(); END IF;
				IF r.g = n THEN after := memory(); END IF;
			END LOOP;
			RETURN after - before;
		END $$;
		SELECT rescan(20000);});
	cmp_ok((split /\n/, $growth)[-1], '<', 1_000_000, 'rescans do not leak memory');
}
done_testing();
