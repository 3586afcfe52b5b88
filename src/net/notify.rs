//! What the service manager is told (sd_notify(3)): a datagram to the socket in NOTIFY_SOCKET.

use std::{
    env,
    ffi::OsStr,
    io,
    os::unix::{ffi::OsStrExt, net::UnixDatagram},
};

/// Says `state`, as `READY=1` or `STOPPING=1`; nothing where no service manager listens.
///
/// # Errors
/// The service manager does not take it. A server goes on without.
pub(crate) fn notify(state: &str) -> io::Result<()> {
    match env::var_os("NOTIFY_SOCKET") {
        Some(socket) if !socket.is_empty() => notify_at(&socket, state),
        _ => Ok(()),
    }
}

fn notify_at(socket: &OsStr, state: &str) -> io::Result<()> {
    let datagram = UnixDatagram::unbound()?;
    let sent = match socket.as_bytes().strip_prefix(b"@") {
        Some(name) => send_abstract(&datagram, name, state)?,
        None => datagram.send_to(state.as_bytes(), socket)?,
    };
    if sent == state.len() { Ok(()) } else { Err(io::ErrorKind::WriteZero.into()) }
}

#[cfg(target_os = "linux")]
fn send_abstract(datagram: &UnixDatagram, name: &[u8], state: &str) -> io::Result<usize> {
    use std::os::{linux::net::SocketAddrExt, unix::net::SocketAddr};
    datagram.send_to_addr(state.as_bytes(), &SocketAddr::from_abstract_name(name)?)
}

#[cfg(not(target_os = "linux"))]
fn send_abstract(_: &UnixDatagram, _: &[u8], _: &str) -> io::Result<usize> {
    Err(io::ErrorKind::Unsupported.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::{linux::net::SocketAddrExt, unix::net::SocketAddr};

    fn received(socket: &UnixDatagram) -> Vec<u8> {
        let mut buffer = [0; 64];
        let n = socket.recv(&mut buffer).unwrap();
        buffer[..n].to_vec()
    }

    #[test]
    fn a_state_goes_to_a_file_or_to_an_abstract_name() {
        let path = env::temp_dir().join(format!("cgigate-notify-{}", std::process::id()));
        let _ = std::fs::remove_file(&path);
        let file = UnixDatagram::bind(&path).unwrap();
        notify_at(path.as_os_str(), "READY=1").unwrap();
        assert_eq!(received(&file), b"READY=1");
        std::fs::remove_file(&path).unwrap();
        assert!(notify_at(path.as_os_str(), "READY=1").is_err());

        let name = format!("cgigate-notify-{}", std::process::id());
        let hidden =
            UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap();
        notify_at(OsStr::new(&format!("@{name}")), "STOPPING=1").unwrap();
        assert_eq!(received(&hidden), b"STOPPING=1");
    }
}
