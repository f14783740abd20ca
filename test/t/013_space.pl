# The space that an index takes, and the cost of VACUUM. The index does not grow when rows are
# replaced again and again. VACUUM finds one dead row among many in about one pass over the pages.
#   QUIVER_TRANSACTION=4 prove ...     length of other tables' transactions in seconds (1.5)
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(usleep time);
use FindBin;
use lib "$FindBin::RealBin/..";
use IndexTest qw(problems lost_rows differs finds_all pages_of prepare_waiting slow_vacuum);

my $node = PostgreSQL::Test::Cluster->new('node');
$node->init;
$node->append_conf('postgresql.conf', "autovacuum = off\njit = off\nmax_connections = 60\nshared_buffers = 32MB\nmax_wal_size = 4GB\nwal_buffers = 128kB\n");
$node->start;
$node->safe_psql('postgres', q{
	CREATE EXTENSION quiver;
	CREATE EXTENSION pg_buffercache;
	CREATE EXTENSION pageinspect;
	CREATE TABLE other (i integer);
	CREATE TABLE b (id serial PRIMARY KEY, v vector(16));
	CREATE INDEX b_v ON b USING hnsw (v vector_l2_ops);
	CREATE FUNCTION random_vector(n integer) RETURNS vector LANGUAGE sql VOLATILE AS
		'SELECT array_agg(random())::vector FROM generate_series(1, n)';
	CREATE FUNCTION add(n integer) RETURNS void LANGUAGE sql VOLATILE AS
		'INSERT INTO b (v) SELECT random_vector(16) FROM generate_series(1, n)';});
prepare_waiting($node);

# After VACUUM, every row is found and the verifier finds nothing.
sub ends_well
{
	my ($what, $rows) = @_;
	$node->safe_psql('postgres', 'VACUUM (INDEX_CLEANUP ON) b');
	finds_all($node, $what, 'b', $rows);
	is(problems($node), '', "$what: the verifier finds nothing");
	return;
}

# ---- the size after churn ----

