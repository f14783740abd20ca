# A database that pgvector itself made is used with quiver in its place, and goes back to pgvector.
#
# PGVECTOR_DIR is a folder with pgvector for this version of PostgreSQL: vector.so, vector.control and its scripts, in any
# folders below, as "make install DESTDIR=..." of pgvector or its package gives them. ./check sets it if the machine's
# server has pgvector. Without it there is nothing to test.
#   QUIVER_ROWS=100000 prove ...     rows of the table (3,000)
use strict;
use warnings;
use FindBin;
use lib "$FindBin::RealBin/..";
use IndexTest qw(lost_rows vectors);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $pgvector = $ENV{PGVECTOR_DIR};
plan skip_all => 'there is no pgvector: set PGVECTOR_DIR' if !defined $pgvector || $pgvector eq '';
my $rows = $ENV{QUIVER_ROWS} // 3000;
sub files { my ($name) = @_; return split /\n/, `find '$pgvector' -name '$name'`; }
my ($library) = files('vector.so');
my ($control) = files('vector.control');
die "no vector.so and vector.control in PGVECTOR_DIR=$pgvector" unless $library && $control;
unlike(slurp_file($control), qr/quiver/, 'PGVECTOR_DIR has pgvector');

# A copy of the server, with pgvector.
my %dir;
chomp($dir{$_} = `pg_config --$_`) for qw(bindir pkglibdir sharedir);
my $copy = PostgreSQL::Test::Utils::tempdir . '/server';
mkdir $copy or die $!;
system_or_bail('cp', '-r', '--parents', $dir{$_}, $copy) for qw(bindir pkglibdir sharedir);
# (./check may have put a script in the place of the program.)
if (-e "$copy$dir{bindir}/postgres.real") { rename "$copy$dir{bindir}/postgres.real", "$copy$dir{bindir}/postgres" or die $!; }
system_or_bail('sh', '-c', "rm -f '$copy$dir{sharedir}'/extension/vector* '$copy$dir{pkglibdir}/vector.so'");
system_or_bail('cp', $library, "$copy$dir{pkglibdir}/vector.so");
system_or_bail('cp', $control, files('vector--*.sql'), "$copy$dir{sharedir}/extension");
# (As managed services have it: roles that are no superusers can create the extension.)
append_to_file("$copy$dir{sharedir}/extension/vector.control", "trusted = true\n");

my $node = PostgreSQL::Test::Cluster->new('node');
$node->init;
$node->append_conf('postgresql.conf', "autovacuum = off\nmaintenance_work_mem = '256MB'\n");
my $path = $ENV{PATH};
sub start_with
{
	my ($server) = @_;
	$node->stop if $node->_postmaster_running;
	$ENV{PATH} = $server eq 'pgvector' ? "$copy$dir{bindir}:$path" : $path;
	$node->start;
	return;
}
sub PostgreSQL::Test::Cluster::_postmaster_running { my ($self) = @_; return -e $self->data_dir . '/postmaster.pid'; }

# The messages of statements.
sub messages
{
	my (@statements) = @_;
	my $err = '';
	$node->psql('postgres', "\\set VERBOSITY verbose\n" . join(";\n", @statements) . ';', stderr => \$err, on_error_stop => 0);
	return $err;
}

# ---- made by pgvector ----

start_with('pgvector');
$node->safe_psql('postgres', 'CREATE EXTENSION vector');
my $made_by = $node->safe_psql('postgres', "SELECT extversion FROM pg_extension WHERE extname = 'vector'");
note("pgvector $made_by, $rows rows");
$node->safe_psql('postgres', q{
	CREATE TABLE items (id integer PRIMARY KEY, v vector(20), h halfvec(20), b bit(64), s sparsevec(50), tag integer);
	INSERT INTO items SELECT i, v, v::halfvec(20), (SELECT string_agg((sin(i * j) > 0)::integer::text, '') FROM generate_series(1, 64) j)::bit(64),
		format('{%s:1,%s:2.5}/50', 1 + i % 20, 25 + i % 25)::sparsevec(50), i % 10 FROM (} . vectors(1, $rows, 20) . q{) x(i, v);
	CREATE INDEX items_v ON items USING hnsw (v vector_cosine_ops);
	CREATE INDEX items_h ON items USING hnsw (h halfvec_l2_ops) WITH (m = 8, ef_construction = 40);
	CREATE INDEX items_b ON items USING hnsw (b bit_jaccard_ops);
	CREATE INDEX items_s ON items USING hnsw (s sparsevec_ip_ops);
	CREATE INDEX items_part ON items USING hnsw (v vector_l1_ops) WHERE tag = 3;
	CREATE OPERATOR CLASS own_ops FOR TYPE vector USING hnsw AS OPERATOR 1 <-> (vector, vector) FOR ORDER BY float_ops, FUNCTION 1 vector_l2_squared_distance(vector, vector);
	CREATE INDEX items_own ON items USING hnsw (v own_ops) WHERE tag = 4;
	CREATE TABLE flat AS SELECT id, v FROM items;
	CREATE INDEX flat_v ON flat USING ivfflat (v vector_l2_ops) WITH (lists = 20);
	CREATE MATERIALIZED VIEW means AS SELECT tag, avg(v) AS v FROM items GROUP BY tag;
	CREATE VIEW nearest AS SELECT id FROM items ORDER BY v <=> (SELECT v FROM items WHERE id = 77) LIMIT 5;
	CREATE FUNCTION near(vector) RETURNS SETOF integer LANGUAGE sql STABLE AS 'SELECT id FROM items ORDER BY v <=> $1 LIMIT 5'});
