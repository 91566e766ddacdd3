-- Every `_at` holds microseconds since 1970-01-01T00:00:00Z.

-- The change feed has one more kind: `memories`, whose key is a JSON array of memory keys, each with its version, and which stands for
-- that many changes. Its shard, 1 to 15, is that of the key: by the id of a session or a tree, by the hash of a principal's key.

CREATE TABLE memories (
    memory_key TEXT NOT NULL PRIMARY KEY, -- whose: session:<id>, tree:<id of its root> or principal:<type>::"<id>"
    version INTEGER NOT NULL,             -- from 1; grows by one with every commit
    memory TEXT NOT NULL,                 -- a JSON object
    updated_at INTEGER NOT NULL
) STRICT;
