//! The secrets of a mesh that changes from one to another: the first is used to send, all are accepted.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use zeroize::Zeroizing;

use crate::error::{SecretFileError, TooManySecrets};
use crate::secret::Secret;

/// Bytes in the largest secret file: far beyond any passphrase, and small enough to read at once.
const MAX_FILE: u64 = 64 * 1024;

/// What a node accepts: one secret, or several while a mesh changes from one to another. The first seals what the node
/// sends; whoever holds any of them is a member.
///
/// No two are alike. Wiped from memory when dropped; `Debug` shows only of which kind each is.
#[derive(Clone, Debug)]
pub struct Secrets {
    first: Secret,
    others: Vec<Secret>,
}

impl Secrets {
    /// The most at once. A change takes two; each more costs every member one more look at what strangers send.
    pub const MAX: usize = 4;

    /// One more that is accepted, behind those there are. One that is there already changes nothing.
    ///
    /// # Errors
    /// Where there are [`Self::MAX`] already.
    pub fn and(mut self, also: Secret) -> Result<Self, TooManySecrets> {
        if self.iter().any(|known| *known.to_text() == *also.to_text()) {
            return Ok(self);
        }
        if self.iter().count() >= Self::MAX {
            return Err(TooManySecrets);
        }
        self.others.push(also);
        Ok(self)
    }

    /// Reads a file: one secret a line, blanks around it trimmed (so lines may end in CR LF), empty lines skipped. The
    /// first is used to send, all are accepted; one that is there twice counts once. There are no comments: of several
    /// lines none may begin with `#`, for it would be a passphrase.
    ///
    /// Warns where others than the owner may read the file, unless a service manager or a container's runtime keeps
    /// it there (below `$CREDENTIALS_DIRECTORY` or `/run/secrets`): they guard it by other means than its mode.
    ///
    /// # Errors
    /// A file that can not be read, is over 64 KiB, is not UTF-8, holds no secret, more than [`Self::MAX`], or a line that
    /// is none.
    pub fn read_file(path: &Path) -> Result<Self, SecretFileError> {
        let read = |error| SecretFileError::Read { path: path.to_owned(), error };
        let file = File::open(path).map_err(read)?;
        // One allocation, so that no copy is left behind by growing.
        let mut bytes = Zeroizing::new(Vec::with_capacity(MAX_FILE as usize + 1));
        (&file).take(MAX_FILE + 1).read_to_end(&mut bytes).map_err(read)?;
        if bytes.len() as u64 > MAX_FILE {
            return Err(SecretFileError::TooLarge(path.to_owned()));
        }
        let text = std::str::from_utf8(&bytes).map_err(|_| SecretFileError::NotText(path.to_owned()))?;
        let secrets = parse_lines(text, path)?;
        // Only of a file that is used: a bad one is told in one line.
        warn_of_readers(&file, path);
        Ok(secrets)
    }

    /// The one that is used to send.
    #[must_use]
    pub const fn first(&self) -> &Secret {
        &self.first
    }

    /// All that are accepted, the one that is used to send first.
    pub fn iter(&self) -> impl Iterator<Item = &Secret> {
        std::iter::once(&self.first).chain(&self.others)
    }
}

impl From<Secret> for Secrets {
    fn from(secret: Secret) -> Self {
        Self { first: secret, others: Vec::new() }
    }
}

fn parse_lines(text: &str, path: &Path) -> Result<Secrets, SecretFileError> {
    // Some editors begin a text file with a byte order mark, which is no part of the secret.
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let lines = text.lines().map(str::trim).enumerate().filter(|(_, line)| !line.is_empty());
    let several = lines.clone().nth(1).is_some();
    let mut secrets: Option<Secrets> = None;
    for (at, line) in lines {
        let (path, line_number) = (|| path.to_owned(), at + 1);
        if several && line.starts_with('#') {
            return Err(SecretFileError::Comment { path: path(), line: line_number });
        }
        let secret = Secret::parse(line).map_err(|error| match several {
            true => SecretFileError::Line { path: path(), line: line_number, error },
            false => SecretFileError::Secret { path: path(), error },
        })?;
        secrets = Some(match secrets {
            None => secret.into(),
            Some(known) => known.and(secret).map_err(|TooManySecrets| SecretFileError::TooMany(path()))?,
        });
    }
    secrets.ok_or_else(|| SecretFileError::Empty(path.to_owned()))
}

#[cfg(unix)]
fn warn_of_readers(file: &File, path: &Path) {
    use std::os::unix::fs::MetadataExt;
    if let Ok(meta) = file.metadata()
        && meta.is_file()
        && meta.mode() & 0o077 != 0
        && !is_kept(path)
    {
        let path = path.display();
        tracing::warn!(name: "talkie.secret.readable", "other users of this host may read the secret file {path}: chmod 600 keeps it secret");
    }
}

/// systemd shows a credential as 0440 where an access list lets its one user read it, and its folder shuts out the
/// others; Docker, Podman and Kubernetes show secrets as 0444, in a container where nobody else is.
#[cfg(unix)]
fn is_kept(path: &Path) -> bool {
    let credentials = std::env::var_os("CREDENTIALS_DIRECTORY").filter(|folder| !folder.is_empty());
    let inside = |folder: &Path| folder.is_absolute() && path.starts_with(folder);
    credentials.is_some_and(|folder| inside(Path::new(&folder))) || inside(Path::new("/run/secrets"))
}

#[cfg(not(unix))]
fn warn_of_readers(_: &File, _: &Path) {}

#[cfg(test)]
mod tests;
