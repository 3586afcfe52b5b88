//! Sockets that listen: made here, or handed over by whoever started the process.

use super::{Address, Destination, Owner};
use crate::sys;
use std::{
    fs, io,
    net::TcpListener,
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd, RawFd},
        linux::net::SocketAddrExt,
        unix::{
            fs::{DirBuilderExt, FileTypeExt, MetadataExt, PermissionsExt, chown},
            net::{SocketAddr as UnixAddr, UnixListener},
        },
    },
    path::{Path, PathBuf},
    time::Duration,
};

/// Why an address cannot be listened on.
///
/// ```
/// use cgigate::net::{BindOptions, ListenError, Listener};
///
/// let options = BindOptions::default();
/// let first = Listener::bind(&"127.0.0.1:0".parse()?, &options)?;
/// match Listener::bind(&first[0].address(), &options) {
///     Err(error @ ListenError::System { .. }) => eprintln!("{error}"), // what, where, and why not
///     other => panic!("two at one address: {other:?}"),
/// }
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ListenError {
    /// The system says why.
    #[error("listen on {address}: {error}")]
    System {
        /// What was tried.
        address: Address,
        /// What came of it.
        error: io::Error,
    },
    /// A live socket is not taken away.
    #[error("listen on unix:{}: something still answers there; stop it first", .0.display())]
    Answers(PathBuf),
    /// Something else than a socket has the name.
    #[error("listen on unix:{}: there is a file that is no socket", .0.display())]
    NoSocket(PathBuf),
    /// The descriptor is not one to accept connections from.
    #[error("listen on {0}: the descriptor is no listening stream socket")]
    NotListening(Address),
    /// No such socket was handed over.
    #[error("listen on {0}: LISTEN_FDS hands no such socket to this process")]
    NotHandedOver(Address),
}

/// How sockets are made.
///
/// ```
/// use cgigate::net::{BindOptions, Listener};
///
/// // Only the web server's group gets in.
/// let options = BindOptions { socket_mode: 0o660, ..BindOptions::default() };
/// let path = std::env::temp_dir().join(format!("cgigate-{}.sock", std::process::id()));
/// let listener = Listener::bind(&format!("unix:{}", path.display()).parse()?, &options)?;
/// assert!(path.exists());
/// drop(listener);
/// assert!(!path.exists());
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct BindOptions {
    /// Connections that may wait to be accepted.
    pub backlog: i32,
    /// Rights of a Unix socket's file.
    pub socket_mode: u32,
    /// Whom that file shall belong to; `None`: to whom it comes to belong.
    pub socket_owner: Option<Owner>,
}

impl Default for BindOptions {
    fn default() -> Self {
        Self { backlog: 4096, socket_mode: 0o660, socket_owner: None }
    }
}

/// A socket that listens; what it put into the file system goes when it is dropped.
///
/// ```
/// use cgigate::net::{Address, BindOptions, Listener};
///
/// let listeners = Listener::bind(&"127.0.0.1:0".parse()?, &BindOptions::default())?;
/// assert!(matches!(listeners[0].address(), Address::Tcp(at) if at.port() > 0));
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Listener {
    fd: OwnedFd,
    address: Address,
    /// The socket's file, if it is ours: its name, device and inode.
    file: Option<(PathBuf, u64, u64)>,
}

impl Listener {
    /// Listens on `address`: one socket, but of [`Address::Systemd`] all that are meant.
    ///
    /// ```
    /// use cgigate::net::{BindOptions, Listener};
    /// use std::{net::TcpListener, os::fd::AsFd};
    ///
    /// let listeners = Listener::bind(&"127.0.0.1:0".parse()?, &BindOptions::default())?;
    /// let socket = TcpListener::from(listeners[0].as_fd().try_clone_to_owned()?);
    /// assert!(socket.local_addr()?.ip().is_loopback()); // for whoever accepts by himself
    /// # Ok::<_, Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// See [`ListenError`].
    pub fn bind(address: &Address, options: &BindOptions) -> Result<Vec<Self>, ListenError> {
        let Address::Systemd(name) = address else {
            return Ok(vec![Self::bind_one(address, options)?]);
        };
        let numbers = handed_over(name.as_deref());
        if numbers.is_empty() {
            return Err(ListenError::NotHandedOver(address.clone()));
        }
        numbers.into_iter().map(|fd| Self::bind_one(&Address::Fd(fd), options)).collect()
    }

