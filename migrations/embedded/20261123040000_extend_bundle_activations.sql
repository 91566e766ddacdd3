ALTER TABLE bundle_activations ADD COLUMN is_rollback INTEGER NOT NULL DEFAULT 0; -- 0 or 1: whether it went back to an earlier bundle
ALTER TABLE bundle_activations ADD COLUMN message TEXT NOT NULL DEFAULT '';       -- may be empty
