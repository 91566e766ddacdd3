-- Every `_at` holds microseconds since 1970-01-01T00:00:00Z.

-- The change feed has one more kind: `approval`, whose key is the id of an approval.

-- What is in `approval` is the truth; the columns beside it are copies of what is searched.
CREATE TABLE approvals (
    approval_id BLOB NOT NULL PRIMARY KEY, -- a UUIDv7, so that its order is the order of asking
    session_id BLOB NOT NULL,
    principal_type TEXT NOT NULL,
    principal_id TEXT NOT NULL,
    challenge BLOB NOT NULL,               -- SHA-256 of what is asked for: session, step-up, action, resource, attributes
    state TEXT NOT NULL,                   -- pending, approved, denied, cancelled; expired: only when another took its place
    expires_at INTEGER NOT NULL,           -- from then on, what is pending has expired
    version INTEGER NOT NULL,              -- grows by one with every change
    approval TEXT NOT NULL                 -- a JSON object
) STRICT;

-- A challenge that is met again finds the approval that waits for it.
CREATE UNIQUE INDEX pending_approvals_by_challenge ON approvals (challenge) WHERE state = 'pending';
CREATE INDEX approvals_by_session ON approvals (session_id, approval_id);
CREATE INDEX approvals_by_principal ON approvals (principal_type, principal_id, approval_id);
CREATE INDEX approvals_by_state ON approvals (state, approval_id);
