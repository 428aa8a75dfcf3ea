//! Reads a secret file again when it changes, or when somebody asks for it.

use std::fs::Metadata;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};
use std::time::{Instant, SystemTime};

use talkie_discovery::{SecretFileError, Secrets};
use tokio::sync::Notify;

use super::keys::{self, blocking};
use crate::error::Closed;
use crate::node::Inner;
use crate::proto::watch::Watch;

/// A file that a node's secrets come from.
#[derive(Debug, Clone)]
pub(crate) struct SecretFile {
    path: PathBuf,
    /// As it was before it was first read.
    stamp: Option<Stamp>,
}

/// What changes with a file.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Stamp {
    len: u64,
    modified: Option<SystemTime>,
    /// Device, inode, and time of the last change of either content or inode: also where a copy keeps the time of its source.
    #[cfg(unix)]
    inode: (u64, u64, i64, i64),
}

impl SecretFile {
    /// Reads the file. A pipe or a device gives its secrets once: there is no file to follow then.
    pub(crate) fn read(path: &Path) -> Result<(Secrets, Option<Self>), SecretFileError> {
        let stamp = stamp(path);
        let secrets = Secrets::read_file(path)?;
        let follows = path.metadata().is_ok_and(|found| found.is_file());
        Ok((secrets, follows.then(|| Self { path: path.to_owned(), stamp })))
    }

    /// Follows the file until the node has left. What is notified has it read at once.
    pub(crate) fn follow(self, node: Weak<Inner>) -> Arc<Notify> {
        let wishes = Arc::new(Notify::new());
        tokio::spawn(self.run(node, Arc::clone(&wishes)));
        wishes
    }

    async fn run(self, node: Weak<Inner>, wishes: Arc<Notify>) {
        let Self { path, stamp: read } = self;
        let mut watch = Watch::new(Instant::now(), read);
        loop {
            let wished = tokio::select! {
                () = tokio::time::sleep_until(watch.poll_timeout().into()) => false,
                () = wishes.notified() => true,
            };
            if node.upgrade().is_none_or(|node| node.registry.check_open().is_err()) {
                return;
            }
            if wished {
                watch.handle_wish(Instant::now());
            }
            let at = path.clone();
            let Ok(found) = blocking(tokio::task::spawn_blocking(move || stamp(&at))).await else { return };
            if watch.handle_look(Instant::now(), found) && reread(&node, &path, wished).await.is_err() {
                return;
            }
        }
    }
}

/// A bad file changes nothing: a node that forgot its secret for a slip of an editor would be lost to its mesh.
async fn reread(node: &Weak<Inner>, path: &Path, wished: bool) -> Result<(), Closed> {
    let at = path.to_owned();
    let secrets = match blocking(tokio::task::spawn_blocking(move || read_again(&at))).await? {
        Ok(secrets) => secrets,
        Err(error) => {
            tracing::warn!(name: "talkie.secret.kept", "{error}; what was read before stays in force");
            return Ok(());
        }
    };
    let keys = keys::derive(secrets).await?;
    let changed = node.upgrade().ok_or(Closed)?.rekey(keys);
    if wished && !changed {
        tracing::info!(name: "talkie.secret.unchanged", "the secret file {} holds what is in force", path.display());
    }
    Ok(())
}

/// A pipe that took the file's place would be waited for.
fn read_again(path: &Path) -> Result<Secrets, SecretFileError> {
    match path.metadata() {
        Ok(found) if !found.is_file() => Err(SecretFileError::Read {
            path: path.to_owned(),
            error: std::io::Error::other("it is no file any more"),
        }),
        _ => Secrets::read_file(path),
    }
}

fn stamp(path: &Path) -> Option<Stamp> {
    path.metadata().ok().map(|found| Stamp {
        len: found.len(),
        modified: found.modified().ok(),
        #[cfg(unix)]
        inode: inode(&found),
    })
}

#[cfg(unix)]
fn inode(found: &Metadata) -> (u64, u64, i64, i64) {
    use std::os::unix::fs::MetadataExt as _;
    (found.dev(), found.ino(), found.ctime(), found.ctime_nsec())
}
