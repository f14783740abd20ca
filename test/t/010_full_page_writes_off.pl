# full_page_writes = off, for file systems that write a page whole or not at all. After a crash, and
# on a streaming standby, the index is complete. Each kind of change comes right after a checkpoint,
# so that replay knows only what the WAL says about the pages.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use FindBin;
use lib "$FindBin::RealBin/..";
use IndexTest qw(restart problems lost_rows differs vectors);
use Recovery qw(caught_up);

# Rows $from to $to of a table, for INSERT.
sub rows
{
	my ($from, $to) = @_;
	return 'SELECT i, v, (v || v || v)::sparsevec FROM (' . vectors($from, $to, 32) . ') x (i, v)';
}
my $tables = 'CREATE TABLE items (id integer PRIMARY KEY, v vector(32), s sparsevec(96), w vector(32) GENERATED ALWAYS AS (v) STORED)';
my %indexes = (
	items_v => 'ON items USING hnsw (v vector_l2_ops) WITH (m = 8)',
	items_c => 'ON items USING hnsw (v vector_cosine_ops) WITH (m = 8, vector_bits = 2)',
	items_s => 'ON items USING hnsw (s sparsevec_l2_ops) WITH (m = 8)',   # with overflow slots
	items_w => 'ON items USING ivfflat (w vector_l2_ops) WITH (lists = 3, vector_bits = 32)');

# Splits SQL into statements. Those from BEGIN to COMMIT stay together; each other one is a
# transaction.
sub statements { return grep { $_ ne '' } shift =~ /\s*(BEGIN;.*COMMIT|[^;]+)(?:;|$)/gs }

# name, statements before the checkpoint, statements after it
my @rounds = (
	[ 'inserts', '', 'INSERT INTO items ' . rows(2001, 2300) ],
	[ 'the first rows', 'TRUNCATE items', 'INSERT INTO items ' . rows(1, 300) ],
	[ 'updates of all rows', '', 'UPDATE items SET v = v, s = s' ],
	[ 'vacuum', 'DELETE FROM items WHERE id % 3 = 0', 'VACUUM (INDEX_CLEANUP ON) items' ],
	[ 'vacuum of all rows and inserts', 'DELETE FROM items', 'VACUUM (INDEX_CLEANUP ON) items; INSERT INTO items ' . rows(1, 300) ],
	[ 'inserts into freed room', 'DELETE FROM items WHERE id % 3 > 0; VACUUM (INDEX_CLEANUP ON) items; SELECT txid_current()',
		'INSERT INTO items ' . rows(2001, 2500) ],
	[ 'REINDEX and inserts', '', 'REINDEX TABLE items; INSERT INTO items ' . rows(2001, 2100) ],
	[ 'REINDEX CONCURRENTLY', '', 'REINDEX TABLE CONCURRENTLY items' ],
	# With wal_level = minimal, a table that is created and filled in one transaction is not logged.
	[ 'a new table', 'DROP TABLE items', "BEGIN; $tables; INSERT INTO items " . rows(1, 500) . '; '
		  . join('; ', map { "CREATE INDEX $_ $indexes{$_}" } sort keys %indexes) . '; INSERT INTO items ' . rows(501, 600) . '; COMMIT' ],
);
sub prepare
{
	my ($node, $before) = @_;
	$node->safe_psql('postgres', "DROP TABLE IF EXISTS items; $tables; INSERT INTO items " . rows(1, 600));
	$node->safe_psql('postgres', "CREATE INDEX $_ $indexes{$_}") for sort keys %indexes;
	$node->safe_psql('postgres', $_) for statements($before);
	return;
}
sub sum_of_rows { return shift->safe_psql('postgres', 'SELECT count(*), sum(id) FROM items') }
sub lost_anywhere
{
	my ($node) = @_;
	return join ' ', grep { $_ ne '' } lost_rows($node, 'items'), lost_rows($node, 'items', operator => '<=>'),
	  lost_rows($node, 'items', column => 's'), differs($node, 'items', column => 'w');
}

# ---- crashes ----

