//! A PAM session, from the side of an application: the few functions of libpam that it takes.
//!
//! Declarations after `security/pam_appl.h` of Linux-PAM; they have been the same since 1.1.

use std::ffi::{CStr, CString, OsString, c_char, c_int, c_void};
use std::fmt;
use std::os::unix::ffi::OsStringExt;
use std::ptr;

const PAM_SUCCESS: c_int = 0;
const PAM_CONV_ERR: c_int = 19;
const PAM_ESTABLISH_CRED: c_int = 2;
const PAM_DELETE_CRED: c_int = 4;
const PAM_SILENT: c_int = 0x8000;
const PAM_TTY: c_int = 3;
const PAM_RUSER: c_int = 8;

/// `pam_handle_t`: only libpam knows what is in it.
#[repr(C)]
struct PamHandle {
    _opaque: [u8; 0],
}

type Converse =
    unsafe extern "C" fn(c_int, *mut *const c_void, *mut *mut c_void, *mut c_void) -> c_int;

#[repr(C)]
struct Conversation {
    converse: Converse,
    data: *mut c_void,
}

#[link(name = "pam")]
unsafe extern "C" {
    fn pam_start(
        service: *const c_char,
        user: *const c_char,
        conversation: *const Conversation,
        handle: *mut *mut PamHandle,
    ) -> c_int;
    fn pam_end(handle: *mut PamHandle, status: c_int) -> c_int;
    fn pam_set_item(handle: *mut PamHandle, item: c_int, value: *const c_void) -> c_int;
    fn pam_acct_mgmt(handle: *mut PamHandle, flags: c_int) -> c_int;
    fn pam_setcred(handle: *mut PamHandle, flags: c_int) -> c_int;
    fn pam_open_session(handle: *mut PamHandle, flags: c_int) -> c_int;
    fn pam_close_session(handle: *mut PamHandle, flags: c_int) -> c_int;
    fn pam_getenvlist(handle: *mut PamHandle) -> *mut *mut c_char;
    fn pam_strerror(handle: *mut PamHandle, code: c_int) -> *const c_char;
}

/// Why there is no session.
#[derive(Debug)]
pub struct PamError {
    step: &'static str,
    reason: String,
}

impl fmt::Display for PamError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PAM: cannot {}: {}", self.step, self.reason)
    }
}

impl std::error::Error for PamError {}

/// An open session. It is closed when dropped, by the process that opened it.
pub struct Session {
    handle: *mut PamHandle,
    owner: u32,
}

/// Nobody sits at a boot: questions have no answer.
unsafe extern "C" fn nobody_answers(
    _count: c_int,
    _messages: *mut *const c_void,
    _responses: *mut *mut c_void,
    _data: *mut c_void,
) -> c_int {
    PAM_CONV_ERR
}

impl Session {
    /// Opens a session of `service` for `user`, as a program without a terminal. Modules may
    /// change the process: its cgroup, its limits, its audit session.
    pub fn open(service: &CStr, user: &CStr) -> Result<Self, PamError> {
        let conversation = Conversation {
            converse: nobody_answers,
            data: ptr::null_mut(),
        };
        let mut handle = ptr::null_mut();
        // SAFETY: two strings, a conversation that libpam copies, and room for the handle.
        let code = unsafe {
            pam_start(
                service.as_ptr(),
                user.as_ptr(),
                &raw const conversation,
                &raw mut handle,
            )
        };
        if code != PAM_SUCCESS || handle.is_null() {
            return Err(PamError {
                step: "begin",
                reason: text_of(ptr::null_mut(), code),
            });
        }
        let started = Started { handle };
        for (item, value) in [(PAM_TTY, c"berth"), (PAM_RUSER, c"root")] {
            // SAFETY: the handle is live, and libpam copies the string.
            let code = unsafe { pam_set_item(handle, item, value.as_ptr().cast()) };
            started.check("set an item", code)?;
        }
        // SAFETY: here and below, the handle is live and the flags are numbers.
        let code = unsafe { pam_acct_mgmt(handle, PAM_SILENT) };
        started.check("use this account", code)?;
        // Credentials are of the auth stack, and this service's denies everybody, since nobody
        // authenticates here: what modules there could give is theirs to give, not needed.
        // SAFETY: as above.
        let _ = unsafe { pam_setcred(handle, PAM_ESTABLISH_CRED | PAM_SILENT) };
        // SAFETY: as above.
        let code = unsafe { pam_open_session(handle, PAM_SILENT) };
        started.check("open the session", code)?;
        // From here on it is closed before it ends.
        let _ = std::mem::ManuallyDrop::new(started);
        Ok(Self {
            handle,
            owner: std::process::id(),
        })
    }

    /// The variables that modules have set for the session.
    pub fn environment(&self) -> Vec<CString> {
        let mut variables = Vec::new();
        // SAFETY: the handle is live. The list and its strings are malloc's and the caller's; it
        // ends with a null pointer.
        unsafe {
            let list = pam_getenvlist(self.handle);
            if list.is_null() {
                return variables;
            }
            let mut at = list;
            while !(*at).is_null() {
                variables.push(CStr::from_ptr(*at).to_owned());
                libc::free((*at).cast());
                at = at.add(1);
            }
            libc::free(list.cast());
        }
        variables
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        // A copy in a forked child is not the session.
        if self.owner != std::process::id() {
            return;
        }
        // SAFETY: the handle is live until `pam_end`, which comes last.
        unsafe {
            pam_close_session(self.handle, PAM_SILENT);
            pam_setcred(self.handle, PAM_DELETE_CRED | PAM_SILENT);
            pam_end(self.handle, PAM_SUCCESS);
        }
    }
}

/// A handle on its way to a session.
struct Started {
    handle: *mut PamHandle,
}

impl Started {
    fn check(&self, step: &'static str, code: c_int) -> Result<(), PamError> {
        if code == PAM_SUCCESS {
            return Ok(());
        }
        Err(PamError {
            step,
            reason: text_of(self.handle, code),
        })
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        // SAFETY: the handle is live, and nobody uses it after this.
        unsafe { pam_end(self.handle, PAM_CONV_ERR) };
    }
}

fn text_of(handle: *mut PamHandle, code: c_int) -> String {
    // SAFETY: libpam answers any code with a static string, also without a handle.
    let text = unsafe { pam_strerror(handle, code) };
    if text.is_null() {
        return format!("error {code}");
    }
    // SAFETY: not null, and a string, as above.
    let bytes = unsafe { CStr::from_ptr(text) }.to_bytes().to_vec();
    OsString::from_vec(bytes).to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_without_a_stack_gives_no_session() {
        // Whatever `other` says: this account is nobody's.
        let Err(error) = Session::open(c"berth-no-such-service", c"no-such-user-of-berth") else {
            panic!("a session for nobody");
        };
        assert!(error.to_string().starts_with("PAM: cannot "), "{error}");
    }
}
