# Waiting for a server that crashed, or for one that may.
package Recovery;
use strict;
use warnings;
use Exporter 'import';
use Time::HiRes qw(usleep time);
our @EXPORT_OK = qw(wait_until crash_at_change caught_up);

# Until $query gives t; dies after three minutes, or when the server has ended. A server that recovers turns clients away, and a psql
# that is gone before its query was written to it makes IPC::Run die: both mean to ask again.
# (poll_query_until of PostgreSQL's module dies of the second.)
sub wait_until
{
	my ($node, $query) = @_;
	for (my $end = time + 180; time < $end; usleep(100_000))
	{
		my $answer = '';
		return if eval { $node->psql('postgres', $query, stdout => \$answer) == 0 } && $answer eq 't';
		next if -e $node->data_dir . '/postmaster.pid';
		$node->stop('immediate', fail_ok => 1);   # so that the module knows, too
		die "the server has ended: $query";
	}
	die "no recovery: $query";
}

# Runs a statement up to its n-th change of a page of an index, where the server crashes, and waits until it has recovered. Returns
# whether it crashed, and the error of a statement that failed without a crash, or ''. (Only a library built with FAILURE_POINTS
# crashes.)
sub crash_at_change
{
	my ($node, $n, $statement) = @_;
	# A crash restarts the checkpointer. Until the server has noticed the crash, it still answers queries.
	my $began = q{SELECT backend_start FROM pg_stat_activity WHERE backend_type = 'checkpointer'};
	my $before = $node->safe_psql('postgres', $began);
	my ($out, $err) = ('', '');
	my $status = $node->psql('postgres', "SET hnsw.crash_after_writes = $n; $statement", stdout => \$out, stderr => \$err);
	return (0, $status == 0 ? '' : "no crash: $err") if $status != 2;
	wait_until($node, "SELECT ($began) > '$before'");
	return (1, '');
}

# Whether the standby replays all that the primary has written, within a minute: true, or false, soon, if it ended.
# (wait_for_catchup of PostgreSQL's module waits three minutes for a standby that is gone.)
sub caught_up
{
	my ($primary, $standby) = @_;
	my $lsn = $primary->lsn('flush');
	for (my $end = time + 60; time < $end; usleep(100_000))
	{
		my $answer = '';
		my $status = eval { $standby->psql('postgres', "SELECT pg_last_wal_replay_lsn() >= '$lsn'", stdout => \$answer) };
		return 1 if ($status // 1) == 0 && $answer eq 't';
		return 0 unless -e $standby->data_dir . '/postmaster.pid';
	}
	return 0;
}

1;
