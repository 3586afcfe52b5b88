//! The named pipe on which IIS asks a FastCGI application: it is the process's stdin, in the state
//! that `CreateNamedPipe` leaves it in, and one web server at a time connects to it.
//!
//! As libfcgi's `os_win32.c` and PHP have it, which are what IIS was made for. Whether the handle was
//! opened for overlapped operations is not told and makes no difference here: every operation is
//! given an `OVERLAPPED`, and waited for.

use std::{
    io::{self, Read, Write},
    os::windows::io::{AsRawHandle as _, FromRawHandle as _, OwnedHandle},
    ptr::{null, null_mut, without_provenance_mut},
};
use windows_sys::Win32::{
    Foundation::{
        ERROR_BROKEN_PIPE, ERROR_IO_PENDING, ERROR_NO_DATA, ERROR_PIPE_CONNECTED,
        ERROR_PIPE_NOT_CONNECTED, GetLastError, HANDLE, INVALID_HANDLE_VALUE, TRUE, WAIT_OBJECT_0,
    },
    Storage::FileSystem::{FlushFileBuffers, ReadFile, WriteFile},
    System::{
        Console::{GetStdHandle, STD_ERROR_HANDLE, STD_INPUT_HANDLE, STD_OUTPUT_HANDLE},
        IO::{GetOverlappedResult, OVERLAPPED},
        Pipes::{
            ConnectNamedPipe, DisconnectNamedPipe, PIPE_READMODE_BYTE, PIPE_WAIT,
            SetNamedPipeHandleState,
        },
        Threading::{CreateEventW, INFINITE, WaitForSingleObject},
    },
};

/// Whether the process was started as IIS starts a FastCGI application: with stdin, and with neither
/// stdout nor stderr. A CGI program has all three.
pub(crate) fn stdin_is_pipe_to_serve() -> bool {
    let is_valid = |which| {
        // SAFETY: takes a constant.
        let handle = unsafe { GetStdHandle(which) };
        !handle.is_null() && handle != INVALID_HANDLE_VALUE
    };
    is_valid(STD_INPUT_HANDLE) && !is_valid(STD_OUTPUT_HANDLE) && !is_valid(STD_ERROR_HANDLE)
}

/// The server's end of a named pipe.
pub(crate) struct Pipe {
    handle: OwnedHandle,
    /// What an operation that is under way signals when it is done.
    done: OwnedHandle,
}

impl Pipe {
    /// The pipe that the process was started with.
    ///
    /// # Errors
    /// stdin is no named pipe.
    pub(crate) fn of_stdin() -> io::Result<Self> {
        // SAFETY: takes a constant.
        let handle = unsafe { GetStdHandle(STD_INPUT_HANDLE) };
        let mode = PIPE_READMODE_BYTE | PIPE_WAIT;
        // SAFETY: `mode` lives through the call; null leaves alone what is not to be set.
        if unsafe { SetNamedPipeHandleState(handle, &raw const mode, null(), null()) } == 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the call above has shown that it is open, and nothing else in a process that
        // serves a pipe uses its stdin.
        unsafe { Self::of(handle) }
    }

