//! Headers beside a payload, in both forms.

use std::collections::BTreeMap;

use serde::Serialize;
use talkie_pubsub::Headers;

/// Headers: those that are UTF-8 as text, the others in base64. Nothing is printed where there are none.
#[derive(Debug, Serialize)]
pub(crate) struct Beside<'a> {
    #[serde(rename = "headers", skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) text: BTreeMap<&'a str, &'a str>,
    #[serde(rename = "headers_base64", skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) base64: BTreeMap<&'a str, String>,
}

impl<'a> From<&'a Headers> for Beside<'a> {
    fn from(headers: &'a Headers) -> Self {
        let (mut text, mut base64) = (BTreeMap::new(), BTreeMap::new());
        for (key, value) in headers.iter() {
            match std::str::from_utf8(value) {
                Ok(value) => drop(text.insert(key, value)),
                Err(_) => drop(base64.insert(key, data_encoding::BASE64.encode(value))),
            }
        }
        Self { text, base64 }
    }
}