my $everything = q{SELECT (SELECT md5(string_agg(i::text, ',' ORDER BY id)) FROM items i), (SELECT md5(string_agg(m::text, ',' ORDER BY tag)) FROM means m),
	(SELECT md5(string_agg(vector_send(v)::text || halfvec_send(h)::text || sparsevec_send(s)::text, ',' ORDER BY id)) FROM items),
	(SELECT sum(vector_norm(v) ORDER BY id) || ' ' || sum(l2_norm(h) ORDER BY id) || ' ' || sum(vector_dims(h)) FROM items)};
my $exact = 'SET enable_indexscan = off; SELECT * FROM nearest';
my $before = $node->safe_psql('postgres', $everything);
my $answer = $node->safe_psql('postgres', $exact);

# Another database belongs to a role that is no superuser, and has the extension in a schema of its own.
$node->safe_psql('postgres', 'CREATE ROLE app LOGIN; CREATE DATABASE app OWNER app');
my $app = $node->connstr('app') . ' user=app';
sub as_app
{
	my ($statements, $db) = @_;
	my ($out, $err) = ('', '');
	$node->psql('', $statements, connstr => $db // $app, stdout => \$out, stderr => \$err, on_error_stop => 0);
	return "$out$err";
}
my $vector = q{(SELECT array_agg(round(100 * (2 + sin(i * j)))) FROM generate_series(1, 20) j)::vector};
is(as_app(qq{CREATE SCHEMA ext;
	CREATE EXTENSION vector SCHEMA ext;
	ALTER DATABASE app SET search_path = "\$user", public, ext;
	SET search_path = public, ext;
	GRANT ALL ON SCHEMA public TO app;
	CREATE SCHEMA "My App";
	CREATE DOMAIN embedding AS vector(20) CHECK (vector_norm(VALUE) > 0);
	CREATE TYPE pair AS (a vector(3), b halfvec(3));
	CREATE TABLE "My App".docs (id integer PRIMARY KEY, v vector(20) DEFAULT array_fill(1, ARRAY[20])::vector CHECK (vector_dims(v) = 20),
		n vector(20) GENERATED ALWAYS AS (l2_normalize(v)) STORED, d embedding, a halfvec(3)[], p pair, UNIQUE (v, id));
	INSERT INTO "My App".docs (id, v, d, a, p) SELECT i, v, v, ARRAY[subvector(v, 1, 3)::halfvec(3)], ROW(subvector(v, 1, 3)::vector(3), '[1,2,3]')::pair
		FROM (SELECT i, $vector AS v FROM generate_series(1, 1000) i) x;
	CREATE INDEX docs_n ON "My App".docs USING hnsw (n vector_ip_ops);
	CREATE INDEX docs_half ON "My App".docs USING hnsw ((v::halfvec(20)) halfvec_l2_ops);
	CREATE INDEX docs_bits ON "My App".docs USING hnsw ((binary_quantize(v)::bit(20)) bit_hamming_ops);
	CREATE TABLE parts (id integer, v vector(20)) PARTITION BY HASH (id);
	CREATE TABLE parts_0 PARTITION OF parts FOR VALUES WITH (MODULUS 2, REMAINDER 0);
	CREATE TABLE parts_1 PARTITION OF parts FOR VALUES WITH (MODULUS 2, REMAINDER 1);
	CREATE INDEX parts_v ON parts USING hnsw (v vector_l2_ops);
	INSERT INTO parts SELECT id, v FROM "My App".docs;
	CREATE UNLOGGED TABLE unlogged AS SELECT id, v FROM parts;
	CREATE INDEX unlogged_v ON unlogged USING hnsw (v vector_l2_ops);
	CREATE MATERIALIZED VIEW copies AS SELECT id, v FROM parts WITH NO DATA;
	CREATE INDEX copies_v ON copies USING hnsw (v vector_cosine_ops);
	CREATE AGGREGATE total (vector) (sfunc = vector_add, stype = vector)}), '', 'a database of a role that is no superuser')
  or BAIL_OUT('it could not be made');
my $docs = q{SET search_path = public, ext; SELECT md5(string_agg(d::text, ',' ORDER BY id)) FROM "My App".docs d UNION ALL SELECT total(v ORDER BY id)::text FROM parts UNION ALL SELECT count(*)::text FROM unlogged};
my $apps_rows = as_app($docs);
my $dump = PostgreSQL::Test::Utils::tempdir . '/dump';
$node->command_ok([ 'pg_dump', '-Fc', '-f', $dump, '-d', $app ], 'pg_dump, with pgvector');

# ---- used with quiver ----

start_with('quiver');
is($node->safe_psql('postgres', $everything), $before, 'all values are the same');
is($node->safe_psql('postgres', 'SELECT * FROM nearest'), $answer, 'a query answers exactly, without the index');
for my $query ('TABLE nearest', q{SELECT near('[1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20]')}, 'SELECT id FROM items ORDER BY h <-> (SELECT h FROM items WHERE id = 5) LIMIT 3',
	'SELECT id FROM items ORDER BY b <%> (SELECT b FROM items WHERE id = 5) LIMIT 3', 'SELECT id FROM items ORDER BY s <#> (SELECT s FROM items WHERE id = 5) LIMIT 3',
	'SELECT id FROM items WHERE tag = 3 ORDER BY v <+> (SELECT v FROM items WHERE id = 5) LIMIT 3', 'SELECT id FROM flat ORDER BY v <-> (SELECT v FROM flat WHERE id = 5) LIMIT 3')
{
	my $messages = messages('SET enable_seqscan = off', $query);
	like($messages, qr/WARNING:  (55000|0A000): index "(items|flat)_\w+" (was built by pgvector|cannot be used)/, "a warning: $query");
	unlike($messages, qr/ERROR/, "and no error: $query");
}
like(messages('INSERT INTO items (id, v) SELECT -1, v FROM items WHERE id = 1'), qr/ERROR:  55000: index "items_v" was built by pgvector\n(.*\n)*HINT:  Run REINDEX INDEX CONCURRENTLY public\.items_v\./, 'INSERT: an error');
like(messages("DELETE FROM items WHERE id = $rows", 'VACUUM (INDEX_CLEANUP ON) items'), qr/ERROR:  55000: index "items_\w+" was built by pgvector/, 'VACUUM: an error');
like(messages("DELETE FROM flat WHERE id = $rows", 'VACUUM (INDEX_CLEANUP ON) flat'), qr/ERROR:  \w+: index "flat_v"/, 'VACUUM with ivfflat: an error');
is(messages('ANALYZE', 'REFRESH MATERIALIZED VIEW means'), '', 'ANALYZE, REFRESH');

# ---- rebuilt, before and after the update of the extension ----

is(messages('REINDEX INDEX CONCURRENTLY items_v', 'REINDEX INDEX CONCURRENTLY items_h', 'REINDEX INDEX items_b', 'REINDEX INDEX items_s'), '', 'REINDEX needs no update');
$node->safe_psql('postgres', 'ALTER EXTENSION vector UPDATE');
like($node->safe_psql('postgres', 'SELECT * FROM quiver_adopt()'), qr/^items_part\|built by pgvector\|REINDEX INDEX CONCURRENTLY public.items_part;$/m, 'quiver_adopt lists what is left');
like($node->safe_psql('postgres', 'SELECT * FROM quiver_adopt()'), qr/^flat_v\|built by pgvector\|REINDEX INDEX CONCURRENTLY public.flat_v;$/m, 'an ivfflat index, too');
$node->psql('postgres', "SELECT statement FROM quiver_adopt() WHERE index IN ('items_part'::regclass, 'items_own'::regclass, 'flat_v'::regclass) \\gexec", on_error_die => 1);
is($node->safe_psql('postgres', q{SELECT count(*) FROM ivfflat_check('flat_v', true)}), 0, 'the verifier finds nothing in it');
is($node->safe_psql('postgres', 'SET enable_seqscan = off; SET ivfflat.probes = 20; SELECT id FROM flat ORDER BY v <-> (SELECT v FROM flat WHERE id = 5) LIMIT 3'),
	$node->safe_psql('postgres', 'SET enable_indexscan = off; SELECT id FROM flat ORDER BY v <-> (SELECT v FROM flat WHERE id = 5) LIMIT 3'), 'it answers');
my @rebuilt = qw(items_v items_h items_b items_s items_part items_own);
is($node->safe_psql('postgres', join ' UNION ALL ', map { "SELECT count(*) FROM hnsw_check('$_', true)" } @rebuilt), join("\n", (0) x @rebuilt), 'the verifier finds nothing');
is(messages('INSERT INTO items (id, v, h) SELECT -id, v, h FROM items WHERE id < 100', 'UPDATE items SET tag = 3 WHERE id < 200', 'DELETE FROM items WHERE id < -50', 'VACUUM items'), '', 'writes and VACUUM work');
is($node->safe_psql('postgres', join ' UNION ALL ', map { "SELECT count(*) FROM hnsw_check('$_', true)" } @rebuilt), join("\n", (0) x @rebuilt), 'the verifier still finds nothing');
is(lost_rows($node, 'items', operator => '<=>', limit => 300), '', 'rows are found by their own vectors');
$node->safe_psql('postgres', 'DELETE FROM items WHERE id < 0');

# ---- the database of a role that is no superuser ----

is(as_app($docs), $apps_rows, 'all values are the same');
like(as_app('INSERT INTO "My App".docs (id) VALUES (-1)'), qr/ERROR:  index "docs_n" was built by pgvector\n(.*\n)*HINT:  Run REINDEX INDEX CONCURRENTLY "My App"\.docs_n\./, 'INSERT: an error');
$node->safe_psql('postgres', 'CREATE DATABASE restored OWNER app');
(my $restored = $app) =~ s/app/restored/;
$node->command_ok([ 'pg_restore', '-e', '-d', $restored, $dump ], 'the dump that pgvector made is restored');
is(as_app($docs, $restored), $apps_rows, 'with all values');
is(as_app('ALTER EXTENSION vector UPDATE'), '', 'the role updates the extension');
my @apps = ((map { "\"My App\".docs_$_" } qw(n half bits)), qw(parts_0_v_idx parts_1_v_idx unlogged_v copies_v));
is(as_app('SELECT index FROM quiver_adopt() ORDER BY index'), join("\n", @apps), 'quiver_adopt lists what its tables have');
is(as_app("SELECT statement FROM quiver_adopt() \\gexec\nSELECT * FROM quiver_adopt()"), '', 'it rebuilds them');
is(as_app(q{REFRESH MATERIALIZED VIEW copies; INSERT INTO "My App".docs (id) VALUES (-1); INSERT INTO parts SELECT -id, v FROM parts; DELETE FROM unlogged WHERE id < 500} . join('', map { ";\nVACUUM $_" } '"My App".docs', 'parts', 'unlogged')), '', 'and writes');
is($node->safe_psql('app', 'SET search_path = public, ext; ' . join ' UNION ALL ', map { "SELECT count(*) FROM hnsw_check('$_', true)" } @apps), join("\n", (0) x @apps), 'the verifier finds nothing');
is(as_app(q{SET enable_seqscan = off; SELECT id FROM parts ORDER BY v <-> (SELECT v FROM parts WHERE id = 5), id LIMIT 2}), "-5\n5", 'a partitioned table answers');
is(as_app(q{ALTER EXTENSION vector UPDATE TO '0.8.6'}), '', 'the role goes back');

# ---- back to pgvector ----

my $now = $node->safe_psql('postgres', $everything);
$node->safe_psql('postgres', "ALTER EXTENSION vector UPDATE TO '0.8.6'");
start_with('pgvector');
is($node->safe_psql('postgres', $everything), $now, 'pgvector has all values');
isnt($node->psql('postgres', 'SET enable_seqscan = off; SELECT * FROM nearest'), 0, 'pgvector refuses the indexes that quiver built');
# (As the manual says.)
$node->psql($_, "SELECT format('REINDEX INDEX %s', c.oid::regclass) FROM pg_class c JOIN pg_am a ON a.oid = c.relam WHERE c.relkind = 'i' AND a.amname IN ('hnsw', 'ivfflat') \\gexec", on_error_die => 1)
  for 'postgres', 'app';
is($node->safe_psql('postgres', $exact), $answer, 'the same answer as at first');
is(as_app(q{SET enable_seqscan = off; SELECT id FROM parts ORDER BY v <-> (SELECT v FROM parts WHERE id = 5), id LIMIT 2}), "-5\n5", 'in the other database, too');
is(messages('SET enable_seqscan = off', 'TABLE nearest', 'INSERT INTO items (id, v, h) SELECT -id, v, h FROM items WHERE id < 10', 'DELETE FROM items WHERE id < 0', 'VACUUM items', 'VACUUM flat'), '', 'reads, writes and VACUUM work');
$node->stop;
done_testing();
