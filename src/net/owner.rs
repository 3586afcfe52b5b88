//! `user[:group]` or `:group`, as `--socket-owner` and chown(1) take it.

use std::{fmt, str::FromStr};
#[cfg(unix)]
use {crate::sys, std::io};

/// Whom a socket's file shall belong to: names of the system's accounts, or numbers.
///
/// ```
/// use cgigate::net::Owner;
///
/// let owner: Owner = ":www-data".parse()?;
/// assert_eq!(owner.to_string(), ":www-data");
/// # Ok::<_, cgigate::net::OwnerError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    /// Without one, the file's stays: to give it away takes root.
    user: Option<String>,
    group: Option<String>,
}

/// A text that is no [`Owner`].
///
/// ```
/// use cgigate::net::Owner;
///
/// let error = "www-data:".parse::<Owner>().unwrap_err();
/// assert!(error.to_string().starts_with("\"www-data:\" is no owner: use user, "));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no owner: use user, user:group or :group, by name or number")]
pub struct OwnerError(String);

impl FromStr for Owner {
    type Err = OwnerError;

    fn from_str(text: &str) -> Result<Self, OwnerError> {
        let (user, group) = match text.split_once(':') {
            Some((user, group)) => (Some(user).filter(|user| !user.is_empty()), Some(group)),
            None => (Some(text), None),
        };
        if [user, group].into_iter().flatten().any(|name| name.is_empty() || name.contains(':')) {
            return Err(OwnerError(text.into()));
        }
        Ok(Self { user: user.map(Into::into), group: group.map(Into::into) })
    }
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.user.as_deref().unwrap_or_default())?;
        self.group.iter().try_for_each(|group| write!(f, ":{group}"))
    }
}

#[cfg(unix)]
impl Owner {
    /// The numbers of user and group; of what is not named, the file's stays.
    pub(super) fn numbers(&self) -> io::Result<(Option<u32>, Option<u32>)> {
        let user = self.user.as_deref().map(|name| match sys::user(name)? {
            Some(user) => Ok(user.uid),
            None => number(name).ok_or_else(|| unknown("user", name)),
        });
        let group = self.group.as_deref().map(|name| match sys::group(name)? {
            Some(group) => Ok(group),
            None => number(name).ok_or_else(|| unknown("group", name)),
        });
        Ok((user.transpose()?, group.transpose()?))
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

    fn numbers(text: &str) -> io::Result<(Option<u32>, Option<u32>)> {
        text.parse::<Owner>().unwrap().numbers()
    }

    #[test]
    fn owners_go_by_name_or_number() {
        assert_eq!(numbers("root").unwrap(), (Some(0), None));
        assert_eq!(numbers("root:daemon").unwrap(), (Some(0), Some(1)));
        assert_eq!(numbers("54321:12345").unwrap(), (Some(54321), Some(12345)));
        assert_eq!(numbers(":daemon").unwrap(), (None, Some(1)));
        let why = numbers("no-such-user").unwrap_err().to_string();
        assert_eq!(why, "there is no user \"no-such-user\"");
        let why = numbers("root:no-such-group").unwrap_err().to_string();
        assert_eq!(why, "there is no group \"no-such-group\"");
        assert!(numbers("4294967295").is_err());
        for text in ["", ":", "user:", "a:b:c", "::c"] {
            assert_eq!(text.parse::<Owner>(), Err(OwnerError(text.into())));
        }
        for text in ["a", "a:b", ":b"] {
            assert_eq!(text.parse::<Owner>().unwrap().to_string(), text);
        }
    }
}
