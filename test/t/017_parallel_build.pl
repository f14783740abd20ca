# CREATE INDEX of both access methods with parallel workers: they take part, and cancels, errors and dying processes leave nothing behind.
use strict;
use warnings;
use IPC::Run;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use FindBin;
use lib "$FindBin::RealBin/..";
use IndexTest qw(restart problems finds_all vectors);

my $node = PostgreSQL::Test::Cluster->new('node');
$node->init;
$node->append_conf('postgresql.conf', q{
autovacuum = off
jit = off
max_wal_size = 4GB
max_worker_processes = 8
min_parallel_table_scan_size = 0
maintenance_work_mem = 256MB
log_min_messages = debug1
restart_after_crash = on
});
$node->start;
$node->safe_psql('postgres', 'CREATE EXTENSION quiver; CREATE TABLE t (id integer PRIMARY KEY, v vector(48), tenant integer GENERATED ALWAYS AS (id % 50) STORED); INSERT INTO t (id, v) '
	  . vectors(1, 6000, 48) . '; CREATE TABLE large AS SELECT i AS id,
	(SELECT array_agg(hashint8(i::bigint * 1000 + j)::real) FROM generate_series(1, 48) j)::vector(48) AS v FROM generate_series(1, 60000) i');

# How many workers the builds since this place of the log have used, one line each.
sub workers_since
{
	my ($place) = @_;
	return join ' ', substr(slurp_file($node->logfile), $place) =~ /using (\d+) parallel workers/g;
}
sub log_size { return -s $node->logfile; }
# Is a temporary file or a segment of shared memory left, or did the server complain of one?
sub nothing_left
{
	my ($what, $place) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	is(join(' ', map { glob "$_/*" } glob($node->data_dir . '/base/pgsql_tmp')), '', "$what: no temporary file is left");
	is(join(' ', substr(slurp_file($node->logfile), $place) =~ /(.*(?:leak|still referenced).*)/g), '', "$what: no leak");
	return;
}

# ---- who takes part ----

sub build
{
	my ($what, $settings, $want, $distance, $columns) = @_;
	$distance //= 'l2';
	$columns //= '';
	my $place = log_size();
	$node->safe_psql('postgres', "SET client_min_messages = warning; $settings; DROP INDEX IF EXISTS i; CREATE INDEX i ON t USING hnsw (v vector_${distance}_ops$columns)");
	is(workers_since($place), $want, "$what: workers");
	is(problems($node, 'i'), '', "$what: the verifier finds nothing");
	nothing_left($what, $place);
	return;
}
build('two workers', 'SET max_parallel_maintenance_workers = 2', '2');
finds_all($node, 'two workers', 't', 6000, limit => 300);
build('little memory', "SET max_parallel_maintenance_workers = 2; SET maintenance_work_mem = '1MB'", '2');
finds_all($node, 'little memory', 't', 6000, limit => 300);
build('inserts', 'SET max_parallel_maintenance_workers = 2', '2', 'l1');
# With filter columns: each worker computes codes of its rows.
for my $memory ('256MB', '1MB')
{
	build("filter columns, $memory", "SET max_parallel_maintenance_workers = 2; SET maintenance_work_mem = '$memory'", '2', 'l2', ', tenant, id');
	is($node->safe_psql('postgres', q{SET enable_seqscan = off; SET hnsw.iterative_scan = relaxed_order; SET hnsw.max_scan_tuples = 1000000;
		SELECT count(*), sum(n) FROM (SELECT (SELECT count(*) FROM (SELECT FROM t WHERE tenant = x AND id > 3000 ORDER BY v <-> (SELECT v FROM t WHERE id = x + 1)) s) AS n
			FROM generate_series(0, 49) x) y WHERE n = 60}), '50|3000', "filter columns, $memory: filters find all");
	finds_all($node, "filter columns, $memory", 't', 6000, limit => 100);
}
build('inserts, filter columns, little memory', "SET max_parallel_maintenance_workers = 2; SET maintenance_work_mem = '1MB'", '2', 'l1', ', tenant');
my $notice = '';
$node->psql('postgres', q{SET max_parallel_maintenance_workers = 2; SET maintenance_work_mem = '1MB'; REINDEX INDEX i}, stderr => \$notice);
like($notice, qr/hnsw graph no longer fits into maintenance_work_mem.*It needs \d+ MB, so it is built in a temporary file/s, 'little memory: notice');
build('no workers', 'SET max_parallel_maintenance_workers = 0', '');
build('a small table', "SET min_parallel_table_scan_size = '512MB'", '');
build('an option of the table', 'ALTER TABLE t SET (parallel_workers = 1); SET max_parallel_maintenance_workers = 4', '1');
$node->safe_psql('postgres', 'ALTER TABLE t RESET (parallel_workers)');
# ivfflat: all rows are in the index, once, whoever has written them.
for my $case ([ 'two workers', 'SET max_parallel_maintenance_workers = 2', '2' ],
	[ 'little memory', "SET max_parallel_maintenance_workers = 2; SET maintenance_work_mem = '1MB'", '2' ],
	[ 'no workers', 'SET max_parallel_maintenance_workers = 0', '' ])
{
	my ($what, $settings, $want) = @$case;
	my $place = log_size();
	$node->safe_psql('postgres', "SET client_min_messages = warning; $settings; DROP INDEX IF EXISTS i; CREATE INDEX i ON t USING ivfflat (v vector_l2_ops, tenant)");
	is(workers_since($place), $want, "ivfflat, $what: workers");
	is($node->safe_psql('postgres', q{SET enable_seqscan = off; SET enable_sort = off; SET ivfflat.probes = 32768;
		SELECT count(*), count(DISTINCT id) FROM (SELECT id FROM t ORDER BY v <-> (SELECT v FROM t WHERE id = 1)) x}), '6000|6000', "ivfflat, $what: all rows");
	is($node->safe_psql('postgres', q{SET enable_seqscan = off; SET enable_sort = off; SET ivfflat.probes = 32768;
		SELECT count(*) FROM generate_series(1, 6000, 20) i WHERE i <> (SELECT id FROM t ORDER BY v <-> (SELECT v FROM t WHERE id = i) LIMIT 1)}), '0', "ivfflat, $what: each row is the nearest to itself");
	nothing_left("ivfflat, $what", $place);
}
for my $setting ('dynamic_shared_memory_type = mmap', 'dynamic_shared_memory_type = sysv', 'min_dynamic_shared_memory = 64MB', 'max_worker_processes = 0')
{
	next if $setting =~ /min_dynamic/ && $node->safe_psql('postgres', 'SHOW server_version_num') < 140000;
	$node->append_conf('postgresql.conf', $setting);
	restart($node);
	build($setting, 'SET max_parallel_maintenance_workers = 2', $setting =~ /processes/ ? '' : '2') for 1 .. 2;
	$node->append_conf('postgresql.conf', "dynamic_shared_memory_type = posix\nmax_worker_processes = 8");
	restart($node);
}

# ---- what goes wrong ----

# A scan of t with this function takes seconds.
$node->safe_psql('postgres', q{CREATE FUNCTION slow(v vector) RETURNS vector IMMUTABLE PARALLEL SAFE LANGUAGE plpgsql AS
	'BEGIN PERFORM pg_sleep(0.002); RETURN v; END'});

# Starts a build, and returns it when it is in this phase and a worker runs.
sub begin_build
{
	my ($phase, $kind, $distance, $method) = @_;
	$distance //= 'l2';
	$method //= 'hnsw';
	my ($out, $err) = ('', '');
	my $on = $phase =~ /loading tuples|scanning table/ ? "t USING $method ((slow(v)::vector(48)) vector_l2_ops)" : "large USING $method (v vector_${distance}_ops)";
	$on .= ' WITH (lists = 8000)' if $phase =~ /k-means|assigning/;   # that takes seconds
	my $build = IPC::Run::start([ 'psql', '-X', '-q', '-v', 'VERBOSITY=terse', '-d', $node->connstr('postgres') . ' application_name=build',
		'-c', 'SET max_parallel_maintenance_workers = 2', '-c', "CREATE INDEX $kind large_v ON $on" ],
		'>', \$out, '2>', \$err);
	$node->poll_query_until('postgres', "SELECT EXISTS (SELECT FROM pg_stat_progress_create_index WHERE phase LIKE '%$phase%')
		AND EXISTS (SELECT FROM pg_stat_activity WHERE backend_type = 'parallel worker' AND query LIKE 'CREATE INDEX%')")
	  or die "no build is in phase $phase";
	return ($build, \$err);
}
my $worker = "SELECT pid FROM pg_stat_activity WHERE backend_type = 'parallel worker' ORDER BY pid LIMIT 1";
my $leader = "SELECT pid FROM pg_stat_activity WHERE application_name = 'build' AND backend_type = 'client backend'";
# (Under l1, nodes are linked by inserts.)
for my $links ([ 'loading tuples', 'l2' ], [ 'linking nodes', 'l2' ], [ 'linking nodes', 'l1' ],
	[ 'scanning table', 'l2', 'ivfflat' ], [ 'performing k-means', 'l2', 'ivfflat' ], [ 'assigning tuples', 'l2', 'ivfflat' ])
{
	my ($phase, $distance, $method) = @$links;
	for my $case ([ 'pg_cancel_backend', $leader, qr/canceling statement due to user request/ ],
		[ 'pg_terminate_backend', $leader, qr/terminating connection due to administrator command/ ],
		[ 'pg_terminate_backend', $worker, qr/terminating (connection|background worker).* due to administrator command/ ])
	{
		my ($function, $pid, $want) = @$case;
		my $what = "$function of the " . ($pid eq $worker ? 'worker' : 'leader') . ", $phase, $distance";
		my $place = log_size();
		my ($build, $err) = begin_build($phase, '', $distance, $method);
		$node->safe_psql('postgres', "SELECT $function(pid) FROM ($pid) p");
		$build->finish;
		like($$err, $want, "$what: error");
		$node->poll_query_until('postgres', "SELECT count(*) = 0 FROM pg_stat_activity WHERE backend_type = 'parallel worker'");
		is($node->safe_psql('postgres', "SELECT to_regclass('large_v') IS NULL"), 't', "$what: no index");
		nothing_left($what, $place);
	}
}
# A worker is killed: the server starts again.
{
	my ($build, $err) = begin_build('linking nodes', '');
	kill 'KILL', $node->safe_psql('postgres', $worker);
	$build->finish;
	$node->poll_query_until('postgres', 'SELECT true');
	like($$err, qr/connection to server was lost|server closed the connection|terminating connection/, 'a killed worker ends the build');
}
# Rows that come during a concurrent build.
{
	my ($build, $err) = begin_build('linking nodes', 'CONCURRENTLY');
	$node->safe_psql('postgres', 'INSERT INTO large SELECT id + 100000, v FROM t LIMIT 500');
	$build->finish;
	is($$err, '', 'a concurrent build');
	is(problems($node, 'large_v'), '', 'a concurrent build: the verifier finds nothing');
	finds_all($node, 'rows that came meanwhile', 'large', 60500, limit => 200);
	$node->safe_psql('postgres', 'DROP INDEX large_v');
}
my $place = log_size();
$node->safe_psql('postgres', 'SET max_parallel_maintenance_workers = 2; CREATE INDEX large_v ON large USING hnsw (v vector_l2_ops)');
is(problems($node, 'large_v'), '', 'after all this, a build: the verifier finds nothing');
nothing_left('after all this, a build', $place);
$node->stop;
done_testing();
