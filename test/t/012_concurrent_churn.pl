# Clients insert, update, delete and search while VACUUM and REINDEX run. The table is filled from
# empty and emptied several times. Afterwards a search for the vector of each row must find that
# row. A scan of all lists of an ivfflat index returns the rows of the table, at all times.
#   QUIVER_SECONDS=3600 QUIVER_CLIENTS=30 prove ...     duration (12), number of clients (12)
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use FindBin;
use lib "$FindBin::RealBin/..";
use IndexTest qw(problems lost_rows differs finds_all pages_of);

my $seconds = $ENV{QUIVER_SECONDS} // 12;
my $clients = $ENV{QUIVER_CLIENTS} // 12;
my $node = PostgreSQL::Test::Cluster->new('node');
$node->init;
$node->append_conf('postgresql.conf', "autovacuum = off\njit = off\nmax_connections = 100\nmax_prepared_transactions = 100\nshared_buffers = 4MB\n"
	  . "max_wal_size = 4GB\ndeadlock_timeout = 100ms\nmaintenance_work_mem = 8MB\n");
$node->start;
$node->safe_psql('postgres', q{
	CREATE EXTENSION quiver;
	CREATE FUNCTION random_vector() RETURNS vector LANGUAGE sql VOLATILE AS
		'SELECT array_agg(random())::vector(12) FROM generate_series(1, 12)';
	CREATE TABLE items (id bigserial PRIMARY KEY, k integer UNIQUE, v vector(12), n integer DEFAULT 0,
		w vector(12) GENERATED ALWAYS AS (v) STORED);
	CREATE INDEX items_v ON items USING hnsw (v vector_l2_ops, n) WITH (m = 6, ef_construction = 24);
	CREATE INDEX items_h ON items USING hnsw ((v::halfvec(12)) halfvec_cosine_ops) WITH (m = 5, ef_construction = 20, vector_bits = 4);
	CREATE INDEX items_w ON items USING ivfflat (w vector_cosine_ops, n) WITH (lists = 3);
	CREATE FUNCTION bits(n integer) RETURNS bit LANGUAGE sql IMMUTABLE AS 'SELECT repeat((n % 2)::text, 4000)::bit(4000)';
	CREATE INDEX items_p ON items USING ivfflat ((bits(n)::bit(4000)) bit_hamming_ops) WITH (lists = 2);   -- 16 rows on a page
	-- Compares an index scan with the table, in one snapshot. The scan pauses now and then.
	CREATE FUNCTION compare_scans(scan text) RETURNS void LANGUAGE plpgsql SET ivfflat.probes = 3 SET enable_sort = on AS $$
	DECLARE want bigint[]; got bigint[] := '{}'; r record; c refcursor;
	BEGIN
		SET LOCAL enable_indexscan = off; SET LOCAL enable_bitmapscan = off; SET LOCAL enable_seqscan = on;
		SELECT coalesce(array_agg(id ORDER BY id), '{}') INTO want FROM items;
		SET LOCAL enable_indexscan = on; SET LOCAL enable_seqscan = off;
		OPEN c FOR EXECUTE scan;
		LOOP
			FETCH c INTO r;
			EXIT WHEN NOT FOUND;
			got := got || r.id;
			IF random() < 0.005 THEN PERFORM pg_sleep(0.02); END IF;
		END LOOP;
		IF want <> (SELECT coalesce(array_agg(x ORDER BY x), '{}') FROM unnest(got) x) THEN
			RAISE '% returns % rows instead of %', scan, cardinality(got), cardinality(want);
		END IF;
	END $$;
	CREATE FUNCTION add(k integer) RETURNS void LANGUAGE sql VOLATILE AS
		'INSERT INTO items (v) SELECT random_vector() FROM generate_series(1, k)';
	-- equal vectors, too
	CREATE FUNCTION add_equal(k integer) RETURNS void LANGUAGE sql VOLATILE AS
		'INSERT INTO items (v) SELECT (SELECT random_vector()) FROM generate_series(1, k)';});

# ---- the first rows of an empty index, by several clients at once ----

