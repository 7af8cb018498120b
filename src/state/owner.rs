//! Whose the files beside the state are.
//!
//! Root may run a command that keeps something (`rosterd provision`, `rosterd event`) where the daemon runs as another
//! user: what root creates there is given to whoever owns the folder, or the daemon could not use it.

use std::fs::{File, metadata};
use std::io;
use std::os::unix::fs::{MetadataExt, fchown};
use std::path::Path;

/// Gives a file that was just created in `folder` to the folder's owner and group, where we are root and it is not ours.
pub(crate) fn give_away(file: &File, folder: &Path) -> io::Result<()> {
    let owner = metadata(folder)?;
    let ours = file.metadata()?;
    if ours.uid() != 0 || (owner.uid(), owner.gid()) == (ours.uid(), ours.gid()) {
        return Ok(());
    }
    fchown(file, Some(owner.uid()), Some(owner.gid()))
}

/// The folder of a file.
pub(crate) fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

#[cfg(test)]
mod tests {
    use std::fs::create_dir;
    use std::os::unix::fs::chown;

    use super::*;

    #[test]
    fn what_root_creates_in_the_folder_of_another_user_is_that_users() {
        let directory = tempfile::tempdir().unwrap();
        let folder = directory.path().join("of-nobody");
        create_dir(&folder).unwrap();
        let own = metadata(&folder).unwrap();
        // Who is not root can give nothing away, and need not.
        let (uid, gid) = if own.uid() == 0 { (65_534, 65_534) } else { (own.uid(), own.gid()) };
        chown(&folder, Some(uid), Some(gid)).unwrap();
        let file = File::create(folder.join("file")).unwrap();
        give_away(&file, &folder).unwrap();
        let given = file.metadata().unwrap();
        assert_eq!((given.uid(), given.gid()), (uid, gid));
    }
}
