# An hnsw index and an ivfflat index after immediate stops, and on a streaming standby, whose replay is compared page by
# page (wal_consistency_checking). A search for the vector of a committed row must find that row.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use FindBin;
use lib "$FindBin::RealBin/..";
use IndexTest qw(problems lost_rows differs vectors);

my $primary = PostgreSQL::Test::Cluster->new('primary');
$primary->init(allows_streaming => 1);
$primary->append_conf('postgresql.conf', "wal_consistency_checking = 'generic'\nautovacuum = off\n");
$primary->start;
$primary->backup('start');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($primary, 'start', has_streaming => 1);
$standby->start;

sub rows { return vectors(@_, 48) }
# The rows that a search misses; '' if there are none.
sub missing
{
	my ($node) = @_;
	return join ' ', grep { $_ ne '' } lost_rows($node, 'items'), differs($node, 'items', column => 'w'), differs($node, 'items', column => 'w', where => 'tenant = 5');
}
# The tenants of whom a search with a filter does not find all rows.
sub tenants_missing
{
	my ($node) = @_;
	return $node->safe_psql('postgres', q{SET enable_seqscan = off; SET hnsw.iterative_scan = relaxed_order; SET hnsw.max_scan_tuples = 1000000;
		SELECT string_agg(t::text, ',') FROM generate_series(0, 8) t, (SELECT v AS q FROM items LIMIT 1) x WHERE
			(SELECT count(*) FROM (SELECT FROM items WHERE tenant = t ORDER BY v <-> q) s) <> (SELECT count(*) FROM items WHERE id % 9 = t)});
}

$primary->safe_psql('postgres', 'CREATE EXTENSION quiver; CREATE TABLE items (id integer PRIMARY KEY, v vector(48), tenant integer GENERATED ALWAYS AS (id % 9) STORED,
	w vector(48) GENERATED ALWAYS AS (v) STORED)');
$primary->safe_psql('postgres', 'INSERT INTO items (id, v) ' . rows(1, 1500));
$primary->safe_psql('postgres', 'CREATE INDEX items_v ON items USING hnsw (v vector_l2_ops, tenant)');
$primary->safe_psql('postgres', 'CREATE INDEX items_w ON items USING ivfflat (w vector_l2_ops, tenant) WITH (lists = 4)');
is(missing($primary), '', 'built index finds every row');

my $next = 1501;
for my $round (1 .. 4)
{
	$primary->safe_psql('postgres', 'INSERT INTO items (id, v) ' . rows($next, $next + 199));
	$primary->safe_psql('postgres', "DELETE FROM items WHERE id % 7 = $round");
	$primary->safe_psql('postgres', 'VACUUM (INDEX_CLEANUP ON) items') if $round % 2 == 0;
	$primary->safe_psql('postgres', 'CHECKPOINT') if $round == 3;
	# Rows that are not committed must not come back.
	my $session = $primary->background_psql('postgres');
	$session->query_safe('BEGIN');
	$session->query_safe('INSERT INTO items (id, v) ' . rows($next + 200, $next + 250));
	$primary->stop('immediate');
	eval { $session->quit };
	$primary->start;
	is($primary->safe_psql('postgres', 'SELECT count(*) FROM items WHERE id >= ' . ($next + 200)), '0',
		"round $round: uncommitted rows are gone");
	# Rows whose inserts the crash interrupted are dead. VACUUM removes them.
	$primary->safe_psql('postgres', 'VACUUM (INDEX_CLEANUP ON) items');
	is(problems($primary), '', "round $round: the verifier finds nothing");
	is(missing($primary), '', "round $round: every committed row is found after the crash");
	is(tenants_missing($primary), '', "round $round: filters find every row");
	$next += 200;
}

$primary->wait_for_catchup($standby, 'replay', $primary->lsn('insert'));
is(missing($standby), '', 'every row is found on the standby');
is(tenants_missing($standby), '', 'filters find every row on the standby');
is(problems($standby), '', 'the verifier finds nothing on the standby');
unlike(slurp_file($standby->logfile), qr/inconsistent page found/, 'replayed pages are the same');
for my $method ('hnsw', 'ivfflat')
{
	my ($rc, $out, $error) = $standby->psql('postgres', qq{SELECT * FROM ${method}_advise('items', 'v')});
	like($error, qr/ERROR:  ${method}_advise\(\) cannot run during recovery/, "${method}_advise on a standby is an error that says why");
}

$primary->stop('immediate');
$standby->promote;
$standby->safe_psql('postgres', 'INSERT INTO items (id, v) ' . rows(100001, 100200));
is(missing($standby), '', 'every row is found after inserts into the promoted standby');
is(problems($standby), '', 'the verifier finds nothing after the promotion');

# After a crash, an unlogged index is empty and works.
$standby->safe_psql('postgres',
	'CREATE UNLOGGED TABLE u (id integer, v vector(48)); CREATE INDEX ON u USING hnsw (v vector_l2_ops) WITH (vector_bits = 2); INSERT INTO u ' . rows(1, 100)
	  . '; CREATE UNLOGGED TABLE w (id integer, v vector(48)); CREATE INDEX ON w USING ivfflat (v vector_l2_ops) WITH (lists = 5); INSERT INTO w ' . rows(1, 1000));
$standby->stop('immediate');
$standby->start;
is($standby->safe_psql('postgres', 'SET enable_seqscan = off; SELECT count(*) FROM (SELECT * FROM u ORDER BY v <-> (SELECT v FROM items LIMIT 1) LIMIT 5) s'),
	'0', 'an unlogged index is empty after a crash');
$standby->safe_psql('postgres', 'INSERT INTO u ' . rows(1, 100));
is($standby->safe_psql('postgres', 'SET enable_seqscan = off; SELECT count(*) FROM (SELECT * FROM u ORDER BY v <-> (SELECT v FROM items LIMIT 1) LIMIT 500) s'),
	'100', 'an unlogged index accepts rows again');
is(differs($standby, 'w'), '', 'an unlogged ivfflat index is empty after a crash');
$standby->safe_psql('postgres', 'INSERT INTO w ' . rows(1, 1000));
is(differs($standby, 'w'), '', 'an unlogged ivfflat index accepts rows again');
is(problems($standby), '', 'the verifier finds nothing in unlogged indexes');
done_testing();
