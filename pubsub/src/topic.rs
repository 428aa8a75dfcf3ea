//! Nouns: a [`Topic`] to publish on, a [`Pattern`] to subscribe to, a [`BusName`] that keeps topics apart.
//!
//! Each exists only if it is valid, so nothing behind the handles checks them again. All are cheap to clone.

use std::borrow::Borrow;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use smallvec::SmallVec;

mod error;

pub use error::{BusNameError, PatternError, TopicError};

/// Most segments of a topic or pattern; part of the protocol.
///
/// With [`MAX_BYTES`] it bounds what matching one topic can cost.
pub const MAX_SEGMENTS: usize = 16;

/// Most bytes of a topic or pattern, slashes included; part of the protocol.
pub const MAX_BYTES: usize = 255;

/// Most bytes of a bus's name; part of the protocol.
pub const MAX_BUS_BYTES: usize = 64;

/// Where a message is published: 1 to 16 segments between `/`, at most 255 bytes of UTF-8, no `*`.
///
/// ```
/// use talkie_pubsub::Topic;
/// let topic: Topic = "orders/42".parse()?;
/// assert_eq!(topic.segments().collect::<Vec<_>>(), ["orders", "42"]);
/// # Ok::<(), talkie_pubsub::TopicError>(())
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Topic(Arc<str>);

/// What a subscription wants: a topic in which a segment may be `*` (any one) or `**` (any number, also none).
///
/// ```
/// use talkie_pubsub::{Pattern, Topic};
/// let all: Pattern = "orders/**".parse().unwrap();
/// assert!(all.matches(&"orders/42/lines".parse::<Topic>().unwrap()));
/// assert!(all.matches(&"orders".parse::<Topic>().unwrap()));
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Pattern(Arc<str>);

/// The name of a bus: 1 to 64 bytes of UTF-8 without control characters. Two buses never share a message.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BusName(Arc<str>);

/// What can name a topic: a [`Topic`], or a text (`&str`, `String`, `format!`) that is parsed on the way. A [`Topic`] saves
/// the parsing where many messages go to one.
pub trait ToTopic {
    /// The topic, or why there is none.
    fn to_topic(&self) -> Result<Topic, TopicError>;
}

/// What can name a pattern: a [`Pattern`], a [`Topic`], or a text that is parsed on the way.
pub trait ToPattern {
    /// The pattern, or why there is none.
    fn to_pattern(&self) -> Result<Pattern, PatternError>;
}

impl Topic {
    /// The segments, from the left; at least one, at most [`MAX_SEGMENTS`].
    pub fn segments(&self) -> impl Iterator<Item = &str> {
        self.0.split('/')
    }
}

impl Pattern {
    /// The segments, from the left; at least one, at most [`MAX_SEGMENTS`].
    pub fn segments(&self) -> impl Iterator<Item = &str> {
        self.0.split('/')
    }

    /// Whether it has no wildcard, so that it matches exactly the topic of the same text.
    pub fn is_exact(&self) -> bool {
        !self.0.contains('*')
    }

    /// The one topic that it matches, if it has no wildcard.
    pub fn as_topic(&self) -> Option<Topic> {
        self.is_exact().then(|| Topic(self.0.clone()))
    }

    /// Its text in memory of its own, for one that is a topic: no reference to it is counted elsewhere.
    pub(crate) fn own_topic(&self) -> Topic {
        Topic(Arc::from(&*self.0))
    }

    /// Whether the topic is one that this pattern wants.
    ///
    /// At most segments × segments comparisons, whatever the wildcards: after a mismatch only the last `**` is
    /// stretched, since whatever an earlier one could take, the last one can take too.
    pub fn matches(&self, topic: &Topic) -> bool {
        if self.is_exact() {
            return self.0 == topic.0;
        }
        let pattern: SmallVec<[&str; MAX_SEGMENTS]> = self.segments().collect();
        let topic: SmallVec<[&str; MAX_SEGMENTS]> = topic.segments().collect();
        let (mut p, mut t) = (0, 0);
        // Where to go on after a mismatch: behind the last `**`, and the first segment it has not yet taken.
        let mut retry: Option<(usize, usize)> = None;
        while let Some(&segment) = topic.get(t) {
            match pattern.get(p) {
                Some(&"**") => {
                    p += 1;
                    retry = Some((p, t));
                    continue;
                }
                Some(&wanted) if wanted == "*" || wanted == segment => {
                    p += 1;
                    t += 1;
                    continue;
                }
                _ => {}
            }
            let Some((behind, taken)) = retry else { return false };
            p = behind;
            t = taken + 1;
            retry = Some((behind, t));
        }
        pattern.iter().skip(p).all(|&rest| rest == "**")
    }
}

