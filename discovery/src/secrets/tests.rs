use std::io::Write;

use super::*;
use crate::error::SecretError;

/// A file in a directory of its own that goes with it.
struct TempFile(std::path::PathBuf);

impl TempFile {
    fn new(bytes: &[u8]) -> Self {
        let unique = format!("talkie-secret-{}-{:016x}", std::process::id(), fastrand::Rng::new().u64(..));
        let path = std::env::temp_dir().join(unique);
        File::create_new(&path).unwrap().write_all(bytes).unwrap();
        Self(path)
    }
}

impl Drop for TempFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

fn texts(bytes: &[u8]) -> Vec<String> {
    let secrets = Secrets::read_file(&TempFile::new(bytes).0).unwrap();
    assert_eq!(*secrets.first().to_text(), *secrets.iter().next().unwrap().to_text());
    secrets.iter().map(|secret| secret.to_text().to_string()).collect()
}

fn fails(bytes: &[u8]) -> SecretFileError {
    Secrets::read_file(&TempFile::new(bytes).0).unwrap_err()
}

#[test]
fn a_file_of_one_line_holds_one_secret() {
    for good in ["swordfish-77\n", "\n\n  swordfish-77 \r\n\n", "swordfish-77", "\u{feff}swordfish-77\n"] {
        assert_eq!(texts(good.as_bytes()), ["swordfish-77"], "{good:?}");
    }
    assert_eq!(
        texts(b"#swordfish-77\n"),
        ["#swordfish-77"],
        "one line is what it was before there were several"
    );
    assert!(matches!(fails(b""), SecretFileError::Empty(_)));
    assert!(matches!(fails(b" \n\t\n"), SecretFileError::Empty(_)));
    assert!(matches!(fails(b"swordfish\xff\xfe"), SecretFileError::NotText(_)));
    assert!(matches!(fails(&[b'a'; 65 * 1024]), SecretFileError::TooLarge(_)));
    assert!(matches!(fails(b"pass"), SecretFileError::Secret { error: SecretError::TooShort(4), .. }));
    let missing = Secrets::read_file(Path::new("/nonexistent/secret")).unwrap_err();
    assert!(matches!(missing, SecretFileError::Read { .. }));
}

#[test]
fn several_lines_are_several_secrets_and_the_first_sends() {
    assert_eq!(texts(b"swordfish-78\nswordfish-77\n"), ["swordfish-78", "swordfish-77"]);
    let untidy = "\u{feff}\r\n  swordfish-78\t\r\n \r\nswordfish 77 \r\nswordfish-78\r\n";
    assert_eq!(texts(untidy.as_bytes()), ["swordfish-78", "swordfish 77"], "the third is there twice");
    let most = "swordfish-1\nswordfish-2\nswordfish-3\nswordfish-4\n";
    assert_eq!(texts(most.as_bytes()).len(), Secrets::MAX);
    assert_eq!(texts(format!("{most}{most}").as_bytes()).len(), Secrets::MAX);
    assert!(matches!(fails(format!("{most}swordfish-5").as_bytes()), SecretFileError::TooMany(_)));
}

#[test]
fn the_same_generated_secret_in_two_cases_is_one() {
    let text = Secret::generate().to_text().to_string();
    assert_eq!(texts(format!("{text}\n{}\n", text.to_uppercase()).as_bytes()), [text]);
}

#[test]
fn a_bad_line_is_named_and_never_shown() {
    let bad = [("swordfish-77\n\npass\n", "line 3"), ("tk1-swordfish\nswordfish-77", "line 1")];
    for (text, place) in bad {
        let error = fails(text.as_bytes());
        let words = format!("{error} {error:?}");
        assert!(matches!(error, SecretFileError::Line { .. }), "{words}");
        assert!(
            words.contains(place) && !words.contains("swordfish") && !words.contains("pass\n"),
            "{words}"
        );
    }
}

#[test]
fn a_comment_beside_a_secret_is_refused_for_it_would_be_a_passphrase() {
    let error = fails(b"swordfish-77\n# the secret of the spring\n");
    assert!(matches!(error, SecretFileError::Comment { line: 2, .. }), "{error:?}");
    assert!(error.to_string().contains("no comments") && !error.to_string().contains("spring"), "{error}");
}
