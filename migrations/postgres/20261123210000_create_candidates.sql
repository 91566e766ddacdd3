-- Bundles beside the active one: at most one of each role.
CREATE TABLE candidates (
    role text PRIMARY KEY CHECK (role IN ('shadow', 'canary')),
    number bigint NOT NULL,             -- the bundle
    beside bigint NOT NULL,             -- the bundle that was active when it was last set; a canary ends when another becomes active
    share_ppm bigint NOT NULL CHECK (share_ppm BETWEEN 0 AND 1000000), -- of decisions or sessions, in millionths
    label text,                         -- sessions with this label belong to the canary; NULL: the share says which
    message text NOT NULL,              -- may be empty
    started_by text NOT NULL,
    started_at timestamptz NOT NULL
);
