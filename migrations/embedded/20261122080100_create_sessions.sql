-- Every `_at` holds microseconds since 1970-01-01T00:00:00Z.

-- No foreign key from a session to its parent: a distributed database could not hold it across shards. The store checks it.
CREATE TABLE sessions (
    session_id BLOB NOT NULL PRIMARY KEY, -- a UUIDv7, so that its order is the order of opening
    tree_id BLOB NOT NULL,                -- the root's id; its own for a root
    parent_id BLOB,                       -- NULL: a root
    depth INTEGER NOT NULL,               -- delegations between it and its root
    handle_hash BLOB NOT NULL,            -- SHA-256 of the handle's random bytes
    principal_type TEXT NOT NULL,
    principal_id TEXT NOT NULL,
    owner TEXT NOT NULL,
    task_id TEXT NOT NULL,                -- may be empty
    task_purpose TEXT NOT NULL,           -- may be empty
    labels TEXT NOT NULL,                 -- a JSON array of strings
    scope TEXT,                           -- Cedar policies; NULL: unrestricted
    binding_spiffe_id TEXT,               -- NULL: any presenter
    binding_certificate_sha256 BLOB,      -- 32 bytes; NULL: any presenter
    opened_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    idle_timeout_us INTEGER,              -- microseconds; NULL: it may stay unused until it expires
    last_used_at INTEGER NOT NULL,        -- not before opened_at; only moves forward
    ended_act TEXT,                       -- completed or revoked; NULL, as the next three: no act has ended it
    ended_at INTEGER,
    ended_reason TEXT,                    -- may be empty
    ended_by TEXT,
    version INTEGER NOT NULL,             -- grows by one with every change but a use
    CONSTRAINT sessions_ended_whole CHECK (
        (ended_act IS NULL) = (ended_at IS NULL)
        AND (ended_act IS NULL) = (ended_reason IS NULL)
        AND (ended_act IS NULL) = (ended_by IS NULL)
    )
) STRICT;

CREATE UNIQUE INDEX sessions_by_handle ON sessions (handle_hash);
CREATE INDEX sessions_by_tree ON sessions (tree_id, session_id);
CREATE INDEX sessions_by_principal ON sessions (principal_type, principal_id, session_id);
CREATE INDEX sessions_by_owner ON sessions (owner, session_id);
CREATE INDEX sessions_by_task ON sessions (task_id, session_id);

-- Revoking must not wade through years of sessions that have ended already.
CREATE INDEX live_sessions_by_principal ON sessions (principal_type, principal_id, session_id) WHERE ended_at IS NULL;
CREATE INDEX live_sessions_by_owner ON sessions (owner, session_id) WHERE ended_at IS NULL;
CREATE INDEX live_sessions_by_task ON sessions (task_id, session_id) WHERE ended_at IS NULL;
