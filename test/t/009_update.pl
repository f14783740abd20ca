# Every earlier version of the extension can be updated. Afterwards its objects are those of a new
# installation. ./check installs an older version in its copy of the server (../update).
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('node');
$node->init;
$node->start;

# All objects that belong to the extension, with definitions and comments.
my $members = q{
	WITH m AS (SELECT d.classid, d.objid, i.type, i.identity FROM pg_depend d, pg_identify_object(d.classid, d.objid, 0) i
		WHERE d.refclassid = 'pg_extension'::regclass AND d.deptype = 'e' AND d.refobjid = (SELECT oid FROM pg_extension WHERE extname = 'quiver'))
	SELECT type, identity, coalesce(obj_description(objid, classid::regclass::name), '-'),
		CASE classid WHEN 'pg_proc'::regclass THEN (SELECT CASE prokind WHEN 'a' THEN proname ELSE pg_get_functiondef(p.oid) END FROM pg_proc p WHERE p.oid = objid)
			WHEN 'pg_type'::regclass THEN (SELECT concat_ws(' ', typlen, typbyval, typstorage, typinput, typoutput, typreceive, typsend, typmodin, typmodout) FROM pg_type t WHERE t.oid = objid)
			WHEN 'pg_operator'::regclass THEN (SELECT concat_ws(' ', oprcode, oprcom::regoperator, oprnegate::regoperator, oprrest, oprjoin, oprcanhash, oprcanmerge) FROM pg_operator o WHERE o.oid = objid) END
	FROM m ORDER BY 1, 2};
$node->safe_psql('postgres', 'CREATE EXTENSION quiver');
my $new = $node->safe_psql('postgres', $members);
my ($version) = $node->safe_psql('postgres', "SELECT extversion FROM pg_extension WHERE extname = 'quiver'");
cmp_ok(length($new), '>', 10_000, "version $version has members");

my @old = split /\n/, $node->safe_psql('postgres', "SELECT version FROM pg_available_extension_versions WHERE name = 'quiver' AND version <> '$version' ORDER BY 1");
cmp_ok(scalar(@old), '>', 0, 'there are earlier versions');
for my $old (@old)
{
	my $db = 'from_' . ($old =~ tr/./_/r);
	$node->safe_psql('postgres', "CREATE DATABASE $db");
	$node->safe_psql($db, qq{
		CREATE EXTENSION quiver VERSION '$old';
		CREATE TABLE items (id integer, v vector(20));
		INSERT INTO items SELECT i, (SELECT array_agg(sin(i * j)) FROM generate_series(1, 20) j)::vector(20) FROM generate_series(1, 500) i;
		CREATE INDEX items_v ON items USING hnsw (v vector_l2_ops);
		CREATE VIEW nearest AS SELECT id FROM items ORDER BY v <-> '[1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20]' LIMIT 3;});
	my $answer = $node->safe_psql($db, 'SET enable_seqscan = off; SELECT * FROM nearest');
	# With the old SQL objects, the new library asks for the update.
	my ($out, $err) = ('', '');
	$node->psql($db, "SELECT * FROM hnsw_stats('items_v')", stdout => \$out, stderr => \$err);
	like($err, qr/ALTER EXTENSION quiver UPDATE/, "$old: a function whose result changed asks for the update") if $old eq '0.1.0';
	$node->safe_psql($db, 'ALTER EXTENSION quiver UPDATE');
	is($node->safe_psql($db, "SELECT extversion FROM pg_extension WHERE extname = 'quiver'"), $version, "$old: updated");
	my %expected = map { $_ => 1 } split /\n(?=[a-z ]+\|)/, $new;
	my @differ = grep { !delete $expected{$_} } split /\n(?=[a-z ]+\|)/, $node->safe_psql($db, $members);
	is(join("\n", @differ, 'missing:', sort keys %expected), 'missing:', "$old: the same as a new $version");
	is($node->safe_psql($db, 'SET enable_seqscan = off; SELECT * FROM nearest'), $answer, "$old: views and indexes answer as before");
	is($node->safe_psql($db, "INSERT INTO items SELECT 1000 + id, v FROM items; SELECT * FROM hnsw_check('items_v', true)"), '', "$old: the verifier finds nothing");
	is($node->safe_psql($db, "SELECT rows FROM hnsw_stats('items_v')"), '1000', "$old: the changed function works");
	my $dump = PostgreSQL::Test::Utils::tempdir . "/$db";
	$node->command_ok([ 'pg_dump', '-f', $dump, $node->connstr($db) ], "$old: pg_dump");
	unlike(slurp_file($dump), qr/hnsw_stats/, "$old: the objects that the update created belong to the extension");
}
done_testing();
