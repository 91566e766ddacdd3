-- Every `_at` holds microseconds since 1970-01-01T00:00:00Z.

-- What each replica says of itself, while it lives. Nothing is decided by it, and no entry of the change feed tells of it.
CREATE TABLE replicas (
    replica TEXT NOT NULL PRIMARY KEY, -- its name
    version TEXT NOT NULL,             -- of its program
    bundle_number INTEGER,             -- what it serves; NULL: nothing
    is_unusable INTEGER NOT NULL,      -- 0 or 1: whether it cannot use that bundle
    seen_at INTEGER NOT NULL           -- when it said so, by its own clock
) STRICT;