# New vectors for all rows, so that each row gets a new node.
my $update = 'UPDATE b SET v = random_vector(16)';
sub pages { return pages_of($node, 'b_v') }
{
	$node->safe_psql('postgres', 'TRUNCATE b; SELECT add(1000); REINDEX INDEX b_v');
	my $start = pages();
	for (1 .. 12)
	{
		$node->safe_psql('postgres', $update);
		$node->safe_psql('postgres', 'VACUUM (INDEX_CLEANUP ON) b');
	}
	note(sprintf '12 rounds of UPDATE and VACUUM: from %d to %d pages', $start, pages());
	cmp_ok(pages(), '<=', 2.2 * $start, '12 rounds of UPDATE and VACUUM: not much larger than old and new versions need');
	is(lost_rows($node, 'b', ef_search => 1000), '', '12 rounds: every row is found');
	is(problems($node), '', '12 rounds: the verifier finds nothing');
}
{
	# Six clients: some of their transactions are open at any time, but none for long. A round takes
	# as long as one transaction.
	my $seconds = $ENV{QUIVER_TRANSACTION} // 1.5;
	my $dir = PostgreSQL::Test::Utils::tempdir;
	append_to_file("$dir/overlap.sql", "\\set wait random(500, 1000)\nBEGIN;\nINSERT INTO other VALUES (1);\nSELECT pg_sleep($seconds * :wait / 1000.0);\nCOMMIT;\n");
	my ($out, $err) = ('', '');
	$node->safe_psql('postgres', 'TRUNCATE b; SELECT add(2000); REINDEX INDEX b_v');
	my $start = pages();
	my $others = IPC::Run::start([ 'pgbench', '-n', '-c', '6', '-T', '600', '-f', "$dir/overlap.sql", $node->connstr('postgres') . ' application_name=overlap' ], '>', \$out, '2>', \$err);
	$node->poll_query_until('postgres', "SELECT count(*) = 6 FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep%'") or die 'no clients';
	my @sizes;
	for (1 .. 6)
	{
		my $began = time;
		$node->safe_psql('postgres', $update);
		$node->safe_psql('postgres', 'VACUUM (INDEX_CLEANUP ON) b');
		push @sizes, pages();
		my $rest = $began + 1.1 * $seconds - time;
		usleep($rest * 1_000_000) if $rest > 0;
	}
	note("with overlapping transactions of $seconds s: from $start to @sizes pages");
	# At most four generations: the live rows; dead rows that a running transaction may still see;
	# rows whose nodes VACUUM deleted while a transaction ran that may still find links to them;
	# rows that it deleted before those. (The rest allows for the random number of upper layers.)
	cmp_ok($sizes[-1], '<=', 4.2 * $start, 'with overlapping transactions: four generations at most');
	is(lost_rows($node, 'b', ef_search => 1000), '', 'with overlapping transactions: every row is found');
	$node->safe_psql('postgres', "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'overlap'");
	eval { $others->finish };
	$node->poll_query_until('postgres', "SELECT count(*) = 0 FROM pg_stat_activity WHERE application_name = 'overlap'") or die 'clients stay';
	$node->safe_psql('postgres', 'VACUUM (INDEX_CLEANUP ON) b');
	$node->safe_psql('postgres', 'VACUUM (INDEX_CLEANUP ON) b');
	my $after = pages();
	for (1 .. 3)
	{
		$node->safe_psql('postgres', $update);
		$node->safe_psql('postgres', 'VACUUM (INDEX_CLEANUP ON) b');
	}
	cmp_ok(pages(), '<=', $after, 'when they have ended, slots that VACUUM freed are used again');
	ends_well('overlapping transactions', 2000);
}
{
	# Many clients insert at once. None of them adds a page while there is room in others. Rows are
	# wide: eight fill a page. Three rounds, because the result depends on timing.
	my @pgbench = ('--no-vacuum --client=24 --jobs=2 --transactions=50', 0, [qr{processed: 1200/1200}], [qr{\A(?:.*skipping vacuum.*\n?)*\z}]);
	my $insert = 'INSERT INTO b (v) VALUES (random_vector(100));';
	$node->safe_psql('postgres', 'TRUNCATE b; ALTER TABLE b ALTER v TYPE vector(100)');
	my $worst = 0;
	for my $round (1 .. 3)
	{
		$node->safe_psql('postgres', 'TRUNCATE b');
		$node->pgbench(@pgbench, "24 clients insert, $round", { "013_insert_$round" => $insert });
		my $ideal = $node->safe_psql('postgres', q{SELECT ceil((nodes + upper_slots)::numeric / slots_per_page) + 1 FROM hnsw_stats('b_v'), hnsw_meta('b_v')});
		note(sprintf '24 clients: %d pages, ideal %d', pages(), $ideal);
		$worst = pages() / $ideal if $worst < pages() / $ideal;
	}
	cmp_ok($worst, '<=', 1.2, '24 clients: the index has few more pages than its rows need');
	# All clients use the room that VACUUM made.
	$node->safe_psql('postgres', 'DELETE FROM b WHERE id % 3 > 0');
	$node->safe_psql('postgres', 'VACUUM (INDEX_CLEANUP ON) b');
	$node->safe_psql('postgres', 'SELECT txid_current()');
	my $before = pages();
	$node->pgbench('--no-vacuum --client=24 --jobs=2 --transactions=30', 0, [qr{processed: 720/720}], [qr{\A(?:.*skipping vacuum.*\n?)*\z}],
		'24 clients insert into free room', { '013_insert_again' => $insert });
	# (5 % more is allowed, because the number of upper layers is random.)
	cmp_ok(pages(), '<=', 1.05 * $before, '24 clients: free room is used before pages are added');
	ends_well('24 clients', 1120);
}

# ---- ivfflat ----