impl Default for BusName {
    /// `default`, the bus of a node that names none.
    fn default() -> Self {
        Self("default".into())
    }
}

impl From<Topic> for Pattern {
    fn from(topic: Topic) -> Self {
        Self(topic.0)
    }
}

impl From<&Topic> for Pattern {
    fn from(topic: &Topic) -> Self {
        Self(topic.0.clone())
    }
}

impl FromStr for Topic {
    type Err = TopicError;

    fn from_str(text: &str) -> Result<Self, TopicError> {
        let given = || shortened(text);
        if text.is_empty() {
            return Err(TopicError::Empty);
        }
        if text.len() > MAX_BYTES {
            return Err(TopicError::TooLong { given: given(), bytes: text.len() });
        }
        let mut segments = 0;
        for segment in text.split('/') {
            segments += 1;
            if segment.is_empty() {
                return Err(TopicError::EmptySegment { given: given() });
            }
            if segment.contains('*') {
                return Err(TopicError::Wildcard { given: given() });
            }
        }
        if segments > MAX_SEGMENTS {
            return Err(TopicError::TooManySegments { given: given(), segments });
        }
        Ok(Self(text.into()))
    }
}

impl FromStr for Pattern {
    type Err = PatternError;

    fn from_str(text: &str) -> Result<Self, PatternError> {
        let given = || shortened(text);
        if text.is_empty() {
            return Err(PatternError::Empty);
        }
        if text.len() > MAX_BYTES {
            return Err(PatternError::TooLong { given: given(), bytes: text.len() });
        }
        let mut segments = 0;
        for segment in text.split('/') {
            segments += 1;
            if segment.is_empty() {
                return Err(PatternError::EmptySegment { given: given() });
            }
            if segment.contains('*') && segment != "*" && segment != "**" {
                return Err(PatternError::PartialWildcard { given: given(), segment: segment.to_owned() });
            }
        }
        if segments > MAX_SEGMENTS {
            return Err(PatternError::TooManySegments { given: given(), segments });
        }
        Ok(Self(text.into()))
    }
}

impl FromStr for BusName {
    type Err = BusNameError;

    fn from_str(text: &str) -> Result<Self, BusNameError> {
        if text.is_empty() {
            return Err(BusNameError::Empty);
        }
        if text.len() > MAX_BUS_BYTES {
            return Err(BusNameError::TooLong { given: shortened(text), bytes: text.len() });
        }
        if text.chars().any(char::is_control) {
            return Err(BusNameError::Control { given: shortened(text) });
        }
        Ok(Self(text.into()))
    }
}

impl ToTopic for str {
    fn to_topic(&self) -> Result<Topic, TopicError> {
        self.parse()
    }
}

impl ToTopic for String {
    fn to_topic(&self) -> Result<Topic, TopicError> {
        self.parse()
    }
}

impl ToTopic for Topic {
    fn to_topic(&self) -> Result<Topic, TopicError> {
        Ok(self.clone())
    }
}

impl<T: ToTopic + ?Sized> ToTopic for &T {
    fn to_topic(&self) -> Result<Topic, TopicError> {
        (**self).to_topic()
    }
}

impl ToPattern for str {
    fn to_pattern(&self) -> Result<Pattern, PatternError> {
        self.parse()
    }
}

impl ToPattern for String {
    fn to_pattern(&self) -> Result<Pattern, PatternError> {
        self.parse()
    }
}

impl ToPattern for Topic {
    fn to_pattern(&self) -> Result<Pattern, PatternError> {
        Ok(self.into())
    }
}

impl ToPattern for Pattern {
    fn to_pattern(&self) -> Result<Pattern, PatternError> {
        Ok(self.clone())
    }
}

impl<T: ToPattern + ?Sized> ToPattern for &T {
    fn to_pattern(&self) -> Result<Pattern, PatternError> {
        (**self).to_pattern()
    }
}

/// What the three nouns share: they are texts that were checked once.
macro_rules! checked_text {
    ($($noun:ident),*) => {$(
        impl $noun {
            /// The text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $noun {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl fmt::Debug for $noun {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&self.0, f)
            }
        }

        impl AsRef<str> for $noun {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl Borrow<str> for $noun {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl Serialize for $noun {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $noun {
            /// Refuses what parsing refuses.
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
            }
        }
    )*};
}

checked_text!(Topic, Pattern, BusName);

/// As much of a refused text as helps to recognise it: 64 characters.
pub(crate) fn shortened(text: &str) -> String {
    match text.char_indices().nth(64) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests;
