//! A file that goes with its test.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// A file with a name of its own in the system's folder for temporary files; deleted on drop.
#[derive(Debug)]
pub struct TempFile(PathBuf);

impl TempFile {
    /// Writes the file.
    ///
    /// # Panics
    /// If it cannot be written.
    pub fn new(content: &str) -> Self {
        let name = format!("talkie-test-{}-{:016x}", std::process::id(), fastrand::Rng::new().u64(..));
        let path = std::env::temp_dir().join(name);
        fs::write(&path, content).expect("a temporary file can be written");
        Self(path)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for TempFile {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}
