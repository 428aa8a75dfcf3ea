use super::*;

fn fixed() -> Secret {
    Secret(Form::Generated(std::array::from_fn(|i| i as u8)))
}

#[test]
fn a_generated_secret_is_read_as_written() {
    let text = fixed().to_text();
    assert_eq!(text.len(), 62);
    assert_eq!(*text, "tk1-aaaqeayeaudaocajbifqydiob4ibceqtcqkrmfyydenbwha5dypxwhhxai");
    let Form::Generated(random) = Secret::parse(&text).unwrap().form().clone() else { panic!() };
    assert_eq!(random, std::array::from_fn(|i| i as u8));
    assert!(Secret::parse(&text.to_uppercase()).is_ok(), "either case");
    assert_ne!(*Secret::generate().to_text(), *Secret::generate().to_text());
    for _ in 0..50 {
        let text = Secret::generate().to_text();
        assert_eq!(*Secret::parse(&text).unwrap().to_text(), *text);
    }
}

#[test]
fn every_single_typing_error_is_told() {
    let text = fixed().to_text();
    for at in PREFIX.len()..text.len() {
        for wrong in "abcdefghijklmnopqrstuvwxyz234567".chars().filter(|c| !text[at..].starts_with(*c)) {
            let mut typed = text.to_string();
            typed.replace_range(at..=at, &wrong.to_string());
            assert!(matches!(Secret::parse(&typed), Err(SecretError::Checksum)), "{typed}");
        }
    }
}

#[test]
fn what_begins_like_a_generated_secret_is_never_a_passphrase() {
    let text = fixed().to_text();
    let long = format!("{}a", *text);
    let alphabet = text.replace("aaaqe", "aa0qe");
    for (given, error) in [
        ("tk1-", SecretError::Length(4)),
        ("tk1-correct horse battery staple", SecretError::Length(32)),
        ("TK1-correct horse battery staple", SecretError::Length(32)),
        (&text[..61], SecretError::Length(61)),
        (&long, SecretError::Length(63)),
        (&alphabet, SecretError::Alphabet),
        (&format!("{}é", &text[..61]), SecretError::Alphabet),
    ] {
        assert_eq!(Secret::parse(given).unwrap_err(), error, "{given}");
    }
}

#[test]
fn a_passphrase_has_eight_characters() {
    assert_eq!(Secret::parse("").unwrap_err(), SecretError::TooShort(0));
    assert_eq!(Secret::parse("pass").unwrap_err(), SecretError::TooShort(4));
    assert_eq!(Secret::parse("ÄÖÜäöüß").unwrap_err(), SecretError::TooShort(7));
    assert_eq!(*Secret::parse("ÄÖÜäöüßx").unwrap().to_text(), "ÄÖÜäöüßx");
    assert_eq!(*Secret::parse(" 8 chars").unwrap().to_text(), " 8 chars", "nothing is trimmed");
    assert!(SecretError::TooShort(4).to_string().contains("talkie keygen"));
}

#[test]
fn weak_passphrases_are_told_and_generated_secrets_never() {
    assert!(Secret::parse("password").unwrap().weakness().is_some());
    assert!(Secret::parse("aaaaaaaaaaaa").unwrap().weakness().is_some());
    assert_eq!(Secret::parse("xylem otter quartz bivouac 91").unwrap().weakness(), None);
    assert_eq!(fixed().weakness(), None);
}

#[test]
fn no_text_of_a_secret_is_shown() {
    let secret = Secret::parse("swordfish-77-lantern").unwrap();
    assert_eq!(format!("{secret:?}"), "Secret(passphrase)");
    assert_eq!(format!("{:?}", fixed()), "Secret(generated)");
    let given = "tk1-swordfish";
    let error = Secret::parse(given).unwrap_err();
    assert!(!format!("{error} {error:?}").contains("swordfish"));
}
