-- Every `_at` holds microseconds since 1970-01-01T00:00:00Z.

-- The change feed. A writer takes its positions by updating its shard's row, which stays locked until the writer commits: within a
-- shard, positions become visible in their order, and a reader's cursor passes none that is still to come.
CREATE TABLE feed_shards (
    shard INTEGER PRIMARY KEY,                -- 0: bundles and entities; 1 to 15: sessions, by tree
    position INTEGER NOT NULL DEFAULT 0,      -- the last position handed out; some may have stayed unused
    pruned_through INTEGER NOT NULL DEFAULT 0 -- the last position whose change was removed; 0: none was
) STRICT;

INSERT INTO feed_shards (shard)
VALUES (0), (1), (2), (3), (4), (5), (6), (7), (8), (9), (10), (11), (12), (13), (14), (15);

CREATE TABLE changes (
    shard INTEGER NOT NULL,
    position INTEGER NOT NULL,   -- from 1, growing, with gaps
    kind TEXT NOT NULL,          -- session, active_bundle or entity
    key TEXT NOT NULL,           -- a session's id, an entity's type and id as JSON, or empty
    changed_at INTEGER NOT NULL, -- the writer's clock; only pruning reads it
    PRIMARY KEY (shard, position)
) STRICT;

CREATE INDEX changes_by_time ON changes (shard, changed_at);
