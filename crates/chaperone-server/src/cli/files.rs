//! Files that arguments name: read whole, within limits.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use super::failure::Failure;

/// For tokens, handles, certificates and keys, in bytes.
pub const SMALL_BYTES_MAX: u64 = 1024 * 1024;
/// For entities and attributes, in bytes.
pub const JSON_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// Reads a file, or standard input for `-`.
///
/// # Errors
/// `Input` when it cannot be read or is larger than `bytes_max`.
pub fn read(path: &Path, bytes_max: u64) -> Result<Vec<u8>, Failure> {
    let shown = path.display();
    let unreadable = |error: std::io::Error| Failure::Input(format!("cannot read `{shown}`: {error}"));
    let mut bytes = Vec::new();
    // One byte more than allowed tells a file at the limit from one beyond it.
    let limit = bytes_max.saturating_add(1);
    let read = if path == Path::new("-") {
        std::io::stdin().lock().take(limit).read_to_end(&mut bytes)
    } else {
        File::open(path).map_err(unreadable)?.take(limit).read_to_end(&mut bytes)
    };
    let count = read.map_err(unreadable)?;
    if u64::try_from(count).unwrap_or(u64::MAX) > bytes_max {
        return Err(Failure::Input(format!("`{shown}` is larger than {bytes_max} bytes")));
    }
    Ok(bytes)
}

/// Reads a file of text.
///
/// # Errors
/// As [`read`], and when it is not UTF-8.
pub fn read_text(path: &Path, bytes_max: u64) -> Result<String, Failure> {
    String::from_utf8(read(path, bytes_max)?)
        .map_err(|_| Failure::Input(format!("`{}` is not UTF-8 text", path.display())))
}

/// Reads the one line of a file that holds a token or a handle. The error never repeats it.
///
/// # Errors
/// As [`read_text`], and when the file holds nothing, or more than one line.
pub fn read_secret(path: &Path) -> Result<String, Failure> {
    let text = read_text(path, SMALL_BYTES_MAX)?;
    match text.trim() {
        "" => Err(Failure::Input(format!("`{}` is empty", path.display()))),
        secret if secret.contains(char::is_whitespace) || secret.contains(char::is_control) => {
            Err(Failure::Input(format!("`{}` should hold one line without spaces", path.display())))
        }
        secret => Ok(secret.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_beyond_the_limit_is_refused_and_at_the_limit_read() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("five");
        std::fs::write(&path, "12345").expect("written");
        assert_eq!(read(&path, 5).expect("it is small enough"), b"12345");
        assert!(read(&path, 4).is_err());
    }

    #[test]
    fn secret_is_one_line_and_never_in_an_error() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("token");
        std::fs::write(&path, "s3cret\n").expect("written");
        assert_eq!(read_secret(&path).expect("one line"), "s3cret");
        std::fs::write(&path, "s3cret\nother\n").expect("written");
        assert!(!read_secret(&path).expect_err("two lines").to_string().contains("s3cret"));
        std::fs::write(&path, "\n").expect("written");
        assert!(read_secret(&path).is_err());
    }
}
