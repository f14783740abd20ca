# The libraries of pgvector and quiver define the same settings. In a session that has loaded one of
# them, the other cannot be loaded. quiver reports that before it defines anything, and works in the
# next session.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

# A library that defines a setting, like pgvector's.
my $dir = PostgreSQL::Test::Utils::tempdir;
chomp(my ($cc, $include) = map { `pg_config --$_` } qw(cc includedir-server));
sub library
{
	my ($name, $setting) = @_;
	append_to_file("$dir/$name.c", qq{
		#include "postgres.h"
		#include "fmgr.h"
		#include "utils/guc.h"
		PG_MODULE_MAGIC;
		static int value;
		PGDLLEXPORT void _PG_init(void);
		void _PG_init(void)
		{
			DefineCustomIntVariable("$setting", "of another library", NULL, &value, 33, 1, 1000, PGC_USERSET, 0, NULL, NULL, NULL);
		}});
	system_or_bail(split(/ /, $cc), '-shared', '-fPIC', "-I$include", '-o', "$dir/$name.so", "$dir/$name.c");
	return "$dir/$name.so";
}
my %library = ('hnsw.ef_search' => library('like_pgvector', 'hnsw.ef_search'), 'ivfflat.probes' => library('like_old_pgvector', 'ivfflat.probes'));

my $node = PostgreSQL::Test::Cluster->new('node');
$node->init;
$node->start;
$node->safe_psql('postgres', 'CREATE EXTENSION quiver');

# The output of a session, and its messages.
sub session
{
	my ($out, $err) = ('', '');
	$node->psql('postgres', "\\set VERBOSITY verbose\n" . join(";\n", @_) . ';', stdout => \$out, stderr => \$err, on_error_stop => 0);
	return ($out, $err);
}

my $use = q{SELECT '[3,4]'::vector <-> '[0,0]'};
for my $setting (sort keys %library)
{
	my ($out, $err) = session("LOAD '$library{$setting}'", $use, $use, "SHOW $setting", 'SHOW hnsw.max_scan_tuples', 'SHOW quiver.simd');
	is($out, '33', "$setting of another library keeps its value");
	is(scalar(() = $err =~ /ERROR:  55000: cannot load quiver: another library has defined the setting "$setting"/g), 2, 'quiver reports each time that it cannot be loaded');
	like($err, qr/DETAIL:  quiver and pgvector define the same settings/, 'it reports why');
	like($err, qr/HINT:  Start a new session/, 'it reports what to do');
	is(scalar(() = $err =~ /unrecognized configuration parameter/g), 2, 'it has defined no settings');
	is((session($use, 'SHOW hnsw.ef_search', 'SHOW ivfflat.probes'))[0], "5\n40\n1", 'the next session has quiver');
}
# SET before the first use creates a placeholder, which belongs to no library.
is((session('SET hnsw.ef_search = 7', 'SET ivfflat.probes = 3', $use, 'SHOW hnsw.ef_search', 'SHOW ivfflat.probes'))[0], "5\n7\n3", 'values that were set before the library was loaded are kept');

# If quiver was loaded first, PostgreSQL refuses the other library, and quiver still works.
for my $setting (sort keys %library)
{
	my ($out, $err) = session($use, "SET $setting = 9", "LOAD '$library{$setting}'", $use, "SHOW $setting", 'SET hnsw.ef_search = 50', 'SHOW hnsw.ef_search');
	is($out, "5\n5\n9\n50", "quiver first, then another library with $setting");
	like($err, qr/attempt to redefine parameter "$setting"/, 'PostgreSQL refuses the other library');
}

# With both libraries in every session, the server does not start, and its log says why.
$node->stop;
$node->append_conf('postgresql.conf', "shared_preload_libraries = '$library{'hnsw.ef_search'}, quiver'");
is($node->start(fail_ok => 1), 0, 'the server does not start with both in shared_preload_libraries');
like(slurp_file($node->logfile), qr/cannot load quiver/, 'the log says why');
done_testing();
