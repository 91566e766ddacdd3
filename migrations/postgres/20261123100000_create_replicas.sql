-- What each replica says of itself, while it lives. Nothing is decided by it, and no entry of the change feed tells of it.
CREATE TABLE replicas (
    replica text COLLATE "C" PRIMARY KEY, -- its name
    version text NOT NULL,                -- of its program
    bundle_number bigint,                 -- what it serves; NULL: nothing
    is_unusable boolean NOT NULL,         -- whether it cannot use that bundle
    seen_at timestamptz NOT NULL          -- when it said so, by its own clock
);
