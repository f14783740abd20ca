# A crash after each change of an index page in turn. One index has a filter column, which UPDATEs change. All WAL up to the change is flushed. After
# recovery every committed row is found, and after VACUUM the verifier finds nothing. Another table has an ivfflat index.
#   QUIVER_STEP=1 prove ...     after each change (5: after about every fifth)
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use FindBin;
use lib "$FindBin::RealBin/..";
use Recovery qw(crash_at_change);
use IndexTest qw(problems differs);

my $step = $ENV{QUIVER_STEP} // 5;
my $node = PostgreSQL::Test::Cluster->new('node');
$node->init;
$node->append_conf('postgresql.conf', "autovacuum = off\nfsync = off\nrestart_after_crash = on\nwal_consistency_checking = 'generic'\nshared_buffers = 8MB\n");
$node->start;
$node->safe_psql('postgres', q{
	CREATE EXTENSION quiver;
	CREATE TABLE items (id serial PRIMARY KEY, v vector(8), s sparsevec(100), n integer DEFAULT 0);
	CREATE FUNCTION numbers(i integer, k integer) RETURNS real[] LANGUAGE sql IMMUTABLE AS
		'SELECT array_agg(sin(i * j * 1.3 + j * j)) FROM generate_series(1, k) j';
	CREATE FUNCTION add(a integer, b integer) RETURNS void LANGUAGE sql VOLATILE AS
		'INSERT INTO items (v, s) SELECT numbers(i, 8)::vector, (numbers(i, 100)::vector)::sparsevec FROM generate_series(a, b) i';
	CREATE INDEX items_v ON items USING hnsw (v vector_l2_ops, n) WITH (m = 4, ef_construction = 20);
	CREATE INDEX items_s ON items USING hnsw (s sparsevec_cosine_ops) WITH (m = 4, ef_construction = 20);
	SELECT add(1, 300);
	-- nine rows fill a page of codes
	CREATE TABLE l (id serial PRIMARY KEY, v vector(200));
	CREATE INDEX l_v ON l USING ivfflat (v vector_l2_ops) WITH (vector_bits = 32, lists = 2);
	CREATE FUNCTION add_to_lists(n integer) RETURNS void LANGUAGE sql VOLATILE AS
		'INSERT INTO l (v) SELECT numbers(i, 200)::vector FROM generate_series(1, n) i';});