    /// # Safety
    /// The handle is open, and the caller's to give away.
    unsafe fn of(handle: HANDLE) -> io::Result<Self> {
        // SAFETY: null stands for the usual rights and no name; reset by hand, as OVERLAPPED wants.
        let done = unsafe { CreateEventW(null(), TRUE, 0, null()) };
        if done.is_null() {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the event was made just now, the pipe is given to us.
        let [handle, done] = [handle, done].map(|raw| unsafe { OwnedHandle::from_raw_handle(raw) });
        Ok(Self { handle, done })
    }

    /// Waits until a web server connects; one that has done so already is taken.
    ///
    /// # Errors
    /// What the system says.
    pub(crate) fn connect(&mut self) -> io::Result<()> {
        loop {
            // SAFETY: `overlapped` lives until the operation is done.
            let connected =
                self.perform(|pipe, overlapped| unsafe { ConnectNamedPipe(pipe, overlapped) });
            match connected {
                Err(error) if is(&error, &[ERROR_PIPE_CONNECTED]) => return Ok(()),
                // It has come and gone: the next one finds the pipe only when it is let go of.
                Err(error) if is(&error, &[ERROR_NO_DATA]) => self.disconnect(),
                connected => return connected.map(drop),
            }
        }
    }

    /// Waits until the web server has read all, and lets it go.
    pub(crate) fn disconnect(&mut self) {
        let pipe = self.handle.as_raw_handle();
        // SAFETY: the pipe is open. That its other end has gone is no matter.
        unsafe { FlushFileBuffers(pipe) };
        // SAFETY: as above.
        unsafe { DisconnectNamedPipe(pipe) };
    }

    /// Starts an operation, and waits until it is done: how many bytes it moved.
    fn perform(&mut self, start: impl FnOnce(HANDLE, *mut OVERLAPPED) -> i32) -> io::Result<usize> {
        let pipe = self.handle.as_raw_handle();
        let mut overlapped = OVERLAPPED { hEvent: self.done.as_raw_handle(), ..Default::default() };
        let started = start(pipe, &raw mut overlapped);
        // SAFETY: no pointers.
        if started == 0 && unsafe { GetLastError() } != ERROR_IO_PENDING {
            return Err(io::Error::last_os_error());
        }
        let mut moved = 0;
        // SAFETY: the operation was started with this `overlapped`, which is left alone until this
        // returns, and it does not return before the operation is done.
        let done = unsafe { GetOverlappedResult(pipe, &raw mut overlapped, &raw mut moved, TRUE) };
        if done == 0 { Err(io::Error::last_os_error()) } else { Ok(moved as usize) }
    }
}

impl Read for Pipe {
    /// 0: the web server has closed its end.
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let len = u32::try_from(buffer.len()).unwrap_or(u32::MAX);
        let start = buffer.as_mut_ptr();
        // SAFETY: `buffer` is exclusive, `len` no more than its length, and both outlive the
        // operation, which `perform` waits for.
        let read = self.perform(|pipe, overlapped| unsafe {
            ReadFile(pipe, start, len, null_mut(), overlapped)
        });
        match read {
            Err(error) if is(&error, &[ERROR_BROKEN_PIPE, ERROR_PIPE_NOT_CONNECTED]) => Ok(0),
            read => read,
        }
    }
}

impl Write for Pipe {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let len = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        // SAFETY: `bytes` are readable for `len`, and outlive the operation, which `perform` waits
        // for.
        self.perform(|pipe, overlapped| unsafe {
            WriteFile(pipe, bytes.as_ptr(), len, null_mut(), overlapped)
        })
    }

    /// What was written is with the system; `disconnect` waits for the reader.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn is(error: &io::Error, codes: &[u32]) -> bool {
    let code = error.raw_os_error().and_then(|code| u32::try_from(code).ok());
    code.is_some_and(|code| codes.contains(&code))
}

/// What IIS sets when the process is to end.
#[derive(Clone, Copy)]
pub(crate) struct ShutdownEvent(usize);

impl ShutdownEvent {
    /// The event whose handle `_FCGI_SHUTDOWN_EVENT_` names, in decimal digits.
    pub(crate) fn of_environment() -> Option<Self> {
        std::env::var("_FCGI_SHUTDOWN_EVENT_").ok()?.parse().ok().map(Self)
    }

    /// Waits for it; false: it is none.
    pub(crate) fn wait(self) -> bool {
        let handle = without_provenance_mut(self.0);
        // SAFETY: no pointers: a handle is a number, and one that is none is refused.
        unsafe { WaitForSingleObject(handle, INFINITE) == WAIT_OBJECT_0 }
    }
}
