//! The C side: the two functions that PAM calls, and those of libpam that they need.
//!
//! Declarations after `security/pam_appl.h`, `security/pam_modules.h` and
//! `security/pam_ext.h` of Linux-PAM; they have been the same since 1.1.

use crate::arguments::Arguments;
use crate::machine::Machine;
use crate::session::{self, Handle, Level, Person, Record};
use berth_kernel::user;
use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::marker::PhantomData;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Once;

const PAM_SUCCESS: c_int = 0;
const PAM_SERVICE: c_int = 1;
const PAM_USER: c_int = 2;

/// `pam_handle_t`: only libpam knows what is in it.
#[repr(C)]
pub struct PamHandle {
    _opaque: [u8; 0],
    _not_send: PhantomData<*mut u8>,
}

#[link(name = "pam")]
unsafe extern "C" {
    fn pam_get_item(handle: *const PamHandle, item: c_int, value: *mut *const c_void) -> c_int;
    fn pam_getenv(handle: *mut PamHandle, name: *const c_char) -> *const c_char;
    fn pam_set_data(
        handle: *mut PamHandle,
        name: *const c_char,
        data: *mut c_void,
        cleanup: Option<unsafe extern "C" fn(*mut PamHandle, *mut c_void, c_int)>,
    ) -> c_int;
    fn pam_get_data(
        handle: *const PamHandle,
        name: *const c_char,
        data: *mut *const c_void,
    ) -> c_int;
    fn pam_syslog(handle: *const PamHandle, priority: c_int, format: *const c_char, ...);
}

/// Under which the handle keeps a [`Record`] from a session's opening to its end.
const RECORD: &CStr = c"pam_berth.record";

/// Arguments beyond this many are not looked at.
const MAX_ARGUMENTS: usize = 64;

/// PAM calls this after authentication when a session opens.
///
/// # Safety
/// PAM calls it with its handle and `argc` strings; both outlive the call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pam_sm_open_session(
    handle: *mut PamHandle,
    _flags: c_int,
    argc: c_int,
    argv: *const *const c_char,
) -> c_int {
    // SAFETY: as this function's own contract says.
    unsafe { run(handle, argc, argv, session::open) };
    PAM_SUCCESS
}

/// PAM calls this when a session closes.
///
/// # Safety
/// As for [`pam_sm_open_session`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pam_sm_close_session(
    handle: *mut PamHandle,
    _flags: c_int,
    argc: c_int,
    argv: *const *const c_char,
) -> c_int {
    // SAFETY: as this function's own contract says.
    unsafe { run(handle, argc, argv, session::close) };
    PAM_SUCCESS
}

/// # Safety
/// `handle` is PAM's or null, `argv` as in [`words`]; both outlive the call.
unsafe fn run(
    handle: *mut PamHandle,
    argc: c_int,
    argv: *const *const c_char,
    body: fn(&mut Libpam, &Machine, &Arguments),
) {
    if handle.is_null() {
        return;
    }
    let done = guarded(|| {
        // SAFETY: as this function's own contract says.
        let words = unsafe { words(argc, argv) };
        let arguments = Arguments::parse(words.iter().map(String::as_str));
        body(&mut Libpam { handle }, &Machine::new(), &arguments);
    });
    if !done {
        let line = "session not delegated: an error in this module; please report it";
        Libpam { handle }.log(Level::Warning, line);
    }
}

/// Keeps a panic from unwinding into the host process and its message from that process's
/// standard error, which may be the user's terminal or a network connection. The hook is that of
/// the standard library inside this module; a host written in Rust has another.
fn guarded(body: impl FnOnce()) -> bool {
    static SILENT: Once = Once::new();
    SILENT.call_once(|| std::panic::set_hook(Box::new(|_| {})));
    catch_unwind(AssertUnwindSafe(body)).is_ok()
}

/// # Safety
/// `argv` is null or points at `argc` pointers, each null or a string.
unsafe fn words(argc: c_int, argv: *const *const c_char) -> Vec<String> {
    let count = usize::try_from(argc).unwrap_or(0).min(MAX_ARGUMENTS);
    if argv.is_null() {
        return Vec::new();
    }
    (0..count)
        .filter_map(|index| {
            // SAFETY: index < argc, and each pointer is null or a string.
            unsafe { string(*argv.add(index)) }
        })
        .collect()
}