    fn bind_one(address: &Address, options: &BindOptions) -> Result<Self, ListenError> {
        let system = |error| ListenError::System { address: address.clone(), error };
        let mut file = None;
        let fd: OwnedFd = match address {
            Address::Tcp(at) => TcpListener::bind(at).map_err(system)?.into(),
            Address::Unix(path) => {
                let _alone = only_one_at_a_time(path);
                clear(path).map_err(|e| e.unwrap_or_else(system))?;
                let (fd, device, inode) = bind_unix(path, options).map_err(system)?;
                file = Some((path.clone(), device, inode));
                fd
            }
            Address::Abstract(name) => {
                let at = UnixAddr::from_abstract_name(name).map_err(system)?;
                UnixListener::bind_addr(&at).map_err(system)?.into()
            }
            Address::Fd(number) => adopt(*number, address)?,
            Address::Systemd(_) => return Err(ListenError::NotHandedOver(address.clone())),
        };
        sys::listen(fd.as_fd(), options.backlog).map_err(system)?;
        Ok(Self { fd, address: address.clone(), file })
    }

    /// The socket that the process was started with on descriptor 0.
    ///
    /// ```
    /// use cgigate::net::{BindOptions, ListenError, Listener};
    ///
    /// // As spawn-fcgi and lighttpd start applications; by hand there is no such socket.
    /// let listeners = match Listener::stdin() {
    ///     Ok(handed_over) => vec![handed_over],
    ///     Err(ListenError::NotListening(_)) => {
    ///         Listener::bind(&"127.0.0.1:0".parse()?, &BindOptions::default())?
    ///     }
    ///     Err(error) => return Err(error.into()),
    /// };
    /// assert_eq!(listeners.len(), 1);
    /// # Ok::<_, Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// See [`ListenError`].
    pub fn stdin() -> Result<Self, ListenError> {
        let address = Address::Fd(0);
        Ok(Self { fd: adopt(0, &address)?, address, file: None })
    }

    /// A socket that somebody else made, and keeps: a supervisor's.
    pub(crate) fn lent(fd: OwnedFd) -> Self {
        let address = Address::Fd(std::os::fd::AsRawFd::as_raw_fd(&fd));
        Self { fd, address, file: None }
    }

    /// The address, with the port that the system chose if it was left to it; of a socket that was
    /// handed over, its own.
    ///
    /// ```
    /// use cgigate::net::{BindOptions, Listener};
    ///
    /// let listeners = Listener::bind(&":0".parse()?, &BindOptions::default())?;
    /// eprintln!("ready on {}", listeners[0].address()); // 127.0.0.1 and a real port
    /// assert_ne!(listeners[0].address().to_string(), "127.0.0.1:0");
    /// # Ok::<_, Box<dyn std::error::Error>>(())
    /// ```
    pub fn address(&self) -> Address {
        let own = || -> io::Result<Address> {
            let tcp = TcpListener::from(self.fd.try_clone()?).local_addr();
            if let Ok(address) = tcp {
                return Ok(Address::Tcp(address));
            }
            let unix = UnixListener::from(self.fd.try_clone()?).local_addr()?;
            let name = unix.as_abstract_name().map(String::from_utf8_lossy);
            match (unix.as_pathname(), name) {
                (Some(path), _) => Ok(Address::Unix(path.into())),
                (None, Some(name)) => Ok(Address::Abstract(name.into_owned())),
                (None, None) => Err(io::ErrorKind::AddrNotAvailable.into()),
            }
        };
        match &self.address {
            // Its file was moved here after it was bound; the socket tells where it was before.
            Address::Unix(_) | Address::Abstract(_) => self.address.clone(),
            Address::Tcp(_) | Address::Fd(_) | Address::Systemd(_) => {
                own().unwrap_or_else(|_| self.address.clone())
            }
        }
    }
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        let Some((path, device, inode)) = &self.file else { return };
        // Another server may have put its own there meanwhile.
        if fs::symlink_metadata(path).is_ok_and(|m| (m.dev(), m.ino()) == (*device, *inode)) {
            let _ = fs::remove_file(path);
        }
    }
}

