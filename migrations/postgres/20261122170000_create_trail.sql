-- The trail: every record of every replica, shipped here from its journal.

-- How far each chain is stored. Whoever appends to a chain locks its row; whoever drops records locks all rows, in the order of their
-- ids, before any partition. A row is never deleted: without it, the next record of its chain would be taken for a gap.
CREATE TABLE trail_chains (
    chain_id uuid PRIMARY KEY,     -- a UUIDv7
    replica text NOT NULL,         -- who writes it
    first_seq bigint NOT NULL,     -- the first place that is kept: what retention dropped lies before it
    next_seq bigint NOT NULL,      -- the place of the next record, from 1
    last_digest bytea NOT NULL,    -- SHA-256 of the record before next_seq; 32 zeros before the first
    last_at timestamptz            -- when that record happened; NULL before the first
);

-- What is in `record` is the truth, byte for byte as it was hashed; the columns beside it are copies of what is searched. In those
-- copies `\` is written `\\` and U+0000 `\0`, an entity as `Type::"id"`, and what is longer than 512 bytes ends in its SHA-256.
CREATE TABLE trail_records (
    at timestamptz NOT NULL,       -- when it happened, by the replica's clock
    chain_id uuid NOT NULL,
    seq bigint NOT NULL,           -- its place in the chain, from 1
    kind text COLLATE "C" NOT NULL,
    session_id uuid,               -- NULL, as each of the next: it has none
    tree_id uuid,
    principal text COLLATE "C",
    owner text COLLATE "C",
    outcome text COLLATE "C",      -- allow, deny, challenge; none: no decision could be made
    code text COLLATE "C",
    decision_id uuid,              -- of the decision, or of the one that an act follows from
    actions text[],               -- NULL, as the next two: there are none
    resources text[],
    policies text[],
    record text NOT NULL,          -- a JSON object
    PRIMARY KEY (chain_id, seq, at)
) PARTITION BY RANGE (at);

-- The order of time; records of one time are sorted when they are read.
CREATE INDEX trail_records_by_time ON trail_records (at);
CREATE INDEX trail_records_by_session ON trail_records (session_id, at) WHERE session_id IS NOT NULL;
CREATE INDEX trail_records_by_tree ON trail_records (tree_id, at) WHERE tree_id IS NOT NULL;
CREATE INDEX trail_records_by_principal ON trail_records (principal, at) WHERE principal IS NOT NULL;
CREATE INDEX trail_records_by_outcome ON trail_records (outcome, at) WHERE outcome IS NOT NULL;
CREATE INDEX trail_records_by_decision ON trail_records (decision_id, at) WHERE decision_id IS NOT NULL;

-- A partition is a day, in UTC; the store makes them ahead. What falls on no such day waits here, and is moved when its day is made.
CREATE TABLE trail_records_default PARTITION OF trail_records DEFAULT;
