# A subscriber whose tables have hnsw indexes: the initial copy, changes that are applied row by
# row, transactions that are sent while they run, TRUNCATE, and a crash of the subscriber. Its
# indexes must have the rows of its tables.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use FindBin;
use lib "$FindBin::RealBin/..";
use IndexTest qw(problems lost_rows finds_all);

my ($publisher, $subscriber) = map { PostgreSQL::Test::Cluster->new($_) } 'publisher', 'subscriber';
$publisher->init(allows_streaming => 'logical');
# Larger transactions are sent before they end.
$publisher->append_conf('postgresql.conf', "autovacuum = off\njit = off\nlogical_decoding_work_mem = 64kB\n");
$subscriber->init(allows_streaming => 'logical');
$subscriber->append_conf('postgresql.conf', "autovacuum = off\njit = off\nmax_logical_replication_workers = 10\n");
$_->start for $publisher, $subscriber;
my $table = 'CREATE EXTENSION quiver; CREATE TABLE items (id serial PRIMARY KEY, v vector(16), h halfvec(40), n integer DEFAULT 0);
	CREATE TABLE whole (id integer, v vector(16)); ALTER TABLE whole REPLICA IDENTITY FULL';
$_->safe_psql('postgres', $table) for $publisher, $subscriber;
$publisher->safe_psql('postgres', q{
	CREATE FUNCTION random_vector(k integer) RETURNS vector LANGUAGE sql VOLATILE AS
		'SELECT array_agg(random())::vector FROM generate_series(1, k)';
	CREATE FUNCTION add(k integer) RETURNS void LANGUAGE sql VOLATILE AS
		'INSERT INTO items (v, h) SELECT random_vector(16), random_vector(40)::halfvec FROM generate_series(1, k)';
	SELECT add(500);
	INSERT INTO whole SELECT id, v FROM items LIMIT 200;
	CREATE PUBLICATION p FOR TABLE items, whole;});
$subscriber->safe_psql('postgres', q{
	CREATE INDEX items_v ON items USING hnsw (v vector_l2_ops) WITH (m = 8);
	CREATE INDEX items_h ON items USING hnsw (h halfvec_cosine_ops) WITH (m = 8, vector_bits = 4) WHERE n < 5;
	CREATE INDEX whole_v ON whole USING hnsw (v vector_l2_ops);});
$subscriber->safe_psql('postgres', "CREATE SUBSCRIPTION s CONNECTION '" . $publisher->connstr . q{ dbname=postgres' PUBLICATION p WITH (streaming = on)});

# Checks that the subscriber's tables and indexes have the publisher's rows.
sub same
{
	my ($what, %options) = @_;
	$publisher->wait_for_catchup('s');
	for my $t ('items', 'whole')
	{
		my $rows = "SELECT count(*), md5(string_agg($t\::text, ' ' ORDER BY id, v)) FROM $t";
		is($subscriber->safe_psql('postgres', $rows), $publisher->safe_psql('postgres', $rows), "$what: the rows of $t are the publisher's");
		finds_all($subscriber, "$what, $t", $t, $subscriber->safe_psql('postgres', "SELECT count(*) FROM $t"), limit => 300);
	}
	is(problems($subscriber), '', "$what: the verifier finds nothing") unless $options{interrupted};
	return;
}

$subscriber->poll_query_until('postgres', "SELECT count(*) = 2 FROM pg_subscription_rel WHERE srsubstate = 'r'") or die 'no first copy';
same('the first copy');
$publisher->safe_psql('postgres', $_) for 'SELECT add(300)', 'UPDATE items SET n = n + 1 WHERE id % 3 = 0', 'UPDATE items SET v = random_vector(16) WHERE id % 4 = 1',
  'DELETE FROM items WHERE id % 5 = 2', 'UPDATE items SET n = 10 WHERE id % 7 = 0', 'DELETE FROM whole WHERE id % 2 = 0', 'UPDATE whole SET v = v * v WHERE id % 3 = 1';
same('row by row');
$subscriber->safe_psql('postgres', 'VACUUM (INDEX_CLEANUP ON) items');
$publisher->safe_psql('postgres', $_) for 'SELECT add(200)', 'BEGIN; SELECT add(100); SAVEPOINT a; SELECT add(100); DELETE FROM items WHERE id % 11 = 0; ROLLBACK TO a; SELECT add(50); COMMIT',
  'BEGIN; SELECT add(100); DELETE FROM items; ROLLBACK';
same('savepoints');
# Large transactions, which are sent while they run; one fails.
$publisher->safe_psql('postgres', 'BEGIN; SELECT add(1500); UPDATE items SET v = random_vector(16) WHERE id % 2 = 0; SAVEPOINT a; SELECT add(1000); ROLLBACK TO a; SELECT add(100); COMMIT');
$publisher->safe_psql('postgres', 'BEGIN; SELECT add(1500); DELETE FROM items; ROLLBACK');
cmp_ok($publisher->safe_psql('postgres', 'SELECT stream_txns FROM pg_stat_replication_slots'), '>', 0, 'some were sent while they ran') if $publisher->safe_psql('postgres', 'SHOW server_version_num') >= 140000;
same('large transactions');
# Deletes all rows and inserts others, with VACUUM and with TRUNCATE between.
for my $round (1 .. 3)
{
	$publisher->safe_psql('postgres', 'DELETE FROM items');
	$publisher->wait_for_catchup('s');
	$subscriber->safe_psql('postgres', 'VACUUM (INDEX_CLEANUP ON) items');
	$publisher->safe_psql('postgres', 'SELECT add(200)');
}
same('emptied and filled again');
$publisher->safe_psql('postgres', 'BEGIN; SELECT add(50); TRUNCATE items, whole; SELECT add(300); TRUNCATE items; SELECT add(250); INSERT INTO whole SELECT id, v FROM items; COMMIT');
same('TRUNCATE');
# After a crash, the subscriber continues where it was.
$publisher->safe_psql('postgres', 'SELECT add(500)');
$subscriber->stop('immediate');
$publisher->safe_psql('postgres', 'SELECT add(200); DELETE FROM items WHERE id % 3 = 0');
$subscriber->start;
# An insert that the crash interrupted may have left a node that nothing links to. VACUUM removes it.
same('a crash of the subscriber', interrupted => 1);
$subscriber->safe_psql('postgres', 'VACUUM (INDEX_CLEANUP ON) items');
same('and VACUUM');
unlike(slurp_file($_->logfile), qr/terminated by signal|PANIC/, 'nothing crashed') for $publisher, $subscriber;
done_testing();
