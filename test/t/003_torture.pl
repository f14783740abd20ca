# Crashes at random moments under a random load. After each crash the verifier finds nothing: every
# committed row is in the index with its vector, and no other row is. full_page_writes is off at
# every second crash.
#   QUIVER_CRASHES=1000 QUIVER_SEED=7 prove ...     number of crashes (25), random seed
#   QUIVER_FULL_PAGE_WRITES=off prove ...           always off (or always on)
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(usleep time);
use FindBin;
use lib "$FindBin::RealBin/..";
use Recovery qw(wait_until);
use IndexTest qw(differs);

my $crashes = $ENV{QUIVER_CRASHES} // 25;
my $seed = $ENV{QUIVER_SEED} // int(rand(1_000_000));
srand($seed);
my $full_page_writes = $ENV{QUIVER_FULL_PAGE_WRITES};
note("QUIVER_SEED=$seed QUIVER_CRASHES=$crashes" . ($full_page_writes ? " QUIVER_FULL_PAGE_WRITES=$full_page_writes" : ''));

my $node = PostgreSQL::Test::Cluster->new('node');
$node->init;
# fsync is off: data that the operating system has received survives the end of a process.
$node->append_conf('postgresql.conf', "fsync = off\nautovacuum = off\nmax_connections = 40\nshared_buffers = 1MB\n"
	  . "restart_after_crash = on\nmaintenance_work_mem = 1MB\n");
