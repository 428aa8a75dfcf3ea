//! A folder for one measurement, removed on drop.

use std::path::{Path, PathBuf};
use std::{env, fs, process};

use crate::failure::Failure;
use talkie_instrument::now_ns;

/// A fresh folder.
pub struct Folder(PathBuf);

impl Folder {
    /// Makes it among the system's temporary files.
    pub fn new() -> Result<Self, Failure> {
        let path = env::temp_dir().join(format!("talkie-peers-{}-{}", process::id(), now_ns()));
        fs::create_dir(&path)?;
        Ok(Self(path))
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
