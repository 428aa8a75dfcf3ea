//! Noun: the name of a group of subscribers that share out messages.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// Most bytes of a group's name; part of the protocol.
pub const MAX_GROUP_BYTES: usize = 64;

/// The name of a queue group: 1 to 64 bytes of UTF-8 without control characters. A group is of one bus; of another bus one of
/// the same name is another.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GroupName(Arc<str>);

impl GroupName {
    /// Its text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl AsRef<str> for GroupName {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for GroupName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for GroupName {
    type Err = GroupNameError;

    fn from_str(text: &str) -> Result<Self, GroupNameError> {
        if text.is_empty() {
            return Err(GroupNameError::Empty);
        }
        let given = || text.chars().take(40).collect();
        if text.len() > MAX_GROUP_BYTES {
            return Err(GroupNameError::TooLong { given: given(), bytes: text.len() });
        }
        if text.chars().any(char::is_control) {
            return Err(GroupNameError::Control { given: given() });
        }
        Ok(Self(text.into()))
    }
}

/// Why a text is no name of a group.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum GroupNameError {
    /// The text is empty.
    #[error("a group's name must not be empty; name it for what its members do, as \"workers\"")]
    Empty,
    /// More than [`MAX_GROUP_BYTES`].
    #[error("group name {given:?} has {bytes} bytes; at most {MAX_GROUP_BYTES} are allowed")]
    TooLong {
        /// The text's beginning.
        given: String,
        /// Its length in bytes.
        bytes: usize,
    },
    /// A control character, such as a line break.
    #[error("group name {given:?} contains a control character; write it without")]
    Control {
        /// The text's beginning.
        given: String,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_short_and_plain() {
        assert_eq!("workers".parse::<GroupName>().unwrap().as_str(), "workers");
        assert_eq!("".parse::<GroupName>(), Err(GroupNameError::Empty));
        assert!("g".repeat(64).parse::<GroupName>().is_ok());
        let long = "g".repeat(65).parse::<GroupName>();
        assert!(matches!(long, Err(GroupNameError::TooLong { bytes: 65, .. })), "{long:?}");
        assert!(matches!("a\nb".parse::<GroupName>(), Err(GroupNameError::Control { .. })));
    }
}
