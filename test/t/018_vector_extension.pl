# Extension "vector", quiver under the name of pgvector's extension, and databases that pgvector made. What pgvector
# itself would have made is made here without it: the catalog by version 0.8.6 of "vector", which has only what
# pgvector has, and an index by its first page. (019 uses pgvector.)
use strict;
use warnings;
use FindBin;
use lib "$FindBin::RealBin/..";
use IndexTest qw(vectors);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('node');
$node->init;
$node->append_conf('postgresql.conf', "autovacuum = off\n");
$node->start;

# The output of a session, and its messages.
sub session
{
	my ($db, @statements) = @_;
	my ($out, $err) = ('', '');
	$node->psql($db, "\\set VERBOSITY verbose\n" . join(";\n", @statements) . ';', stdout => \$out, stderr => \$err, on_error_stop => 0);
	return ($out, $err);
}
sub database { my ($name) = @_; $node->safe_psql('postgres', "CREATE DATABASE $name"); return $name; }

# All objects of an extension, with definitions.
sub members
{
	my ($db, $extension) = @_;
	return $node->safe_psql($db, qq{
		WITH m AS (SELECT d.classid, d.objid, i.type, i.identity FROM pg_depend d, pg_identify_object(d.classid, d.objid, 0) i
			WHERE d.refclassid = 'pg_extension'::regclass AND d.deptype = 'e' AND d.refobjid = (SELECT oid FROM pg_extension WHERE extname = '$extension'))
		SELECT type, identity,
			CASE classid WHEN 'pg_proc'::regclass THEN (SELECT CASE prokind WHEN 'a' THEN proname ELSE pg_get_functiondef(p.oid) END FROM pg_proc p WHERE p.oid = objid)
				WHEN 'pg_type'::regclass THEN (SELECT concat_ws(' ', typlen, typbyval, typstorage, typinput, typoutput, typreceive, typsend, typmodin, typmodout) FROM pg_type t WHERE t.oid = objid)
				WHEN 'pg_opclass'::regclass THEN (SELECT (SELECT string_agg(concat_ws(' ', amprocnum, amproc), ',' ORDER BY amprocnum) FROM pg_amproc WHERE amprocfamily = opcfamily)
					|| ' ' || (SELECT string_agg(concat_ws(' ', amopstrategy, amopopr::regoperator), ',' ORDER BY amopstrategy, amopopr) FROM pg_amop WHERE amopfamily = opcfamily) FROM pg_opclass c WHERE c.oid = objid)
				WHEN 'pg_cast'::regclass THEN (SELECT concat_ws(' ', castfunc::regprocedure, castcontext) FROM pg_cast c WHERE c.oid = objid)
				WHEN 'pg_operator'::regclass THEN (SELECT concat_ws(' ', oprcode, oprcom::regoperator, oprnegate::regoperator, oprrest, oprjoin) FROM pg_operator o WHERE o.oid = objid) END
		FROM m ORDER BY 1, 2});
}

# ---- one of the two in a database ----

my $vector = database('vector');
my $quiver = database('quiver');
$node->safe_psql($vector, 'CREATE EXTENSION IF NOT EXISTS vector');
$node->safe_psql($quiver, 'CREATE EXTENSION quiver');
my $version = $node->safe_psql($vector, "SELECT extversion FROM pg_extension WHERE extname = 'vector'");
like($version, qr/^0\.8\.6\d\d$/, 'vector has the version of the pgvector whose interface it has, and two digits');
for (my @names = ('vector', 'quiver'); @names; shift @names)
{
	my $other = $names[0] eq 'vector' ? 'quiver' : 'vector';
	my (undef, $err) = session($names[0], "CREATE EXTENSION IF NOT EXISTS $other", "CREATE SCHEMA s", "CREATE EXTENSION $other SCHEMA s");
	is(scalar(() = $err =~ /ERROR:  42710: cannot create extension "$other" in a database that has extension "$names[0]"/g), 2, "$names[0], then $other: a clear error");
}
my $names = sub { return join "\n", sort grep { !/^function\|public\.hnsw_\w+_support/ } map { /^([a-z ]+\|\S+?\)?)\|/ ? $1 : () } split /\n(?=[a-z ]+\|)/, $_[0]; };
my $new = members($vector, 'vector');
is($names->($new), $names->(members($quiver, 'quiver')), 'both have the same objects');
cmp_ok(length($new), '>', 10_000, 'and these are many');
is($node->safe_psql($vector, "SELECT count(*) FROM pg_proc WHERE probin NOT IN ('\$libdir/vector') AND probin LIKE '%vector%' OR probin LIKE '%quiver%'"), '0', 'all C functions of vector name the library vector');

