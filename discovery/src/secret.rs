//! What the members of a mesh share.

use std::fmt;

use data_encoding::BASE32_NOPAD;
use sha2::{Digest, Sha256};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::error::SecretError;

/// How a generated secret begins, so that a mistyped one is told from a passphrase.
const PREFIX: &str = "tk1-";

/// Random bytes in a generated secret: the strength of the keys that are made of it.
const RANDOM_LEN: usize = 32;

/// Bytes of checksum behind them: a mistyped secret passes with a chance of 2⁻³².
const CHECKSUM_LEN: usize = 4;

/// Base32 digits of both, without padding: ⌈36 · 8 / 5⌉.
const DIGITS: usize = ((RANDOM_LEN + CHECKSUM_LEN) * 8).div_ceil(5);

/// What is hashed before the random bytes for the checksum.
const CHECKSUM_LABEL: &[u8] = b"talkie/1 secret checksum";

/// Characters in the shortest passphrase (CONTRACT: below it no stretching helps).
const MIN_PASSPHRASE: usize = 8;

/// zxcvbn's score below which a passphrase is called weak: 3 is "safely unguessable" for an offline attack
/// with a slow hash, which is what a captured heartbeat allows.
const STRONG_SCORE: zxcvbn::Score = zxcvbn::Score::Three;

/// What the members of a mesh share: a generated secret (`talkie keygen`), or a passphrase.
///
/// A generated one is `tk1-` and 58 base32 digits (RFC 4648, without padding) of 32 random bytes and a
/// checksum: the first 4 bytes of SHA-256(`"talkie/1 secret checksum"` ‖ the 32 bytes). It is written in lower
/// case and read in either. Every text that begins with `tk1-` (in either case) is one, or an error: never a
/// passphrase. Any other text of at least 8 characters is a passphrase, taken byte by byte as it is.
///
/// Wiped from memory when dropped; `Debug` shows only which of both it is.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct Secret(Form);

#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub(crate) enum Form {
    Generated([u8; RANDOM_LEN]),
    Passphrase(String),
}

impl Secret {
    /// Reads a secret as given: nothing is trimmed.
    ///
    /// # Errors
    /// A passphrase under 8 characters; a text that begins with `tk1-` and is no generated secret.
    pub fn parse(text: &str) -> Result<Self, SecretError> {
        let prefix = text.get(..PREFIX.len());
        if prefix.is_some_and(|start| start.eq_ignore_ascii_case(PREFIX)) {
            let digits = text.get(PREFIX.len()..).unwrap_or_default();
            return parse_digits(digits).map(|random| Self(Form::Generated(*random)));
        }
        match text.chars().count() {
            n if n < MIN_PASSPHRASE => Err(SecretError::TooShort(n)),
            _ => Ok(Self(Form::Passphrase(text.to_owned()))),
        }
    }

    /// A new random secret from the system's random source.
    ///
    /// # Panics
    /// If the system has no random source: then nothing that follows could be secret.
    #[must_use]
    #[expect(clippy::expect_used, reason = "a mesh without randomness must not start")]
    pub fn generate() -> Self {
        let mut random = [0; RANDOM_LEN];
        getrandom::fill(&mut random).expect("the system's random source works");
        let secret = Self(Form::Generated(random));
        random.zeroize();
        secret
    }

    /// The secret as it is written down: `tk1-…`, or the passphrase. Wiped when dropped; print it only where
    /// the user asked for it.
    #[must_use]
    pub fn to_text(&self) -> Zeroizing<String> {
        match &self.0 {
            Form::Passphrase(text) => Zeroizing::new(text.clone()),
            Form::Generated(random) => {
                let mut bytes = Zeroizing::new([0; RANDOM_LEN + CHECKSUM_LEN]);
                let whole = random.iter().copied().chain(checksum(random));
                bytes.iter_mut().zip(whole).for_each(|(to, from)| *to = from);
                let digits = Zeroizing::new(BASE32_NOPAD.encode(&*bytes));
                let mut text = Zeroizing::new(String::with_capacity(PREFIX.len() + DIGITS));
                text.push_str(PREFIX);
                text.push_str(&digits);
                text.make_ascii_lowercase();
                text
            }
        }
    }

    /// Why a passphrase is weak, in plain words; `None` for a strong one and for every generated secret.
    ///
    /// A captured heartbeat lets anyone test guesses without the mesh noticing. Takes some milliseconds.
    #[must_use]
    pub fn weakness(&self) -> Option<String> {
        let Form::Passphrase(text) = &self.0 else {
            return None;
        };
        let estimate = zxcvbn::zxcvbn(text, &[]);
        if estimate.score() >= STRONG_SCORE {
            return None;
        }
        // zxcvbn's warnings speak of kinds ("a common password"), never of the text itself.
        let kind = estimate.feedback().and_then(|f| f.warning()).map(|warning| warning.to_string());
        let kind = kind.unwrap_or_else(|| "It is easy to guess.".to_owned());
        Some(format!("{kind} `talkie keygen` makes a secret that nobody guesses"))
    }

    pub(crate) fn form(&self) -> &Form {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            Form::Generated(_) => "Secret(generated)",
            Form::Passphrase(_) => "Secret(passphrase)",
        })
    }
}

fn parse_digits(digits: &str) -> Result<Zeroizing<[u8; RANDOM_LEN]>, SecretError> {
    let length = digits.chars().count();
    if length != DIGITS {
        return Err(SecretError::Length(PREFIX.len() + length));
    }
    let upper = Zeroizing::new(digits.to_ascii_uppercase());
    if upper.bytes().any(|b| !matches!(b, b'A'..=b'Z' | b'2'..=b'7')) {
        return Err(SecretError::Alphabet);
    }
    // What can still fail are the two bits behind the last byte: not an alphabet error but a typing error.
    let bytes = BASE32_NOPAD.decode(upper.as_bytes()).map_err(|_| SecretError::Checksum)?;
    let bytes = Zeroizing::new(bytes);
    let (random, check) = bytes.split_first_chunk::<RANDOM_LEN>().ok_or(SecretError::Checksum)?;
    if check != checksum(random) {
        return Err(SecretError::Checksum);
    }
    Ok(Zeroizing::new(*random))
}

fn checksum(random: &[u8; RANDOM_LEN]) -> [u8; CHECKSUM_LEN] {
    let digest = Sha256::new().chain_update(CHECKSUM_LABEL).chain_update(random).finalize();
    digest.first_chunk().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests;
