# VACUUM while other things happen: inserts, a cancel, a crash, open and prepared transactions. No
# row is lost, neither meanwhile nor later.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use FindBin;
use lib "$FindBin::RealBin/..";
use IndexTest qw(problems lost_rows finds_all prepare_waiting slow_vacuum);

my $node = PostgreSQL::Test::Cluster->new('node');
$node->init;
$node->append_conf('postgresql.conf', "autovacuum = off\njit = off\nmax_prepared_transactions = 5\nshared_buffers = 32MB\nmax_wal_size = 4GB\n");
$node->start;
$node->safe_psql('postgres', q{
	CREATE EXTENSION quiver;
	CREATE TABLE other (i integer);
	CREATE TABLE b (id serial PRIMARY KEY, v vector(16));
	CREATE INDEX b_v ON b USING hnsw (v vector_l2_ops);
	CREATE FUNCTION random_vector(n integer) RETURNS vector LANGUAGE sql VOLATILE AS
		'SELECT array_agg(random())::vector FROM generate_series(1, n)';
	CREATE FUNCTION add(n integer) RETURNS void LANGUAGE sql VOLATILE AS
		'INSERT INTO b (v) SELECT random_vector(16) FROM generate_series(1, n)';});
prepare_waiting($node);
# Inserts rows one by one until VACUUM ends.
$node->safe_psql('postgres', q{
	CREATE PROCEDURE add_meanwhile(INOUT n integer) LANGUAGE plpgsql AS $$
	BEGIN
		WHILE vacuum_runs() LOOP
			PERFORM add(1);
			n := n + 1;
			COMMIT;
			PERFORM pg_sleep(0.003);
		END LOOP;
	END $$;});

# ---- rows that are inserted when all others are deleted ----

# Deletes all of $rows rows, begins a slow VACUUM (about three seconds), and waits until it
# processes the index. If a session is given, it begins a transaction between the two: it cannot see
# the rows, but its searches could still find links to their nodes.
sub vacuum_deleted
{
	my ($rows, $session) = @_;
	$node->safe_psql('postgres', "TRUNCATE b; SELECT add($rows)");
	$node->safe_psql('postgres', 'DELETE FROM b');
	$session->query_safe('BEGIN; INSERT INTO other VALUES (1)') if $session;
	my $vacuum = slow_vacuum($node, 'b', 'SET vacuum_cost_delay = 10; SET vacuum_cost_limit = 20');
	$node->safe_psql('postgres', 'CALL wait_for_vacuum()');
	return $vacuum;
}
# After VACUUM, every row is found and the verifier finds nothing.
sub ends_well
{
	my ($what, $rows) = @_;
	$node->safe_psql('postgres', 'VACUUM (INDEX_CLEANUP ON) b');
	finds_all($node, "$what, after the next VACUUM", 'b', $rows);
	is(problems($node), '', "$what: the verifier finds nothing");
	return;
}

