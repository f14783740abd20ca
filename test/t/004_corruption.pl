# Random bytes in index pages, without checksums: every statement soon ends with an answer or a
# clean error, and nothing crashes.
#   QUIVER_TRIALS=10000 QUIVER_SEED=7 prove ...     number of trials (100), random seed
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $trials = $ENV{QUIVER_TRIALS} // 100;
my $seed = $ENV{QUIVER_SEED} // int(rand(1_000_000));
srand($seed);
note("QUIVER_SEED=$seed QUIVER_TRIALS=$trials");

my $node = PostgreSQL::Test::Cluster->new('node');
$node->init;
# There are so few buffers that reading another table evicts the index. quiver has to find the
# damage, not the checksums that a cluster has by default since PostgreSQL 18.
$node->append_conf('postgresql.conf', "shared_buffers = 512kB\nautovacuum = off\nfsync = off\nrestart_after_crash = on\n"
	  . "bgwriter_lru_maxpages = 0\ncheckpoint_timeout = 1h\nmax_wal_size = 10GB\nignore_checksum_failure = on\n");
$node->start;
$node->safe_psql('postgres', q{
	CREATE EXTENSION quiver;
	CREATE TABLE filler AS SELECT i, repeat('x', 500) AS t FROM generate_series(1, 3000) i;
	CREATE INDEX ON filler (i);
	CREATE TABLE items (id serial, v vector(20), b bit(100), s sparsevec(300));
	INSERT INTO items (v, b, s) SELECT
		(SELECT array_agg(sin(i * j)) FROM generate_series(1, 20) j)::vector,
		(SELECT string_agg((sin(i * j) > 0)::integer::text, '') FROM generate_series(1, 100) j)::bit(100),
		(SELECT '{' || string_agg(format('%s:%s', j * 4, 1 + (i * j) % 13), ',' ORDER BY j) || '}/300' FROM generate_series(1, 20 + i % 50) j)::sparsevec
	FROM generate_series(1, 600) i;
	CREATE INDEX items_v ON items USING hnsw (v vector_l2_ops) WITH (m = 8, vector_bits = 16);
	CREATE INDEX items_ip ON items USING hnsw (v vector_ip_ops) WITH (m = 4, sketch_fold = -1, vector_bits = 2);
	CREATE INDEX items_full ON items USING hnsw (v vector_cosine_ops) WITH (m = 6, vector_bits = 32);
	CREATE INDEX items_b ON items USING hnsw (b bit_hamming_ops) WITH (m = 8);
	CREATE INDEX items_s ON items USING hnsw (s sparsevec_cosine_ops) WITH (m = 8);
	CHECKPOINT;});
my %op = (items_v => ['v', '<->'], items_ip => ['v', '<#>'], items_full => ['v', '<=>'], items_b => ['b', '<~>'], items_s => ['s', '<=>']);
my %good;
my %file;
$file{$_} = $node->data_dir . '/' . $node->safe_psql('postgres', "SELECT pg_relation_filepath('$_')") for keys %op;
$good{$_} = slurp_file($file{$_}) for keys %op;

# Read through an index: a sequential scan would use only a few buffers of its own.
my $elsewhere = 'SET enable_bitmapscan = off; SELECT count(t) FROM filler WHERE i > 0';
my ($answers, $clean, @bad) = (0, 0);
for my $trial (1 .. $trials)
{
	my $index = (sort keys %op)[ int(rand(keys %op)) ];
	my ($column, $op) = @{ $op{$index} };
	my $bytes = $good{$index};
	my $pages = length($bytes) / 8192;
	# Change a few bytes or a run of bytes, or copy a page from another place, in one page or
	# several.
	for (1 .. 1 + int(rand(4)))
	{
		my $page = int(rand($pages));
		my $kind = rand();
		if ($kind < 0.6) { substr($bytes, $page * 8192 + int(rand(8192)), 1) = chr(int(rand(256))) for 1 .. 1 + int(rand(30)); }
		elsif ($kind < 0.8) { my $at = int(rand(8000)); my $n = 1 + int(rand(190)); substr($bytes, $page * 8192 + $at, $n) = join('', map { chr(int(rand(256))) } 1 .. $n); }
		elsif ($kind < 0.9) { substr($bytes, $page * 8192, 8192) = substr($bytes, int(rand($pages)) * 8192, 8192); }
		else { substr($bytes, $page * 8192 + 24, 8136) = "\xff" x 8136; }
	}
	open my $f, '+<:raw', $file{$index} or die $!;
	print $f $bytes;
	close $f;
	my $query = "(SELECT $column FROM items WHERE id = " . (1 + int(rand(600))) . ')';
	my @statements = (
		"SELECT count(*) FROM (SELECT id FROM items ORDER BY $column $op $query LIMIT 20) x",
		"SELECT count(*) FROM (SELECT id FROM items ORDER BY $column $op $query LIMIT 500) x",
		"SELECT count(*) FROM (SELECT id FROM items ORDER BY $column $op (SELECT $column FROM items WHERE id = 0) LIMIT 500) x",   # NULL
		"SELECT count(*) FROM hnsw_check('$index', true)",
		"SELECT count(*) FROM hnsw_stats('$index')",
		$trial % 3 ? () : "BEGIN; INSERT INTO items (v, b, s) SELECT v, b, s FROM items LIMIT 5; ROLLBACK",
		$trial % 5 ? () : 'VACUUM (INDEX_CLEANUP ON) items');
	for my $statement (@statements)
	{
		my ($out, $err) = ('', '');
		# The other indexes are undamaged, so an insert can fail only because of this one.
		my $status = $node->psql('postgres', "$elsewhere; $statement;", stdout => \$out, stderr => \$err,
			on_error_stop => 1, extra_params => [ '-v', 'VERBOSITY=verbose' ],
			connstr => $node->connstr('postgres') . " options='-c statement_timeout=20000 -c enable_seqscan=off -c client_min_messages=error'");
		# quiver raises XX002; the server raises XX001 for a page header.
		if ($status == 0) { $answers++; }
		elsif ($err =~ /ERROR:  XX00[12]/) { $clean++; }
		else { push @bad, "trial $trial (seed $seed) $index: $statement: $err"; }
	}
	# Restore the good file. Reading another table evicts the pages that are still in buffers.
	open $f, '+<:raw', $file{$index} or die $!;
	print $f $good{$index};
	close $f;
	$node->psql('postgres', "SET enable_seqscan = off; $elsewhere");
	last if @bad > 5;
}
note("$answers answers, $clean clean errors");
is(join("\n", @bad), '', "$trials damaged indexes: answers or clean errors");
unlike(slurp_file($node->logfile), qr/terminated by signal|PANIC/, 'nothing crashed');
cmp_ok($answers, '>', $trials, 'most statements are answered');
done_testing();
