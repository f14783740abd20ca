# VACUUM divides the rows of an ivfflat index again when the table has grown (src/ivfflat/divide.hpp): while clients insert and search,
# with a crash after each change of a page, canceled at any time, and on a standby. At all times a search of all lists
# returns the rows of the table, each once.
#   QUIVER_STEP=1 prove ...        a crash after each change (4: after about every fourth)
#   QUIVER_SECONDS=3600 prove ...  duration of the load, and of that with a standby (10)
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(usleep);
use FindBin;
use lib "$FindBin::RealBin/..";
use Recovery qw(caught_up crash_at_change);
use IndexTest qw(problems differs restart);

my $step = $ENV{QUIVER_STEP} // 4;
my $seconds = $ENV{QUIVER_SECONDS} // 10;
my $node = PostgreSQL::Test::Cluster->new('node');
$node->init(allows_streaming => 1);
$node->append_conf('postgresql.conf', "autovacuum = off\njit = off\nfsync = off\nrestart_after_crash = on\nwal_consistency_checking = 'generic'\n"
	  . "max_prepared_transactions = 10\nmax_wal_size = 4GB\nshared_buffers = 16MB\nmax_connections = 50\n");
$node->start;
$node->safe_psql('postgres', q{
	CREATE EXTENSION quiver;
	CREATE TABLE other (i integer);
	CREATE FUNCTION numbers(i integer, k integer) RETURNS real[] LANGUAGE sql IMMUTABLE AS
		'SELECT array_agg(sin(i * j * 1.3 + j * j)) FROM generate_series(1, k) j';
	-- What is wrong with the index of a table after VACUUM: pages that no list needs, or a meta page that does not match. retired: may there
	-- be old lists?
	CREATE FUNCTION untidy(index regclass, retired boolean DEFAULT false) RETURNS text LANGUAGE sql AS $$
		SELECT concat_ws('; ', CASE WHEN s.lists <> m.lists THEN 'the meta page has ' || m.lists || ' lists instead of ' || s.lists END,
			CASE WHEN NOT retired AND s.list_pages * m.rows_per_page <> s.rows + s.free_places THEN s.list_pages || ' list pages for ' || s.rows || ' rows and '
				|| s.free_places || ' free places' END)
		FROM ivfflat_stats(index) s, ivfflat_meta(index) m $$;});
my @bad;
sub lists_of
{
	my ($server, $index) = @_;
	return $server->safe_psql('postgres', "SELECT lists FROM ivfflat_stats('$index')");
}
# VACUUM, until there is nothing to do: one divides the rows, the next one makes the old lists free, after a transaction that makes
# former snapshots old. It may divide again, because more rows have come since the first one read them.
sub settle
{
	my ($table) = @_;
	for my $round (1 .. 3)
	{
		$node->safe_psql('postgres', "VACUUM (INDEX_CLEANUP ON) $table");
		$node->safe_psql('postgres', 'SELECT txid_current()');
	}
	return;
}

# ---- crashes ----

# Seven rows fill a page of codes, and some 50 a page of a list. So 60 rows have several lists.
$node->safe_psql('postgres', q{
	CREATE TABLE l (id serial PRIMARY KEY, v vector(1000), n integer);
	CREATE INDEX l_v ON l USING ivfflat (v vector_l2_ops, n) WITH (vector_bits = 8);
	CREATE FUNCTION add(k integer) RETURNS void LANGUAGE sql VOLATILE AS
		'INSERT INTO l (v, n) SELECT numbers(i, 1000)::vector, i % 3 FROM generate_series(1, k) i';});
