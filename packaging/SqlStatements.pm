# The statements of an SQL script.
package SqlStatements;
use strict;
use warnings;
use Exporter 'import';
our @EXPORT_OK = qw(slurp statements key);

sub slurp
{
	my ($file) = @_;
	open my $in, '<', $file or die "$file: $!\n";
	local $/;
	return scalar <$in>;
}

# Statements end with a semicolon outside quotes.
sub statements
{
	my ($text) = @_;
	my @result;
	$text =~ s/^\\echo.*$//mg;
	while ($text =~ /\G((?:--[^\n]*\n|\/\*.*?\*\/|'(?:[^']|'')*'|(\$\w*\$).*?\g{2}|[^;])*;)/gs)
	{
		my $statement = $1;
		$statement =~ s/\A(?:\s+|--[^\n]*\n|\/\*.*?\*\/)+//s;
		push @result, $statement;
	}
	return @result;
}

# The same for statements that differ only in white space.
sub key { return join ' ', split ' ', $_[0]; }

1;
