//! The results of a batch as a gzip'd tar.

use std::io;

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::Value;

/// Results are spread over files of so many.
const RESULTS_A_FILE: usize = 500;

/// Packs results as Mailchimp does: a `./` entry, then files of arrays.
pub(crate) fn pack(results: &[Value], now: i64) -> io::Result<Vec<u8>> {
    let mut archive = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
    let mtime = u64::try_from(now).unwrap_or(0);
    let mut folder = tar::Header::new_gnu();
    folder.set_entry_type(tar::EntryType::Directory);
    folder.set_size(0);
    folder.set_mode(0o755);
    folder.set_mtime(mtime);
    archive.append_data(&mut folder, "./", io::empty())?;
    for (index, part) in results.chunks(RESULTS_A_FILE).enumerate() {
        let text = Value::from(part).to_string();
        let mut file = tar::Header::new_gnu();
        file.set_size(u64::try_from(text.len()).unwrap_or(u64::MAX));
        file.set_mode(0o644);
        file.set_mtime(mtime);
        archive.append_data(&mut file, format!("{index:08x}-0.json"), text.as_bytes())?;
    }
    archive.into_inner()?.finish()
}