{
	my ($tables, $inserts) = (60, '');
	$node->safe_psql('postgres', join '', map { "CREATE TABLE first_$_ (id serial, v vector(4)); CREATE INDEX ON first_$_ USING hnsw (v vector_l2_ops) WITH (m = 2, ef_construction = 8);" } 1 .. $tables);
	$inserts .= "INSERT INTO first_$_ (v) VALUES (ARRAY[random(), random(), random(), random()]);\n" for 1 .. $tables;
	$node->pgbench("--no-vacuum --client=$clients --jobs=2 --transactions=1", 0, [qr{processed: $clients/$clients}], [qr{\A\z}],
		"$clients clients insert the first rows of $tables tables", { '012_first' => $inserts });
	is($node->safe_psql('postgres', qq{SET enable_seqscan = off; SET hnsw.iterative_scan = relaxed_order;
		SELECT t, n FROM (} . join(' UNION ALL ', map { "SELECT $_ AS t, (SELECT count(*) FROM (SELECT FROM first_$_ ORDER BY v <-> '[0,0,0,0]') s) AS n" } 1 .. $tables)
		  . ") x WHERE n <> $clients"), '', 'a scan of each table returns every row');
	is(problems($node), '', 'the verifier finds nothing in these tables');
	$node->safe_psql('postgres', join '', map { "DROP TABLE first_$_;" } 1 .. $tables);
}

# ---- load ----

my $dir = PostgreSQL::Test::Utils::tempdir;
my %scripts = (
	'insert@8' => "\\set n random(1, 10)\nSELECT add(:n);\n",
	'equal@2' => "\\set n random(2, 12)\nSELECT add_equal(:n);\n",
	'rollback@1' => "BEGIN;\nSELECT add(5);\nROLLBACK;\n",
	'subtransaction@1' => "BEGIN;\nSELECT add(2);\nSAVEPOINT a;\nSELECT add(5);\nROLLBACK TO a;\nSELECT add(2);\nCOMMIT;\n",
	'upsert@3' => "\\set k random(1, 100)\nINSERT INTO items (k, v) VALUES (:k, random_vector()) ON CONFLICT (k) DO UPDATE SET v = EXCLUDED.v, n = items.n + 1;\n",
	'ignore@2' => "\\set k random(1, 100)\nINSERT INTO items (k, v) VALUES (:k, random_vector()) ON CONFLICT DO NOTHING;\n",
	'update@3' => "UPDATE items SET n = n + 1 WHERE id IN (SELECT id FROM items ORDER BY random() LIMIT 5 FOR UPDATE SKIP LOCKED);\n",
	'move@3' => "UPDATE items SET v = random_vector() WHERE id IN (SELECT id FROM items ORDER BY random() LIMIT 5 FOR UPDATE SKIP LOCKED);\n",
	'delete@4' => "DELETE FROM items WHERE id IN (SELECT id FROM items ORDER BY random() LIMIT 10 FOR UPDATE SKIP LOCKED);\n",
	'near@2' => "SET enable_seqscan = off;\nDELETE FROM items WHERE id IN (SELECT id FROM items ORDER BY v <-> (SELECT random_vector()) LIMIT 5 FOR UPDATE SKIP LOCKED);\n",
	'prepare@1' => "\\set id random(1, 1000000000)\nBEGIN;\nSELECT add(3);\nPREPARE TRANSACTION 'p:client_id';\nCOMMIT PREPARED 'p:client_id';\n",
	'prepare_fails@1' => "BEGIN;\nSELECT add(3);\nPREPARE TRANSACTION 'q:client_id';\nROLLBACK PREPARED 'q:client_id';\n",
	'compare@2' => "\\set i random(1, 3)\nBEGIN ISOLATION LEVEL REPEATABLE READ;\n"
	  . "SELECT compare_scans('SELECT id FROM items ORDER BY ' || ('{w <=> (SELECT random_vector()),w <=> (SELECT w FROM items WHERE id = -1),"
	  . "bits(n)::bit(4000) <~> B''1''::bit(4000)}'::text[])[:i]);\nCOMMIT;\n",
	'search@6' => "SET enable_seqscan = off;\nSELECT count(*) FROM (SELECT id FROM items ORDER BY v <-> (SELECT random_vector()) LIMIT 10) s;\n"
	  . "SELECT count(*) FROM (SELECT id FROM items WHERE n > 0 ORDER BY v <-> (SELECT random_vector()) LIMIT 10) s;\n"
	  . "SELECT count(*) FROM (SELECT id FROM items ORDER BY v::halfvec(12) <=> (SELECT random_vector())::halfvec(12) LIMIT 50) s;\n",
);
my @files;
for my $script (sort keys %scripts)
{
	my ($name, $weight) = split /@/, $script;
	append_to_file("$dir/$name.sql", $scripts{$script});
	push @files, '-f', "$dir/$name.sql\@$weight";
}
# At the same time: repeated VACUUM, REINDEX of both kinds, and now and then a DELETE of all rows.
append_to_file("$dir/vacuum.sql", "VACUUM (INDEX_CLEANUP ON) items;\nSELECT pg_sleep(0.05);\n");
append_to_file("$dir/reindex.sql", "REINDEX INDEX CONCURRENTLY items_v;\nREINDEX INDEX items_h;\nREINDEX INDEX CONCURRENTLY items_w;\nSELECT pg_sleep(0.3);\n");
append_to_file("$dir/empty.sql", "SELECT pg_sleep(0.7);\nDELETE FROM items WHERE id IN (SELECT id FROM items FOR UPDATE SKIP LOCKED);\n");

my @phases = (
	[ 'inserts and searches', [ grep { /insert|equal|search|compare|upsert|-f/ } @files ], 1 ],
	[ 'everything, and again and again nothing is left', \@files, 1, "$dir/empty.sql" ],
	[ 'everything', \@files, 1 ]);
for my $phase (@phases)
{
	my ($name, $files, $share, $extra) = @$phase;
	# each script follows an -f
	my @mine = map { ('-f', $_) } grep { $_ ne '-f' } @$files;
	my @runs = ([ $clients, @mine ], [ 1, '-f', "$dir/vacuum.sql" ], [ 1, '-f', "$dir/reindex.sql" ], $extra ? [ 1, '-f', $extra ] : ());
	my $each = $seconds / 3;
	$each = 1 if $each < 1;
	my @running;
	for my $run (@runs)
	{
		my ($n, @args) = @$run;
		my ($out, $err) = ('', '');
		push @running, [ \$err, IPC::Run::start([ 'pgbench', '-n', '-c', $n, '-T', int($each), @args, $node->connstr('postgres') ], '>', \$out, '2>', \$err) ];
	}
	my $errors = '';
	for my $run (@running)
	{
		$run->[1]->finish or $errors .= ${ $run->[0] };
		$errors .= ${ $run->[0] } if ${ $run->[0] } =~ /ERROR|FATAL/;
	}
	is($errors, '', "$name: no errors");
	my $rows = $node->safe_psql('postgres', 'SELECT count(*) FROM items');
	note("$name: $rows rows are left");
	my $check = sub {
		my ($what) = @_;
		finds_all($node, "$name, $what", 'items', $rows, limit => 500);
		is($node->safe_psql('postgres', q{SET enable_seqscan = off; SET hnsw.iterative_scan = relaxed_order; SET hnsw.max_scan_tuples = 1000000;
			SET hnsw.scan_mem_multiplier = 100; SELECT count(*) FILTER (WHERE NOT x), count(*) FILTER (WHERE x) FROM
				(SELECT n > 0 AS x FROM items WHERE n > 0 ORDER BY v <-> (SELECT v FROM items LIMIT 1)) s}),
			'0|' . $node->safe_psql('postgres', 'SELECT count(*) FROM items WHERE n > 0'), "$name, $what: a filter finds all");
		is(differs($node, 'items', column => 'w', operator => '<=>') . differs($node, 'items', column => 'w', operator => '<=>', where => 'n > 0')
			  . differs($node, 'items', column => 'bits(n)::bit(4000)', operator => '<~>'), '', "$name, $what: lists have every row");
		is(lost_rows($node, 'items', column => 'v::halfvec(12)', operator => '<=>', ef_search => 1000, limit => 300), '', "$name, $what: each is found by the other index");
	};
	$check->('as it was left');
	$node->safe_psql('postgres', 'VACUUM (INDEX_CLEANUP ON) items');
	$check->('after VACUUM');
	is(problems($node), '', "$name: the verifier finds nothing");
	# Empty the table again.
	$node->safe_psql('postgres', 'DELETE FROM items');
	$node->safe_psql('postgres', 'VACUUM (INDEX_CLEANUP ON) items');
	is($node->safe_psql('postgres', q{SET enable_seqscan = off; SELECT (SELECT count(*) FROM (SELECT FROM items ORDER BY v <-> (SELECT random_vector()) LIMIT 10) x),
		nodes, rows FROM hnsw_stats('items_v')}), '0|0|0', "$name: no deleted node is left");
	is(problems($node), '', "$name: the verifier finds nothing in the empty index");
}

# ---- parallel VACUUM: one process for each index ----

{
	$node->safe_psql('postgres', 'SELECT add(1500); SELECT add_equal(50)');
	$node->safe_psql('postgres', 'DELETE FROM items WHERE id % 3 = 0');
	my ($out, $err) = ('', '');
	$node->psql('postgres', 'SET min_parallel_index_scan_size = 0; SET max_parallel_maintenance_workers = 2; VACUUM (PARALLEL 2, INDEX_CLEANUP ON, VERBOSE) items',
		stdout => \$out, stderr => \$err);
	like($err, qr/launched [12] parallel vacuum worker/, 'VACUUM runs in parallel');
	my $rows = $node->safe_psql('postgres', 'SELECT count(*) FROM items');
	finds_all($node, 'after a parallel VACUUM', 'items', $rows, limit => 500);
	$node->safe_psql('postgres', 'SELECT txid_current()');
	my @pages = map { pages_of($node, $_) } 'items_v', 'items_h';
	$node->safe_psql('postgres', 'SELECT add(450)');
	finds_all($node, 'and inserts', 'items', $rows + 450, limit => 500);
	# (5 % more is allowed, because the number of upper layers is random.)
	cmp_ok(pages_of($node, $_), '<=', 1.05 * shift @pages, "$_: freed slots are used again") for 'items_v', 'items_h';
	is(problems($node), '', 'parallel VACUUM: the verifier finds nothing');
	# Delete all rows in several rounds, with inserts between.
	for my $round (1 .. 3)
	{
		$node->safe_psql('postgres', 'DELETE FROM items');
		$node->safe_psql('postgres', 'SET min_parallel_index_scan_size = 0; VACUUM (PARALLEL 2, INDEX_CLEANUP ON) items');
		$node->safe_psql('postgres', 'SELECT add(300)');
	}
	finds_all($node, 'rounds of parallel VACUUM', 'items', 300);
	is(problems($node), '', 'rounds of parallel VACUUM: the verifier finds nothing');
}
unlike(slurp_file($node->logfile), qr/terminated by signal|PANIC/, 'nothing crashed');
done_testing();