# Lists give back the pages that VACUUM has emptied, and several clients add no more pages than one.
$node->safe_psql('postgres', q{
	CREATE TABLE l (id serial PRIMARY KEY, v vector(100));
	CREATE INDEX l_v ON l USING ivfflat (v vector_l2_ops) WITH (lists = 4);
	CREATE FUNCTION add_to_lists(n integer) RETURNS void LANGUAGE sql VOLATILE AS
		'INSERT INTO l (v) SELECT random_vector(100) FROM generate_series(1, n)';});
{
	$node->safe_psql('postgres', 'SELECT add_to_lists(2000); REINDEX INDEX l_v');
	my $start = pages_of($node, 'l_v');
	for (1 .. 8)
	{
		$node->safe_psql('postgres', 'UPDATE l SET v = random_vector(100)');
		$node->safe_psql('postgres', 'VACUUM (INDEX_CLEANUP ON) l');
	}
	note(sprintf 'lists, 8 rounds of UPDATE and VACUUM: from %d to %d pages', $start, pages_of($node, 'l_v'));
	cmp_ok(pages_of($node, 'l_v'), '<=', 2.2 * $start, 'lists: old and new versions fit into the pages after 8 rounds');
	is(problems($node, 'l_v') . differs($node, 'l'), '', 'lists: 8 rounds: the verifier finds nothing');
	# Other rows go to other lists. They get the pages of the rows that were there before.
	my $before = pages_of($node, 'l_v');
	$node->safe_psql('postgres', 'DELETE FROM l');
	$node->safe_psql('postgres', 'VACUUM (INDEX_CLEANUP ON) l');
	cmp_ok($node->safe_psql('postgres', q{SELECT free_pages FROM ivfflat_stats('l_v')}), '>=', $before - 60, 'lists: pages without rows are free');
	$node->safe_psql('postgres', q{INSERT INTO l (v) SELECT array_fill(i % 7, '{100}')::vector FROM generate_series(1, 2000) i});
	cmp_ok(pages_of($node, 'l_v'), '<=', $before, 'lists: free pages are used by other lists');
	is(problems($node, 'l_v') . differs($node, 'l'), '', 'lists: free pages: the verifier finds nothing');
}
{
	# All rows are in one list.
	my %pages;
	for my $clients (1, 24)
	{
		$node->safe_psql('postgres', 'TRUNCATE l; DROP INDEX l_v; CREATE INDEX l_v ON l USING ivfflat (v vector_l2_ops) WITH (lists = 1)');
		my $transactions = 1200 / $clients;
		$node->pgbench("--no-vacuum --client=$clients --jobs=1 --transactions=$transactions", 0, [qr{processed: 1200/1200}], [qr{\A(?:.*skipping vacuum.*\n?)*\z}],
			"$clients clients insert into one list", { "013_list_$clients" => 'INSERT INTO l (v) VALUES (random_vector(100));' });
		$pages{$clients} = pages_of($node, 'l_v');
	}
	is($pages{24}, $pages{1}, 'lists: 24 clients need as many pages as one');
	is(problems($node, 'l_v') . differs($node, 'l'), '', 'lists: 24 clients: the verifier finds nothing');
	# VACUUM tells inserts where there is room. They do not read all pages of a long list.
	$node->safe_psql('postgres', q{
		CREATE TABLE long (id serial, b bit(4000));
		CREATE INDEX long_b ON long USING ivfflat (b bit_hamming_ops) WITH (lists = 1);
		INSERT INTO long (b) SELECT repeat('1', 4000)::bit(4000) FROM generate_series(1, 4000);
		DELETE FROM long WHERE id = 3990;});
	$node->safe_psql('postgres', 'VACUUM (INDEX_CLEANUP ON) long');
	my ($accesses) = $node->safe_psql('postgres', q{EXPLAIN (ANALYZE, BUFFERS, TIMING OFF) INSERT INTO long (b) VALUES (B'1'::bit(4000))}) =~ /hit=(\d+)/;
	my $pages = pages_of($node, 'long_b');
	note("lists: an insert after VACUUM accesses $accesses pages; the index has $pages");
	cmp_ok($accesses, '<', $pages / 2, 'lists: an insert after VACUUM finds room at once');
	$node->safe_psql('postgres', 'DROP TABLE l, long');
}

# ---- the cost of one dead row ----

$node->safe_psql('postgres', q{
	SET maintenance_work_mem = '256MB';
	CREATE TABLE big (id integer, v vector(3));
	INSERT INTO big SELECT i, random_vector(3) FROM generate_series(1, 100000) i;
	CREATE INDEX big_v ON big USING hnsw (v vector_l2_ops) WITH (m = 8, ef_construction = 32);
	CREATE TABLE dense (id integer, v vector(8));
	INSERT INTO dense SELECT i, random_vector(8) FROM generate_series(1, 40000) i;
	CREATE INDEX dense_v ON dense USING hnsw (v vector_l2_ops) WITH (m = 16, ef_construction = 32);
	CREATE TABLE small (id integer, v vector(3));
	INSERT INTO small SELECT id, v FROM big LIMIT 100;
	CREATE INDEX small_v ON small USING hnsw (v vector_l2_ops);
	CREATE TABLE hot AS SELECT i, repeat('x', 100) AS t FROM generate_series(1, 50000) i;});
