-- No foreign key from a session to its parent: a distributed database could not hold it across shards. The store checks it.
CREATE TABLE sessions (
    session_id uuid PRIMARY KEY,           -- a UUIDv7, so that its order is the order of opening
    tree_id uuid NOT NULL,                 -- the root's id; its own for a root
    parent_id uuid,                        -- NULL: a root
    depth integer NOT NULL,                -- delegations between it and its root
    handle_hash bytea NOT NULL,            -- SHA-256 of the handle's random bytes
    principal_type text COLLATE "C" NOT NULL,
    principal_id text COLLATE "C" NOT NULL,
    owner text COLLATE "C" NOT NULL,
    task_id text COLLATE "C" NOT NULL,     -- may be empty
    task_purpose text NOT NULL,            -- may be empty
    labels text NOT NULL,                  -- a JSON array of strings
    scope text,                            -- Cedar policies; NULL: unrestricted
    binding_spiffe_id text,                -- NULL: any presenter
    binding_certificate_sha256 bytea,      -- 32 bytes; NULL: any presenter
    opened_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    idle_timeout_us bigint,                -- microseconds; NULL: it may stay unused until it expires
    last_used_at timestamptz NOT NULL,     -- not before opened_at; only moves forward
    ended_act text,                        -- completed or revoked; NULL, as the next three: no act has ended it
    ended_at timestamptz,
    ended_reason text,                     -- may be empty
    ended_by text,
    version bigint NOT NULL,               -- grows by one with every change but a use
    CONSTRAINT sessions_ended_whole CHECK (
        (ended_act IS NULL) = (ended_at IS NULL)
        AND (ended_act IS NULL) = (ended_reason IS NULL)
        AND (ended_act IS NULL) = (ended_by IS NULL)
    )
);

CREATE UNIQUE INDEX sessions_by_handle ON sessions (handle_hash);
CREATE INDEX sessions_by_tree ON sessions (tree_id, session_id);
CREATE INDEX sessions_by_principal ON sessions (principal_type, principal_id, session_id);
CREATE INDEX sessions_by_owner ON sessions (owner, session_id);
CREATE INDEX sessions_by_task ON sessions (task_id, session_id);

-- Revoking must not wade through years of sessions that have ended already.
CREATE INDEX live_sessions_by_principal ON sessions (principal_type, principal_id, session_id) WHERE ended_at IS NULL;
CREATE INDEX live_sessions_by_owner ON sessions (owner, session_id) WHERE ended_at IS NULL;
CREATE INDEX live_sessions_by_task ON sessions (task_id, session_id) WHERE ended_at IS NULL;
