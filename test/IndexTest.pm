# What the tests ask of an index: the verifier finds nothing, and every row is found by its own vector.
package IndexTest;
use strict;
use warnings;
use Exporter 'import';
use IPC::Run;
use Test::More;
our @EXPORT_OK = qw(restart problems lost_rows differs finds_all pages_of vectors prepare_waiting slow_vacuum);

# What the verifier says of these indexes, or of every valid index of the database that is quiver's: the number of
# problems of each and one of them; '' if there are none.
sub problems
{
	my ($node, @indexes) = @_;
	my $which = @indexes ? "c.oid IN (" . join(', ', map { "'$_'::regclass" } @indexes) . ')'
	  : "c.relkind = 'i' AND c.oid IN (SELECT indexrelid FROM pg_index WHERE indisvalid)";
	return join "\n", grep { $_ ne '' } map { $node->safe_psql('postgres', "SELECT c.relname, count(*) || ' problems', min(k.problem) FROM pg_class c
		JOIN pg_am a ON a.oid = c.relam AND a.amname = '$_', LATERAL ${_}_check(c.oid, true) k WHERE $which GROUP BY 1 ORDER BY 1") } 'hnsw', 'ivfflat';
}

# How many rows a search for their own vector misses, and some of their ids; '' if it finds each. Where the search
# returns nothing at all, the row is missed, too. By chance a search may miss one, so it is lost only if a search with
# 1,000 candidates misses it as well. Options: ef_search (100), column (v), operator (<->), where (true), limit: how many
# rows to look for, those with the smallest hash of their id (all).
sub lost_rows
{
	my ($node, $table, %o) = @_;
	my ($column, $op) = ($o{column} // 'v', $o{operator} // '<->');
	my $limit = $o{limit} ? "ORDER BY hashint4(id::integer) LIMIT $o{limit}" : '';
	my $missed = sub {
		my ($ef_search, $where, $rows) = @_;
		return $node->safe_psql('postgres', qq{SET enable_seqscan = off; SET jit = off; SET hnsw.ef_search = $ef_search;
			WITH a AS MATERIALIZED (SELECT id, $column AS v FROM $table WHERE $where $rows)
			SELECT string_agg(id::text, ',' ORDER BY id) FROM a
				WHERE (SELECT b.$column $op a.v FROM $table b ORDER BY b.$column $op a.v LIMIT 1) IS DISTINCT FROM (a.v $op a.v)});
	};
	my $lost = $missed->($o{ef_search} // 100, $o{where} // 'true', $limit);
	$lost = $missed->(1000, "id IN ($lost)", '') if $lost ne '' && ($o{ef_search} // 100) < 1000;
	my @lost = split /,/, $lost;
	return @lost ? @lost . ' rows, as ' . join(' ', splice @lost, 0, 10) : '';
}

# The difference between the rows that a search of all lists of an ivfflat index returns and those of the table; '' if
# there is none. Options: column (v), operator (<->), where (true).
sub differs
{
	my ($node, $table, %o) = @_;
	my ($column, $op, $where) = ($o{column} // 'v', $o{operator} // '<->', $o{where} // 'true');
	return $node->safe_psql('postgres', qq{SET jit = off; SET enable_indexscan = off; SET enable_bitmapscan = off;
		SELECT count(*) || ' ' || coalesce(sum(hashint8(id)), 0) AS want FROM $table WHERE $where \\gset
		SET enable_indexscan = on; SET enable_seqscan = off; SET ivfflat.probes = 32768;
		SELECT count(*) || ' ' || coalesce(sum(hashint8(id)), 0) || ' instead of ' || :'want' FROM
			(SELECT id FROM $table WHERE $where ORDER BY $column $op (SELECT $column FROM $table LIMIT 1)) s HAVING count(*) || ' ' || coalesce(sum(hashint8(id)), 0) <> :'want'});
}

# Tests that each of so many rows is found by its own vector, and that a scan to the end gets to each. An ef_search of
# 1,000 leaves nothing to chance in tables of some hundred rows.
sub finds_all
{
	my ($node, $what, $table, $rows, %o) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my ($column, $op) = ($o{column} // 'v', $o{operator} // '<->');
	is($node->safe_psql('postgres', qq{SET enable_seqscan = off; SET jit = off; SET hnsw.iterative_scan = relaxed_order; SET hnsw.max_scan_tuples = 1000000;
		SET hnsw.scan_mem_multiplier = 100; SELECT count(*) FROM (SELECT FROM $table ORDER BY $column $op (SELECT $column FROM $table LIMIT 1)) x}),
		$rows, "$what: a scan to the end gets to every row");
	is(lost_rows($node, $table, ef_search => 1000, %o), '', "$what: each is found by its own vector");
	return;
}

# The pages of a relation's main fork.
sub pages_of
{
	my ($node, $index) = @_;
	return $node->safe_psql('postgres', "SELECT pg_relation_size('$index') / current_setting('block_size')::integer");
}

# The list (id, vector of so many dimensions) for SELECT; the same vector for an id at all times.
sub vectors
{
	my ($from, $to, $dims) = @_;
	return "SELECT i, (SELECT array_agg(sin(i * j + j * j)::real ORDER BY j) FROM generate_series(1, $dims) j)::vector($dims)"
	  . " FROM generate_series($from, $to) i";
}

# Makes what the tests of VACUUM wait with. It waits in the server, where nothing comes between the moment and what is
# done at it, and each look is a transaction of its own, so that VACUUM sees none that is older than itself.
sub prepare_waiting
{
	my ($node) = @_;
	$node->safe_psql('postgres', q{
		CREATE FUNCTION vacuum_runs() RETURNS boolean LANGUAGE plpgsql AS $$
		BEGIN
			PERFORM pg_stat_clear_snapshot();
			RETURN EXISTS (SELECT FROM pg_stat_activity WHERE application_name = 'slow_vacuum' AND query LIKE 'VACUUM%' AND state = 'active');
		END $$;
		-- until slow_vacuum is at the index, or, if it was too fast, for a second
		CREATE PROCEDURE wait_for_vacuum() LANGUAGE plpgsql AS $$
		DECLARE seen boolean := false; end_at timestamptz := clock_timestamp() + interval '1 minute';
		BEGIN
			WHILE clock_timestamp() < end_at LOOP
				EXIT WHEN EXISTS (SELECT FROM pg_stat_progress_vacuum WHERE phase LIKE '%index%') OR (seen AND NOT vacuum_runs());
				seen := seen OR vacuum_runs();
				COMMIT;
				PERFORM pg_stat_clear_snapshot(), pg_sleep(0.001);
			END LOOP;
		END $$;
		-- until no node is left in the index, or slow_vacuum has ended
		CREATE PROCEDURE wait_until_empty(index regclass) LANGUAGE plpgsql AS $$
		BEGIN
			WHILE vacuum_runs() AND (SELECT nodes FROM hnsw_stats(index)) > 0 LOOP
				COMMIT;
				PERFORM pg_sleep(0.001);
			END LOOP;
		END $$;
		CREATE PROCEDURE wait_for_end() LANGUAGE plpgsql AS $$
		BEGIN
			WHILE vacuum_runs() LOOP
				COMMIT;
				PERFORM pg_sleep(0.001);
			END LOOP;
		END $$;
		CREATE PROCEDURE cancel_vacuum() LANGUAGE plpgsql AS $$
		BEGIN
			PERFORM pg_cancel_backend(pid) FROM pg_stat_activity WHERE application_name = 'slow_vacuum';
			COMMIT;
			CALL wait_for_end();
		END $$;});
	return;
}

# Starts a VACUUM of a table that sleeps at every page, the longer the larger vacuum_cost_delay is (5 ms for each 10 of it,
# if vacuum_cost_limit is 20).
sub slow_vacuum
{
	my ($node, $table, $settings) = @_;
	my ($out, $err) = ('', '');
	return IPC::Run::start([ 'psql', '-X', '-q', '-d', $node->connstr('postgres') . ' application_name=slow_vacuum',
		'-c', "SET vacuum_cost_page_hit = 10; SET vacuum_cost_page_miss = 10; SET vacuum_cost_page_dirty = 5; $settings",
		'-c', "VACUUM (INDEX_CLEANUP ON) $table" ], '>', \$out, '2>', \$err);
}

# Stops and starts a server. (pg_ctl restart would start the program without the wrapper that
# "./check sanitize-tap" needs.)
sub restart
{
	my ($node) = @_;
	$node->stop;
	$node->start;
	return;
}

1;
