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
	CREATE TABLE items (id serial, v vector(20), b bit(100), s sparsevec(300),
		w vector(20) GENERATED ALWAYS AS (v) STORED, c bit(100) GENERATED ALWAYS AS (b) STORED);
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
	CREATE INDEX items_f ON items USING hnsw ((v::halfvec(20)) halfvec_l2_ops, (id % 10), id) WITH (m = 8);
	CREATE INDEX lists_v ON items USING ivfflat (w vector_l2_ops) WITH (lists = 6);
	CREATE INDEX lists_ip ON items USING ivfflat (w vector_ip_ops);
	CREATE INDEX lists_b ON items USING ivfflat (c bit_hamming_ops) WITH (lists = 3);
	CREATE INDEX lists_f ON items USING ivfflat ((v::halfvec(20)) halfvec_cosine_ops, (id % 10), id) WITH (lists = 1);
	CHECKPOINT;});
my %op = (items_v => ['v', '<->'], items_ip => ['v', '<#>'], items_full => ['v', '<=>'], items_b => ['b', '<~>'], items_s => ['s', '<=>'],
	items_f => ['v::halfvec(20)', '<->'], lists_v => ['w', '<->'], lists_ip => ['w', '<#>'],
	lists_b => ['c', '<~>'], lists_f => ['v::halfvec(20)', '<=>']);
my %good;
my %file;
$file{$_} = $node->data_dir . '/' . $node->safe_psql('postgres', "SELECT pg_relation_filepath('$_')") for keys %op;
$good{$_} = slurp_file($file{$_}) for keys %op;

# Read through an index: a sequential scan would use only a few buffers of its own.
my $elsewhere = 'SET enable_bitmapscan = off; SELECT count(t) FROM filler WHERE i > 0';
sub put
{
	my ($index, $bytes) = @_;
	open my $f, '+<:raw', $file{$index} or die $!;
	print $f $bytes;
	close $f;
	return;
}
# Restores the good file. Reading another table evicts the pages that are still in buffers. Those that a statement has
# changed are written then, so the file is restored after that.
sub restore
{
	my ($index) = @_;
	$node->psql('postgres', "SET enable_seqscan = off; $elsewhere");
	put($index, $good{$index});
	return;
}
sub try_to
{
	my ($statement) = @_;
	my ($out, $err) = ('', '');
	my $status = $node->psql('postgres', "$elsewhere; $statement;", stdout => \$out, stderr => \$err,
		on_error_stop => 1, extra_params => [ '-v', 'VERBOSITY=verbose' ],
		connstr => $node->connstr('postgres') . " options='-c statement_timeout=20000 -c enable_seqscan=off -c client_min_messages=error'");
	return ($status, $out, $err);
}
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
	put($index, $bytes);
	my $query = "(SELECT $column FROM items WHERE id = " . (1 + int(rand(600))) . ')';
	my @statements = (
		"SELECT count(*) FROM (SELECT id FROM items ORDER BY $column $op $query LIMIT 20) x",
		"SELECT count(*) FROM (SELECT id FROM items ORDER BY $column $op $query LIMIT 500) x",
		"SELECT count(*) FROM (SELECT id FROM items ORDER BY $column $op (SELECT $column FROM items WHERE id = 0) LIMIT 500) x",   # NULL
		$index =~ /_f$/ ? "SELECT count(*) FROM (SELECT id FROM items WHERE id % 10 = 3 AND id > 50 ORDER BY $column $op $query LIMIT 20) x" : (),
		map({ "SELECT count(*) FROM $_" } $index =~ /^lists/ ? ("ivfflat_check('$index', true)", "ivfflat_stats('$index')")
			: ("hnsw_check('$index', true)", "hnsw_stats('$index')")),
		$trial % 3 ? () : "BEGIN; INSERT INTO items (v, b, s) SELECT v, b, s FROM items LIMIT 5; ROLLBACK",
		$trial % 5 ? () : 'VACUUM (INDEX_CLEANUP ON) items');
	for my $statement (@statements)
	{
		# The other indexes are undamaged, so an insert can fail only because of this one.
		my ($status, $out, $err) = try_to($statement);
		# quiver raises XX002; the server raises XX001 for a page header.
		if ($status == 0) { $answers++; }
		elsif ($err =~ /ERROR:  XX00[12]/) { $clean++; }
		else { push @bad, "trial $trial (seed $seed) $index: $statement: $err"; }
	}
	restore($index);
	last if @bad > 5;
}
note("$answers answers, $clean clean errors");
is(join("\n", @bad), '', "$trials damaged indexes: answers or clean errors");

# ---- what belongs to filter columns ----

