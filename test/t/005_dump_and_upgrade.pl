# An index and its rows survive pg_dump and restore, pg_upgrade and pg_basebackup.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $old = PostgreSQL::Test::Cluster->new('old');
$old->init(allows_streaming => 1);
$old->start;
$old->safe_psql('postgres', q{
	CREATE EXTENSION quiver;
	CREATE TABLE items (id integer, v vector(20), h halfvec(20), tags text[]);
	INSERT INTO items SELECT i, v, v::halfvec, ARRAY['a' || i % 3, 'b' || i % 5] FROM
		(SELECT i, (SELECT array_agg(sin(i * j)) FROM generate_series(1, 20) j)::vector(20) AS v FROM generate_series(1, 500) i) x;
	CREATE INDEX items_v ON items USING hnsw (v vector_cosine_ops, (id % 4), tags) WITH (m = 8, ef_construction = 40, vector_bits = 2);
	CREATE INDEX items_h ON items USING hnsw (h halfvec_l1_ops);
	DELETE FROM items WHERE id % 10 = 0;
	CREATE TABLE quantizers AS SELECT pq_train(v, 5) AS q FROM items;
	CREATE TABLE codes AS SELECT id, quantize(q, v) AS code FROM items, quantizers;});
my $question = q{SET enable_seqscan = off; SELECT string_agg(id::text, ',') FROM
	(SELECT id FROM items ORDER BY v <=> (SELECT v FROM items WHERE id = 77) LIMIT 5) x};
my $filtered = q{SET enable_seqscan = off; SET hnsw.iterative_scan = relaxed_order; SELECT count(*), min(id), max(id), bool_and(id % 4 = 1 AND tags && '{a1,b2}') FROM
	(SELECT * FROM items WHERE id % 4 = 1 AND tags && '{a1,b2}' ORDER BY v <=> (SELECT v FROM items WHERE id = 77)) x};
my $check = q{SELECT * FROM hnsw_check('items_v', true) UNION ALL SELECT * FROM hnsw_check('items_h', true)};
my $codes = q{SELECT (SELECT md5(q::text) FROM quantizers), md5(string_agg(code::text, ',' ORDER BY id)),
	(SELECT string_agg(id::text, ',') FROM (SELECT id FROM codes ORDER BY code <-> (SELECT quantized_query(q, v) FROM quantizers, items WHERE id = 77), id LIMIT 5) x) FROM codes};
my $coded = $old->safe_psql('postgres', $codes);
my $answer = $old->safe_psql('postgres', $question);
like($answer, qr/^77,/, 'the old cluster answers');
my $matches = $old->safe_psql('postgres', $filtered);
is($matches, $old->safe_psql('postgres', "SELECT count(*), min(id), max(id), true FROM items WHERE id % 4 = 1 AND tags && '{a1,b2}'"), 'the old cluster answers with a filter');

my $dump = PostgreSQL::Test::Utils::tempdir . '/dump';
$old->command_ok([ 'pg_dump', '-Fc', '-f', $dump, $old->connstr('postgres') ], 'pg_dump');
$old->safe_psql('postgres', 'CREATE DATABASE restored');
$old->command_ok([ 'pg_restore', '-d', $old->connstr('restored'), $dump ], 'pg_restore');
is($old->safe_psql('restored', $question), $answer, 'the restored database answers the same');
is($old->safe_psql('restored', $filtered), $matches, 'the restored database answers the same with a filter');
is($old->safe_psql('restored', $check), '', 'the verifier finds nothing in the restored database');
is($old->safe_psql('restored', $codes), $coded, 'the restored database has the same quantizer and codes');
is($old->safe_psql('restored', "SELECT m, ef_construction, sketch_bits FROM hnsw_meta('items_v')"), '8|40|64', 'the restored index has its options');

$old->backup('base');
my $copy = PostgreSQL::Test::Cluster->new('copy');
$copy->init_from_backup($old, 'base');
$copy->start;
is($copy->safe_psql('postgres', $check), '', 'the verifier finds nothing in a base backup');
$copy->stop;

$old->stop;
my $new = PostgreSQL::Test::Cluster->new('new');
$new->init;
chomp(my $bin = `pg_config --bindir`);
chdir PostgreSQL::Test::Utils::tempdir;
command_ok([ "$bin/pg_upgrade", '-b', $bin, '-B', $bin, '-d', $old->data_dir, '-D', $new->data_dir,
		'-s', $new->host, '-p', $old->port, '-P', $new->port ], 'pg_upgrade');
$new->start;
is($new->safe_psql('postgres', $question), $answer, 'the upgraded cluster answers the same');
is($new->safe_psql('postgres', $filtered), $matches, 'the upgraded cluster answers the same with a filter');
is($new->safe_psql('postgres', $check), '', 'the verifier finds nothing in the upgraded cluster');
is($new->safe_psql('postgres', $codes), $coded, 'the upgraded cluster has the same quantizer and codes');
$new->safe_psql('postgres', 'VACUUM (INDEX_CLEANUP ON) items; INSERT INTO items (id, v, h) SELECT 1000 + id, v, h FROM items');
is($new->safe_psql('postgres', $check), '', 'the verifier finds nothing after vacuum and inserts');
done_testing();
