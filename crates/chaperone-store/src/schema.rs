//! Migrations, built into the program, and the question whether a database has exactly these.

use std::borrow::Cow;

use sqlx::SqlSafeStr as _;
use sqlx::migrate::{MigrateError, Migration, MigrationType, Migrator};

use crate::error::{SchemaError, StoreError};

/// A migration that was applied, as the database remembers it: version, whether it succeeded, checksum.
pub(crate) type Applied = (i64, bool, Vec<u8>);

macro_rules! migrations {
    ($folder:literal, [$(($version:literal, $file:literal)),+ $(,)?]) => {
        migrator(vec![$((
            $version,
            $file,
            include_str!(concat!("../../../migrations/", $folder, "/", $file, ".sql")),
        )),+])
    };
}

/// The migrations for Postgres.
pub(crate) fn postgres() -> Migrator {
    migrations!(
        "postgres",
        [
            (20_261_122_080_000, "20261122080000_create_change_feed"),
            (20_261_122_080_100, "20261122080100_create_sessions"),
            (20_261_122_080_200, "20261122080200_create_bundles"),
            (20_261_122_080_300, "20261122080300_create_entities"),
            (20_261_122_110_000, "20261122110000_add_entity_tags"),
            (20_261_122_120_000, "20261122120000_create_memories"),
            (20_261_122_143_000, "20261122143000_create_approvals"),
            (20_261_122_170_000, "20261122170000_create_trail"),
            (20_261_122_171_000, "20261122171000_add_binding_zones"),
            (20_261_122_172_000, "20261122172000_index_live_children"),
            (20_261_123_040_000, "20261123040000_extend_bundle_activations"),
            (20_261_123_100_000, "20261123100000_create_replicas"),
            (20_261_123_210_000, "20261123210000_create_candidates"),
            (20_261_124_080_000, "20261124080000_index_refusals"),
        ]
    )
}

/// The migrations for the embedded store.
pub(crate) fn embedded() -> Migrator {
    migrations!(
        "embedded",
        [
            (20_261_122_080_000, "20261122080000_create_change_feed"),
            (20_261_122_080_100, "20261122080100_create_sessions"),
            (20_261_122_080_200, "20261122080200_create_bundles"),
            (20_261_122_080_300, "20261122080300_create_entities"),
            (20_261_122_110_000, "20261122110000_add_entity_tags"),
            (20_261_122_120_000, "20261122120000_create_memories"),
            (20_261_122_143_000, "20261122143000_create_approvals"),
            (20_261_122_171_000, "20261122171000_add_binding_zones"),
            (20_261_122_172_000, "20261122172000_index_live_children"),
            (20_261_123_040_000, "20261123040000_extend_bundle_activations"),
            (20_261_123_100_000, "20261123100000_create_replicas"),
            (20_261_123_210_000, "20261123210000_create_candidates"),
        ]
    )
}

/// The statement that reads what was applied.
pub(crate) const SELECT_APPLIED: &str = "
    SELECT version, success, checksum
    FROM _sqlx_migrations
    ORDER BY version";

/// Compares what was applied with what this program has. `None`: the table of migrations does not exist.
///
/// # Errors
/// When they differ.
pub(crate) fn compare(migrator: &Migrator, applied: Option<&[Applied]>) -> Result<(), SchemaError> {
    let found = applied.and_then(|applied| applied.last()).map(|(version, ..)| *version).ok_or(SchemaError::Missing)?;
    let applied = applied.unwrap_or_default();
    let wanted = migrator.iter().map(|migration| migration.version).max().unwrap_or(0);
    if found > wanted {
        return Err(SchemaError::Ahead { found, wanted });
    }
    for (version, success, checksum) in applied {
        let same =
            migrator.iter().any(|ours| ours.version == *version && ours.checksum.as_ref() == checksum.as_slice());
        if !same || !success {
            return Err(SchemaError::Changed { version: *version });
        }
    }
    if migrator.iter().all(|ours| applied.iter().any(|(version, ..)| *version == ours.version)) {
        Ok(())
    } else {
        Err(SchemaError::Behind { found, wanted })
    }
}

