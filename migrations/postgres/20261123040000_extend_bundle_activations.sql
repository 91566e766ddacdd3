ALTER TABLE bundle_activations ADD COLUMN is_rollback boolean NOT NULL DEFAULT FALSE; -- whether it went back to an earlier bundle
ALTER TABLE bundle_activations ADD COLUMN message text NOT NULL DEFAULT '';           -- may be empty