for my $open (0, 1)
{
	my $what = 'rows inserted when VACUUM has deleted all' . ($open ? ', beside an open transaction' : '');
	my $session = $node->background_psql('postgres');
	my $vacuum = vacuum_deleted(1500, $open && $session);
	note("$what: VACUUM still runs: " . $node->safe_psql('postgres', q{CALL wait_until_empty('b_v'); SELECT add(400); SELECT vacuum_runs()}));
	finds_all($node, "$what, at once", 'b', 400);
	ok($vacuum->finish, "$what: VACUUM ends");
	finds_all($node, $what, 'b', 400);
	$node->safe_psql('postgres', 'SELECT add(100)');
	finds_all($node, "$what, and more", 'b', 500);
	$session->query_safe('COMMIT') if $open;
	$session->quit;
	ends_well($what, 500);
}
{
	my $what = 'rows inserted all the time that VACUUM takes';
	my $vacuum = vacuum_deleted(1500);
	my $rows = $node->safe_psql('postgres', 'CALL add_meanwhile(0)');
	cmp_ok($rows, '>=', 50, "$what: there are some");
	ok($vacuum->finish, "$what: VACUUM ends");
	finds_all($node, $what, 'b', $rows);
	ends_well($what, $rows);
}
# VACUUM is cancelled, or the server crashes, when no node is left; or VACUUM is cancelled at any
# moment.
for my $moment ('none left', 'crash', 0.2, 0.7, 1.2, 2)
{
	my $what = $moment eq 'crash' ? 'a crash when VACUUM has deleted all'
	  : $moment eq 'none left' ? 'VACUUM cancelled when it has deleted all' : "VACUUM cancelled after $moment s";
	my $vacuum = vacuum_deleted(1500);
	if ($moment eq 'crash')
	{
		$node->safe_psql('postgres', q{CALL wait_until_empty('b_v'); CHECKPOINT});
		$node->stop('immediate');
		eval { $vacuum->finish };
		$node->start(fail_ok => 1) or die 'no recovery';
	}
	else
	{
		my $wait = $moment eq 'none left' ? q{CALL wait_until_empty('b_v')} : "SELECT pg_sleep($moment)";
		$node->safe_psql('postgres', "$wait; CALL cancel_vacuum()");
		note("$what: " . ($vacuum->finish ? 'VACUUM had ended' : 'VACUUM was cancelled'));
	}
	$node->safe_psql('postgres', 'SELECT add(500)');
	finds_all($node, $what, 'b', 500);
	ends_well($what, 500);
}
for my $first ('DELETE', 'BEGIN')
{
	my $what = 'VACUUM that ends beside ' . ($first eq 'BEGIN' ? 'an older transaction' : 'an open transaction');
	my $session = $node->background_psql('postgres');
	$node->safe_psql('postgres', 'TRUNCATE b; SELECT add(1500)');
	$session->query_safe('BEGIN; INSERT INTO other VALUES (1)') if $first eq 'BEGIN';
	$node->safe_psql('postgres', 'DELETE FROM b');
	$session->query_safe('BEGIN; INSERT INTO other VALUES (1)') if $first eq 'DELETE';
	$node->safe_psql('postgres', 'VACUUM (INDEX_CLEANUP ON) b');
	$node->safe_psql('postgres', 'SELECT add(1)');
	finds_all($node, "$what, one row", 'b', 1);
	$node->safe_psql('postgres', 'SELECT add(399)');
	finds_all($node, $what, 'b', 400);
	$session->query_safe('COMMIT');
	$session->quit;
	ends_well($what, 400);
}

# ---- long and prepared transactions of the table itself ----

{
	$node->safe_psql('postgres', 'TRUNCATE b; SELECT add(1000)');
	my $reader = $node->background_psql('postgres');
	$reader->query_safe("BEGIN ISOLATION LEVEL REPEATABLE READ; SET LOCAL enable_seqscan = off; SET LOCAL hnsw.iterative_scan = relaxed_order");
	my $seen = 'SELECT count(*), sum(id) FROM (SELECT id FROM b ORDER BY v <-> (SELECT random_vector(16)) LIMIT 10000) x';
	my $before = $reader->query_safe($seen);
	$node->safe_psql('postgres', "BEGIN; SELECT add(200); DELETE FROM b WHERE id % 50 = 0; PREPARE TRANSACTION 'adds'");
	$node->safe_psql('postgres', "BEGIN; SELECT add(100); PREPARE TRANSACTION 'fails'");
	$node->safe_psql('postgres', 'DELETE FROM b WHERE id % 3 = 1 AND id % 50 <> 0');
	$node->safe_psql('postgres', 'VACUUM (INDEX_CLEANUP ON) b');
	$node->safe_psql('postgres', 'SELECT add(300)');
	is($reader->query_safe($seen), $before, 'a long transaction sees the same rows after VACUUM and inserts');
	is(lost_rows($node, 'b', ef_search => 1000), '', 'with prepared transactions: every row is found');
	$node->safe_psql('postgres', 'VACUUM (INDEX_CLEANUP ON) b');
	is($reader->query_safe($seen), $before, 'a long transaction sees the same rows after another VACUUM');
	$reader->query_safe('COMMIT');
	$reader->quit;
	$node->safe_psql('postgres', "VACUUM (INDEX_CLEANUP ON) b; ROLLBACK PREPARED 'fails'; COMMIT PREPARED 'adds'");
	finds_all($node, 'prepared transactions that ended', 'b', $node->safe_psql('postgres', 'SELECT count(*) FROM b'));
	ends_well('prepared transactions', $node->safe_psql('postgres', 'SELECT count(*) FROM b'));
}

unlike(slurp_file($node->logfile), qr/terminated by signal|PANIC/, 'nothing crashed');
done_testing();
