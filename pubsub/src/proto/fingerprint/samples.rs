//! Values to show to a type that looks at what it is given. Tried one after the other until it takes one.
//!
//! Part of the protocol: another list would trace some types further, and so change their fingerprints.

/// How many there are of each kind.
pub(super) const FLAVOURS: usize = 16;

/// Small, and lengths that identifiers have.
const NUMBERS: [u8; FLAVOURS] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 16, 20, 24, 32, 64];

/// Forms that texts often have to have.
const TEXTS: [&str; FLAVOURS] = [
    "",
    "a",
    "0",
    "1",
    "127.0.0.1",
    "::1",
    "127.0.0.1:1",
    "1970-01-01T00:00:00Z",
    "1970-01-01",
    "00:00:00",
    "00000000-0000-0000-0000-000000000000",
    "http://a/",
    "1.0.0",
    "a@a.aa",
    "/",
    "A",
];

/// By length: 16 for a UUID.
const BYTES: [usize; FLAVOURS] = [0, 16, 1, 2, 3, 4, 5, 6, 7, 8, 12, 20, 24, 32, 48, 64];

static ZEROS: [u8; 64] = [0; 64];

pub(super) fn number(flavour: usize) -> u8 {
    NUMBERS.get(flavour % FLAVOURS).copied().unwrap_or_default()
}

pub(super) fn text(flavour: usize) -> &'static str {
    TEXTS.get(flavour % FLAVOURS).copied().unwrap_or_default()
}

pub(super) fn letter(flavour: usize) -> char {
    text(flavour).chars().next().unwrap_or('a')
}

pub(super) fn bytes(flavour: usize) -> &'static [u8] {
    let len = BYTES.get(flavour % FLAVOURS).copied().unwrap_or_default();
    ZEROS.get(..len).unwrap_or_default()
}

/// Elements of a list: one shows what they are; some lists must have more, or none.
pub(super) fn elements(flavour: usize) -> usize {
    match flavour % FLAVOURS {
        1 => 0,
        2..=4 => flavour % FLAVOURS,
        _ => 1,
    }
}
