//! Everything of a measurement into a folder.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::latencies::{HistogramError, Latencies};
use crate::picture::{Picture, PictureError};
use crate::report::Report;

/// Why a measurement was not saved.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SaveError {
    /// The folder or a file in it cannot be written.
    #[error("cannot write {path:?}: {source}")]
    Write {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The table as CSV.
    #[error("cannot write the table: {0}")]
    Table(#[from] csv::Error),
    /// A histogram.
    #[error(transparent)]
    Histogram(#[from] HistogramError),
    /// The picture.
    #[error(transparent)]
    Picture(#[from] PictureError),
}

/// The files that were written.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Saved(pub Vec<PathBuf>);

impl Report {
    /// Writes `WORKLOAD.json`, `.csv`, a `WORKLOAD-NAME.hdr` for each histogram (HdrHistogram format V2, nanoseconds),
    /// and, with a picture, `.svg` and `.png`. Makes the folder; replaces files of those names.
    ///
    /// # Errors
    /// For the first file that cannot be written.
    pub fn save(
        &self,
        folder: &Path,
        histograms: &[(&str, &Latencies)],
        picture: Option<&Picture>,
    ) -> Result<Saved, SaveError> {
        fs::create_dir_all(folder).map_err(|source| SaveError::Write { path: folder.to_owned(), source })?;
        let mut saved = Saved::default();
        let stem = file_name(&self.workload);
        let mut write = |name: String, bytes: &[u8]| {
            let path = folder.join(name);
            if let Err(source) = fs::write(&path, bytes) {
                return Err(SaveError::Write { path, source });
            }
            saved.0.push(path);
            Ok(())
        };
        write(format!("{stem}.json"), self.json().as_bytes())?;
        write(format!("{stem}.csv"), self.csv()?.as_bytes())?;
        for (name, all) in histograms {
            write(format!("{stem}-{}.hdr", file_name(name)), &all.to_v2()?)?;
        }
        if let Some(picture) = picture {
            write(format!("{stem}.svg"), picture.svg().as_bytes())?;
            write(format!("{stem}.png"), &picture.png()?)?;
        }
        Ok(saved)
    }
}

/// A text as part of a file's name: letters, digits, points; anything else is a hyphen, and none stands at an end.
pub fn file_name(text: &str) -> String {
    let plain = |c: char| if c.is_alphanumeric() || c == '.' { c.to_ascii_lowercase() } else { '-' };
    let words: String = text.chars().map(plain).collect();
    words.split('-').filter(|word| !word.is_empty()).collect::<Vec<_>>().join("-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_files_hold_no_path() {
        assert_eq!(file_name("Talkie, last subscriber"), "talkie-last-subscriber");
        assert_eq!(file_name("../../etc passwd"), "..-..-etc-passwd");
        assert_eq!(file_name("64 B / 1,000 a second"), "64-b-1-000-a-second");
    }
}
