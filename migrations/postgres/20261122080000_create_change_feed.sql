-- The change feed. A writer takes its positions by updating its shard's row, which stays locked until the writer commits: within a
-- shard, positions become visible in their order, and a reader's cursor passes none that is still to come.
CREATE TABLE feed_shards (
    shard smallint PRIMARY KEY,              -- 0: bundles and entities; 1 to 15: sessions, by tree
    position bigint NOT NULL DEFAULT 0,      -- the last position handed out; some may have stayed unused
    pruned_through bigint NOT NULL DEFAULT 0 -- the last position whose change was removed; 0: none was
);

INSERT INTO feed_shards (shard)
VALUES (0), (1), (2), (3), (4), (5), (6), (7), (8), (9), (10), (11), (12), (13), (14), (15);

CREATE TABLE changes (
    shard smallint NOT NULL,
    position bigint NOT NULL,        -- from 1, growing, with gaps
    kind text NOT NULL,              -- session, active_bundle or entity
    key text NOT NULL,               -- a session's id, an entity's type and id as JSON, or empty
    changed_at timestamptz NOT NULL, -- the writer's clock; only pruning reads it
    PRIMARY KEY (shard, position)
);

CREATE INDEX changes_by_time ON changes (shard, changed_at);
