-- Most records are of what was allowed: they are found soon in the order of time, and cost less without an entry here.
DROP INDEX trail_records_by_outcome;
CREATE INDEX trail_records_by_outcome ON trail_records (outcome, at) WHERE outcome <> 'allow';
