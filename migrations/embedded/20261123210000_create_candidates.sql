-- Bundles beside the active one: at most one of each role.
CREATE TABLE candidates (
    role TEXT PRIMARY KEY CHECK (role IN ('shadow', 'canary')),
    number INTEGER NOT NULL,      -- the bundle
    beside INTEGER NOT NULL,      -- the bundle that was active when it was last set; a canary ends when another becomes active
    share_ppm INTEGER NOT NULL CHECK (share_ppm BETWEEN 0 AND 1000000), -- of decisions or sessions, in millionths
    label TEXT,                   -- sessions with this label belong to the canary; NULL: the share says which
    message TEXT NOT NULL,        -- may be empty
    started_by TEXT NOT NULL,
    started_at INTEGER NOT NULL
) STRICT;
