//! `talkie man`: the manual, made of the command line, the table of settings and the list of JSON lines.

mod pages;

use std::io::Write as _;
use std::path::Path;

use crate::exit::Failure;

pub(super) fn run(dir: Option<&Path>) -> Result<(), Failure> {
    let mut stdout = std::io::stdout().lock();
    let Some(dir) = dir else {
        return Ok(stdout.write_all(pages::overview().as_bytes()).and_then(|()| stdout.flush())?);
    };
    let cannot =
        |path: &Path, error| Failure::Failed(format!("cannot write {}: {error}", path.to_string_lossy()));
    std::fs::create_dir_all(dir).map_err(|error| cannot(dir, error))?;
    for (file, text) in pages::all() {
        let path = dir.join(file);
        std::fs::write(&path, text).map_err(|error| cannot(&path, error))?;
        writeln!(stdout, "{}", path.display())?;
    }
    Ok(())
}
