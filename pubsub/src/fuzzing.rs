//! A door to what reads a scrape's request, for the fuzz targets alone: no part of what is kept stable.

/// What a request's head asks for, in words.
pub fn asked(head: &[u8]) -> String {
    format!("{:?}", crate::io::endpoint::parse(head))
}
