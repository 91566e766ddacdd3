CREATE TABLE bundles (
    number bigint PRIMARY KEY,          -- from 1, without gaps
    digest text COLLATE "C" NOT NULL,   -- SHA-256 over paths and contents, in hexadecimal
    files text NOT NULL,                -- a JSON object: each file's text by its path
    policy_count bigint NOT NULL,
    message text NOT NULL,              -- may be empty
    uploaded_by text NOT NULL,
    uploaded_at timestamptz NOT NULL
);

CREATE UNIQUE INDEX bundles_by_digest ON bundles (digest);

-- One row, which whoever numbers or activates a bundle locks.
CREATE TABLE bundle_state (
    singleton smallint PRIMARY KEY CHECK (singleton = 1),
    last_number bigint NOT NULL,        -- 0: no bundle yet
    active_number bigint                -- NULL: none is active
);

INSERT INTO bundle_state (singleton, last_number, active_number)
VALUES (1, 0, NULL);

CREATE TABLE bundle_activations (
    position bigint PRIMARY KEY,        -- its place in shard 0 of the change feed, so that the order is that of the acts
    number bigint NOT NULL,             -- the bundle that became active
    previous_number bigint,             -- the one that was active before; NULL: none
    activated_by text NOT NULL,
    activated_at timestamptz NOT NULL
);
