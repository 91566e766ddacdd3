-- The change feed has one more kind: `approval`, whose key is the id of an approval.

-- What is in `approval` is the truth; the columns beside it are copies of what is searched.
CREATE TABLE approvals (
    approval_id uuid PRIMARY KEY,        -- a UUIDv7, so that its order is the order of asking
    session_id uuid NOT NULL,
    principal_type text COLLATE "C" NOT NULL,
    principal_id text COLLATE "C" NOT NULL,
    challenge bytea NOT NULL,            -- SHA-256 of what is asked for: session, step-up, action, resource, attributes
    state text COLLATE "C" NOT NULL,     -- pending, approved, denied, cancelled; expired: only when another took its place
    expires_at timestamptz NOT NULL,     -- from then on, what is pending has expired
    version bigint NOT NULL,             -- grows by one with every change
    approval text NOT NULL               -- a JSON object
);

-- A challenge that is met again finds the approval that waits for it.
CREATE UNIQUE INDEX pending_approvals_by_challenge ON approvals (challenge) WHERE state = 'pending';
CREATE INDEX approvals_by_session ON approvals (session_id, approval_id);
CREATE INDEX approvals_by_principal ON approvals (principal_type, principal_id, approval_id);
CREATE INDEX approvals_by_state ON approvals (state, approval_id);