/// # Safety
/// `text` is null or a string that nobody changes meanwhile.
unsafe fn string(text: *const c_char) -> Option<String> {
    if text.is_null() {
        return None;
    }
    // SAFETY: not null, so a string by this function's contract.
    Some(
        unsafe { CStr::from_ptr(text) }
            .to_string_lossy()
            .into_owned(),
    )
}

/// PAM's handle during one call.
struct Libpam {
    /// Valid as long as the call that made this lasts.
    handle: *mut PamHandle,
}

impl Libpam {
    fn item(&self, item: c_int) -> Option<String> {
        let mut value = std::ptr::null();
        // SAFETY: the handle is valid; libpam stores a pointer of its own.
        let result = unsafe { pam_get_item(self.handle, item, &mut value) };
        if result != PAM_SUCCESS {
            return None;
        }
        // SAFETY: these items are strings or null, and stay until the item is set anew.
        unsafe { string(value.cast()) }
    }
}

/// Called by libpam with what [`Libpam::remember`] gave it.
///
/// # Safety
/// `data` is that pointer, and nobody uses it afterwards.
unsafe extern "C" fn forget(_handle: *mut PamHandle, data: *mut c_void, _status: c_int) {
    // SAFETY: as this function's own contract says.
    guarded(|| drop(unsafe { Box::from_raw(data.cast::<Record>()) }));
}

impl Handle for Libpam {
    fn service(&mut self) -> Option<String> {
        self.item(PAM_SERVICE)
    }

    fn user(&mut self) -> Option<Person> {
        let name = self.item(PAM_USER)?;
        let user = user::User::by_name(&name).ok()??;
        Some(Person {
            name: user.name,
            uid: user.uid,
            gid: user.gid,
        })
    }

    fn variable(&mut self, name: &str) -> Option<String> {
        let name = CString::new(name).ok()?;
        // SAFETY: the handle is valid, the name a string; what comes back is null or a string
        // that lives in the handle.
        unsafe { string(pam_getenv(self.handle, name.as_ptr())) }
    }

    fn remember(&mut self, record: Record) {
        let data = Box::into_raw(Box::new(record));
        // SAFETY: the handle is valid, the name a string. libpam keeps the pointer until it calls
        // `forget` with it: at the handle's end, before modules are unloaded, or when the same
        // name is set again.
        let result =
            unsafe { pam_set_data(self.handle, RECORD.as_ptr(), data.cast(), Some(forget)) };
        if result != PAM_SUCCESS {
            // SAFETY: libpam did not take it, so it is still this function's, from `into_raw`.
            drop(unsafe { Box::from_raw(data) });
        }
    }

    fn recall(&mut self) -> Option<Record> {
        let mut data = std::ptr::null();
        // SAFETY: the handle is valid; libpam stores a pointer that was set under this name.
        let result = unsafe { pam_get_data(self.handle, RECORD.as_ptr(), &mut data) };
        if result != PAM_SUCCESS || data.is_null() {
            return None;
        }
        // SAFETY: only `remember` sets data of this name, and it lives in the handle; nobody
        // changes it while this borrow lasts.
        Some(unsafe { &*data.cast::<Record>() }.clone())
    }

    fn log(&mut self, level: Level, line: &str) {
        let priority = match level {
            Level::Warning => libc::LOG_WARNING,
            Level::Debug => libc::LOG_DEBUG,
        };
        let Ok(line) = CString::new(line) else {
            return;
        };
        // SAFETY: the format takes one string, which lives until the call returns.
        unsafe { pam_syslog(self.handle, priority, c"%s".as_ptr(), line.as_ptr()) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_stays_inside() {
        assert!(!guarded(|| panic!("on purpose")));
        assert!(guarded(|| {}));
    }

    #[test]
    fn a_null_handle_and_null_arguments_are_survived() {
        let null = std::ptr::null_mut();
        // SAFETY: a null handle is what is tested; nothing is dereferenced.
        let codes = unsafe {
            (
                pam_sm_open_session(null, 0, 3, std::ptr::null()),
                pam_sm_close_session(null, 0, -1, std::ptr::null()),
            )
        };
        assert_eq!(codes, (PAM_SUCCESS, PAM_SUCCESS));
        // SAFETY: null argv, and an array with a null in it and a length that is not its own.
        let words = unsafe {
            let array = [c"a".as_ptr(), std::ptr::null(), c"b=c".as_ptr()];
            (words(-1, std::ptr::null()), words(3, array.as_ptr()))
        };
        assert_eq!(words, (vec![], vec!["a".to_owned(), "b=c".to_owned()]));
    }
}
