-- Every `_at` holds microseconds since 1970-01-01T00:00:00Z.

CREATE TABLE bundles (
    number INTEGER PRIMARY KEY, -- from 1, without gaps
    digest TEXT NOT NULL,       -- SHA-256 over paths and contents, in hexadecimal
    files TEXT NOT NULL,        -- a JSON object: each file's text by its path
    policy_count INTEGER NOT NULL,
    message TEXT NOT NULL,      -- may be empty
    uploaded_by TEXT NOT NULL,
    uploaded_at INTEGER NOT NULL
) STRICT;

CREATE UNIQUE INDEX bundles_by_digest ON bundles (digest);

-- One row, which whoever numbers or activates a bundle locks.
CREATE TABLE bundle_state (
    singleton INTEGER PRIMARY KEY CHECK (singleton = 1),
    last_number INTEGER NOT NULL, -- 0: no bundle yet
    active_number INTEGER         -- NULL: none is active
) STRICT;

INSERT INTO bundle_state (singleton, last_number, active_number)
VALUES (1, 0, NULL);

CREATE TABLE bundle_activations (
    position INTEGER PRIMARY KEY, -- its place in shard 0 of the change feed, so that the order is that of the acts
    number INTEGER NOT NULL,      -- the bundle that became active
    previous_number INTEGER,      -- the one that was active before; NULL: none
    activated_by TEXT NOT NULL,
    activated_at INTEGER NOT NULL
) STRICT;
