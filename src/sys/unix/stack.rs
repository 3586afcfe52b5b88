//! Where another thread of this process is: its stack, taken by a signal to it.
//!
//! The handler walks the stack and stores addresses, nothing else; what they are called is found
//! out afterwards, by whoever asked. It allocates nothing, and locks nothing of ours. The unwinder
//! finds its tables by what the dynamic loader keeps for it: in glibc from 2.35 on, and in a static
//! executable, without a lock; in older ones under the loader's lock, which a thread that was
//! interrupted within `dlopen` holds itself and may take again. Whoever asks waits for a moment
//! only: should a handler never come back, nobody asks again.

use std::{
    ffi::c_void,
    io,
    path::Path,
    sync::{
        Mutex, Once, PoisonError,
        atomic::{AtomicI32, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

/// Its default is to do nothing, and hardly anybody uses it for what it was made for.
const SIGNAL: libc::c_int = libc::SIGURG;

const MOST: usize = 64;

static FRAMES: [AtomicUsize; MOST] = [const { AtomicUsize::new(0) }; MOST];
static LEN: AtomicUsize = AtomicUsize::new(0);
/// Where the interrupted thread was.
static PLACE: AtomicUsize = AtomicUsize::new(0);

/// What the handler is at: it begins only what is asked for.
static STATE: AtomicI32 = AtomicI32::new(IDLE);
const IDLE: i32 = 0;
const ASKED: i32 = 1;
const TAKING: i32 = 2;
const TAKEN: i32 = 3;

/// How long a thread is waited for, that may be kept from running by others.
const PATIENCE: Duration = Duration::from_millis(500);

/// A thread, by the number that the kernel has for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ThreadId(libc::pid_t);

impl ThreadId {
    pub(crate) fn of_this_thread() -> Self {
        // SAFETY: no arguments, and it does not fail.
        Self(unsafe { libc::gettid() })
    }

    pub(crate) fn number(self) -> i32 {
        self.0
    }

    /// Where it is, the innermost first. It must be a thread that has not ended.
    ///
    /// # Errors
    /// It did not answer: it waits in the kernel for what no signal interrupts, or is kept from
    /// running.
    pub(crate) fn stack(self) -> io::Result<Stack> {
        static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
        static INSTALLED: Once = Once::new();
        let _one = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
        INSTALLED.call_once(install);
        let begin = STATE.compare_exchange(IDLE, ASKED, Ordering::SeqCst, Ordering::SeqCst);
        begin.map_err(|_| io::Error::from(io::ErrorKind::ResourceBusy))?;
        // SAFETY: no pointers.
        let sent = unsafe { libc::syscall(libc::SYS_tgkill, libc::getpid(), self.0, SIGNAL) };
        let deadline = Instant::now() + PATIENCE;
        while sent == 0 && STATE.load(Ordering::SeqCst) != TAKEN && Instant::now() < deadline {
            std::thread::sleep(Duration::from_micros(200));
        }
        let late = || io::Error::from(io::ErrorKind::TimedOut);
        // One that has begun and does not end keeps the place: its addresses may still come.
        match STATE.compare_exchange(ASKED, IDLE, Ordering::SeqCst, Ordering::SeqCst) {
            Ok(_) if sent != 0 => return Err(io::Error::from_raw_os_error(libc::ESRCH)),
            Ok(_) | Err(TAKING) => return Err(late()),
            Err(_) => {}
        }
        let len = LEN.load(Ordering::SeqCst).min(MOST);
        let mut frames: Vec<_> =
            FRAMES[..len].iter().map(|frame| frame.load(Ordering::Relaxed)).collect();
        let place = PLACE.load(Ordering::Relaxed);
        STATE.store(IDLE, Ordering::SeqCst);
        // Those of the handler come first, unless the unwinder could not see past it.
        match frames.iter().position(|frame| *frame == place) {
            Some(at) => drop(frames.drain(..at)),
            None => frames = vec![place],
        }
        Ok(Stack(frames))
    }
}

fn install() {
    // SAFETY: all zero is a valid sigaction.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    let handler: extern "C" fn(libc::c_int, *mut libc::siginfo_t, *mut c_void) = take;
    action.sa_sigaction = handler as libc::sighandler_t;
    // On the thread's own stack: the alternate one is too small for the unwinder.
    action.sa_flags = libc::SA_SIGINFO | libc::SA_RESTART;
    // SAFETY: the handler is of the kind that SA_SIGINFO says, and does what the head of this file
    // says. That it cannot fail for this signal is in sigaction(2).
    unsafe { libc::sigaction(SIGNAL, &raw const action, std::ptr::null_mut()) };
}

extern "C" fn take(_signal: libc::c_int, _info: *mut libc::siginfo_t, context: *mut c_void) {
    if STATE.compare_exchange(ASKED, TAKING, Ordering::SeqCst, Ordering::SeqCst).is_err() {
        return; // Nobody has asked: somebody else's signal.
    }
    PLACE.store(program_counter(context), Ordering::Relaxed);
    let mut len = 0;
    // SAFETY: unsynchronized, because std's lock must not be taken here: it is one handler at a
    // time, by STATE. What the unwinder does is at the head of this file. errno is put back.
    unsafe {
        let errno = *libc::__errno_location();
        backtrace::trace_unsynchronized(|frame| {
            FRAMES[len].store(frame.ip() as usize, Ordering::Relaxed);
            len += 1;
            len < MOST
        });
        *libc::__errno_location() = errno;
    }
    LEN.store(len, Ordering::SeqCst);
    STATE.store(TAKEN, Ordering::SeqCst);
}

/// Where the thread was that the handler interrupted; 0 on processors that are not known here.
fn program_counter(context: *mut c_void) -> usize {
    let context = context.cast::<libc::ucontext_t>();
    #[cfg(target_arch = "x86_64")]
    // SAFETY: with SA_SIGINFO the third argument is a ucontext_t, of the machine's own kind.
    let place = unsafe { (&raw const (*context).uc_mcontext.gregs[libc::REG_RIP as usize]).read() };
    #[cfg(target_arch = "aarch64")]
    // SAFETY: as above.
    let place = unsafe { (&raw const (*context).uc_mcontext.pc).read() };
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    let place = {
        let _ = context;
        0
    };
    place as usize
}

/// Addresses, the innermost first.
#[derive(Debug)]
pub(crate) struct Stack(Vec<usize>);

impl Stack {
    /// Without names: a line for each address.
    pub(crate) fn addresses(&self) -> Vec<String> {
        self.0.iter().map(|address| format!("{address:#x}")).collect()
    }

    /// A line for each function, as far as its symbols are there: `name at file:line`.
    pub(crate) fn lines(&self) -> Vec<String> {
        let mut lines = Vec::new();
        for (at, address) in self.0.iter().enumerate() {
            // Where a call returns to is behind the call, and may be another line, or function.
            let place = if at == 0 { *address } else { address.saturating_sub(1) };
            let before = lines.len();
            backtrace::resolve(place as *mut c_void, |symbol| {
                let Some(name) = symbol.name() else { return };
                // Without the hash: `{:#}`.
                let mut line = format!("{address:#x} {name:#}");
                if let Some(file) = symbol.filename() {
                    let file = short(file).display();
                    line += &match symbol.lineno() {
                        Some(number) => format!(" at {file}:{number}"),
                        None => format!(" at {file}"),
                    };
                }
                lines.push(line);
            });
            if lines.len() == before {
                lines.push(format!("{address:#x}"));
            }
        }
        lines
    }
}

/// A source file by its last parts: where it was compiled tells nothing.
fn short(file: &Path) -> &Path {
    let inner = file.ancestors().find(|folder| folder.ends_with("src")).and_then(Path::parent);
    inner.and_then(Path::parent).and_then(|above| file.strip_prefix(above).ok()).unwrap_or(file)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{sync::mpsc, thread};

    #[inline(never)]
    fn a_function_that_waits(tell: &mpsc::Sender<ThreadId>, waits: &mpsc::Receiver<()>) {
        tell.send(ThreadId::of_this_thread()).unwrap();
        let _ = waits.recv();
        // So that it is not the last thing here: a call in its place would leave no frame.
        let _ = tell.send(ThreadId::of_this_thread());
    }

    #[test]
    fn a_thread_that_waits_is_found_where_it_waits_and_goes_on_undisturbed() {
        let ((tell, told), (free, waits)) = (mpsc::channel(), mpsc::channel::<()>());
        let other = thread::spawn(move || a_function_that_waits(&tell, &waits));
        let thread = told.recv().unwrap();
        for _ in 0..3 {
            let lines = thread.stack().unwrap().lines();
            let found = lines.iter().any(|line| line.contains("a_function_that_waits"));
            assert!(found, "{lines:#?}");
        }
        drop(free);
        assert_eq!(told.recv(), Ok(thread));
        other.join().unwrap();
        let gone = ThreadId(libc::pid_t::MAX);
        assert!(gone.stack().is_err());
        assert_eq!(STATE.load(Ordering::SeqCst), IDLE);
    }
}