my $crashes = 0;
sub at_every_change
{
	my ($name, $lists, $prepare) = @_;
	my $n;
	for ($n = 1; $n < 3000; $n += 1 + int(rand(2 * $step - 1)))
	{
		$prepare->();
		my ($crashed, $error) = crash_at_change($node, $n, 'VACUUM (INDEX_CLEANUP ON) l');
		push @bad, "$name, change $n: $error" if $error ne '';
		last if !$crashed;
		$crashes++;
		my $check = sub {
			my ($when, $more) = @_;
			my $found = differs($node, 'l') . differs($node, 'l', where => 'n = 1') . problems($node, 'l_v') . ($more // '');
			push @bad, "$name, change $n, $when: $found" if $found ne '';
		};
		$check->('at once');
		$node->safe_psql('postgres', 'SELECT add(40)');   # more than a page of each list has room for
		$check->('after inserts');
		settle('l');
		$check->('after VACUUM', $node->safe_psql('postgres', "SELECT untidy('l_v')"));
		my $now = lists_of($node, 'l_v');
		push @bad, "$name, change $n: $now lists" if $now < $lists;
	}
	note("$name: the last crash before change $n");
	cmp_ok($n, '>', 10, "$name: VACUUM changes pages");
	return;
}
at_every_change('division of one list', 4, sub { $node->safe_psql('postgres', 'TRUNCATE l; SELECT add(70); DELETE FROM l WHERE id % 20 = 0'); });
# Two lists, whose last pages have both free places and places that are free again.
my $two_lists = sub {
	$node->safe_psql('postgres', 'TRUNCATE l; SELECT add(30)');
	$node->safe_psql('postgres', 'REINDEX INDEX l_v');
	$node->safe_psql('postgres', 'SELECT add(50); DELETE FROM l WHERE id % 10 = 0'); };
at_every_change('division of several lists', 4, $two_lists);
at_every_change('VACUUM that makes old lists free', 4, sub {
	$two_lists->();
	$node->safe_psql('postgres', 'VACUUM (INDEX_CLEANUP ON) l');
	$node->safe_psql('postgres', 'SELECT add(1)'); });
at_every_change('VACUUM that makes old lists free, and divides again', 6, sub {
	$two_lists->();
	$node->safe_psql('postgres', 'VACUUM (INDEX_CLEANUP ON) l');
	$node->safe_psql('postgres', 'SELECT add(100)'); });
is(join("\n", @bad), '', "$crashes crashes: nothing lost, nothing wrong");
cmp_ok($crashes, '>', 20, 'there were crashes');
{
	# What crashes left was used again.
	my $pages = $node->safe_psql('postgres', 'SELECT pages FROM ivfflat_stats(\'l_v\')');
	$node->safe_psql('postgres', 'REINDEX INDEX l_v');
	cmp_ok($pages, '<=', 4 * $node->safe_psql('postgres', 'SELECT pages FROM ivfflat_stats(\'l_v\')'), 'free pages are used again');
}

# ---- cancel ----

@bad = ();
{
	my ($canceled, $ended) = (0, 0);
	for (my $ms = 3; $ended < 2 && $ms < 10000; $ms += 1 + int($ms * 0.4))
	{
		$two_lists->();
		my ($out, $err) = ('', '');
		# (psql returns 3 after an error.)
		my $status = $node->psql('postgres', "SET statement_timeout = $ms; SET vacuum_cost_page_hit = 5; SET vacuum_cost_page_dirty = 5; SET vacuum_cost_limit = 20; SET vacuum_cost_delay = 1; VACUUM (INDEX_CLEANUP ON) l",
			stdout => \$out, stderr => \$err, on_error_stop => 1);
		if ($status == 0) { $ended++ }
		elsif ($err =~ /canceling statement due to statement timeout/) { $canceled++ }
		else { push @bad, "after $ms ms: $err" }
		my $found = differs($node, 'l') . problems($node, 'l_v');
		$node->safe_psql('postgres', 'SELECT add(40)');
		$found .= differs($node, 'l') . problems($node, 'l_v');
		settle('l');
		$found .= differs($node, 'l') . problems($node, 'l_v') . $node->safe_psql('postgres', "SELECT untidy('l_v')");
		$found .= ' few lists' if lists_of($node, 'l_v') < 4;
		push @bad, "after $ms ms: $found" if $found ne '';
	}
	is(join("\n", @bad), '', 'canceled VACUUMs: nothing lost, nothing wrong');
	cmp_ok($canceled, '>', 3, "$canceled were canceled");
}

# ---- old snapshots ----

for my $kind ('a cursor', 'a prepared transaction')
{
	$node->safe_psql('postgres', 'TRUNCATE l; SELECT add(60)');
	my $want = $node->safe_psql('postgres', 'SELECT count(*), sum(id) FROM l');
	my $reader = $node->background_psql('postgres');
	my %first;
	if ($kind eq 'a cursor')
	{
		$reader->query_safe("BEGIN ISOLATION LEVEL REPEATABLE READ; SET LOCAL enable_seqscan = off; SET LOCAL ivfflat.probes = 32768;
			DECLARE c CURSOR FOR SELECT id FROM l ORDER BY v <-> (SELECT v FROM l LIMIT 1); DECLARE a CURSOR FOR SELECT id FROM l ORDER BY v <-> NULL;");
		%first = map { ($_, [ $reader->query_safe("FETCH 1 FROM $_") =~ /^(\d+)$/m ]) } 'c', 'a';
	}
	else { $node->safe_psql('postgres', "BEGIN; INSERT INTO other VALUES (1); PREPARE TRANSACTION 'old'"); }
	# Rows are deleted, and others come. More divisions are due, but the old lists must go first.
	for my $round (1 .. 3)
	{
		$node->safe_psql('postgres', 'DELETE FROM l WHERE id % 5 = ' . $round . '; SELECT add(60)');
		$node->safe_psql('postgres', 'VACUUM (INDEX_CLEANUP ON) l');
	}
	my $lists = lists_of($node, 'l_v');
	cmp_ok($lists, '>=', 4, "$kind: the rows are divided");
	isnt($node->safe_psql('postgres', "SELECT untidy('l_v')"), '', "$kind: the old lists stay");
	is(differs($node, 'l') . problems($node, 'l_v'), '', "$kind: the index has all rows");
	if ($kind eq 'a cursor')
	{
		my ($count, $sum) = split /\|/, $want;
		for my $cursor ('c', 'a')
		{
			my @ids = (@{ $first{$cursor} }, grep { /^\d+$/ } split /\s+/, $reader->query_safe("FETCH ALL FROM $cursor"));
			my %seen;
			$seen{$_}++ for @ids;
			is(join(' ', scalar @ids, scalar keys %seen), "$count $count", "$kind: $cursor returns the rows of its snapshot, each once");
		}
		$reader->query_safe('COMMIT');
	}
	else { $node->safe_psql('postgres', "COMMIT PREPARED 'old'"); }
	$reader->quit;
	settle('l');   # divides the rows again, because they are so many
	is($node->safe_psql('postgres', "SELECT untidy('l_v')"), '', "$kind: the old lists become free");
	cmp_ok(lists_of($node, 'l_v'), '>', $lists, "$kind: the rows are divided again");
	is(differs($node, 'l') . problems($node, 'l_v'), '', "$kind: the index has all rows in the end");
}

# ---- kinds of columns and tables ----

{
	my $rows = sub { my ($from, $to) = @_; return "SELECT i, numbers(i, 24)::vector, i % 7 FROM generate_series($from, $to) i" };
	my %kinds = (
		halfvec => [ '(v::halfvec(24)) halfvec_cosine_ops', 'v::halfvec(24)', '<=>' ],
		product => [ 'v vector_ip_ops, n', 'v', '<#>' ],
		bit => [ "(bits(n, v)::bit(4000)) bit_hamming_ops", 'bits(n, v)::bit(4000)', '<~>' ],
		fifty => [ 'v vector_l2_ops', 'v', '<->', 'WITH (lists = 50)' ],
		fine => [ 'v vector_cosine_ops', 'v', '<=>', 'WITH (vector_bits = 16)' ]);
	$node->safe_psql('postgres', q{CREATE FUNCTION bits(n integer, v vector) RETURNS bit LANGUAGE sql IMMUTABLE AS
		$$SELECT (repeat(binary_quantize(v)::text, 166) || repeat((n % 2)::text, 16))::bit(4000)$$});
	for my $kind (sort keys %kinds)
	{
		my ($key, $column, $op, $with) = @{ $kinds{$kind} };
		my $persistence = $kind eq 'product' ? 'UNLOGGED' : '';
		$node->safe_psql('postgres', "CREATE $persistence TABLE k (id integer PRIMARY KEY, v vector(24), n integer); CREATE INDEX k_v ON k USING ivfflat ($key) " . ($with // ''));
		my $found = '';
		my $check = sub {
			my ($when) = @_;
			my $is = differs($node, 'k', column => $column, operator => $op) . differs($node, 'k', column => $column, operator => $op, where => 'n = 3') . problems($node, 'k_v');
			$found .= "$when: $is\n" if $is ne '';
		};
		my @lists;
		# from nothing to one row, and so on
		for my $to (0, 1, 2, 200, 1000, 3000)
		{
			$node->safe_psql('postgres', 'INSERT INTO k ' . $rows->("coalesce((SELECT max(id) FROM k), 0) + 1", $to));
			settle('k');
			$check->("$to rows");
			my $untidy = $node->safe_psql('postgres', "SELECT untidy('k_v')");
			$found .= "$to rows: $untidy\n" if $untidy ne '';
			push @lists, lists_of($node, 'k_v');
		}
		is($found, '', "$kind: all rows at all times");
		cmp_ok($lists[-1], '>', $kind eq 'fifty' ? 30 : 10, "$kind: @lists lists");
		cmp_ok($lists[-1], '<=', $kind eq 'fifty' ? 50 : 200, "$kind: not too many");
		is("@lists[0 .. 2]", '1 1 1', "$kind: a list for nothing, and for two rows");
		my $pages = $node->safe_psql('postgres', "SELECT pages FROM ivfflat_stats('k_v')");
		$node->safe_psql('postgres', 'DELETE FROM k');
		settle('k');
		$check->('no rows');
		$node->safe_psql('postgres', 'INSERT INTO k ' . $rows->(1, 3000));
		settle('k');
		$check->('all of them again');
		is($found, '', "$kind: and after all of them were replaced");
		cmp_ok($node->safe_psql('postgres', "SELECT pages FROM ivfflat_stats('k_v')"), '<=', 2 * $pages, "$kind: pages are used again");
		if ($persistence)
		{
			$node->stop('immediate');
			$node->start;
			is($node->safe_psql('postgres', 'SELECT count(*) FROM k'), 0, 'a crash empties an unlogged table');
			$node->safe_psql('postgres', 'INSERT INTO k ' . $rows->(1, 1000));
			settle('k');
			$check->('after a crash');
			is($found, '', 'and its index begins again');
			cmp_ok(lists_of($node, 'k_v'), '>', 5, 'with new lists');
		}
		$node->safe_psql('postgres', 'DROP TABLE k');
	}
}
# Equal rows cannot be divided. Then VACUUM does not try again and again.
{
	$node->safe_psql('postgres', q{CREATE TABLE e (id serial PRIMARY KEY, v vector(200)); CREATE INDEX e_v ON e USING ivfflat (v vector_l2_ops);
		INSERT INTO e (v) SELECT numbers(1, 200)::vector FROM generate_series(1, 500)});
	my $tried = join '', map { ($node->psql('postgres', 'SET client_min_messages = debug1; VACUUM (INDEX_CLEANUP ON) e'))[2] =~ /were not divided/ ? 1 : 0 } 1 .. 3;
	is($tried, '100', 'VACUUM tries once to divide equal rows');
	is(lists_of($node, 'e_v'), 1, 'they are in one list');
	$node->safe_psql('postgres', 'INSERT INTO e (v) SELECT numbers(i, 200)::vector FROM generate_series(2, 1000) i');
	settle('e');
	cmp_ok(lists_of($node, 'e_v'), '>', 10, 'until others come');
	is(differs($node, 'e') . problems($node, 'e_v') . $node->safe_psql('postgres', "SELECT untidy('e_v')"), '', 'equal rows and others: the index has all');
	$node->safe_psql('postgres', 'DROP TABLE e');
}
# A temporary table, whose VACUUM sees the transactions of its own session only.
{
	is($node->safe_psql('postgres', q{SET client_min_messages = error; CREATE TEMP TABLE t (id serial, v vector(200)); CREATE INDEX t_v ON t USING ivfflat (v vector_l2_ops);
		INSERT INTO t (v) SELECT numbers(i, 200)::vector FROM generate_series(1, 500) i;
		VACUUM t;
		INSERT INTO t (v) SELECT numbers(i, 200)::vector FROM generate_series(501, 1000) i;
		VACUUM t;
		DO $$ BEGIN PERFORM txid_current(); END $$;
		VACUUM t;
		SET enable_seqscan = off; SET ivfflat.probes = 32768;
		SELECT (SELECT count(*) FROM (SELECT id FROM t ORDER BY v <-> (SELECT v FROM t LIMIT 1)) s), (SELECT count(*) FROM ivfflat_check('t_v', true)), untidy('t_v'), lists > 10
			FROM ivfflat_stats('t_v')}), '1000|0||t', 'a temporary table');
}

# ---- load ----

# Clients insert, update and delete while VACUUM runs, from an empty table on. Scans of all lists, which pause now and then, return the rows
# that their snapshot sees. A standby answers, too.
$node->safe_psql('postgres', q{
	CREATE FUNCTION random_vector() RETURNS vector LANGUAGE sql VOLATILE AS
		'SELECT array_agg(random())::vector(24) FROM generate_series(1, 24)';
	CREATE TABLE items (id bigserial PRIMARY KEY, v vector(24), n integer DEFAULT 0) WITH (vacuum_truncate = off);
	CREATE INDEX items_v ON items USING ivfflat (v vector_l2_ops, n) WITH (vector_bits = 32);
	CREATE INDEX items_b ON items USING ivfflat ((repeat((n % 16)::bit(4)::text, 1000)::bit(4000)) bit_hamming_ops);});
$node->backup('start');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($node, 'start', has_streaming => 1);
$standby->append_conf('postgresql.conf', "max_standby_streaming_delay = 100ms\nhot_standby_feedback = off\nwal_receiver_status_interval = 1s\n");
$standby->start;

my $dir = PostgreSQL::Test::Utils::tempdir;
my $scan = sub {
	my ($pauses, $order, $where) = @_;
	return "SET enable_seqscan = off;\nSET enable_sort = off;\nSET ivfflat.probes = 32768;\n"
	  . "WITH a AS MATERIALIZED (SELECT id, CASE WHEN random() < $pauses / 1000.0 THEN pg_sleep(0.2) END FROM (SELECT id FROM items WHERE $where ORDER BY $order) x),\n"
	  . "\tt AS MATERIALIZED (SELECT id FROM items WHERE id > 0 AND $where)\n"
	  . "SELECT 1 / ((SELECT count(*) || ' ' || count(DISTINCT id) || ' ' || coalesce(sum(hashint8(id)), 0) FROM a) =\n"
	  . "\t(SELECT count(*) || ' ' || count(*) || ' ' || coalesce(sum(hashint8(id)), 0) FROM t))::integer;\n";
};
my $bits = 'repeat((n % 16)::bit(4)::text, 1000)::bit(4000)';
my %scripts = (
	insert => "\\set k random(1, 60)\nINSERT INTO items (v, n) SELECT random_vector(), random() * 1000 FROM generate_series(1, :k);\n",
	equal => "\\set k random(1, 30)\nINSERT INTO items (v) SELECT (SELECT random_vector()) FROM generate_series(1, :k);\n",
	rollback => "BEGIN;\nINSERT INTO items (v) SELECT random_vector() FROM generate_series(1, 5);\nSAVEPOINT a;\nDELETE FROM items WHERE id = (SELECT max(id) - 30 FROM items);\nROLLBACK;\n",
	update => "UPDATE items SET n = n + 1 WHERE id IN (SELECT id FROM items ORDER BY random() LIMIT 10 FOR UPDATE SKIP LOCKED);\n",
	remove => "DELETE FROM items WHERE id IN (SELECT id FROM items ORDER BY random() LIMIT 10 FOR UPDATE SKIP LOCKED);\n",
	prepare => "BEGIN;\nINSERT INTO items (v) VALUES (random_vector());\nPREPARE TRANSACTION 'p:client_id';\nSELECT pg_sleep(0.2);\nCOMMIT PREPARED 'p:client_id';\n",
	scan => $scan->(0, 'v <-> (SELECT random_vector())', 'true'),
	pausing => $scan->(2, 'v <-> (SELECT random_vector())', 'true'),
	filtered => $scan->(2, 'v <-> (SELECT random_vector())', 'n > 300'),
	unordered => $scan->(2, 'v <-> (SELECT v FROM items WHERE id = -1)', 'true'),
	bits => $scan->(2, "$bits <~> B'1'::bit(4000)", 'true'),
	vacuum => "VACUUM (INDEX_CLEANUP ON) items;\nSELECT pg_sleep(0.02);\n",
);
append_to_file("$dir/$_.sql", $scripts{$_}) for keys %scripts;
# Runs scripts with weights by so many clients of a server. Returns what ends the run, and gives what went wrong and what pgbench says. It
# tries again after a conflict with recovery.
sub start_load
{
	my ($server, $clients, @scripts) = @_;
	my ($out, $err) = ('', '');
	my $run = IPC::Run::start([ 'pgbench', '-n', '-c', $clients, '-j', 2, '-T', $seconds, '--max-tries=0', (map { ('-f', "$dir/$_") } @scripts),
		$server->connstr('postgres') ], '>', \$out, '2>', \$err);
	return sub {
		my $good = $run->finish;
		note((grep { /processed|retried/ } split /\n/, $out));
		return ($good && $err !~ /ERROR|FATAL/ ? '' : "bad: $err", $out);
	};
}
sub count_rows { return $node->safe_psql('postgres', "SELECT count(*) FROM items") }
sub divisions { my ($log) = @_; return scalar(() = $log =~ /rows of \d+ lists were divided/g) }
$node->append_conf('postgresql.conf', "log_min_messages = debug1\n");
$node->reload;
my $b = { column => $bits, operator => '<~>' };
for my $phase ('a standby without feedback', 'a standby with feedback')
{
	if ($phase eq 'a standby with feedback')
	{
		$standby->append_conf('postgresql.conf', "hot_standby_feedback = on\nmax_standby_streaming_delay = 20s\n");
		restart($standby);
		$node->safe_psql('postgres', 'TRUNCATE items');
		ok(caught_up($node, $standby), 'the standby goes on');
		$node->poll_query_until('postgres', 'SELECT backend_xmin IS NOT NULL FROM pg_stat_replication') or die 'no feedback';
	}
	my ($log, $standby_log) = (-s $node->logfile, -s $standby->logfile);
	my @ends = (start_load($node, 6, 'insert.sql@6', 'equal.sql@1', 'rollback.sql@1', 'update.sql@2', 'remove.sql@2', 'prepare.sql@1', 'scan.sql@1', 'pausing.sql@1', 'filtered.sql@1', 'unordered.sql@1', 'bits.sql@1'),
		start_load($node, 1, 'vacuum.sql'),
		start_load($standby, 4, 'scan.sql', 'pausing.sql', 'filtered.sql', 'unordered.sql', 'bits.sql'));
	my ($errors, @out) = ('');
	for my $end (@ends)
	{
		my ($error, $out) = $end->();
		# Some conflicts end a session, as when replay waits for a page of the table. So the log of the standby counts.
		$error = join "\n", grep { /ERROR:|FATAL:/ && !/conflict with recovery/ } split /\n/, substr(slurp_file($standby->logfile), $standby_log) if @out == 2;
		$errors .= $error;
		push @out, $out;
	}
	is($errors, '', "$phase: no wrong answers, and no errors but conflicts");
	if ($phase eq 'a standby with feedback')
	{
		my ($retried) = $out[2] =~ /number of transactions retried: (\d+)/;
		is($retried, 0, "$phase: no conflicts");
	}
	note("$phase: lists became free under " . (() = substr(slurp_file($standby->logfile), $standby_log) =~ /the lists of the index were replaced/g) . ' queries');
	my $divided = divisions(substr(slurp_file($node->logfile), $log));
	cmp_ok($divided, '>=', 3, "$phase: rows were divided $divided times, to " . count_rows() . ' rows in ' . lists_of($node, 'items_v') . ' lists');
	is(differs($node, 'items') . differs($node, 'items', %$b) . problems($node, 'items_v', 'items_b'), '', "$phase: the primary has all rows");
	ok(caught_up($node, $standby), "$phase: the standby replays all");
	is(differs($standby, 'items') . differs($standby, 'items', %$b) . problems($standby, 'items_v', 'items_b'), '', "$phase: it has all rows");
	settle('items');
	is($node->safe_psql('postgres', "SELECT untidy('items_v') || untidy('items_b')"), '', "$phase: no old list is left");
	is(differs($node, 'items') . differs($node, 'items', %$b) . problems($node, 'items_v', 'items_b'), '', "$phase: and the primary has all rows");
}

# ---- cursors of a standby ----

# With feedback, old lists stay for a cursor. Without, it fails, unless its lists are still there. So also when the standby is promoted.
for my $case ('its lists are replaced', 'older lists become free', 'its lists become free', 'the standby is promoted')
{
	my $feedback = $case =~ /older lists|are replaced/;
	$standby->append_conf('postgresql.conf', 'hot_standby_feedback = ' . ($feedback ? 'on' : 'off') . "\nmax_standby_streaming_delay = -1\n");
	$standby->reload;
	$node->safe_psql('postgres', 'TRUNCATE l; SELECT add(100)');
	if ($case =~ /older lists/)
	{
		$node->safe_psql('postgres', 'VACUUM (INDEX_CLEANUP ON) l');
		$node->safe_psql('postgres', 'SELECT add(1)');
	}
	ok(caught_up($node, $standby), "$case: the standby replays all");
	if ($feedback) { $node->poll_query_until('postgres', 'SELECT backend_xmin IS NOT NULL FROM pg_stat_replication') or die 'no feedback'; }
	else { $node->poll_query_until('postgres', 'SELECT backend_xmin IS NULL FROM pg_stat_replication') or die 'feedback'; }
	my $want = $node->safe_psql('postgres', 'SELECT count(*) FROM l');
	my $reader = $standby->background_psql('postgres', on_error_stop => 0);
	$reader->query_safe("BEGIN ISOLATION LEVEL REPEATABLE READ; SET LOCAL enable_seqscan = off; SET LOCAL ivfflat.probes = 32768; SET LOCAL ivfflat.iterative_scan = relaxed_order;
		DECLARE c CURSOR FOR SELECT id FROM l ORDER BY v <-> (SELECT v FROM l LIMIT 1); DECLARE a CURSOR FOR SELECT id FROM l ORDER BY v <-> NULL");
	my %got = map { ($_, [ grep { /^\d+$/ } split /\s+/, $reader->query_safe("FETCH 1 FROM $_") ]) } 'c', 'a';
	usleep(1_500_000) if $feedback;   # until the primary knows of the snapshot
	$node->safe_psql('postgres', 'VACUUM (INDEX_CLEANUP ON) l');   # divides, or makes older lists free
	if ($case !~ /older lists|are replaced/)
	{
		$node->safe_psql('postgres', 'SELECT txid_current()');
		$node->safe_psql('postgres', 'VACUUM (INDEX_CLEANUP ON) l');
		$node->safe_psql('postgres', 'SELECT add(60)');   # uses their pages
	}
	ok(caught_up($node, $standby), "$case: the standby goes on");
	$standby->promote if $case =~ /promoted/;
	for my $cursor ('c', 'a')
	{
		$reader->{stderr} = '';
		my ($out, $error) = ('', '');
		$reader->query_safe('SAVEPOINT s');
		$out = $reader->query("FETCH ALL FROM $cursor");
		$error = $reader->{stderr};
		$error =~ s/\s+/ /g;
		$reader->query('ROLLBACK TO s');
		push @{ $got{$cursor} }, grep { /^\d+$/ } split /\s+/, $out;
		my %seen;
		$seen{$_}++ for @{ $got{$cursor} };
		my $rows = join ' ', scalar @{ $got{$cursor} }, scalar keys %seen;
		if ($feedback) { is("$rows $error", "$want $want ", "$case: cursor $cursor returns all"); }
		else { ok($rows eq "$want $want" || $error =~ /conflict with recovery/, "$case: cursor $cursor returns all, or fails") or diag("$rows of $want: $error"); }
	}
	$reader->query('ROLLBACK');
	$reader->quit;
}
is($standby->safe_psql('postgres', "SELECT add(100); SELECT count(*) FROM l WHERE n > 5"), "\n0", 'after promotion, rows are inserted');
$standby->safe_psql('postgres', 'VACUUM (INDEX_CLEANUP ON) l');
is(differs($standby, 'l') . differs($standby, 'items') . problems($standby), '', 'after promotion, the indexes have all rows');

unlike(slurp_file($_->logfile), qr/inconsistent page found|PANIC|TRAP/, 'recovery finds the pages that it changes') for $node, $standby;
done_testing();
