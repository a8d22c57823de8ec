//! Files and folders that nobody else may look into.

use std::fs::{File, OpenOptions};
use std::io;
use std::path::Path;

/// Makes `dir` and what is missing above it, for the owner alone (0700). One that exists stays as it is.
///
/// # Errors
/// As [`std::fs::create_dir_all`].
pub fn create_dir(dir: &Path) -> io::Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.recursive(true).create(dir)
}

/// Opens a file for appending, made for the owner alone (0600) where it is missing. A link in its
/// place is not followed.
///
/// # Errors
/// As [`OpenOptions::open`].
pub fn append(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.append(true).create(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        options.mode(0o600).custom_flags(rustix::fs::OFlags::NOFOLLOW.bits().cast_signed());
    }
    options.open(path)
}

#[cfg(unix)]
#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn what_is_made_is_for_the_owner_alone_and_links_are_not_followed() {
        let dir = tempfile::tempdir().unwrap();
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        let (inner, file) = (dir.path().join("a/b"), dir.path().join("a/b/file"));
        create_dir(&inner).unwrap();
        create_dir(&inner).unwrap();
        drop(append(&file).unwrap());
        assert_eq!((mode(&dir.path().join("a")), mode(&inner), mode(&file)), (0o700, 0o700, 0o600));
        let link = dir.path().join("link");
        std::os::unix::fs::symlink(&file, &link).unwrap();
        assert!(append(&link).is_err());
    }
}
