-- The change feed has one more kind: `memories`, whose key is a JSON array of memory keys, each with its version, and which stands for
-- that many changes. Its shard, 1 to 15, is that of the key: by the id of a session or a tree, by the hash of a principal's key.

-- Rewritten all the time, and small: room in each page, and no index on what changes, so that an update needs no new index entry.
CREATE TABLE memories (
    memory_key text COLLATE "C" PRIMARY KEY, -- whose: session:<id>, tree:<id of its root> or principal:<type>::"<id>"
    version bigint NOT NULL,                 -- grows by one with every commit; 0: nothing yet, the row is there to be locked
    memory text NOT NULL,                    -- a JSON object
    updated_at timestamptz NOT NULL
) WITH (fillfactor = 70);