# ---- two names of one library ----

my ($out, $err) = session($vector, "LOAD 'quiver'", "LOAD 'vector'", "SET hnsw.ef_search = 7", q{SELECT '[3,4]'::vector <-> '[0,0]'}, 'SHOW hnsw.ef_search');
is("$out|$err", "5\n7|", 'a session that loads both names has one library');
$node->append_conf('postgresql.conf', "shared_preload_libraries = 'quiver, vector'");
$node->restart;
is($node->safe_psql($vector, q{SELECT '[3,4]'::vector <-> '[0,0]'}), '5', 'so has a server that loads both at its start');
$node->append_conf('postgresql.conf', "shared_preload_libraries = ''");
$node->restart;

# ---- everything works under this name, in any schema ----

my $elsewhere = database('elsewhere');
$node->safe_psql($elsewhere, q{CREATE SCHEMA "other place"; CREATE EXTENSION vector SCHEMA "other place"; SET search_path = public, "other place";
	CREATE TABLE items AS SELECT * FROM (} . vectors(1, 300, 8) . ') x(id, v)');
is($node->safe_psql($elsewhere, q{SET search_path = public, "other place"; SELECT options, recall > 0.5 FROM hnsw_advise('items', 'v', sample => 200) LIMIT 1}), '|t', 'hnsw_advise');
is($node->safe_psql($elsewhere, q{SET search_path = public, "other place"; SELECT options, recall > 0.2 FROM ivfflat_advise('items', 'v', sample => 200) LIMIT 1}), '|t', 'ivfflat_advise');
my $dump = PostgreSQL::Test::Utils::tempdir . '/dump';
$node->command_ok([ 'pg_dump', '-f', $dump, $node->connstr($elsewhere) ], 'pg_dump');
like(slurp_file($dump), qr/^CREATE EXTENSION IF NOT EXISTS vector WITH SCHEMA "other place";$/m, 'the dump creates extension vector');
unlike(slurp_file($dump), qr/hnsw_|quiver/, 'and none of its members');

# ---- a database that pgvector made ----

# An index of pgvector's begins with its magic number, and its pages end with its own id.
sub made_by_pgvector
{
	my ($db, @indexes) = @_;
	my @files = map { $node->data_dir . '/' . $node->safe_psql($db, "SELECT pg_relation_filepath('$_')") } @indexes;
	$node->stop;
	for my $file (@files)
	{
		open my $f, '+<:raw', $file or die $!;
		seek($f, 24, 0);
		print $f pack('L', 0xA953A953), pack('L', 1);
		seek($f, 8192 - 8, 0);
		print $f pack('L S S', 0xFFFFFFFF, 0, 0xFF90);
		close $f;
	}
	$node->start;
	return;
}
sub pgvectors_database
{
	my ($name, $from) = @_;
	database($name);
	$node->safe_psql($name, q{CREATE EXTENSION vector VERSION '0.8.6';
		CREATE TABLE items (id integer PRIMARY KEY, v vector(20), h halfvec(20), note text);
		INSERT INTO items SELECT i, v, v::halfvec(20), 'note ' || i FROM (} . vectors(1, 500, 20) . q{) x(i, v);
		CREATE INDEX items_v ON items USING hnsw (v vector_l2_ops) WITH (m = 8);
		CREATE INDEX "items H" ON items USING hnsw (h halfvec_cosine_ops);
		CREATE VIEW nearest AS SELECT id FROM items ORDER BY v <-> (SELECT v FROM items WHERE id = 77) LIMIT 3});
	# What pgvector did not have before 0.8.0.
	$node->safe_psql($name, join ';', map { "ALTER EXTENSION vector DROP CAST ($_\[] AS sparsevec); DROP CAST ($_\[] AS sparsevec);
		ALTER EXTENSION vector DROP FUNCTION array_to_sparsevec($_\[], integer, boolean); DROP FUNCTION array_to_sparsevec($_\[], integer, boolean)" }
		  qw(integer real float8 numeric)) if $from =~ /^0\.7/;
	$node->safe_psql($name, "UPDATE pg_extension SET extversion = '$from' WHERE extname = 'vector'");
	made_by_pgvector($name, 'items_v', '"items H"');
	return $name;
}

for my $from ('0.7.0', '0.7.4', '0.8.0', '0.8.5', '0.8.6')
{
	my $db = pgvectors_database('from_' . ($from =~ tr/./_/r), $from);
	my $rows = "SELECT md5(string_agg(i::text, ',' ORDER BY id)) FROM items i";
	my $before = $node->safe_psql($db, $rows);
	my $rebuild = 'ERROR:  55000: index "items(_v| H)" was built by pgvector\n(.*\n)*?HINT:  Run REINDEX INDEX CONCURRENTLY public\.("items H"|items_v)\.';

	# Reads do without the index, and say so.
	for my $set ('SET enable_seqscan = on', 'SET enable_seqscan = off')
	{
		my ($out, $err) = session($db, $set, 'SELECT * FROM nearest', 'SELECT count(*) FROM items WHERE v <-> (SELECT v FROM items WHERE id = 3) < 1');
		like($out, qr/^77\n\d+\n\d+\n\d+$/, "$from, $set: a query answers without the index");
		like($err, qr/WARNING:  55000: index "items_v" was built by pgvector\nDETAIL.*\nHINT:  Run REINDEX INDEX CONCURRENTLY public\.items_v\.$/m, "$from, $set: with a warning");
		unlike($err, qr/ERROR/, "$from, $set: and no error");
	}
	for my $statement ('INSERT INTO items (id, v) SELECT -1, v FROM items WHERE id = 1', 'UPDATE items SET v = v, id = id + 1000 WHERE id = 1',
		'DELETE FROM items WHERE id > 490; VACUUM (INDEX_CLEANUP ON) items')
	{
		like((session($db, $statement))[1], qr/$rebuild/, "$from: error in $statement");
	}
	is($node->safe_psql($db, 'SELECT count(*) FROM items'), '490', "$from: VACUUM that fails loses nothing");
	is((session($db, 'ANALYZE items', 'VACUUM (INDEX_CLEANUP OFF) items', "INSERT INTO items (id, note) VALUES (-2, 'no vector')", 'DELETE FROM items WHERE id = -2'))[1], '',
		"$from: ANALYZE, VACUUM without indexes, and rows without vectors work");

	# The update gives what a new installation has.
	$node->safe_psql($db, 'ALTER EXTENSION vector UPDATE');
	is($node->safe_psql($db, "SELECT extversion FROM pg_extension WHERE extname = 'vector'"), $version, "$from: updated");
	is(members($db, 'vector'), $new, "$from: the objects are those of a new extension");
	is($node->safe_psql($db, 'SELECT * FROM quiver_adopt() ORDER BY 1::text'),
		"items_v|built by pgvector|REINDEX INDEX CONCURRENTLY public.items_v;\n" . "\"items H\"|built by pgvector|REINDEX INDEX CONCURRENTLY public.\"items H\";",
		"$from: quiver_adopt lists the indexes");
	like((session($db, "SELECT * FROM hnsw_meta('items_v')"))[1], qr/$rebuild/, "$from: hnsw_meta");
	like((session($db, "SELECT * FROM hnsw_check('items_v', true)"))[1], qr/$rebuild/, "$from: hnsw_check");
	$node->safe_psql($db, 'CREATE ROLE nobody_' . ($from =~ tr/./_/r));
	is($node->safe_psql($db, 'SET ROLE nobody_' . ($from =~ tr/./_/r) . '; SELECT count(*) FROM quiver_adopt()'), '0', "$from: only to their owner");

	$node->psql($db, "SELECT statement FROM quiver_adopt() \\gexec", on_error_die => 1);
	is($node->safe_psql($db, 'SELECT count(*) FROM quiver_adopt()'), '0', "$from: after its statements there are none");
	is($node->safe_psql($db, "DELETE FROM items WHERE false; SELECT count(*) FROM hnsw_check('items_v', true) UNION ALL SELECT count(*) FROM hnsw_check('\"items H\"', true)"), "0\n0", "$from: the verifier finds nothing");
	is((session($db, 'SET enable_seqscan = off', 'SELECT * FROM nearest', "INSERT INTO items SELECT 1000 + id, v, h, note FROM items", 'DELETE FROM items WHERE id % 3 = 0', 'VACUUM items'))[1], '',
		"$from: reads, writes and VACUUM work without warnings");
	is($node->safe_psql($db, "SELECT count(*) FROM hnsw_check('items_v', true)"), '0', "$from: the verifier still finds nothing");
	next unless $from eq '0.8.6';

	# The way back.
	$node->safe_psql($db, 'CREATE TABLE codes (q quantizer); CREATE INDEX items_f ON items USING hnsw (v vector_l2_ops, id); CREATE VIEW fused AS SELECT rrf_score(1)');
	my $back = "ALTER EXTENSION vector UPDATE TO '0.8.6'";
	like((session($db, $back))[1], qr/ERROR:  2BP01: cannot update extension "vector" to version 0\.8\.6: it does not have a type that column q of table codes uses/, 'way back: a column of a type that pgvector lacks');
	$node->safe_psql($db, 'DROP TABLE codes');
	like((session($db, $back))[1], qr/ERROR:  2BP01: .*(view fused|items_f)/s, 'a view with a function that it lacks');
	$node->safe_psql($db, 'DROP VIEW fused');
	like((session($db, $back))[1], qr/ERROR:  2BP01: .*index items_f depends on operator class int4_filter_ops/s, 'an index with a filter column');
	$node->safe_psql($db, 'DROP INDEX items_f');
	$node->safe_psql($db, $back);
	my $plain = database('plain');
	$node->safe_psql($plain, "CREATE EXTENSION vector VERSION '0.8.6'");
	is(members($db, 'vector'), members($plain, 'vector'), 'then the objects are those of pgvector 0.8.6');
}

# ---- pg_upgrade takes such a database, with its indexes ----

my $db = pgvectors_database('upgraded', '0.8.6');
my $answer = $node->safe_psql($db, 'SELECT * FROM nearest');
$node->safe_psql('postgres', "DROP DATABASE $_") for $quiver, $elsewhere;
$node->stop;
my $upgraded = PostgreSQL::Test::Cluster->new('upgraded');
$upgraded->init;
chomp(my $bin = `pg_config --bindir`);
chdir PostgreSQL::Test::Utils::tempdir;
command_ok([ "$bin/pg_upgrade", '-b', $bin, '-B', $bin, '-d', $node->data_dir, '-D', $upgraded->data_dir,
		'-s', $upgraded->host, '-p', $node->port, '-P', $upgraded->port ], 'pg_upgrade');
$upgraded->start;
is($upgraded->safe_psql($db, 'SELECT * FROM nearest'), $answer, 'the upgraded cluster answers the same');
is($upgraded->safe_psql($db, "SELECT extversion FROM pg_extension WHERE extname = 'vector'"), '0.8.6', 'the extension has its version');
isnt($upgraded->psql($db, 'INSERT INTO items (id, v) SELECT -1, v FROM items WHERE id = 1'), 0, 'the index is still not ours');
$upgraded->safe_psql($db, 'ALTER EXTENSION vector UPDATE');
$upgraded->psql($db, "SELECT statement FROM quiver_adopt() \\gexec", on_error_die => 1);
is($upgraded->safe_psql($db, "INSERT INTO items (id, v) SELECT -1, v FROM items WHERE id = 1; SELECT count(*) FROM hnsw_check('items_v', true)"), '0', 'after REINDEX it is');
done_testing();