$node->safe_psql('postgres', 'VACUUM (INDEX_CLEANUP ON) big; VACUUM dense; VACUUM hot; CHECKPOINT');
my $pages = pages_of($node, 'big_v');

# VACUUM of big in a session of its own. Returns accesses of the index, accesses of the heap,
# seconds.
sub vacuum_big
{
	my ($settings) = @_;
	my $counts = q{SELECT (SELECT idx_blks_read + idx_blks_hit FROM pg_statio_user_indexes WHERE indexrelname = 'big_v'),
		heap_blks_read + heap_blks_hit FROM pg_statio_user_tables WHERE relname = 'big'};
	my ($x0, $h0, $t0, $x1, $h1, $t1) = split /[|\n]+/, $node->safe_psql('postgres', qq{
		DO 'BEGIN PERFORM pg_stat_force_next_flush(); END';
		SELECT a.*, extract(epoch FROM clock_timestamp()) FROM ($counts) a;
		$settings
		VACUUM (INDEX_CLEANUP ON, TRUNCATE OFF) big;
		SELECT extract(epoch FROM clock_timestamp()) AS after \\gset
		DO 'BEGIN PERFORM pg_stat_force_next_flush(); END';
		SELECT a.*, :after FROM ($counts) a;});
	return ($x1 - $x0, $h1 - $h0, $t1 - $t0);
}
for my $row (5000, 1, 100000)
{
	$node->safe_psql('postgres', "DELETE FROM big WHERE id = $row");
	my ($accesses) = vacuum_big('');
	note("VACUUM that removes row $row: $accesses accesses of an index of $pages pages");
	cmp_ok($accesses, '>=', $pages, "VACUUM that removes row $row reads the index");
	cmp_ok($accesses, '<=', 1.3 * $pages, "VACUUM that removes row $row: few more accesses than the index has pages");
}
{
	# Pages of other tables stay in the buffers, although the index is larger than all buffers.
	my $cached = q{SELECT count(*) FROM pg_buffercache WHERE relfilenode = pg_relation_filenode('hot') AND relforknumber = 0};
	$node->safe_psql('postgres', 'SET enable_indexonlyscan = off; CREATE INDEX ON hot (i)');
	$node->safe_psql('postgres', 'SET enable_seqscan = off; SET enable_bitmapscan = off; SELECT count(t) FROM hot WHERE i > 0') for 1 .. 5;
	my $before = $node->safe_psql('postgres', $cached);
	$node->safe_psql('postgres', 'DELETE FROM big WHERE id = 700');
	vacuum_big('');
	my $after = $node->safe_psql('postgres', $cached);
	note("$before pages of another table were in the buffers, $after after VACUUM");
	cmp_ok($before, '>', 500, 'another table is in the buffers');
	cmp_ok($after, '>=', 0.9 * $before, 'the other table is still in the buffers after VACUUM');
}
{
	# VACUUM sleeps for its accesses in all of its steps: 100 ms for each 1,000.
	$node->safe_psql('postgres', 'DELETE FROM big WHERE id = 800');
	my ($accesses, $heap, $seconds) = vacuum_big('SET vacuum_cost_delay = 100; SET vacuum_cost_limit = 1000; '
		  . 'SET vacuum_cost_page_hit = 1; SET vacuum_cost_page_miss = 1; SET vacuum_cost_page_dirty = 0;');
	note(sprintf '%d accesses with a delay take %.2f s', $accesses, $seconds);
	cmp_ok($seconds, '>=', 0.7 * 0.1 * ($accesses + $heap) / 1000, 'VACUUM sleeps as vacuum_cost_delay says');
}
SKIP:
{
	# The growth of the session's memory up to its peak during VACUUM. The graph is dense, with many
	# links.
	skip 'needs /proc', 2 unless -w "/proc/$$/clear_refs";
	skip 'AddressSanitizer keeps what is freed', 2 if $ENV{QUIVER_SANITIZED};
	for my $share (10000, 10)
	{
		$node->safe_psql('postgres', "DELETE FROM dense WHERE id % $share = 3");
		my $session = $node->background_psql('postgres');
		my $pid = $session->query_safe("SET maintenance_work_mem = '1MB'; DELETE FROM small WHERE id % 2 = 0; SELECT pg_backend_pid()");
		$session->query_safe('VACUUM (INDEX_CLEANUP ON) small');
		# Let the session access every shared buffer, so that they are counted before.
		$session->query_safe("SELECT sum(length(get_raw_page('big_v', i))) FROM generate_series(0, $pages - 1) i, generate_series(1, 2)");
		$session->query_safe("SELECT sum(length(get_raw_page('dense_v', i))), (SELECT count(*) FROM dense) FROM generate_series(0, pg_relation_size('dense_v')::integer / 8192 - 1) i");
		my $kb = sub { my ($name) = @_; return slurp_file("/proc/$pid/status") =~ /^$name:\s+(\d+) kB/m ? $1 : die "no $name" };
		my $before = $kb->('VmRSS');
		open my $f, '>', "/proc/$pid/clear_refs" or die $!;
		print $f '5';   # the peak from here on
		close $f;
		$session->query_safe('VACUUM (INDEX_CLEANUP ON) dense');
		my $growth = $kb->('VmHWM') - $before;
		note("VACUUM of 1 in $share rows: $growth kB");
		cmp_ok($growth, '<=', 3000, "VACUUM of 1 in $share rows: memory stays near a maintenance_work_mem of 1 MB");
		$session->quit;
	}
}
{
	# Inserts and searches for some seconds. Returns how many seconds the slowest took.
	$node->safe_psql('postgres', q{
		CREATE PROCEDURE work_on_big(seconds float8, INOUT slowest float8) LANGUAGE plpgsql AS $$
		DECLARE began timestamptz := clock_timestamp(); at timestamptz;
		BEGIN
			WHILE clock_timestamp() < began + seconds * interval '1 second' LOOP
				at := clock_timestamp();
				INSERT INTO big VALUES (1000000, ARRAY[random(), random(), random()]);
				PERFORM id FROM big ORDER BY v <-> ARRAY[random(), random(), random()]::vector LIMIT 5;
				COMMIT;
				slowest := greatest(slowest, extract(epoch FROM clock_timestamp() - at));
				PERFORM pg_sleep(0.001);
			END LOOP;
		END $$;});
	# A slow VACUUM ends soon when it is cancelled, whatever it is doing, and no other session waits
	# for it.
	my ($slowest_end, $slowest_work, $cancelled) = (0, 0, 0);
	for my $moment (0, 0.3, 0.7, 1.2, 2)
	{
		$node->safe_psql('postgres', "DELETE FROM big WHERE id % 1000 = 5 + 10 * $moment");
		my $vacuum = slow_vacuum($node, 'big', 'SET vacuum_cost_delay = 50; SET vacuum_cost_limit = 1000');
		my ($slowest, $seconds) = split /\n/, $node->safe_psql('postgres', qq{
			SET enable_seqscan = off;
			CALL wait_for_vacuum();
			CALL work_on_big($moment, 0);
			SELECT extract(epoch FROM clock_timestamp()) AS began \\gset
			CALL cancel_vacuum();
			SELECT extract(epoch FROM clock_timestamp()) - :began;});
		$cancelled++ unless $vacuum->finish;
		$slowest_end = $seconds if $seconds > $slowest_end;
		$slowest_work = $slowest if $slowest > $slowest_work;
	}
	note(sprintf '%d cancelled, the slowest cancel took %.2f s, the slowest insert and search %.2f s', $cancelled, $slowest_end, $slowest_work);
	cmp_ok($cancelled, '>=', 3, 'slow VACUUMs are cancelled');
	my $soon = $ENV{QUIVER_SANITIZED} ? 10 : 1;
	cmp_ok($slowest_end, '<', $soon, 'a cancelled VACUUM ends at once');
	cmp_ok($slowest_work, '<', $soon, 'no session waits for a VACUUM that sleeps');
	$node->safe_psql('postgres', 'VACUUM (INDEX_CLEANUP ON) big');
	is(lost_rows($node, 'big', ef_search => 400, limit => 200), '', 'every row is found in the end');
	is(problems($node), '', 'the verifier finds nothing in the end');
}
unlike(slurp_file($node->logfile), qr/terminated by signal|PANIC/, 'nothing crashed');
done_testing();