/// Whether this program's migrations may be applied to what was found: nothing, an older schema, or the same.
///
/// # Errors
/// When they may not.
pub(crate) fn require_appliable(compared: Result<(), SchemaError>) -> Result<(), StoreError> {
    match compared {
        Ok(()) | Err(SchemaError::Missing | SchemaError::Behind { .. }) => Ok(()),
        Err(error @ (SchemaError::Ahead { .. } | SchemaError::Changed { .. })) => Err(StoreError::Schema(error)),
    }
}

/// The names of the migrations that were not applied yet, in their order.
pub(crate) fn pending(migrator: &Migrator, applied: Option<&[Applied]>) -> Vec<String> {
    let applied = applied.unwrap_or_default();
    let pending = migrator.iter().filter(|ours| !applied.iter().any(|(version, ..)| *version == ours.version));
    pending.map(|ours| ours.description.to_string()).collect()
}

/// What a failed migration means to the caller.
pub(crate) fn migration_failure(error: MigrateError) -> StoreError {
    match error {
        MigrateError::VersionMismatch(version)
        | MigrateError::VersionMissing(version)
        | MigrateError::Dirty(version) => StoreError::Schema(SchemaError::Changed { version }),
        other => StoreError::Unavailable(Box::new(other)),
    }
}

fn migrator(files: Vec<(i64, &'static str, &'static str)>) -> Migrator {
    let migrations = files.into_iter().map(|(version, file, sql)| {
        Migration::new(version, Cow::Borrowed(file), MigrationType::Simple, sql.into_sql_str(), false)
    });
    Migrator::with_migrations(migrations.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(migrator: &Migrator) -> Vec<Applied> {
        migrator.iter().map(|ours| (ours.version, true, ours.checksum.to_vec())).collect()
    }

    #[test]
    fn versions_are_those_of_the_files() {
        for migration in postgres().iter().chain(embedded().iter()) {
            assert!(migration.description.starts_with(&format!("{}_", migration.version)), "{}", migration.description);
        }
    }

    #[test]
    fn every_difference_is_named() {
        let ours = postgres();
        let same = all(&ours);
        let wanted = same[same.len() - 1].0;
        assert_eq!(compare(&ours, None), Err(SchemaError::Missing));
        assert_eq!(compare(&ours, Some(&[])), Err(SchemaError::Missing));
        assert_eq!(compare(&ours, Some(&same)), Ok(()));
        assert_eq!(compare(&ours, Some(&same[..2])), Err(SchemaError::Behind { found: same[1].0, wanted }));
        let mut newer = same.clone();
        newer.push((wanted + 1, true, Vec::new()));
        assert_eq!(compare(&ours, Some(&newer)), Err(SchemaError::Ahead { found: wanted + 1, wanted }));
        let mut edited = same.clone();
        edited[0].2 = vec![0; 48];
        assert_eq!(compare(&ours, Some(&edited)), Err(SchemaError::Changed { version: edited[0].0 }));
        let mut halfway = same;
        halfway[1].1 = false;
        assert_eq!(compare(&ours, Some(&halfway)), Err(SchemaError::Changed { version: halfway[1].0 }));
    }

    #[test]
    fn only_nothing_or_an_older_schema_is_migrated() {
        assert!(require_appliable(Err(SchemaError::Missing)).is_ok());
        assert!(require_appliable(Err(SchemaError::Behind { found: 1, wanted: 2 })).is_ok());
        assert!(require_appliable(Err(SchemaError::Ahead { found: 2, wanted: 1 })).is_err());
        assert!(require_appliable(Err(SchemaError::Changed { version: 1 })).is_err());
    }
}