for my $wal_level ('minimal', 'replica')
{
	my ($nodes, $node) = (0);
	for my $round ($wal_level eq 'minimal' ? @rounds[ 0, -2, -1 ] : @rounds)
	{
		my ($name, $before, $after) = @$round;
		if (!$node)
		{
			$node = PostgreSQL::Test::Cluster->new("crash_${wal_level}_" . ++$nodes);
			$node->init;
			$node->append_conf('postgresql.conf', "full_page_writes = off\nautovacuum = off\njit = off\nwal_level = $wal_level\n");
			$node->start;
			$node->safe_psql('postgres', 'CREATE EXTENSION quiver');
		}
		prepare($node, $before);
		$node->safe_psql('postgres', 'CHECKPOINT');
		$node->safe_psql('postgres', $_) for statements($after);
		my $rows = sum_of_rows($node);
		$node->stop('immediate');
		# If recovery fails, the other rounds use a new server.
		ok($node->start(fail_ok => 1), "$wal_level, $name: the server recovers") or undef $node, next;
		is(sum_of_rows($node), $rows, "$wal_level, $name: the rows are there");
		is(problems($node), '', "$wal_level, $name: the verifier finds nothing");
		is(lost_anywhere($node), '', "$wal_level, $name: every row is found");
		$node->safe_psql('postgres', 'INSERT INTO items ' . rows(5001, 5100) . '; DELETE FROM items WHERE id % 5 = 1');
		$node->safe_psql('postgres', 'VACUUM (INDEX_CLEANUP ON) items');
		is(problems($node), '', "$wal_level, $name: the verifier finds nothing after more changes");
		unlike(slurp_file($node->logfile), qr/PANIC|invalid page/, "$wal_level, $name: recovery finds the pages that it changes");
	}
	next if $wal_level eq 'minimal' || !$node;
	# An unlogged index is empty after a crash, even if it was created after the checkpoint.
	$node->safe_psql('postgres', 'CHECKPOINT');
	my @unlogged = map { "${_}_u" } sort keys %indexes;
	$node->safe_psql('postgres', 'CREATE UNLOGGED TABLE u (LIKE items INCLUDING GENERATED); '
		  . join('; ', map { "CREATE INDEX ${_}_u $indexes{$_}" =~ s/ON items/ON u/r } sort keys %indexes) . '; INSERT INTO u ' . rows(1, 300));
	$node->stop('immediate');
	ok($node->start(fail_ok => 1), 'unlogged: the server recovers') or next;
	is($node->safe_psql('postgres', 'SET enable_seqscan = off; SELECT count(*) FROM (SELECT id FROM u ORDER BY v <-> (SELECT v FROM items LIMIT 1)) x'),
		'0', 'unlogged: empty after a crash');
	is(problems($node, @unlogged), '', 'unlogged: the verifier finds nothing');
	$node->safe_psql('postgres', 'INSERT INTO u ' . rows(1, 300));
	is(lost_rows($node, 'u') . differs($node, 'u', column => 'w'), '', 'unlogged: every row is found after inserts');
	is(problems($node, @unlogged), '', 'unlogged: the verifier finds nothing after inserts');
	$node->stop;
}

# ---- a standby ----

my $primary = PostgreSQL::Test::Cluster->new('primary');
$primary->init(allows_streaming => 1);
$primary->append_conf('postgresql.conf', "full_page_writes = off\nautovacuum = off\njit = off\nwal_consistency_checking = 'generic'\nshared_buffers = 16MB\n");
$primary->start;
$primary->safe_psql('postgres', 'CREATE EXTENSION quiver');
my $standbys = 0;
sub new_standby
{
	my $name = 'standby_' . ++$standbys;
	$primary->backup($name);
	my $node = PostgreSQL::Test::Cluster->new($name);
	$node->init_from_backup($primary, $name, has_streaming => 1);
	$node->start;
	return $node;
}

# The main fork of a relation as the server wrote it, without each page's LSN and checksum, which
# may differ.
sub pages_of
{
	my ($node, $path) = @_;
	my $bytes = slurp_file($node->data_dir . "/$path");
	for (my $at = 0; $at < length $bytes; $at += 8192)
	{
		substr($bytes, $at, 10) = "\0" x 10;
	}
	return $bytes;
}
my $standby;
for my $round (@rounds)
{
	my ($name, $before, $after) = @$round;
	$standby //= new_standby();
	prepare($primary, $before);
	$primary->safe_psql('postgres', 'CHECKPOINT');
	$primary->safe_psql('postgres', $_) for statements($after);
	if (!ok(caught_up($primary, $standby), "standby, $name: the standby replays it"))
	{
		$standby->stop('immediate', fail_ok => 1);
		undef $standby;   # the other rounds use a new standby
		next;
	}
	is(sum_of_rows($standby), sum_of_rows($primary), "standby, $name: the rows are there");
	is(problems($standby), '', "standby, $name: the verifier finds nothing");
	is(lost_anywhere($standby), '', "standby, $name: every row is found");
	unlike(slurp_file($standby->logfile), qr/inconsistent page found|PANIC|invalid page/, "standby, $name: its pages are those of the primary");
}
$standby //= new_standby();
my %path = map { $_ => $primary->safe_psql('postgres', "SELECT pg_relation_filepath('$_')") } sort keys %indexes;
$primary->safe_psql('postgres', 'CHECKPOINT');
ok(caught_up($primary, $standby), 'standby: the standby replays the last checkpoint');
$primary->stop;
restart($standby);   # writes its pages to the files
ok(pages_of($standby, $path{$_}) eq pages_of($primary, $path{$_}), "standby: the file of $_ is the same") for sort keys %path;
$standby->promote;
$standby->safe_psql('postgres', 'INSERT INTO items ' . rows(5001, 5100));
is(problems($standby) . lost_anywhere($standby), '', 'standby: after promotion and inserts, the index is complete');
done_testing();
