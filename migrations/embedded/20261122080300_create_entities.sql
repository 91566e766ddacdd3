-- Every `_at` holds microseconds since 1970-01-01T00:00:00Z.

CREATE TABLE entities (
    entity_type TEXT NOT NULL, -- with its namespace
    entity_id TEXT NOT NULL,
    attributes TEXT NOT NULL,  -- a JSON object of tagged values
    parents TEXT NOT NULL,     -- a JSON array of types and ids
    updated_at INTEGER NOT NULL,
    PRIMARY KEY (entity_type, entity_id)
) STRICT;
