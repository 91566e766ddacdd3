-- How many live children a session has, and a tree live sessions, is counted whenever one is opened.
CREATE INDEX live_sessions_by_parent ON sessions (tree_id, parent_id, expires_at) WHERE ended_at IS NULL;
