//! How much the process may have open, and how long its files may be.

/// RLIMIT_NOFILE, getrlimit(2).
fn descriptor_limit() -> Option<libc::rlimit> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: `limit` lives through the call.
    let told = unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) };
    (told == 0).then_some(limit)
}

/// As many descriptors as the system allows it: what is usual, 1024, is kept low for programs that use
/// `select`.
pub(crate) fn raise_descriptor_limit() {
    if let Some(mut limit) = descriptor_limit() {
        limit.rlim_cur = limit.rlim_max;
        // SAFETY: `limit` lives through the call. Where it is refused, it stays as it was.
        unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) };
    }
}

/// Makes room in the table of descriptors for so many, or for as many as are allowed. Where threads share
/// it, each time that it grows whoever opens something waits for all CPUs, some milliseconds: it is to be
/// called before there are any.
pub(crate) fn make_room_for_descriptors(count: usize) {
    let Some(limit) = descriptor_limit() else { return };
    let last = (count as libc::rlim_t).min(limit.rlim_cur.saturating_sub(1));
    let last = libc::c_int::try_from(last).unwrap_or(libc::c_int::MAX);
    // SAFETY: no pointers; whatever number is free from there on is this function's, and closed.
    unsafe {
        let highest = libc::fcntl(libc::STDERR_FILENO, libc::F_DUPFD_CLOEXEC, last);
        if highest >= 0 {
            libc::close(highest);
        }
    }
}

/// A file that may not grow any more (RLIMIT_FSIZE) is an error of that write, and not the end of the
/// process. The signal is caught, and not ignored: what is executed later would inherit that.
pub(crate) fn survive_full_files() {
    extern "C" fn nothing(_: libc::c_int) {}
    // SAFETY: all zero is a valid sigaction: no flags, an empty mask.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    let handler: extern "C" fn(libc::c_int) = nothing;
    action.sa_sigaction = handler as libc::sighandler_t;
    action.sa_flags = libc::SA_RESTART;
    // SAFETY: the handler does nothing. Where it is refused, it stays as it was.
    unsafe { libc::sigaction(libc::SIGXFSZ, &raw const action, std::ptr::null_mut()) };
}