$node->start;
$node->safe_psql('postgres', q{
	CREATE EXTENSION quiver;
	CREATE TABLE items (id bigserial PRIMARY KEY, v vector(24), b bit(96), s sparsevec(500), n integer DEFAULT 0,
		w vector(24) GENERATED ALWAYS AS (v) STORED, c bit(96) GENERATED ALWAYS AS (b) STORED);
	CREATE FUNCTION random_vector() RETURNS vector LANGUAGE sql VOLATILE AS
		'SELECT array_agg(random())::vector(24) FROM generate_series(1, 24)';
	CREATE FUNCTION random_bits() RETURNS bit LANGUAGE sql VOLATILE AS
		'SELECT string_agg((random() < 0.5)::integer::text, '''')::bit(96) FROM generate_series(1, 96)';
	CREATE FUNCTION random_sparse() RETURNS sparsevec LANGUAGE sql VOLATILE AS
		'SELECT (''{'' || string_agg(i || '':'' || 1 + random(), '','' ORDER BY i) || ''}/500'')::sparsevec
		 FROM (SELECT DISTINCT 1 + floor(499 * power(random(), 3))::integer AS i FROM generate_series(1, 40 + (random() * 40)::integer)) s';
	CREATE FUNCTION add(k integer) RETURNS void LANGUAGE sql VOLATILE AS
		'INSERT INTO items (v, b, s) SELECT random_vector(), random_bits(), random_sparse() FROM generate_series(1, k)';
	SELECT add(300);
	CREATE INDEX items_v ON items USING hnsw (v vector_l2_ops, n) WITH (m = 6, ef_construction = 24, vector_bits = 16);
	CREATE INDEX items_c ON items USING hnsw (v vector_cosine_ops) WITH (m = 4, ef_construction = 16, sketch_fold = -1, vector_bits = 2);
	CREATE INDEX items_b ON items USING hnsw (b bit_hamming_ops) WITH (m = 6, ef_construction = 24);
	CREATE INDEX items_s ON items USING hnsw (s sparsevec_l2_ops) WITH (m = 16, ef_construction = 40);
	CREATE INDEX lists_w ON items USING ivfflat (w vector_l2_ops, n) WITH (lists = 3, vector_bits = 32);
	CREATE INDEX lists_c ON items USING ivfflat (c bit_hamming_ops);});

my $dir = PostgreSQL::Test::Utils::tempdir;
my %scripts = (
	'insert@8' => "SELECT add(1 + (random() * 20)::integer);\n",
	'rollback@2' => "BEGIN;\nSELECT add(10);\nROLLBACK;\n",
	'update@4' => "UPDATE items SET n = n + 1 WHERE id IN (SELECT id FROM items OFFSET random() * 200 LIMIT 5 FOR UPDATE SKIP LOCKED);\n",
	'move@3' => "UPDATE items SET v = random_vector(), s = random_sparse() WHERE id IN (SELECT id FROM items OFFSET random() * 200 LIMIT 3 FOR UPDATE SKIP LOCKED);\n",
	'delete@4' => "DELETE FROM items WHERE id IN (SELECT id FROM items OFFSET random() * 100 LIMIT 30 FOR UPDATE SKIP LOCKED);\n",
	'search@4' => "SET enable_seqscan = off;\n"
	  . "SELECT count(*) FROM (SELECT id FROM items ORDER BY v <-> (SELECT random_vector()) LIMIT 10) s;\n"
	  . "SELECT count(*) FROM (SELECT id FROM items WHERE n = 1 ORDER BY v <-> (SELECT random_vector()) LIMIT 10) s;\n"
	  . "SELECT count(*) FROM (SELECT id FROM items ORDER BY w <-> (SELECT random_vector()) LIMIT 200) s;\n"
	  . "SELECT count(*) FROM (SELECT id FROM items ORDER BY c <~> (SELECT random_bits()) LIMIT 10) s;\n"
	  . "SELECT count(*) FROM (SELECT id FROM items ORDER BY s <-> (SELECT random_sparse()) LIMIT 10) s;\n",
	'vacuum@2' => "VACUUM (INDEX_CLEANUP ON, SKIP_LOCKED) items;\n",
	'checkpoint@1' => "CHECKPOINT;\n",
	'copy@2' => "COPY items (v, b, s) FROM '$dir/rows' WHERE random() < 0.05;\n",
	'create@1' => "CREATE INDEX IF NOT EXISTS extra_:client_id ON items USING hnsw (v vector_ip_ops) WITH (m = 5, ef_construction = 20, vector_bits = 4);\n",
	'drop@1' => "DROP INDEX IF EXISTS extra_:client_id;\n",
	'reindex@1' => "\\set i random(0, 5)\nSELECT ('{items_v,items_c,items_b,items_s,lists_w,lists_c}'::text[])[:i + 1] AS index \\gset\nREINDEX INDEX CONCURRENTLY :index;\n",
);
my @files;
for my $script (sort keys %scripts)
{
	my ($name, $weight) = split /@/, $script;
	append_to_file("$dir/$name.sql", $scripts{$script});
	push @files, '-f', "$dir/$name.sql\@$weight";
}

my ($bad, $lost, $missed, $rows, $start) = (0, 0, 0, 0, time);
for my $crash (1 .. $crashes)
{
	my ($out, $err) = ('', '');
	# If an index was dropped, replay of its earlier changes does not find its pages. Without full
	# pages, recovery accepts that, but the comparison of pages does not. After this checkpoint,
	# recovery does not replay them.
	my $setting = $full_page_writes // ($crash % 2 ? 'off' : 'on');
	$node->safe_psql('postgres', "ALTER SYSTEM SET full_page_writes = $setting");
	$node->safe_psql('postgres', 'ALTER SYSTEM SET wal_consistency_checking = ' . ($setting eq 'on' ? "'generic'" : "''"));
	$node->reload;
	wait_until($node, "SELECT current_setting('full_page_writes') = '$setting'");
	$node->safe_psql('postgres', 'CHECKPOINT');
	$node->safe_psql('postgres', "COPY (SELECT random_vector(), random_bits(), random_sparse() FROM generate_series(1, 1000)) TO '$dir/rows'");
	my $load = IPC::Run::start(
		[ 'pgbench', '-n', '-c', '6', '-T', '60', '--random-seed', int(rand(1 << 30)), @files, $node->connstr('postgres') ],
		'>', \$out, '2>', \$err);
	usleep(50_000 + int(rand(900_000)));
	if (rand() < 0.5)
	{
		$node->stop('immediate');
		eval { $load->kill_kill; };
		$node->start(fail_ok => 1) or die "crash $crash (seed $seed, full_page_writes $setting): no recovery";
	}
	else
	{
		# kill -9 of one backend: the postmaster ends the others and recovers. (If the signal
		# arrives while the backend writes a page, the page may be torn, which only full pages
		# repair.)
		my $pid = eval { $node->safe_psql('postgres', "SELECT pid FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid() ORDER BY random() LIMIT 1") };
		kill 'KILL', $pid if $pid;
		eval { $load->kill_kill; };
	}
	wait_until($node, "SELECT NOT pg_is_in_recovery() AND NOT EXISTS (SELECT FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid())");
	# An interrupted REINDEX CONCURRENTLY leaves an invalid index.
	my $invalid = $node->safe_psql('postgres', "SELECT string_agg('DROP INDEX IF EXISTS ' || indexrelid::regclass, ';') FROM pg_index WHERE NOT indisvalid");
	$node->safe_psql('postgres', $invalid) if $invalid;
	# Rows whose inserts the crash interrupted are dead. After VACUUM has removed them, the verifier
	# must find nothing. Half of the time they stay for the next round.
	$node->safe_psql('postgres', 'VACUUM (INDEX_CLEANUP ON) items') if $crash % 2 || $crash == $crashes;
	my $check = $node->safe_psql('postgres', q{
		SELECT c.relname, k.* FROM pg_class c JOIN pg_am a ON a.oid = c.relam AND a.amname = 'hnsw', LATERAL hnsw_check(c.oid, true) k
		WHERE c.oid IN (SELECT indexrelid FROM pg_index WHERE indisvalid)} . ($crash % 2 || $crash == $crashes ? '' : " AND k.problem NOT LIKE 'no path%'"));
	$check .= $node->safe_psql('postgres', q{
		SELECT c.relname, k.* FROM pg_class c JOIN pg_am a ON a.oid = c.relam AND a.amname = 'ivfflat', LATERAL ivfflat_check(c.oid, true) k
		WHERE c.oid IN (SELECT indexrelid FROM pg_index WHERE indisvalid)});
	$check .= differs($node, 'items', column => 'w') . differs($node, 'items', column => 'w', where => 'n = 1') . differs($node, 'items', column => 'c', operator => '<~>') if $crash % 2;
	if ($check ne '')
	{
		$bad++;
		diag("crash $crash (seed $seed, full_page_writes $setting): $check");
	}
	# By the index, each of 50 rows must be the nearest to itself. (Sparse vectors that have little
	# in common are all equally far from each other, so a search may miss one of them: it is enough
	# if most are found. In one table of 1,500 such rows, at m 16 and ef_search 200, pgvector does
	# not find 55, quiver 7.)
	if ($crash % 2)
	{
		my $ids = $node->safe_psql('postgres', "SELECT string_agg(id::text, ',') FROM (SELECT id FROM items ORDER BY random() LIMIT 50) x");
		my $missing_at = sub { $node->safe_psql('postgres', q{
			SET enable_seqscan = off; SET hnsw.ef_search = } . shift . q{;
			SELECT sum((v IS DISTINCT FROM 0 OR f IS DISTINCT FROM 0)::integer), sum((s IS DISTINCT FROM 0)::integer), sum((b IS DISTINCT FROM 0)::integer) FROM (SELECT
				(SELECT a.v <-> b.v FROM items b ORDER BY a.v <-> b.v LIMIT 1) AS v,
				(SELECT a.v <-> b.v FROM items b WHERE b.n = a.n ORDER BY a.v <-> b.v LIMIT 1) AS f,
				(SELECT a.s <-> b.s FROM items b ORDER BY a.s <-> b.s LIMIT 1) AS s,
				(SELECT a.b <~> b.b FROM items b ORDER BY a.b <~> b.b LIMIT 1) AS b
				FROM (SELECT * FROM items WHERE id IN (} . $ids . q{)) a) x}) };
		my $missing = $missing_at->(200);
		my ($v, $s, $b) = split /\|/, $missing;
		# At m 4 to 6 a search may miss one row, but not if it visits a third of the table.
		if ($v + $b == 1)
		{
			$missed++;
			($v, undef, $b) = split /\|/, $missing_at->(1000);
		}
		if ($v + $b > 0 || $s > 5)
		{
			$lost++;
			diag("crash $crash (seed $seed, full_page_writes $setting): of 50 rows $missing not found by vector, sparsevec, bit");
		}
	}
	$rows = $node->safe_psql('postgres', 'SELECT count(*) FROM items');
	$node->safe_psql('postgres', 'DELETE FROM items WHERE id IN (SELECT id FROM items ORDER BY random() LIMIT ' . ($rows - 1500) . ')') if $rows > 3000;
}
note(sprintf('%d crashes in %.0f s, %d rows at the end, %d rows found only by a longer search', $crashes, time - $start, $rows, $missed));
cmp_ok($missed, '<=', 1 + $crashes / 100, 'few rows are found only by a longer search');
is($bad, 0, "$crashes crashes: the verifier finds nothing");
is($lost, 0, "$crashes crashes: every row is found");
# (A failed assertion ends a process with signal 6. This test sends signal 9.)
unlike(slurp_file($node->logfile), qr/inconsistent page found|PANIC|invalid page|terminated by signal (?!9\b)/, 'recovery finds the pages that it changes');
done_testing();