{
	my $good = $good{items_f};
	# (src/hnsw/meta.hpp, src/graph/layout.hpp, src/graph/flat.hpp)
	my ($degree, $slot_bytes, $per_page, $tids, $first_slot_block) = map { unpack 'L', substr($good, 24 + $_, 4) } 32, 40, 44, 56, 60;
	my ($columns, $chain, $length) = map { unpack 'L', substr($good, 24 + $_, 4) } 88, 92, 100;
	is($columns, 2, 'the test knows the meta page');
	# The third node, and its entry on the flat page, which comes first.
	my $slot = ($first_slot_block + 1) * 8192 + 24 + 2 * $slot_bytes;
	my $flat = $first_slot_block * 8192 + 24;
	my ($entries, $codes, $sketches) = (0);
	for (my $n = $per_page;; $n += $per_page)
	{
		my $bits = int(($n + 63) / 64) * 8;
		my $end = int(($bits + 2 * $n + 7) / 8) * 8;
		last if $end + 16 * $n > 8160;
		($entries, $codes, $sketches) = ($n, $bits, $end);
	}
	is(unpack('S', substr($good, $flat - 12, 2)), 24 + $sketches + 16 * $entries, 'the test knows flat pages');
	# The first slot of an upper layer, and the byte with the bit of its entry.
	my ($upper, $byte) = (-1);
	for (my $level = 0; $level == 0;)
	{
		$upper++;
		my $head = $first_slot_block + int($upper / $entries) * ($entries / $per_page + 1);
		$byte = $head * 8192 + 24 + int($upper % $entries / 8);
		$level = ord substr($good, ($head + 1 + int($upper % $entries / $per_page)) * 8192 + 24 + $upper % $per_page * $slot_bytes + 1, 1);
	}
	my $meta = sub { my ($bytes, $at, $value) = @_; substr($bytes->[0], 24 + $at, 4) = pack 'L', $value; };
	my $code = sub { my ($bytes, $at) = @_; substr($bytes->[0], $at, 2) ^= "\x01\x00"; };
	my @cases = (
		[ 'the code of a link', sub { $code->($_[0], $slot + $slot_bytes - 2 * $degree) }, qr/^the filter code of slot \d+, link 0, is not that of the slot$/m, 1 ],
		[ 'the code of a node', sub { $code->($_[0], $slot + 32 + 6 * $tids) }, qr/^node does not match the filter columns of row \(\d+,\d+\)$/m, 1 ],
		[ 'the code on a flat page', sub { $code->($_[0], $flat + $codes + 2 * 2) }, qr/^slot has another filter code on its flat page$/m, 1 ],
		[ 'the sketch on a flat page', sub { substr($_[0][0], $flat + $sketches + 2 * 16, 4) = pack 'f', 77 }, qr/^slot has a sketch on its flat page that does not match its vector$/m, 1 ],
		[ 'no entry on a flat page', sub { substr($_[0][0], $flat, 1) &= "\xfb" }, qr/^slot has no entry on its flat page$/m, 1 ],
		[ 'an entry for a slot that is not a node of layer 0', sub { substr($_[0][0], $byte, 1) |= chr(1 << $upper % $entries % 8) }, qr/^slot has an entry on its flat page, but is not a node of layer 0$/m, 1 ],
		[ 'a flat page is empty', sub { substr($_[0][0], $flat - 24, 8192) = "\0" x 8192 }, qr/^slot has no entry on its flat page$/m, 1 ],
		[ 'a flat page is another one', sub { substr($_[0][0], $flat - 24, 8192) = substr($good, $flat - 24 + 8192, 8192) }, qr/^not a flat page of a quiver hnsw index$/m, 'insert' ],   # into other pages
		[ 'a byte of what codes are made of', sub { substr($_[0][0], $chain * 8192 + 24 + 40, 1) ^= "\x10" }, qr/XX002/, 0 ],
		[ 'the first bytes of it', sub { substr($_[0][0], $chain * 8192 + 24, 8) = "\xff" x 8 }, qr/XX002/, 0 ],
		[ 'its page has another length', sub { substr($_[0][0], $chain * 8192 + 12, 2) = pack 'S', 32 }, qr/XX002.*is not the expected page of a chain/s, 0 ],
		[ 'its page is empty', sub { substr($_[0][0], $chain * 8192, 8192) = "\0" x 8192 }, qr/XX002.*is not the expected page of a chain/s, 0 ],
		[ 'its page is another one', sub { $_[0][0] = substr($good, 0, $chain * 8192) . substr($good, 2 * 8192, 8192) . substr($good, ($chain + 1) * 8192) }, qr/XX002.*is not the expected page of a chain/s, 0 ],
		(map { my $n = $_; [ "filter_columns is $n", sub { $meta->($_[0], 88, $n) }, qr/XX002/, 0 ] } 0, 1, 3, 9, 0xffffffff),
		(map { my $n = $_; [ "filter_bytes is $n", sub { $meta->($_[0], 100, $n) }, qr/XX002/, 0 ] } 0, 1, 8, $length - 8, $length + 8, 8001, 0xffffffff),
		(map { my $n = $_; [ "filter_codes is $n", sub { $meta->($_[0], 92, $n) }, qr/XX002/, 0 ] } 0, 2, 1000000, 0xffffffff));
	my $from = q{FROM items WHERE id % 10 = 3 AND id > 50 ORDER BY v::halfvec(20) <-> (SELECT v::halfvec(20) FROM items WHERE id = 33)};
	for my $case (@cases)
	{
		my ($what, $damage, $want, $answers) = @$case;
		my $bytes = [$good];
		$damage->($bytes);
		put('items_f', $bytes->[0]);
		my (undef, $out, $err) = try_to("SELECT problem FROM hnsw_check('items_f', true)");
		like($out . $err, $want, "$what: the verifier tells");
		for my $statement ("SELECT count(*) FROM (SELECT $from LIMIT 20) x", "BEGIN; INSERT INTO items (v, b, s) SELECT v, b, s FROM items LIMIT 3; ROLLBACK")
		{
			(my $status, $out, $err) = try_to($statement);
			# (Without its meta page, the planner does not use the index. Then another statement tells.)
			my $unused = $what =~ /^filter_(columns|bytes is (8001|4294967295))/ && $statement =~ /LIMIT 20/;
			my $answer = $unused || $answers eq '1' || ($answers eq 'insert' && $statement =~ /INSERT/);
			ok($answer ? $status == 0 : $err =~ /ERROR:  XX002.*HINT:  (Run )?REINDEX/s, "$what: " . ($answer ? 'an answer' : 'an error that says what to do')) or diag("$statement: $status $out $err");
		}
		restore('items_f');
	}
	is((try_to("SELECT problem FROM hnsw_check('items_f', true)"))[1] =~ s/^\d+\n?//r, '', 'the good file is back');
}
# ---- references between the pages of lists ----

{
	my $good = $good{lists_f};
	# (src/page/page.hpp, src/lists/layout.hpp) A list page, and a code page that belongs to it.
	my @next = map { unpack 'L', substr($good, $_ * 8192 - 8, 4) } 1 .. length($good) / 8192;
	my @kind = map { unpack 'S', substr($good, $_ * 8192 - 4, 2) } 1 .. length($good) / 8192;
	my ($codes) = reverse grep { $kind[$_] == 5 && $kind[ $next[$_] ] == 4 } 0 .. $#kind;
	my $list = $next[$codes];
	my $at = 8192 * $list + 24;
	my $first = unpack 'L', substr($good, $at, 4);   # by which the list is known
	is(unpack('L', substr($good, 8192 * $first + 24, 4)), $first, 'the test knows the pages of lists');
	my @cases = (
		[ 'a list page leads to itself', sub { substr($_[0], $at + 4, 4) = pack 'L', $list; substr($_[0], $at + 20, 4) = pack 'L', 1 + unpack 'L', substr($_[0], $at + 16, 4) }, 'scan' ],
		[ 'a list page leads to a page that is not there', sub { substr($_[0], $at + 4, 4) = pack 'L', 1_000_000 }, 'scan' ],
		[ 'the page with room is not there', sub { substr($_[0], $at + 8, 4) = pack 'L', 1_000_000 }, '' ],
		[ 'the page with room is none of lists', sub { substr($_[0], $at + 8, 4) = pack 'L', 0 }, '' ],
		# No process may wait for a lock that it has itself.
		[ 'a list page is its own code page', sub { my $page = substr($_[0], $at, 8000); $page =~ s/\Q${\pack 'L', $_}\E/pack 'L', $list/e for grep { $kind[$_] == 5 && $next[$_] == $list } 0 .. $#kind;
			substr($_[0], $at, 8000) = $page }, 'insert' ],
		[ 'a code page is not there', sub { my $page = substr($_[0], $at, 8000); $page =~ s/\Q${\pack 'L', $_}\E/\xfe\xff\xff\xff/ for grep { $kind[$_] == 5 && $next[$_] == $list } 0 .. $#kind;
			substr($_[0], $at, 8000) = $page }, 'insert' ],
		[ 'a code page belongs to another page', sub { substr($_[0], $codes * 8192 + 8184, 4) = pack 'L', $list + 1 }, 'insert' ],
		[ 'a list page is empty', sub { substr($_[0], $list * 8192, 8192) = "\0" x 8192 }, 'scan insert' ]);
	for my $case (@cases)
	{
		my ($what, $damage, $errors) = @$case;
		my $bytes = $good;
		$damage->($bytes);
		put('lists_f', $bytes);
		like((try_to("SELECT problem FROM ivfflat_check('lists_f', true)"))[1], qr/^\d+\n./, "$what: the verifier tells") if $errors ne '';
		my %statements = (scan => 'SET ivfflat.probes = 10; SELECT count(*) FROM (SELECT id FROM items ORDER BY v::halfvec(20) <=> (SELECT v::halfvec(20) FROM items WHERE id = 33)) x',
			insert => 'BEGIN; INSERT INTO items (v, b, s) SELECT v, b, s FROM items LIMIT 3; ROLLBACK');
		for my $name (sort keys %statements)
		{
			my ($status, $out, $err) = try_to($statements{$name});
			ok($errors =~ /$name/ ? $err =~ /ERROR:  XX002.*HINT:  REINDEX/s : $status == 0, "$what: $name") or diag("$status $out $err");
		}
		restore('lists_f');
	}
}
# ---- the root of lists ----

{
	# (src/lists/layout.hpp: ListHeader)
	my ($next, $used, $next_number, $closed, $leftovers, $retired_next) = (4, 12, 20, 24, 36, 40);
	my @cases = (
		[ 'the root leads to itself', sub { my ($put, $root) = @_; $put->($root, $next, $root); $put->($root, $next_number, 1) }, 'scan insert vacuum' ],
		[ 'the root as it was is not there', sub { my ($put, $root) = @_; $put->($root, $retired_next, 1_000_000) }, 'vacuum' ],
		[ 'the root as it was is the meta page', sub { my ($put, $root) = @_; $put->($root, $retired_next, 0) }, 'vacuum' ],
		[ 'the root as it was is a list', sub { my ($put, $root, @lists) = @_; $put->($root, $retired_next, $lists[1]) }, 'vacuum' ],
		[ 'the lists are closed', sub { my ($put, $root, @lists) = @_; $put->($_, $closed, 1) for @lists }, '' ],
		[ 'VACUUM was interrupted', sub { my ($put, $root) = @_; $put->($root, $leftovers, 1) }, '' ],
		# Its pages do not become free.
		[ 'the root has lost a list', sub { my ($put, $root) = @_; $put->($root, $used, 5, 'S') }, 'vacuum' ]);
	for my $case (@cases)
	{
		my ($what, $damage, $errors) = @$case;
		$node->safe_psql('postgres', q{DROP TABLE IF EXISTS r; CREATE TABLE r (id integer, v vector(20)); INSERT INTO r SELECT id, v FROM items;
			CREATE INDEX r_v ON r USING ivfflat (v vector_l2_ops) WITH (lists = 6); DELETE FROM r WHERE id = 1; CHECKPOINT});
		my $path = $node->data_dir . '/' . $node->safe_psql('postgres', "SELECT pg_relation_filepath('r_v')");
		$node->psql('postgres', "SET enable_seqscan = off; $elsewhere");
		my $bytes = slurp_file($path);
		my @lists = grep { unpack('S', substr($bytes, $_ * 8192 + 8188, 2)) == 4 } 0 .. length($bytes) / 8192 - 1;
		my ($root) = grep { unpack('L', substr($bytes, $_ * 8192 + 24, 4)) == 0xffffffff } @lists;
		@lists = grep { unpack('L', substr($bytes, $_ * 8192 + 24, 4)) == $_ } @lists;   # the first pages
		is(scalar @lists, 6, 'the test knows the root');
		$damage->(sub { my ($block, $at, $value, $form) = @_; substr($bytes, $block * 8192 + 24 + $at, ($form // 'L') eq 'S' ? 2 : 4) = pack $form // 'L', $value }, $root, @lists);
		open my $f, '+<:raw', $path or die $!;
		print $f $bytes;
		close $f;
		for my $statement ([ scan => 'SET ivfflat.probes = 10; SELECT count(*) FROM (SELECT id FROM r ORDER BY v <-> (SELECT v FROM items WHERE id = 33)) x' ],
			[ insert => 'INSERT INTO r SELECT id + 1000, v FROM items LIMIT 3' ], [ vacuum => 'VACUUM (INDEX_CLEANUP ON) r' ])
		{
			my ($status, $out, $err) = try_to($statement->[1]);
			ok($errors =~ /$statement->[0]/ ? $err =~ /ERROR:  XX002.*HINT:  REINDEX/s : $status == 0, "$what: $statement->[0]") or diag("$status $out $err");
		}
		next if $errors ne '';
		my ($status, $out, $err) = try_to("SELECT count(*) FROM ivfflat_check('r_v', true)");
		is($out, "3000\n0", "$what: VACUUM mends it") or diag($err);
	}
}
unlike(slurp_file($node->logfile), qr/terminated by signal|PANIC/, 'nothing crashed');
cmp_ok($answers, '>', $trials, 'most statements are answered');
done_testing();