/// Whoever starts on the same name at the same time waits: between the look at a stale file and its
/// removal another could have put a live one there. Locked is the folder, which leaves nothing
/// behind; where that cannot be had for a second (anybody may lock it), it goes without.
fn only_one_at_a_time(path: &Path) -> Option<fs::File> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    let folder = fs::File::open(parent.unwrap_or(Path::new("."))).ok()?;
    for _ in 0..200 {
        if sys::try_lock(folder.as_fd()) {
            return Some(folder);
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    None
}

/// Removes a socket's file that nothing answers on any more.
fn clear(path: &Path) -> Result<(), Result<ListenError, io::Error>> {
    let Ok(found) = fs::symlink_metadata(path) else { return Ok(()) };
    if !found.file_type().is_socket() {
        return Err(Ok(ListenError::NoSocket(path.into())));
    }
    // One whose queue is full would keep us waiting, and is alive.
    let there = Destination::Address(Address::Unix(path.into()));
    match there.connect(Some(Duration::from_secs(1))) {
        Err(e) if e.kind() == io::ErrorKind::ConnectionRefused => {
            fs::remove_file(path).map_err(Err)
        }
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
        _ => Err(Ok(ListenError::Answers(path.into()))),
    }
}

/// Binds in a folder that nobody else can enter, and moves the file to its place when it has its
/// rights: at no moment can somebody connect who may not, and at none is a part of it there.
fn bind_unix(path: &Path, options: &BindOptions) -> io::Result<(OwnedFd, u64, u64)> {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{}", std::process::id()));
    let hidden = PathBuf::from(name);
    // Left behind by a process that was killed here and had the same number.
    let _ = fs::remove_file(hidden.join("s"));
    let _ = fs::remove_dir(&hidden);
    fs::DirBuilder::new().mode(0o700).create(&hidden)?;
    let bound = bind_hidden(&hidden.join("s"), options).and_then(|(listener, found)| {
        fs::rename(hidden.join("s"), path)?;
        Ok((listener.into(), found.dev(), found.ino()))
    });
    if bound.is_err() {
        let _ = fs::remove_file(hidden.join("s"));
    }
    let _ = fs::remove_dir(&hidden);
    bound
}

fn bind_hidden(path: &Path, options: &BindOptions) -> io::Result<(UnixListener, fs::Metadata)> {
    let listener = UnixListener::bind(path)?;
    if let Some(owner) = &options.socket_owner {
        let (user, group) = owner.numbers()?;
        chown(path, user, group)?;
    }
    fs::set_permissions(path, fs::Permissions::from_mode(options.socket_mode))?;
    Ok((listener, fs::symlink_metadata(path)?))
}

fn adopt(number: RawFd, address: &Address) -> Result<OwnedFd, ListenError> {
    if !sys::is_listening(number) || !sys::is_stream(number) {
        return Err(ListenError::NotListening(address.clone()));
    }
    sys::adopt(number).map_err(|error| ListenError::System { address: address.clone(), error })
}

/// The descriptors of LISTEN_FDS, or those of that name (sd_listen_fds_with_names(3)); none where
/// LISTEN_PID names another process.
pub(crate) fn handed_over(name: Option<&str>) -> Vec<RawFd> {
    let variable = |name| std::env::var(name).ok();
    let ours = variable("LISTEN_PID").is_some_and(|pid| pid.parse() == Ok(std::process::id()));
    let fds = variable("LISTEN_FDS").filter(|_| ours).unwrap_or_default();
    named(&fds, &variable("LISTEN_FDNAMES").unwrap_or_default(), name)
}

/// What LISTEN_FDS and LISTEN_FDNAMES say.
fn named(fds: &str, names: &str, name: Option<&str>) -> Vec<RawFd> {
    const FIRST: RawFd = 3; // SD_LISTEN_FDS_START
    const MOST: RawFd = 1 << 16; // No table of descriptors; a number that is no nonsense.
    let count = fds.parse().ok().filter(|count| (1..=MOST).contains(count)).unwrap_or(0);
    let all = FIRST..FIRST + count;
    match name {
        None => all.collect(),
        Some(name) => {
            let named = all.zip(names.split(':')).filter(|(_, found)| *found == name);
            named.map(|(fd, _)| fd).collect()
        }
    }
}

/// Whether descriptor 0 is a socket to accept connections from.
pub(crate) fn stdin_listens() -> bool {
    // By its number: `io::stdin()` would make a buffer of 8 KiB.
    sys::is_listening(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(name: &str) -> PathBuf {
        let folder =
            std::env::temp_dir().join(format!("cgigate-net-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).unwrap();
        folder
    }

    #[test]
    fn a_stale_socket_is_replaced_a_live_one_and_a_file_refused() {
        let folder = folder("stale");
        let path = folder.join("s");
        let address = Address::Unix(path.clone());
        drop(UnixListener::bind(&path).unwrap()); // Leaves its file behind.
        let options = BindOptions { socket_mode: 0o600, ..BindOptions::default() };
        let listener = Listener::bind(&address, &options).unwrap().remove(0);
        let entries = fs::read_dir(&folder).unwrap().count();
        assert_eq!(entries, 1, "nothing else is left in the folder");
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        let again = Listener::bind(&address, &options);
        assert!(matches!(again, Err(ListenError::Answers(_))), "{again:?}");
        drop(listener);
        assert!(!path.exists(), "removed at the end");
        fs::write(&path, "precious").unwrap();
        let file = Listener::bind(&address, &options);
        assert!(matches!(file, Err(ListenError::NoSocket(_))), "{file:?}");
        assert_eq!(fs::read(&path).unwrap(), b"precious");
        fs::remove_dir_all(folder).unwrap();
    }

    /// Two that start at the same time on a stale file: who comes second looks at it when the first is
    /// done, and does not take away what that one has put there.
    #[test]
    fn whoever_looks_at_a_stale_file_looks_alone() {
        let folder = folder("alone");
        let path = folder.join("s");
        drop(UnixListener::bind(&path).unwrap());
        let first = only_one_at_a_time(&path);
        assert!(first.is_some());
        clear(&path).unwrap();
        let address = Address::Unix(path.clone());
        let second = std::thread::spawn(move || Listener::bind(&address, &BindOptions::default()));
        // It stands at the lock: it has opened the folder as well.
        let open = || fs::read_dir("/proc/self/fd").unwrap().flatten();
        let is_folder = |fd: &fs::DirEntry| fs::read_link(fd.path()).is_ok_and(|to| to == folder);
        while open().filter(is_folder).count() < 2 {
            assert!(!second.is_finished(), "it did not wait");
            std::thread::yield_now();
        }
        let (listener, ..) = bind_unix(&path, &BindOptions::default()).unwrap();
        sys::listen(listener.as_fd(), 1).unwrap();
        drop(first);
        let second = second.join().unwrap();
        assert!(matches!(second, Err(ListenError::Answers(_))), "{second:?}");
        drop(listener);
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn a_port_of_the_systems_choice_is_told() {
        let listener =
            Listener::bind(&"127.0.0.1:0".parse().unwrap(), &BindOptions::default()).unwrap();
        let Address::Tcp(address) = listener[0].address() else { panic!("tcp") };
        assert_ne!(address.port(), 0);
    }

    #[test]
    fn sockets_that_were_handed_over_are_known_by_name() {
        assert_eq!(named("3", "", None), [3, 4, 5]);
        assert_eq!(named("3", "web:admin:web", Some("web")), [3, 5]);
        assert!(named("2", "a:b:c", Some("c")).is_empty(), "a name without a socket");
        for fds in ["", "0", "-1", "x", "99999999999", "2147483647"] {
            assert!(named(fds, "", None).is_empty(), "{fds}");
        }
    }
}
