//! `user[:group]`, as `--socket-owner` takes it.

use std::{fmt, str::FromStr};
#[cfg(unix)]
use {crate::sys, std::io};

/// Whom a socket's file shall belong to: names of the system's accounts, or numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    user: String,
    group: Option<String>,
}

/// A text that is no [`Owner`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no owner: use user or user:group, by name or number")]
pub struct OwnerError(String);

impl FromStr for Owner {
    type Err = OwnerError;

    fn from_str(text: &str) -> Result<Self, OwnerError> {
        let (user, group) = match text.split_once(':') {
            Some((user, group)) => (user, Some(group)),
            None => (text, None),
        };
        if user.is_empty() || group.is_some_and(|group| group.is_empty() || group.contains(':')) {
            return Err(OwnerError(text.into()));
        }
        Ok(Self { user: user.into(), group: group.map(Into::into) })
    }
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.group {
            Some(group) => write!(f, "{}:{group}", self.user),
            None => f.write_str(&self.user),
        }
    }
}

#[cfg(unix)]
impl Owner {
    /// The numbers of user and group; without a group, the file's stays.
    pub(super) fn numbers(&self) -> io::Result<(u32, Option<u32>)> {
        let user = match sys::user(&self.user)? {
            Some(user) => user.uid,
            None => number(&self.user).ok_or_else(|| unknown("user", &self.user))?,
        };
        let group = self.group.as_deref().map(|name| match sys::group(name)? {
            Some(group) => Ok(group),
            None => number(name).ok_or_else(|| unknown("group", name)),
        });
        Ok((user, group.transpose()?))
    }
}

#[cfg(unix)]
fn number(text: &str) -> Option<u32> {
    // `-1` means "as it is" to chown(2).
    text.parse().ok().filter(|number| *number != u32::MAX)
}

#[cfg(unix)]
fn unknown(what: &str, name: &str) -> io::Error {
    io::Error::new(io::ErrorKind::NotFound, format!("there is no {what} {name:?}"))
}

#[cfg(unix)]
#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(text: &str) -> io::Result<(u32, Option<u32>)> {
        text.parse::<Owner>().unwrap().numbers()
    }

    #[test]
    fn owners_go_by_name_or_number() {
        assert_eq!(numbers("root").unwrap(), (0, None));
        assert_eq!(numbers("root:daemon").unwrap(), (0, Some(1)));
        assert_eq!(numbers("54321:12345").unwrap(), (54321, Some(12345)));
        let why = numbers("no-such-user").unwrap_err().to_string();
        assert_eq!(why, "there is no user \"no-such-user\"");
        let why = numbers("root:no-such-group").unwrap_err().to_string();
        assert_eq!(why, "there is no group \"no-such-group\"");
        assert!(numbers("4294967295").is_err());
        for text in ["", ":", "user:", ":group", "a:b:c"] {
            assert_eq!(text.parse::<Owner>(), Err(OwnerError(text.into())));
        }
        assert_eq!("a:b".parse::<Owner>().unwrap().to_string(), "a:b");
    }
}
