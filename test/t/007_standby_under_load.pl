# A standby answers queries from the index while the primary inserts, deletes, vacuums and uses
# slots again. Each page that it replays is compared with the primary's. Then recovery to a point in
# time.
#   QUIVER_SECONDS=3600 prove ...     duration of the load (15)
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use FindBin;
use lib "$FindBin::RealBin/..";
use IndexTest qw(lost_rows differs);

my $seconds = $ENV{QUIVER_SECONDS} // 15;
my $primary = PostgreSQL::Test::Cluster->new('primary');
$primary->init(allows_streaming => 1, has_archiving => 1);
$primary->append_conf('postgresql.conf', "wal_consistency_checking = 'generic'\nautovacuum = off\nfsync = off\nmax_wal_size = 4GB\n");
$primary->start;
$primary->safe_psql('postgres', q{
	CREATE EXTENSION quiver;
	CREATE TABLE items (id serial PRIMARY KEY, v vector(32), s sparsevec(200), w vector(32) GENERATED ALWAYS AS (v) STORED);
	CREATE FUNCTION random_vector() RETURNS vector LANGUAGE sql VOLATILE AS
		'SELECT array_agg(random())::vector(32) FROM generate_series(1, 32)';
	CREATE FUNCTION add(k integer) RETURNS void LANGUAGE sql VOLATILE AS
		'INSERT INTO items (v, s) SELECT v, (v || v || v || v || v || v || subvector(v, 1, 8))::sparsevec FROM
			(SELECT random_vector() AS v FROM generate_series(1, k)) x';
	SELECT add(1000);
	CREATE INDEX items_v ON items USING hnsw (v vector_l2_ops) WITH (m = 8, vector_bits = 16);
	CREATE INDEX items_s ON items USING hnsw (s sparsevec_l2_ops) WITH (m = 8);
	CREATE INDEX items_w ON items USING ivfflat (w vector_l2_ops) WITH (lists = 4, vector_bits = 32);});
$primary->backup('start');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($primary, 'start', has_streaming => 1);
# Replay waits for queries, so no query is cancelled.
$standby->append_conf('postgresql.conf', "max_standby_streaming_delay = -1\n");
$standby->start;

my $dir = PostgreSQL::Test::Utils::tempdir;
append_to_file("$dir/add.sql", "SELECT add(20);\n");
append_to_file("$dir/delete.sql", "DELETE FROM items WHERE id IN (SELECT id FROM items WHERE id > 1000 ORDER BY random() LIMIT 22);\n");
append_to_file("$dir/vacuum.sql", "VACUUM (INDEX_CLEANUP ON, SKIP_LOCKED) items;\n");
# The first 1,000 rows stay. (Searches for them are checked later: under this load, up to 97 % of
# the graph's nodes are dead at times.)
append_to_file("$dir/search.sql", "\\set i random(1, 1000)\nSET enable_seqscan = off;\nSET hnsw.ef_search = 100;\n"
	  . "SELECT id, v <-> (SELECT v FROM items WHERE id = :i) FROM items ORDER BY v <-> (SELECT v FROM items WHERE id = :i) LIMIT 10;\n");
append_to_file("$dir/many.sql", "\\set i random(1, 1000)\nSET enable_seqscan = off;\n"
	  . "SELECT 1 / (count(*) / 300) FROM (SELECT id FROM items ORDER BY s <-> (SELECT s FROM items WHERE id = :i) LIMIT 300) x;\n");

# A scan of all lists returns these rows and, in one snapshot, as many others as the table has.
append_to_file("$dir/lists.sql", "\\set i random(1, 1000)\nSET enable_seqscan = off;\nSET ivfflat.probes = 4;\n"
	  . "WITH a AS MATERIALIZED (SELECT id FROM items ORDER BY w <-> (SELECT w FROM items WHERE id = :i))\n"
	  . "SELECT 1 / (count(*) = count(DISTINCT a.id) AND count(*) FILTER (WHERE id <= 1000) = 1000 AND count(*) = (SELECT count(*) FROM items WHERE id > 0))::integer FROM a;\n");

my ($out, $err, $out2, $err2) = ('', '', '', '');
my $load = IPC::Run::start([ 'pgbench', '-n', '-c', '4', '-T', $seconds, '-f', "$dir/add.sql\@10", '-f', "$dir/delete.sql\@10",
	'-f', "$dir/vacuum.sql\@1", $primary->connstr('postgres') ], '>', \$out, '2>', \$err);
my $look = IPC::Run::start([ 'pgbench', '-n', '-c', '4', '-T', $seconds, '-f', "$dir/search.sql\@4", '-f', "$dir/many.sql\@1", '-f', "$dir/lists.sql\@2",
	$standby->connstr('postgres') ], '>', \$out2, '2>', \$err2);
ok($look->finish, 'queries on the standby do not fail') or diag($err2);
ok($load->finish, 'the load on the primary does not fail') or diag($err);
note((grep { /processed/ } split /\n/, $out)[0] . ' on the primary, ' . (grep { /processed/ } split /\n/, $out2)[0] . ' on the standby');
my $wal = $primary->safe_psql('postgres', "SELECT pg_size_pretty(pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0'))");
note("$seconds s, $wal of WAL");

$primary->wait_for_catchup($standby, 'replay', $primary->lsn('insert'));
my $check = q{SELECT * FROM hnsw_check('items_v', true) UNION ALL SELECT * FROM hnsw_check('items_s', true)
	UNION ALL SELECT * FROM ivfflat_check('items_w', true)};
my $rows = $primary->safe_psql('postgres', 'SELECT count(*), sum(id) FROM items');
is($standby->safe_psql('postgres', 'SELECT count(*), sum(id) FROM items'), $rows, 'the standby has the rows');
unlike(slurp_file($standby->logfile), qr/inconsistent page found/, 'the pages of the standby are the same');
$primary->safe_psql('postgres', 'VACUUM (INDEX_CLEANUP ON) items');
$primary->safe_psql('postgres', "SELECT pg_create_restore_point('here')");
$rows = $primary->safe_psql('postgres', 'SELECT count(*), sum(id) FROM items');
is($primary->safe_psql('postgres', $check), '', 'the verifier finds nothing on the primary');
$primary->wait_for_catchup($standby, 'replay', $primary->lsn('insert'));
is($standby->safe_psql('postgres', $check), '', 'nor on the standby');
is(lost_rows($standby, 'items', where => 'id <= 1000', ef_search => 200), '', 'the rows that stayed are found on the standby');
is(differs($standby, 'items', column => 'w'), '', 'a scan of all lists finds every row on the standby');

# Changes after the restore point must be missing.
$primary->safe_psql('postgres', 'SELECT add(500); DELETE FROM items WHERE id % 3 = 0; VACUUM (INDEX_CLEANUP ON) items; SELECT pg_switch_wal()');
my $past = PostgreSQL::Test::Cluster->new('past');
$past->init_from_backup($primary, 'start', has_restoring => 1);
$past->append_conf('postgresql.conf', "recovery_target_name = 'here'\nrecovery_target_action = 'promote'\n");
$past->start;
$past->poll_query_until('postgres', 'SELECT NOT pg_is_in_recovery()') or die 'no promotion';
is($past->safe_psql('postgres', 'SELECT count(*), sum(id) FROM items'), $rows, 'recovery to a point in time: the rows are there');
is($past->safe_psql('postgres', $check), '', 'recovery to a point in time: the verifier finds nothing');
$past->safe_psql('postgres', 'SELECT add(100)');
is($past->safe_psql('postgres', $check), '', 'recovery to a point in time: the verifier finds nothing after inserts');
done_testing();
