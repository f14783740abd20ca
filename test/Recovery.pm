# Waiting for a server that crashed.
package Recovery;
use strict;
use warnings;
use Exporter 'import';
use Time::HiRes qw(usleep time);
our @EXPORT_OK = qw(wait_until);

# Until $query gives t; dies after three minutes. A server that recovers turns clients away, and a psql
# that is gone before its query was written to it makes IPC::Run die: both mean to ask again.
# (poll_query_until of PostgreSQL's module dies of the second.)
sub wait_until
{
	my ($node, $query) = @_;
	for (my $end = time + 180; time < $end; usleep(100_000))
	{
		my $answer = '';
		return if eval { $node->psql('postgres', $query, stdout => \$answer) == 0 } && $answer eq 't';
	}
	die "no recovery: $query";
}

1;
