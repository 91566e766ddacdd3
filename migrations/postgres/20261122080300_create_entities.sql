CREATE TABLE entities (
    entity_type text COLLATE "C" NOT NULL, -- with its namespace
    entity_id text COLLATE "C" NOT NULL,
    attributes text NOT NULL,              -- a JSON object of tagged values
    parents text NOT NULL,                 -- a JSON array of types and ids
    updated_at timestamptz NOT NULL,
    PRIMARY KEY (entity_type, entity_id)
);