my $next = 301;
my ($crashes, @bad) = (0);
# Runs a statement up to its n-th change of a page, for n from 1 on, until the statement ends
# without a crash.
sub at_every_change
{
	my ($name, $statement) = @_;
	my $n;
	for ($n = 1; $n < 3000; $n += 1 + int(rand(2 * $step - 1)))
	{
		my $sql = $statement->();
		my ($crashed, $error) = crash_at_change($node, $n, $sql);
		push @bad, "$name, change $n: $error" if $error ne '';
		last if !$crashed;
		$crashes++;
		# The beam is wider than the graph, so a row that is not found is lost. (A narrower one may miss
		# a far cluster: a crash skips 32 ids of a sequence, and so the sines of the later ones are
		# nearly equal. Of 32 runs with ef_search 200, one missed a row. All nodes could be reached.)
		my $lost = $node->safe_psql('postgres', q{SET enable_seqscan = off; SET hnsw.ef_search = 1000;
			SELECT id FROM items a WHERE id % 7 = 0 AND ((SELECT a.v <-> b.v FROM items b ORDER BY a.v <-> b.v LIMIT 1) IS DISTINCT FROM 0
				OR (SELECT a.v <-> b.v FROM items b WHERE b.n = a.n ORDER BY a.v <-> b.v LIMIT 1) IS DISTINCT FROM 0
				OR coalesce((SELECT a.s <=> b.s FROM items b ORDER BY a.s <=> b.s LIMIT 1), 2) > 1e-6)});
		push @bad, "$name, change $n: not found $lost" if $lost ne '';
		# Rows whose inserts the crash interrupted are dead. Half of the time, more statements run
		# before VACUUM removes them.
		next if rand() < 0.5;
		$node->safe_psql('postgres', 'VACUUM (INDEX_CLEANUP ON) items');
		my $check = $node->safe_psql('postgres', "SELECT * FROM hnsw_check('items_v', true) UNION ALL SELECT * FROM hnsw_check('items_s', true)");
		push @bad, "$name, change $n: $check" if $check ne '';
	}
	note("$name: the last crash before change $n");
	return;
}
# The same for the table with lists.
sub at_every_change_of_lists
{
	my ($name, $statement) = @_;
	my $n;
	for ($n = 1; $n < 3000; $n += 1 + int(rand(2 * $step - 1)))
	{
		my $sql = $statement->();
		my ($crashed, $error) = crash_at_change($node, $n, $sql);
		push @bad, "$name, change $n: $error" if $error ne '';
		last if !$crashed;
		$crashes++;
		my $found = differs($node, 'l') . $node->safe_psql('postgres', "SELECT * FROM ivfflat_check('l_v', true)");
		push @bad, "$name, change $n: $found" if $found ne '';
	}
	note("$name: the last crash before change $n");
	return;
}
at_every_change_of_lists('inserts into lists', sub { return 'SELECT add_to_lists(30)'; });
# Each page of the lists gets empty, and is used again.
at_every_change_of_lists('vacuum of lists', sub {
	$node->safe_psql('postgres', 'SELECT add_to_lists(200); DELETE FROM l WHERE id < (SELECT max(id) FROM l) - 10');
	return 'VACUUM (INDEX_CLEANUP ON) l'; });
{
	my $pages = $node->safe_psql('postgres', q{SELECT pg_relation_size('l_v')});
	$node->safe_psql('postgres', 'SELECT add_to_lists(150)');
	is($node->safe_psql('postgres', q{SELECT pg_relation_size('l_v')}), $pages, 'pages that VACUUM freed before crashes are used again');
	is(problems($node, 'l_v') . differs($node, 'l'), '', 'lists: the verifier finds nothing');
}
at_every_change('insert', sub { $next += 1; return "SELECT add($next, $next)"; });
# About one node in a hundred is on an upper layer.
at_every_change('many inserts', sub { $next += 12; return "SELECT add($next - 11, $next)"; });
# The vector stays, but the row needs another node, with another filter code.
at_every_change('update of a filter column', sub { return 'UPDATE items SET n = (n + 1) % 5 WHERE id IN (SELECT id FROM items WHERE id % 3 = 0 ORDER BY random() LIMIT 3)'; });
at_every_change('join a node', sub { return 'INSERT INTO items (v, s) SELECT v, s FROM items WHERE id = 5'; });
for my $slots (0, 100)   # that VACUUM removes at once; 0: all
{
	at_every_change($slots ? 'vacuum in parts' : 'vacuum', sub {
		$node->safe_psql('postgres', 'DELETE FROM items WHERE id IN (SELECT id FROM items ORDER BY random() LIMIT 15)');
		$next += 15;
		$node->safe_psql('postgres', "SELECT add($next - 14, $next)");
		return "SET hnsw.vacuum_memory = $slots; VACUUM (INDEX_CLEANUP ON) items"; });
}
# A notice tells how many parts there were. The vacuum leaves nothing to the next one.
$node->safe_psql('postgres', 'DELETE FROM items WHERE id % 3 = 0');
my ($out, $err) = ('', '');
$node->psql('postgres', 'SET hnsw.vacuum_memory = 100; VACUUM (INDEX_CLEANUP ON) items', stdout => \$out, stderr => \$err);
like($err, qr/graph of index "items_v" was repaired in \d+ parts/, 'vacuum in parts');
is($node->safe_psql('postgres', q{SELECT deleted_slots FROM hnsw_stats('items_v') UNION ALL SELECT deleted_slots FROM hnsw_stats('items_s')}), "0\n0", 'all parts were freed');
# Every row is found by the value of its filter column.
is($node->safe_psql('postgres', q{SET enable_seqscan = off; SET hnsw.iterative_scan = relaxed_order; SET hnsw.max_scan_tuples = 1000000;
	SELECT n, count(*), (SELECT count(*) FROM (SELECT FROM items b WHERE b.n = a.n ORDER BY v <-> '[1,2,3,4,5,6,7,8]') x) FROM items a GROUP BY n HAVING
		count(*) <> (SELECT count(*) FROM (SELECT FROM items b WHERE b.n = a.n ORDER BY v <-> '[1,2,3,4,5,6,7,8]') x)}), '', 'a scan finds all rows of each value');
is(join("\n", @bad), '', "$crashes crashes: nothing lost, nothing wrong");
cmp_ok($crashes, '>', 40, 'there were crashes');
$node->safe_psql('postgres', 'VACUUM (INDEX_CLEANUP ON) items');
is($node->safe_psql('postgres', "SELECT * FROM hnsw_check('items_v', true) UNION ALL SELECT * FROM hnsw_check('items_s', true)"), '', 'the verifier finds nothing in the end');
unlike(slurp_file($node->logfile), qr/inconsistent page found|PANIC/, 'recovery finds the pages that it changes');
done_testing();
